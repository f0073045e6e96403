/* The server: listening sockets, connections, their timeouts, the end. Nothing here is
 * closed from inside a callback of HTTP: only the loop's own calls (ready, timers) do. */
#include "frontend/grpc.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK KiB(64)  /* one read, one write */
#define ROUND KiB(256) /* written to one connection before others have their turn */
#define FRAME KiB(17)  /* what h2_output gives at once at most */

struct listener {
	struct listener *next;
	struct loop_source source; /* out of the loop while paused */
	struct grpc *grpc;
	int fd;
};

static void listeners_resume(struct grpc *g);
static void grpc_settle(struct grpc *g);

void
grpc_log(struct grpc *g, enum log_level level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (level > (g->f->log_level ? g->f->log_level : LOG_INFO) ||
	    !port_is_open(&g->f->control))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	control_log(&g->f->control.chan, level, "%s", text);
}

/* ---- one connection ---- */

static void
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
	listeners_resume(g);
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

/* Sends what there is. May close the connection. */
static void
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
	if (why) {
		grpc_log(c->grpc, LOG_INFO, "a client's connection was ended: %s", why);
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

/* ---- patience ---- */

/* Whether it has been waited for long enough; asks whether it lives, when it is silent.
 */
static const char *
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

static void
grpc_sweep(struct loop_timer *t)
{
	struct grpc *g = t->arg;
	struct conn *next;
	uint64_t now = loop_now();

	for (struct conn *c = g->conns; c; c = next) {
		next = c->next;
		rpc_hurry(c, now, g->patience.request);
		const char *why = conn_overdue(c, now);
		if (!why)
			continue;
		grpc_log(g, LOG_INFO, "a client's connection was ended: %s", why);
		conn_close(c);
	}
	listeners_resume(g);
	if (g->conns || g->paused)
		loop_timer_set(&g->f->loop, &g->sweep, g->patience.sweep);
	grpc_settle(g);
}

static void
grpc_flush(struct loop_timer *t)
{
	struct grpc *g = t->arg;

	while (g->dirty) {
		struct conn *c = g->dirty;
		g->dirty = c->next_dirty;
		c->dirty = false;
		conn_flush(c);
	}
	grpc_settle(g);
}

/* ---- listening ---- */

/* Out of descriptors or memory: a socket that is always ready would spin. */
static void
listeners_pause(struct grpc *g)
{
	if (g->paused)
		return;
	g->paused = true;
	for (struct listener *l = g->listeners; l; l = l->next)
		loop_remove(&g->f->loop, &l->source);
	loop_timer_set(&g->f->loop, &g->sweep, g->patience.sweep);
}

static void
listeners_resume(struct grpc *g)
{
	if (!g->paused || g->stopping)
		return;
	g->paused = false;
	for (struct listener *l = g->listeners; l; l = l->next) {
		if (l->source.fd >= 0)
			continue;
		l->source.fd = l->fd;
		if (loop_add(&g->f->loop, &l->source) == 0)
			continue;
		l->source.fd = -1;
		g->paused = true; /* the next sweep tries again */
	}
}

/* Full: who has been quiet longest and has no call under way, makes room. Its client
 * library connects again when it needs to. */
static bool
conn_evict(struct grpc *g)
{
	struct conn *quiet = NULL;

	for (struct conn *c = g->conns; c; c = c->next) {
		if (!c->rpcs && (!quiet || c->heard < quiet->heard))
			quiet = c;
	}
	if (!quiet)
		return false;
	h2_goaway(quiet->h2);
	quiet->over = true;
	conn_flush(quiet);
	return g->conns_n < LIMIT_GRPC_CONNECTIONS;
}

/* Whether there may be another one. */
static bool
listener_accept(struct listener *l)
{
	struct grpc *g = l->grpc;

	if (g->conns_n >= LIMIT_GRPC_CONNECTIONS && !conn_evict(g)) {
		listeners_pause(g);
		return false;
	}
	int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			grpc_log(g, LOG_WARNING,
			    "cannot accept a client: %s; trying again", strerror(errno));
			listeners_pause(g);
		}
		return false;
	}
	int r = grpc_serve(g, fd);
	if (r < 0)
		grpc_log(g, LOG_WARNING, "cannot serve a client: %s", strerror(-r));
	return true;
}

/* Several at once: a full queue refuses clients, which take that for our absence. Only of
 * the first it is certain that it is there: for nobody else is somebody evicted. */
static void
listener_ready(struct loop_source *s, uint32_t events)
{
	struct listener *l = s->arg;

	for (int i = 0; i < 64; i++) {
		if (i > 0 && l->grpc->conns_n >= LIMIT_GRPC_CONNECTIONS)
			return;
		if (!listener_accept(l))
			return;
	}
}

int
grpc_listen(struct frontend *f, int fd, const struct method *methods, size_t n)
{
	FD_AUTO socket = fd;
	struct grpc *g = grpc_of(f);
	int flags = fcntl(socket, F_GETFL);

	if (flags < 0 || fcntl(socket, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	struct listener *l = g ? calloc(1, sizeof(*l)) : NULL;
	if (!l)
		return -ENOMEM;
	g->methods = methods;
	g->methods_n = n;
	l->grpc = g;
	l->fd = socket;
	l->source = (struct loop_source){
	    .fd = socket, .events = EPOLLIN, .ready = listener_ready, .arg = l};
	int r = loop_add(&f->loop, &l->source);
	if (r < 0) {
		free(l);
		return r;
	}
	fd_steal(&socket);
	l->next = g->listeners;
	g->listeners = l;
	return 0;
}

static void
listeners_close(struct grpc *g)
{
	while (g->listeners) {
		struct listener *l = g->listeners;
		g->listeners = l->next;
		loop_remove(&g->f->loop, &l->source);
		fd_close(&l->fd);
		free(l);
	}
}

/* ---- beginning and end ---- */

struct grpc *
grpc_of(struct frontend *f)
{
	if (f->grpc)
		return f->grpc;
	struct grpc *g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->f = f;
	g->memory.max = LIMIT_GRPC_MEMORY;
	g->patience = (struct grpc_patience){.sweep = 2000,
	    .hello = 1000 * LIMIT_GRPC_HELLO_SECONDS,
	    .request = 1000 * LIMIT_GRPC_REQUEST_SECONDS,
	    .silence = 1000 * LIMIT_GRPC_SILENCE_SECONDS,
	    .answer = 1000 * LIMIT_GRPC_ANSWER_SECONDS};
	g->flush = (struct loop_timer){.fired = grpc_flush, .arg = g};
	g->sweep = (struct loop_timer){.fired = grpc_sweep, .arg = g};
	f->grpc = g;
	return g;
}

void
grpc_free(struct frontend *f)
{
	struct grpc *g = f->grpc;

	if (!g)
		return;
	g->stopping = true;
	listeners_close(g);
	while (g->conns)
		conn_close(g->conns);
	loop_timer_clear(&f->loop, &g->flush);
	loop_timer_clear(&f->loop, &g->sweep);
	loop_timer_clear(&f->loop, &g->stop);
	free(g);
	f->grpc = NULL;
}

/* The last answer has gone out: says so, once. */
static void
grpc_settle(struct grpc *g)
{
	if (!g->idle)
		return;
	for (struct conn *c = g->conns; c; c = c->next) {
		if (c->rpcs || c->rest_n || c->dirty)
			return;
	}
	void (*idle)(struct frontend * f) = g->idle;
	g->idle = NULL;
	loop_timer_clear(&g->f->loop, &g->stop);
	idle(g->f);
}

/* Answers that nobody takes are waited for no longer. */
static void
grpc_stop_hard(struct loop_timer *t)
{
	struct grpc *g = t->arg;

	while (g->conns)
		conn_close(g->conns);
	grpc_settle(g);
}

static void
grpc_stop_calls(struct loop_timer *t)
{
	struct grpc *g = t->arg;

	for (struct conn *c = g->conns; c; c = c->next)
		rpc_end_all(c, GRPC_UNAVAILABLE, "bulkhead is stopping: try again");
	g->stop.fired = grpc_stop_hard;
	loop_timer_set(&g->f->loop, &g->stop, 500);
}

void
grpc_stop(struct frontend *f, unsigned ms, void (*idle)(struct frontend *f))
{
	struct grpc *g = grpc_of(f);

	if (!g) {
		idle(f);
		return;
	}
	g->stopping = true;
	g->idle = idle;
	listeners_close(g);
	for (struct conn *c = g->conns; c; c = c->next) {
		h2_goaway(c->h2);
		conn_dirty(c);
	}
	g->stop = (struct loop_timer){.fired = grpc_stop_calls, .arg = g};
	loop_timer_set(&f->loop, &g->stop, ms);
	loop_timer_set(&f->loop, &g->flush, 0); /* also settles when there is no call */
}
