#include "common/ipc/chan.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct chan_out {
	struct chan_out *next;
	int fds[LIMIT_MESSAGE_FDS];
	unsigned nfds;
	size_t n;
	uint8_t bytes[];
};

/* Room for more fds than any row may carry, so that a surplus is seen and closed, not
 * cut. */
#define RECV_FDS 32

union control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(int) * RECV_FDS)];
};

int
chan_pair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) <
	    0)
		return -errno;
	return 0;
}

int
chan_init(struct chan *c, int fd, enum ipc_channel kind, enum room self, enum room peer)
{
	FD_AUTO own = fd;
	uint8_t *packet = malloc(LIMIT_PACKET + 1);

	*c = (struct chan){.fd = -1};
	if (!packet)
		return -ENOMEM;
	int flags = fcntl(own, F_GETFL);
	if (flags >= 0 && !(flags & O_NONBLOCK))
		flags = fcntl(own, F_SETFL, flags | O_NONBLOCK);
	if (flags < 0) {
		int r = -errno;
		free(packet);
		return r;
	}
	*c = (struct chan){.fd = fd_steal(&own),
	    .kind = kind,
	    .self = self,
	    .peer = peer,
	    .phase = IPC_START,
	    .packet = packet};
	c->queue_end = &c->queue;
	return 0;
}

static size_t
out_cost(size_t bytes, unsigned nfds)
{
	return sizeof(struct chan_out) + bytes + nfds * CHAN_QUEUE_FD;
}

static void
out_free(struct chan_out *o)
{
	for (unsigned i = 0; i < o->nfds; i++)
		fd_close(&o->fds[i]);
	explicit_bzero(o->bytes, o->n);
	free(o);
}

void
chan_release(struct chan *c)
{
	if (!c->packet)
		return;
	fd_close(&c->fd);
	for (struct chan_out *o = c->queue, *next; o; o = next) {
		next = o->next;
		out_free(o);
	}
	explicit_bzero(c->packet, c->written); /* some carry secrets */
	free(c->packet);
	*c = (struct chan){.fd = -1};
}

/* One packet to the socket. 0, -EAGAIN, or -errno. */
static int
packet_send(int fd, const uint8_t *p, size_t n, const int *fds, unsigned nfds)
{
	union control control = {0};
	struct iovec iov = {(void *)(uintptr_t)p, n};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nfds) {
		h.msg_control = control.buf;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		struct cmsghdr *cm = CMSG_FIRSTHDR(&h);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * nfds);
	}
	for (;;) {
		if (sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		if (errno == EINTR)
			continue;
		/* ETOOMANYREFS: too many of our fds lie unread; they drain as the peer
		 * reads. The rest: the kernel has no memory now. */
		return errno == ETOOMANYREFS || errno == ENOMEM || errno == ENOBUFS
			   ? -EAGAIN
			   : -errno;
	}
}

int
chan_flush(struct chan *c)
{
	while (c->queue) {
		struct chan_out *o = c->queue;
		int r = packet_send(c->fd, o->bytes, o->n, o->fds, o->nfds);
		if (r == -EAGAIN)
			return 0;
		if (r < 0)
			return r;
		c->queue = o->next;
		c->queued -= out_cost(o->n, o->nfds);
		if (!c->queue)
			c->queue_end = &c->queue;
		out_free(o);
	}
	return 0;
}

bool
chan_wants_write(const struct chan *c)
{
	return c->queue != NULL;
}

static int
chan_enqueue(struct chan *c, const uint8_t *p, size_t n, const struct ipc_msg *m)
{
	size_t cost = out_cost(n, m->nfds);

	if (c->queued + cost > CHAN_QUEUE)
		return -ENOBUFS;
	struct chan_out *o = calloc(1, sizeof(*o) + n);
	if (!o)
		return -ENOMEM;
	for (; o->nfds < m->nfds; o->nfds++) {
		o->fds[o->nfds] = fcntl(m->fds[o->nfds], F_DUPFD_CLOEXEC, 3);
		if (o->fds[o->nfds] < 0) {
			int r = -errno;
			out_free(o);
			return r;
		}
	}
	o->n = n;
	memcpy(o->bytes, p, n);
	*c->queue_end = o;
	c->queue_end = &o->next;
	c->queued += cost;
	return 0;
}

int
chan_send(struct chan *c, const struct ipc_msg *m)
{
	UNINITIALIZED uint8_t buf[LIMIT_PACKET];
	const struct ipc_row *row = ipc_row_find(m->type);

	if (c->fd < 0)
		return -EPIPE;
	if (!row || row->channel != c->kind || row->fds != m->nfds)
		return -EINVAL;
	ssize_t n = ipc_encode(m, buf, sizeof(buf));
	if (n < 0)
		return (int)n;
	int r = chan_flush(c);
	if (r == 0)
		r = c->queue ? -EAGAIN
			     : packet_send(c->fd, buf, (size_t)n, m->fds, m->nfds);
	if (r == -EAGAIN)
		r = chan_enqueue(c, buf, (size_t)n, m);
	explicit_bzero(buf, (size_t)n); /* some carry secrets */
	return r;
}

/* Moves every fd of the packet into got; returns how many, or -EPROTO for foreign control
 * data. */
static int
packet_fds(struct msghdr *h, int got[RECV_FDS])
{
	int n = 0, r = 0;

	for (struct cmsghdr *cm = CMSG_FIRSTHDR(h); cm; cm = CMSG_NXTHDR(h, cm)) {
		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS) {
			r = -EPROTO;
			continue;
		}
		size_t k = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < k && n < RECV_FDS; i++)
			memcpy(&got[n++], CMSG_DATA(cm) + i * sizeof(int), sizeof(int));
	}
	if (r < 0) {
		for (int i = 0; i < n; i++)
			close(got[i]);
	}
	return r < 0 ? r : n;
}

/* The gates behind the decoder; NULL when all are open. */
static const char *
gate(struct chan *c, const struct ipc_row *row, int nfds)
{
	unsigned id = row->type;
	uint8_t bit = (uint8_t)(1u << (id % 8));

	if (row->channel != c->kind)
		return "message of another channel";
	if (row->sender != c->peer &&
	    !(row->sender == ROOM_ANY && c->peer != ROOM_SUPERVISOR))
		return "message in the wrong direction";
	if (!(row->phases & c->phase))
		return "message in the wrong phase";
	if ((row->phases & IPC_ONCE) && (c->seen[id / 8] & bit))
		return "message sent twice";
	if (nfds != row->fds)
		return "wrong number of descriptors";
	c->seen[id / 8] |= bit;
	return NULL;
}

/* Decodes and gates a packet whose fds are already in hand; on failure they are closed.
 */
static int
packet_accept(struct chan *c, size_t n, const int *fds, int nfds, struct ipc_msg *m,
    const char **why)
{
	int r = -EPROTO;

	*m = (struct ipc_msg){.fds = {-1, -1, -1, -1}};
	*why = NULL;
	if (n > LIMIT_PACKET)
		*why = "packet too large";
	else
		r = ipc_decode(span_of(c->packet, n), m, why);
	if (r == 0)
		*why = gate(c, ipc_row_find(m->type), nfds);
	if (*why) {
		for (int i = 0; i < nfds; i++)
			close(fds[i]);
		return -EPROTO;
	}
	for (int i = 0; i < nfds; i++)
		m->fds[i] = fds[i];
	m->nfds = (unsigned)nfds;
	return 0;
}

int
chan_recv(struct chan *c, struct ipc_msg *m, const char **why)
{
	union control control;
	struct iovec iov = {c->packet, LIMIT_PACKET + 1};
	struct msghdr h = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.buf,
	    .msg_controllen = sizeof(control.buf)};
	int fds[RECV_FDS];
	ssize_t n;

	if (c->fd < 0)
		return CHAN_CLOSED;
	/* A peer that ended without reading all is told as ECONNRESET, once, ahead of its
	 * last messages. */
	do {
		n = recvmsg(c->fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0) /* without memory the packet stays where it is */
		return errno == EAGAIN || errno == ENOMEM || errno == ENOBUFS ? CHAN_EMPTY
									      : -errno;
	c->written = (size_t)n > c->written ? (size_t)n : c->written;
	int nfds = packet_fds(&h, fds);
	if (n == 0 && nfds == 0)
		return CHAN_CLOSED;
	if (nfds < 0 || (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		for (int i = 0; i < nfds; i++)
			close(fds[i]);
		*why = "packet or descriptors cut off";
		return -EPROTO;
	}
	return packet_accept(c, (size_t)n, fds, nfds, m, why);
}

static int
wait_for(int fd, short events, int timeout_ms)
{
	struct pollfd p = {fd, events, 0};
	int r;

	do {
		r = poll(&p, 1, timeout_ms);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r == 0 ? -ETIMEDOUT : 0;
}

int
chan_recv_wait(struct chan *c, struct ipc_msg *m, int timeout_ms, const char **why)
{
	for (;;) {
		int r = chan_recv(c, m, why);
		if (r != CHAN_EMPTY)
			return r;
		r = wait_for(c->fd, POLLIN, timeout_ms);
		if (r < 0)
			return r;
	}
}

int
chan_flush_wait(struct chan *c, int timeout_ms)
{
	int r = 0;

	while (r == 0 && chan_wants_write(c)) {
		r = wait_for(c->fd, POLLOUT, timeout_ms);
		if (r == 0)
			r = chan_flush(c);
	}
	return r;
}

int
chan_send_wait(struct chan *c, const struct ipc_msg *m, int timeout_ms)
{
	int r = chan_send(c, m);

	return r < 0 ? r : chan_flush_wait(c, timeout_ms);
}
