/* Stands in for every room: puts its sandbox on as a room does, then tries what it is
 * told to. */
#include "policy/sandbox/sandbox.h"
#include "policy/sandbox/ticket.h"
#include "tests/sandbox/attempts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static int
warm_up_fails(void *arg, struct err *e)
{
	return err_set(e, ERR_INTERNAL, "warm-up\nfailed");
}

static ssize_t
receive(void *p, size_t n)
{
	struct pollfd in = {.fd = SANDBOX_FD_CONTROL, .events = POLLIN};
	struct iovec io = {p, n};
	struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};

	while (poll(&in, 1, -1) < 0)
		if (errno != EINTR)
			return -1;
	return recvmsg(SANDBOX_FD_CONTROL, &m, 0);
}

static int
put_on(struct probe_packet *hello)
{
	struct ticket t = {.room = ROOM_CONF};
	struct sandbox_report report = {0};
	struct sandbox_setup setup = {.report = &report};
	char how = 0;

	/* Which room it plays is in its ticket; a wrong one is tested too. */
	if (receive(&how, 1) != 1)
		return 2;
	if (pread(SANDBOX_FD_TICKET, &t, sizeof t, 0) != (ssize_t)sizeof t)
		return 2;
	if (how == 'w')
		setup.warm_up = warm_up_fails;
	if (how == 'r')
		t.room = t.room == ROOM_HASH ? ROOM_STORE : ROOM_HASH;
	if (how == 't')
		close(SANDBOX_FD_TICKET);
	if (sandbox_enter((enum room)t.room, &setup) != 0)
		return 3;
	*hello = (struct probe_packet){
	    .index = PROBE_HELLO,
	    .landlock_abi = report.landlock_abi,
	    .mdwe = report.mdwe,
	    .seccomp = report.seccomp,
	    .mode = (int32_t)report.mode,
	};
	return 0;
}

/* An attempt must not find what an earlier one opened. */
static void
close_new(uint32_t kept)
{
	for (int fd = 0; fd < 32; fd++)
		if (!(kept >> fd & 1))
			close(fd);
}

int
main(void)
{
	struct probe_packet p;
	int r = put_on(&p);
	uint32_t kept = 0;

	if (r != 0)
		return r;
	for (int fd = 0; fd < 32; fd++)
		kept |= (uint32_t)(fcntl(fd, F_GETFD) >= 0) << fd;
	for (;;) {
		struct iovec io = {&p, sizeof p};
		struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
		if (sendmsg(SANDBOX_FD_CONTROL, &m, MSG_NOSIGNAL) < 0)
			return 4;
		if (receive(&p, sizeof p) != (ssize_t)sizeof p)
			return 0;
		if (p.index >= nattempts)
			return 5;
		errno = 0;
		p.result = attempts[p.index].fn() < 0 ? errno : 0;
		close_new(kept);
	}
}
