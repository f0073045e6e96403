/* The server: listening sockets, the sweep over all connections, the end. */
#include "frontend/grpc.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct listener {
	struct listener *next;
	struct loop_source source; /* out of the loop while paused */
	struct grpc *grpc;
	int fd;
};

void
grpc_log(struct grpc *g, enum log_level level, uint64_t call, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (level > (g->f->log_level ? g->f->log_level : LOG_INFO) ||
	    !port_is_open(&g->f->control))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	control_log_for(&g->f->control.chan, level, call, "%s", text);
}

/* ---- patience ---- */

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
		grpc_log(g, LOG_INFO, 0, "a client's connection was ended: %s", why);
		conn_close(c);
	}
	grpc_resume(g);
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

void
grpc_resume(struct grpc *g)
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
			grpc_log(g, LOG_WARNING, 0,
			    "cannot accept a client: %s; trying again", strerror(errno));
			listeners_pause(g);
		}
		return false;
	}
	int r = grpc_serve(g, fd);
	if (r < 0)
		grpc_log(g, LOG_WARNING, 0, "cannot serve a client: %s", strerror(-r));
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

void
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
