/* The frontend: requests in, typed answers out. It holds no file, no network, no image
 * byte. */
#include "common/ipc/control.h"
#include "frontend/client.h"
#include "frontend/metrics.h"
#include "frontend/pull.h"
#include "frontend/query.h"
#include "policy/sandbox/sandbox.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
store_message(struct port *p, struct ipc_msg *m)
{
	return pull_store_message(p->arg, m);
}

static void
store_ended(struct port *p, const char *why)
{
	struct frontend *f = p->arg;
	char text[256];

	snprintf(text, sizeof(text),
	    "the store worker %s%s: nothing was changed by this request",
	    why ? "broke the protocol: " : "ended unexpectedly", why ? why : "");
	port_release(p);
	pull_end_all(f, ERR_INTERNAL, text);
	query_end_all(f, ERR_INTERNAL, text);
}

static int
frontend_peer(struct frontend *f, struct ipc_msg *m)
{
	if (m->peer.channel == CH_cli)
		return client_open(f, ipc_msg_take_fd(m, 0));
	if (m->peer.channel != CH_frontend_store)
		return pull_control_message(f, m);
	if (port_is_open(&f->store))
		return -EPROTO;
	f->store.message = store_message;
	f->store.ended = store_ended;
	f->store.arg = f;
	return port_open(&f->store, &f->loop, ipc_msg_take_fd(m, 0), CH_frontend_store,
	    ROOM_FRONTEND, ROOM_STORE, IPC_RUN);
}

static int
control_message(struct port *p, struct ipc_msg *m)
{
	struct frontend *f = p->arg;

	if (m->type == MSG_peer)
		return frontend_peer(f, m);
	if (m->type == MSG_stop) {
		loop_quit(&f->loop);
		return 0;
	}
	return pull_control_message(f, m);
}

static void
control_ended(struct port *p, const char *why)
{
	struct frontend *f = p->arg;

	loop_quit(&f->loop);
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

/* At the start, and again by each reload. Pulls under way keep what they began with. */
static int
frontend_set_up(struct frontend *f, const struct msg_setup_frontend *m)
{
	if (text_replace(&f->insecure, m->insecure) < 0 ||
	    text_replace(&f->policy_problem, m->policy_problem) < 0)
		return -ENOMEM;
	f->embedded = m->embedded;
	f->max_message = m->max_message;
	f->queue.max = (unsigned)m->max_pulls;
	f->queue.max_space = (unsigned)m->max_pulls_namespace;
	f->progress_ms = m->progress_seconds * 1000;
	f->generation = m->generation;
	f->restarts = m->restarts;
	return 0;
}

/* The setup message, before the loop: nothing else may come first. */
static int
frontend_setup(struct frontend *f)
{
	struct ipc_msg m;

	int r = control_wait(&f->control.chan, &m, -1);
	if (r != 0)
		return -EPIPE;
	if (m.type != MSG_setup_frontend)
		return -EPROTO;
	f->control.chan.phase = IPC_RUN;
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
	if (loop_init(&f.loop) < 0)
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
