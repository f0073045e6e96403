/* One connection: its socket and its patience. Nothing is closed from inside a callback
 * of HTTP: only the loop's own calls (ready, timers) do. */
#include "frontend/grpc.h"

#include "common/base/fd.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK KiB(64)  /* one read, one write */
#define ROUND KiB(256) /* written to one connection before others have their turn */
#define FRAME KiB(17)  /* what h2_output gives at once at most */

void
conn_close(struct conn *c)
{
	struct grpc *g = c->grpc;
	int fd = c->source.fd;

	loop_remove(&g->f->loop, &c->source);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	while (c->rpcs)
		rpc_drop(c->rpcs);
	/* Last: what `cancelled` of one call does may answer another. */
	for (struct conn **at = &g->dirty; *at; at = &(*at)->next_dirty) {
		if (*at == c) {
			*at = c->next_dirty;
			break;
		}
	}
	h2_free(c->h2);
	free(c->rest);
	fd_close(&fd);
	free(c);
	g->conns_n--;
	grpc_resume(g);
}

void
conn_dirty(struct conn *c)
{
	struct grpc *g = c->grpc;

	if (c->dirty)
		return;
	c->dirty = true;
	c->next_dirty = g->dirty;
	g->dirty = c;
	loop_timer_set(&g->f->loop, &g->flush, 0);
}

/* Bytes that the socket took, or -errno. */
static ssize_t
conn_write(struct conn *c, const uint8_t *p, size_t n)
{
	struct iovec iov = {(void *)p, n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t r = sendmsg(c->source.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (r < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? 0 : -errno;
	return r;
}

/* What the socket did not take last time goes first. 0 or -errno. */
static int
conn_write_rest(struct conn *c)
{
	ssize_t n = conn_write(c, c->rest + c->rest_at, c->rest_n);

	if (n < 0)
		return (int)n;
	if (n > 0)
		c->took = loop_now();
	c->rest_at += (size_t)n;
	c->rest_n -= (size_t)n;
	if (c->rest_n == 0)
		free(ptr_steal(&c->rest));
	return 0;
}

static uint8_t scratch[CHUNK + FRAME];

/* One chunk of frames to the socket. Bytes, 0 = nothing to send, or -errno. What it does
 * not take is kept: a client that does not read costs one chunk. */
static ssize_t
conn_write_chunk(struct conn *c)
{
	size_t n = 0;

	while (n < CHUNK) {
		struct span s = h2_output(c->h2);
		if (s.n == 0)
			break;
		assert(s.n <= sizeof(scratch) - n);
		memcpy(scratch + n, s.p, s.n);
		n += s.n;
	}
	if (n == 0)
		return 0;
	ssize_t out = conn_write(c, scratch, n);
	if (out < 0 || (size_t)out == n)
		return out;
	c->rest_n = n - (size_t)out;
	c->rest_at = 0;
	c->rest = malloc(c->rest_n);
	if (!c->rest)
		return -ENOMEM;
	memcpy(c->rest, scratch + out, c->rest_n);
	return (ssize_t)n;
}

void
conn_flush(struct conn *c)
{
	ssize_t r = c->rest_n ? conn_write_rest(c) : 0;
	size_t round = 0;

	while (r >= 0 && c->rest_n == 0 && round < ROUND) {
		r = conn_write_chunk(c);
		if (r <= 0)
			break;
		round += (size_t)r;
	}
	if (r < 0 || (c->rest_n == 0 && round < ROUND && (c->over || h2_done(c->h2)))) {
		conn_close(c);
		return;
	}
	/* Who does not read is not read from: answers to its frames would pile up. */
	bool out = c->rest_n > 0 || round >= ROUND;
	bool in = c->rest_n == 0 && !c->over;
	loop_want(&c->grpc->f->loop, &c->source,
	    (uint32_t)(in ? EPOLLIN : 0) | (uint32_t)(out ? EPOLLOUT : 0));
}

static void
conn_read(struct conn *c)
{
	ssize_t n = read(c->source.fd, scratch, CHUNK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_close(c);
		return;
	}
	c->heard = loop_now();
	c->asked = 0;
	const char *why = h2_input(c->h2, span_of(scratch, (size_t)n));
	explicit_bzero(scratch, (size_t)n); /* passwords of registries */
	if (why) {
		grpc_log(
		    c->grpc, LOG_INFO, 0, "a client's connection was ended: %s", why);
		c->over = true;
	}
	conn_dirty(c);
}

static void
conn_ready(struct loop_source *s, uint32_t events)
{
	struct conn *c = s->arg;
	struct grpc *g = c->grpc;

	if (events & EPOLLOUT)
		conn_dirty(c);
	/* Gone for good: nobody is there to take an answer. */
	if (events & (EPOLLHUP | EPOLLERR))
		conn_close(c);
	else if ((events & EPOLLIN) && !c->over)
		conn_read(c);
	grpc_settle(g);
}

int
grpc_serve(struct grpc *g, int fd)
{
	FD_AUTO socket = fd;
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->grpc = g;
	c->opened = c->heard = c->took = loop_now();
	c->source = (struct loop_source){
	    .fd = socket, .events = EPOLLIN, .ready = conn_ready, .arg = c};
	c->h2 = h2_new(&rpc_ops, c);
	int r = c->h2 ? loop_add(&g->f->loop, &c->source) : -ENOMEM;
	if (r < 0) {
		h2_free(c->h2);
		free(c);
		return r;
	}
	fd_steal(&socket);
	c->next = g->conns;
	c->link = &g->conns;
	if (c->next)
		c->next->link = &c->next;
	g->conns = c;
	if (g->conns_n++ == 0 && !g->paused)
		loop_timer_set(&g->f->loop, &g->sweep, g->patience.sweep);
	conn_dirty(c);
	return 0;
}

const char *
conn_overdue(struct conn *c, uint64_t now)
{
	const struct grpc_patience *p = &c->grpc->patience;

	if (!h2_greeted(c->h2) && now - c->opened > p->hello)
		return "it says nothing";
	if (c->rest_n == 0 && !rpc_owed(c))
		c->took = now;
	else if (now - c->took > p->answer)
		return "it does not take its answers";
	if (!c->rpcs || now - c->heard <= p->silence)
		return NULL;
	if (c->asked)
		return now - c->asked > p->answer ? "it is silent" : NULL;
	c->asked = now;
	h2_ping(c->h2);
	conn_dirty(c);
	return NULL;
}
