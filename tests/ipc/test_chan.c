/* The gates of a channel: whole packets, exact fds, direction, phase, once; queueing; no
 * fd leaks. */
#include "common/base/fd.h"
#include "common/ipc/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct pair {
	struct chan a, b; /* a: sends; b: receives */
	int fds_before;
};

static void
pair_open(struct pair *p, enum ipc_channel kind, enum room a, enum room b)
{
	int fds[2];

	p->fds_before = fd_count_open();
	assert_int_equal(chan_pair(fds), 0);
	assert_int_equal(chan_init(&p->a, fds[0], kind, a, b), 0);
	assert_int_equal(chan_init(&p->b, fds[1], kind, b, a), 0);
}

static void
pair_close(struct pair *p)
{
	chan_release(&p->a);
	chan_release(&p->b);
	assert_int_equal(fd_count_open(), p->fds_before);
}

static int
receive(struct pair *p, struct ipc_msg *m)
{
	const char *why = NULL;
	int r = chan_recv(&p->b, m, &why);

	assert_true(r != -EPROTO || why);
	return r;
}

static void
a_message_with_its_fd_arrives(void **state)
{
	struct pair p;
	struct ipc_msg in;
	int pipefd[2];

	pair_open(&p, CH_store_apply, ROOM_STORE, ROOM_APPLY);
	assert_int_equal(receive(&p, &in), CHAN_EMPTY);
	assert_int_equal(pipe(pipefd), 0);
	struct ipc_msg m = IPC_MSG(untar, .max_bytes = 7, .max_entries = 9);
	m.fds[0] = pipefd[1];
	m.nfds = 1;
	assert_int_equal(chan_send(&p.a, &m), 0);
	assert_int_equal(receive(&p, &in), 0);
	assert_int_equal(in.type, MSG_untar);
	assert_int_equal(in.untar.max_bytes, 7);
	assert_int_equal(in.nfds, 1);
	assert_true(fcntl(in.fds[0], F_GETFD) & FD_CLOEXEC);
	FD_AUTO mine = ipc_msg_take_fd(&in, 0);
	assert_int_equal(write(mine, "x", 1), 1);
	ipc_msg_release(&in);
	fd_close(&mine);
	close(pipefd[0]);
	close(pipefd[1]);
	pair_close(&p);
}

/* Sends raw bytes and fds past the encoder. */
static void
send_raw(int fd, const void *bytes, size_t n, int nfds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * 250)];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes, n};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	int zero = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (nfds) {
		h.msg_control = control.buf;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
		struct cmsghdr *cm = CMSG_FIRSTHDR(&h);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
		for (int i = 0; i < nfds; i++)
			memcpy(
			    CMSG_DATA(cm) + sizeof(int) * (size_t)i, &zero, sizeof(int));
	}
	assert_true(sendmsg(fd, &h, 0) >= 0);
	close(zero);
}

static void
wrong_numbers_of_fds_are_refused_and_closed(void **state)
{
	static const int counts[] = {0, 2, 3, 4, 5, 32, 33, 250};
	struct ipc_msg m = IPC_MSG(untar, .max_bytes = 1), in;
	uint8_t buf[256];
	ssize_t n = ipc_encode(&m, buf, sizeof(buf));

	assert_true(n > 0);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		struct pair p;
		pair_open(&p, CH_store_apply, ROOM_STORE, ROOM_APPLY);
		int before = fd_count_open();
		send_raw(p.a.fd, buf, (size_t)n, counts[i]);
		assert_int_equal(receive(&p, &in), -EPROTO);
		assert_int_equal(fd_count_open(), before);
		pair_close(&p);
	}
	/* the sender's own check */
	struct pair p;
	pair_open(&p, CH_store_apply, ROOM_STORE, ROOM_APPLY);
	assert_int_equal(chan_send(&p.a, &m), -EINVAL);
	pair_close(&p);
}

static void
fds_without_bytes_and_huge_packets_are_refused(void **state)
{
	static uint8_t big[LIMIT_PACKET + 1];
	struct pair p;
	struct ipc_msg in;

	pair_open(&p, CH_store_apply, ROOM_STORE, ROOM_APPLY);
	int before = fd_count_open();
	send_raw(p.a.fd, big, 0, 1);
	assert_int_equal(receive(&p, &in), -EPROTO);
	send_raw(p.a.fd, big, sizeof(big), 1);
	assert_int_equal(receive(&p, &in), -EPROTO);
	assert_int_equal(fd_count_open(), before);
	pair_close(&p);
}

static void
direction_channel_phase_and_once_are_gated(void **state)
{
	struct ipc_msg judge = IPC_MSG(judge, .name = span_str("n"));
	struct ipc_msg verdict = IPC_MSG(verdict, .name = span_str("n")), in;
	struct pair p;

	/* a verdict from the store's side: wrong direction */
	pair_open(&p, CH_store_verdict, ROOM_STORE, ROOM_VERDICT);
	assert_int_equal(chan_send(&p.a, &verdict), 0);
	assert_int_equal(receive(&p, &in), -EPROTO);
	pair_close(&p);

	/* once, and then again */
	pair_open(&p, CH_store_verdict, ROOM_STORE, ROOM_VERDICT);
	assert_int_equal(chan_send(&p.a, &judge), 0);
	assert_int_equal(chan_send(&p.a, &judge), 0);
	assert_int_equal(receive(&p, &in), 0);
	assert_int_equal(receive(&p, &in), -EPROTO);
	pair_close(&p);

	/* a phase that does not permit it */
	pair_open(&p, CH_store_verdict, ROOM_STORE, ROOM_VERDICT);
	p.b.phase = IPC_RUN;
	assert_int_equal(chan_send(&p.a, &judge), 0);
	assert_int_equal(receive(&p, &in), -EPROTO);
	pair_close(&p);

	/* a message of another channel, encoded well */
	uint8_t buf[256];
	ssize_t n = ipc_encode(&judge, buf, sizeof(buf));
	pair_open(&p, CH_frontend_store, ROOM_FRONTEND, ROOM_STORE);
	p.b.phase = IPC_RUN;
	send_raw(p.a.fd, buf, (size_t)n, 0);
	assert_int_equal(receive(&p, &in), -EPROTO);
	assert_int_equal(chan_send(&p.a, &judge), -EINVAL);
	pair_close(&p);
}

static void
any_room_logs_but_not_the_supervisor(void **state)
{
	struct ipc_msg log = IPC_MSG(log, .level = 3, .text = span_str("hello")), in;
	struct pair p;

	pair_open(&p, CH_control, ROOM_APPLY, ROOM_SUPERVISOR);
	p.b.phase = IPC_RUN;
	assert_int_equal(chan_send(&p.a, &log), 0);
	assert_int_equal(receive(&p, &in), 0);
	pair_close(&p);
	pair_open(&p, CH_control, ROOM_SUPERVISOR, ROOM_APPLY);
	p.b.phase = IPC_RUN;
	assert_int_equal(chan_send(&p.a, &log), 0);
	assert_int_equal(receive(&p, &in), -EPROTO);
	pair_close(&p);
}

static void
nobody_blocks_on_a_peer_that_does_not_read(void **state)
{
	char text[LIMIT_LOG_TEXT];
	struct ipc_msg m = IPC_MSG(log, .level = 3, .text = span_of(text, sizeof(text))),
		       in;
	struct pair p;
	int sent = 0, got = 0, r;
	size_t one = 0;

	memset(text, 'x', sizeof(text));
	pair_open(&p, CH_control, ROOM_HASH, ROOM_SUPERVISOR);
	p.b.phase = IPC_RUN;
	while ((r = chan_send(&p.a, &m)) == 0) {
		sent++;
		one = one ? one : p.a.queued;
	}
	assert_int_equal(r, -ENOBUFS);
	assert_true(p.a.queued <= CHAN_QUEUE && p.a.queued + one > CHAN_QUEUE);
	/* A store full of images can be listed: a row, a name and a digest of each. */
	assert_true(3 * LIMIT_STORE_RECORDS * (one - sizeof(text) + 128) < CHAN_QUEUE);
	assert_true(chan_wants_write(&p.a));
	while (got < sent) {
		r = receive(&p, &in);
		if (r == CHAN_EMPTY)
			assert_int_equal(chan_flush(&p.a), 0);
		else
			got++;
	}
	assert_false(chan_wants_write(&p.a));
	assert_int_equal(receive(&p, &in), CHAN_EMPTY);
	pair_close(&p);
}

static void
queued_fds_survive_their_owner_and_die_with_the_channel(void **state)
{
	struct ipc_msg m = IPC_MSG(opaque);
	struct pair p;

	pair_open(&p, CH_store_apply, ROOM_APPLY, ROOM_STORE);
	m.nfds = 1;
	m.fds[0] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (!chan_wants_write(&p.a))
		assert_int_equal(chan_send(&p.a, &m), 0);
	fd_close(&m.fds[0]);
	pair_close(&p); /* counts fds */
}

static void
a_gone_peer_is_seen(void **state)
{
	struct ipc_msg m = IPC_MSG(hash_progress, .compressed = 1), in;
	const char *why;
	struct pair p;

	pair_open(&p, CH_store_hash, ROOM_HASH, ROOM_STORE);
	chan_release(&p.a);
	assert_int_equal(receive(&p, &in), CHAN_CLOSED);
	assert_int_equal(chan_recv_wait(&p.b, &in, 1000, &why), CHAN_CLOSED);
	pair_close(&p);
	pair_open(&p, CH_store_hash, ROOM_HASH, ROOM_STORE);
	assert_int_equal(chan_recv_wait(&p.b, &in, 10, &why), -ETIMEDOUT);
	chan_release(&p.b);
	assert_int_equal(chan_send(&p.a, &m), -EPIPE);
	pair_close(&p);
}

/* Last words come before the end, also of a peer that left something unread. */
static void
a_peer_that_ends_without_reading_is_heard(void **state)
{
	struct ipc_msg grant = IPC_MSG(hash_grant, .granted = 1), in;
	struct ipc_msg said = IPC_MSG(hashed, .size = 5);
	struct pair p;

	pair_open(&p, CH_store_hash, ROOM_HASH, ROOM_STORE);
	assert_int_equal(chan_send(&p.b, &grant), 0);
	assert_int_equal(chan_send(&p.a, &said), 0);
	chan_release(&p.a);
	assert_int_equal(receive(&p, &in), 0);
	assert_int_equal(in.hashed.size, 5);
	assert_int_equal(receive(&p, &in), CHAN_CLOSED);
	pair_close(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_message_with_its_fd_arrives),
	    cmocka_unit_test(wrong_numbers_of_fds_are_refused_and_closed),
	    cmocka_unit_test(fds_without_bytes_and_huge_packets_are_refused),
	    cmocka_unit_test(direction_channel_phase_and_once_are_gated),
	    cmocka_unit_test(any_room_logs_but_not_the_supervisor),
	    cmocka_unit_test(nobody_blocks_on_a_peer_that_does_not_read),
	    cmocka_unit_test(queued_fds_survive_their_owner_and_die_with_the_channel),
	    cmocka_unit_test(a_gone_peer_is_seen),
	    cmocka_unit_test(a_peer_that_ends_without_reading_is_heard),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
