#include "tests/attack/liars/liar.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIE_UNKNOWN 99
#define PATIENCE_MS 2000

int __real_chan_init(struct chan *, int, enum ipc_channel, enum room, enum room);
int __wrap_chan_init(struct chan *, int, enum ipc_channel, enum room, enum room);
int __real_chan_send(struct chan *, const struct ipc_msg *);
int __wrap_chan_send(struct chan *, const struct ipc_msg *);
int __real_chan_send_wait(struct chan *, const struct ipc_msg *, int);
int __wrap_chan_send_wait(struct chan *, const struct ipc_msg *, int);
int __real_chan_recv(struct chan *, struct ipc_msg *, const char **);
int __wrap_chan_recv(struct chan *, struct ipc_msg *, const char **);
int __real_ring_reserve(struct ring *, uint8_t **);
int __wrap_ring_reserve(struct ring *, uint8_t **);
void __real_ring_publish(struct ring *, size_t);
void __wrap_ring_publish(struct ring *, size_t);

/* The test overwrites what follows the colon with "name argument". */
static const volatile char slot[192] = "bulkhead-liar:";
static struct chan *chans[CH_COUNT];
static uint8_t *reserved;

static const char *
lie_text(void)
{
	static char text[sizeof(slot)];

	for (size_t i = 0; i < sizeof(slot) - 1; i++)
		text[i] = slot[i];
	return text + strlen("bulkhead-liar:");
}

bool
liar_is(const char *name)
{
	size_t n = strlen(name);
	const char *text = lie_text();

	return strncmp(text, name, n) == 0 && (text[n] == 0 || text[n] == ' ');
}

const char *
liar_text(void)
{
	const char *space = strchr(lie_text(), ' ');

	return space ? space + 1 : "";
}

void
liar_digest(uint8_t out[32])
{
	const char *hex = liar_text();

	for (size_t i = 0; i < 32 && strlen(hex) >= 64; i++) {
		char byte[3] = {hex[2 * i], hex[2 * i + 1], 0};
		out[i] = (uint8_t)strtoul(byte, NULL, 16);
	}
}

struct chan *
liar_chan(enum ipc_channel kind)
{
	return chans[kind];
}

bool
liar_twice(struct chan *c, struct ipc_msg *m)
{
	liar_say(c, m);
	return true;
}

bool
liar_silent(struct chan *c, struct ipc_msg *m)
{
	return false;
}

bool
liar_then_crash(struct chan *c, struct ipc_msg *m)
{
	liar_say(c, m);
	abort();
}

void
liar_say_raw(struct chan *c, const void *p, size_t n, const int *fds, unsigned nfds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * LIMIT_MESSAGE_FDS)];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)p, n};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nfds) {
		h.msg_control = control.buf;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		*CMSG_FIRSTHDR(&h) = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
		    .cmsg_type = SCM_RIGHTS,
		    .cmsg_len = CMSG_LEN(sizeof(int) * nfds)};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&h)), fds, sizeof(int) * nfds);
	}
	while (c && sendmsg(c->fd, &h, MSG_NOSIGNAL) < 0 &&
	       (errno == EAGAIN || errno == ETOOMANYREFS)) {
		struct pollfd wait = {.fd = c->fd, .events = POLLOUT};
		if (poll(&wait, 1, PATIENCE_MS) <= 0)
			return;
	}
}

void
liar_say_fds(struct chan *c, const struct ipc_msg *m, const int *fds, unsigned nfds)
{
	static uint8_t packet[LIMIT_PACKET];

	ssize_t n = ipc_encode(m, packet, sizeof(packet));
	if (n > 0)
		liar_say_raw(c, packet, (size_t)n, fds, nfds);
}

void
liar_say(struct chan *c, const struct ipc_msg *m)
{
	liar_say_fds(c, m, m->fds, m->nfds);
}

/* Whether m, perhaps changed, is to be said. */
static bool
tell(struct chan *c, struct ipc_msg *m)
{
	for (const struct lie *l = liar_lies; l->name; l++)
		if (liar_is(l->name))
			return (l->when && l->when != m->type) || !l->tell ||
			       l->tell(c, m);
	_exit(LIE_UNKNOWN);
}

int
__wrap_chan_init(
    struct chan *c, int fd, enum ipc_channel kind, enum room self, enum room peer)
{
	chans[kind] = c;
	return __real_chan_init(c, fd, kind, self, peer);
}

int
__wrap_chan_send(struct chan *c, const struct ipc_msg *m)
{
	struct ipc_msg said = *m;

	return tell(c, &said) ? __real_chan_send(c, &said) : 0;
}

int
__wrap_chan_send_wait(struct chan *c, const struct ipc_msg *m, int timeout_ms)
{
	struct ipc_msg said = *m;

	return tell(c, &said) ? __real_chan_send_wait(c, &said, timeout_ms) : 0;
}

int
__wrap_chan_recv(struct chan *c, struct ipc_msg *m, const char **why)
{
	int r = __real_chan_recv(c, m, why);

	if (r == 0)
		liar_heard(c, m);
	return r;
}

int
__wrap_ring_reserve(struct ring *r, uint8_t **at)
{
	int e = __real_ring_reserve(r, at);

	if (e == 0)
		reserved = *at;
	return e;
}

void
__wrap_ring_publish(struct ring *r, size_t n)
{
	if (reserved)
		liar_slot(r, reserved, n);
	__real_ring_publish(r, n);
}
