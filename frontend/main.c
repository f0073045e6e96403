/* The frontend: requests in, typed answers out. It holds no file, no network, no image
 * byte. */
#include "common/ipc/control.h"
#include "frontend/cache.h"
#include "frontend/call.h"
#include "frontend/client.h"
#include "frontend/control.h"
#include "frontend/metrics.h"
#include "frontend/pulls.h"
#include "frontend/query.h"
#include "frontend/registries.h"
#include "policy/sandbox/sandbox.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long calls under way may take once the service is to stop. */
#define STOP_MS 5000

/* Without a store for so long (the supervisor takes 10 seconds at most to start another
 * one), the store lives and the channel to it does not: only a new frontend gets one. */
#define NO_STORE_MS 12000

static bool ready_told, listening, stopping;
static struct loop_timer no_store;

uint64_t
frontend_next_id(struct frontend *f)
{
	return ++f->last_id;
}

void
frontend_log(struct frontend *f, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	control_log(&f->control.chan, LOG_WARNING, "%s", text);
}

static int
text_replace(char **text, struct span with)
{
	char *copy = malloc(with.n + 1);

	if (!copy)
		return -ENOMEM;
	if (with.n)
		memcpy(copy, with.p, with.n);
	copy[with.n] = 0;
	free(*text);
	*text = copy;
	return 0;
}

static int
frontend_registry(struct frontend *f, const struct msg_registry *m)
{
	if (!f->coming)
		f->coming = registries_new();
	if (!f->coming)
		return -ENOMEM;
	return registries_add(
	    f->coming, (enum registry_row)m->kind, (unsigned)m->flags, m->name, m->value);
}

/* At the start, and again by each reload. Pulls under way keep what they began with. */
static int
frontend_set_up(struct frontend *f, const struct msg_setup_frontend *m)
{
	registries_unref(f->registries);
	f->registries = f->coming;
	f->coming = NULL;
	if (text_replace(&f->policy_problem, m->policy_problem) < 0 ||
	    text_replace(&f->auth_file, m->auth_file) < 0)
		return -ENOMEM;
	f->embedded = m->embedded;
	f->max_message = m->max_message;
	f->queue.max = (unsigned)m->max_pulls;
	f->queue.max_space = (unsigned)m->max_pulls_namespace;
	f->progress_ms = m->progress_seconds * 1000;
	f->retries = (unsigned)m->retries;
	f->retry_after_ms = m->retry_after * 1000;
	f->fallback = (enum fallback)m->fallback;
	f->generation = m->generation;
	f->restarts = m->restarts;
	f->log_level = (unsigned)m->log_level;
	pulls_begin(f); /* the limits may be wider now */
	return cache_set_pins(f, m->pins);
}

static int
frontend_reload(struct frontend *f, const struct msg_setup_frontend *m)
{
	struct ipc_msg told = IPC_MSG(set_up, .generation = m->generation);
	int r = frontend_set_up(f, m);

	return r < 0 ? r : port_send(&f->control, &told);
}

static int
store_message(struct port *p, struct ipc_msg *m)
{
	struct frontend *f = p->arg;
	int r;

	switch (m->type) {
	case MSG_cache_image:
	case MSG_cache_names:
	case MSG_cache_gone:
	case MSG_cache_end:
		r = cache_message(f, m);
		/* What is not known for want of memory must not be told as absent. */
		if (r == -ENOMEM)
			frontend_log(f, "no memory for the list of images");
		return r;
	default:
		return pull_store_message(f, m);
	}
}

static void
no_store_fired(struct loop_timer *t)
{
	struct frontend *f = t->arg;

	frontend_log(f, "no channel to the store worker for %d seconds: starting anew",
	    NO_STORE_MS / 1000);
	loop_quit(&f->loop);
}

/* What the store told of images keeps answering until the next one tells anew. */
static void
store_ended(struct port *p, const char *why)
{
	struct frontend *f = p->arg;
	char text[256];

	snprintf(text, sizeof(text), "the store worker %s%s before it answered%s",
	    why ? "broke the protocol: " : "ended unexpectedly", why ? why : "",
	    f->embedded ? "" : ", try again");
	port_release(p);
	no_store.fired = no_store_fired;
	no_store.arg = f;
	if (!f->embedded && !stopping)
		loop_timer_set(&f->loop, &no_store, NO_STORE_MS);
	cache_store_gone(f);
	pull_end_all(f, ERR_INTERNAL, text);
	query_end_all(f, ERR_INTERNAL, text);
}

/* Said once, when requests can be served. */
static void
tell_ready(struct frontend *f)
{
	struct ipc_msg m = IPC_MSG(ready);

	if (ready_told || !listening || !port_is_open(&f->store))
		return;
	ready_told = true;
	port_send(&f->control, &m);
}

static int
frontend_store(struct frontend *f, int fd)
{
	static bool before;
	struct ipc_msg watch = IPC_MSG(watch);

	/* The end of the one before may still be on its way. */
	if (port_is_open(&f->store))
		store_ended(&f->store, NULL);
	loop_timer_clear(&f->loop, &no_store);
	f->store.message = store_message;
	f->store.ended = store_ended;
	f->store.arg = f;
	int r = port_open(&f->store, &f->loop, fd, CH_frontend_store, ROOM_FRONTEND,
	    ROOM_STORE, IPC_RUN);
	if (r < 0 || f->embedded)
		return r;
	if (before)
		metrics_count(f, METRIC_STORE_RESTARTS, 1);
	before = true;
	port_send(&f->store, &watch);
	tell_ready(f);
	return 0;
}

static int
frontend_peer(struct frontend *f, struct ipc_msg *m)
{
	if (m->peer.channel == CH_cli)
		return client_open(f, ipc_msg_take_fd(m, 0));
	if (m->peer.channel == CH_frontend_store)
		return frontend_store(f, ipc_msg_take_fd(m, 0));
	return pull_control_message(f, m);
}

static int
frontend_listen(struct frontend *f, struct ipc_msg *m)
{
	int fd = ipc_msg_take_fd(m, 0);
	int r = -EPROTO;

	switch ((enum listen_kind)m->listen.kind) {
	case LISTEN_CRI:
		r = grpc_listen(f, fd, cri_methods, cri_methods_n);
		break;
	case LISTEN_CONTROL:
		r = control_listen(f, fd);
		break;
	case LISTEN_METRICS:
		r = metrics_listen(f, fd);
		break;
	default:
		close(fd);
	}
	if (r < 0) {
		frontend_log(f, "cannot serve on a socket: %s", strerror(-r));
		return r;
	}
	listening = true;
	tell_ready(f);
	return 0;
}

/* The last answer has gone out. */
static void
frontend_idle(struct frontend *f)
{
	pull_end_all(f, ERR_INTERNAL, "the service is stopping: try again");
	query_end_all(f, ERR_INTERNAL, "the service is stopping: try again");
	loop_quit(&f->loop);
}

static void
frontend_stop(struct frontend *f)
{
	if (f->embedded) {
		loop_quit(&f->loop);
		return;
	}
	if (stopping)
		return;
	stopping = true;
	loop_timer_clear(&f->loop, &no_store);
	control_stop(f);
	metrics_stop(f);
	grpc_stop(f, STOP_MS, frontend_idle);
}

static int
control_message(struct port *p, struct ipc_msg *m)
{
	struct frontend *f = p->arg;
	struct ipc_msg pong = IPC_MSG(pong);

	switch (m->type) {
	case MSG_peer:
		return frontend_peer(f, m);
	case MSG_listen:
		return frontend_listen(f, m);
	case MSG_registry:
		return frontend_registry(f, &m->registry);
	case MSG_setup_frontend:
		return frontend_reload(f, &m->setup_frontend);
	case MSG_ping:
		pong.pong.seq = m->ping.seq;
		return port_send(&f->control, &pong);
	case MSG_stop:
		frontend_stop(f);
		return 0;
	default:
		return pull_control_message(f, m);
	}
}

static void
control_ended(struct port *p, const char *why)
{
	struct frontend *f = p->arg;

	loop_quit(&f->loop);
}

/* The setup message, before the loop: nothing but rows of registries may come first. */
static int
frontend_setup(struct frontend *f)
{
	struct ipc_msg m;
	int r = 0;

	do {
		if (control_wait(&f->control.chan, &m, -1) != 0)
			return -EPIPE;
		if (m.type == MSG_registry)
			r = frontend_registry(f, &m.registry);
	} while (r == 0 && m.type == MSG_registry);
	if (r < 0)
		return r;
	if (m.type != MSG_setup_frontend)
		return -EPROTO;
	f->control.chan.phase = IPC_RUN;
	/* No number means what it meant to the frontend before this one: words about its
	 * pulls may still be on their way. */
	f->last_id = m.setup_frontend.restarts << 40;
	return frontend_set_up(f, &m.setup_frontend);
}

int
main(void)
{
	struct sandbox_report report = {0};
	struct sandbox_setup setup = {.report = &report};
	static struct frontend f;

	if (sandbox_enter(ROOM_FRONTEND, &setup) < 0)
		return 125;
	if (loop_init(&f.loop) < 0 || metrics_init(&f) < 0)
		return 1;
	f.control.message = control_message;
	f.control.ended = control_ended;
	f.control.arg = &f;
	if (port_open(&f.control, &f.loop, CONTROL_FD, CH_control, ROOM_FRONTEND,
		ROOM_SUPERVISOR, IPC_START) < 0)
		return 1;
	if (control_hello(&f.control.chan, ROOM_FRONTEND, (unsigned)report.landlock_abi,
		NULL) < 0 ||
	    frontend_setup(&f) < 0)
		return 2;
	return loop_run(&f.loop) < 0 ? 1 : 0;
}
