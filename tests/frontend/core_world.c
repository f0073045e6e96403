#include "tests/frontend/core_world.h"

#include "common/ipc/control.h"
#include "frontend/cache.h"
#include "frontend/metrics.h"
#include "frontend/registries.h"
#include "tests/settle.h"

#include <string.h>
#include <unistd.h>

/* What main.c otherwise gives. */
uint64_t
frontend_next_id(struct frontend *f)
{
	return ++f->last_id;
}

void
frontend_log(struct frontend *f, const char *fmt, ...)
{
}

static int
to_store(struct port *p, struct ipc_msg *m)
{
	return pull_store_message(p->arg, m);
}

static int
to_control(struct port *p, struct ipc_msg *m)
{
	return pull_control_message(p->arg, m);
}

static void
port_gone(struct port *p, const char *why)
{
	port_release(p);
}

static void
open_side(struct world *w, struct port *p, struct chan *far, enum ipc_channel kind,
    enum room peer)
{
	int fds[2];

	assert_int_equal(chan_pair(fds), 0);
	p->arg = &w->f;
	p->ended = port_gone;
	assert_int_equal(
	    port_open(p, &w->f.loop, fds[0], kind, ROOM_FRONTEND, peer, IPC_RUN), 0);
	assert_int_equal(chan_init(far, fds[1], kind, peer, ROOM_FRONTEND), 0);
	far->phase = IPC_RUN;
}

void
store_open(struct world *w)
{
	chan_release(&w->store);
	open_side(w, &w->f.store, &w->store, CH_frontend_store, ROOM_STORE);
}

struct world *
world_new(const char *policy_problem)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(loop_init(&w->f.loop), 0);
	assert_int_equal(metrics_init(&w->f), 0);
	w->f.log_level = LOG_ERROR; /* nothing between the messages */
	w->f.policy_problem = strdup(policy_problem);
	w->f.store.message = to_store;
	w->f.control.message = to_control;
	store_open(w);
	open_side(w, &w->f.control, &w->supervisor, CH_control, ROOM_SUPERVISOR);
	return w;
}

void
world_free(struct world *w)
{
	pull_end_all(&w->f, ERR_INTERNAL, "end of test");
	query_end_all(&w->f, ERR_INTERNAL, "end of test");
	client_close_all(&w->f);
	metrics_stop(&w->f);
	port_release(&w->f.store);
	port_release(&w->f.control);
	for (size_t i = 0; i < ARRAY_LEN(w->commands); i++)
		chan_release(&w->commands[i]);
	chan_release(&w->store);
	chan_release(&w->supervisor);
	for (size_t i = 0; i < ARRAY_LEN(w->fetcher); i++)
		chan_release(&w->fetcher[i]);
	ipc_msg_release(&w->last);
	cache_free(&w->f);
	metrics_release(&w->f);
	assert_null(w->f.queue.spaces);
	assert_int_equal(w->f.queue.running + w->f.queue.waiting, 0);
	loop_release(&w->f.loop);
	registries_unref(w->f.registries);
	free(w->f.policy_problem);
	free(w);
}

void
settle(struct world *w, unsigned ms)
{
	assert_int_equal(loop_settle(&w->f.loop, ms), 0);
}

void
send_from(struct world *w, struct chan *c, struct ipc_msg *m)
{
	assert_int_equal(chan_send(c, m), 0);
	settle(w, 5);
}

struct ipc_msg *
expect(struct world *w, struct chan *c, enum ipc_type type)
{
	const char *why = "nothing came";

	ipc_msg_release(&w->last);
	int r = chan_recv(c, &w->last, &why);
	if (r != 0)
		fail_msg("expected message 0x%x: %d %s", type, r, why);
	if (w->last.type != type)
		fail_msg("expected message 0x%x, got 0x%x", type, w->last.type);
	return &w->last;
}

void
expect_silence(struct world *w, struct chan *c)
{
	const char *why;

	assert_int_equal(chan_recv(c, &w->last, &why), CHAN_EMPTY);
}

struct chan *
command_open(struct world *w, unsigned n, bool hello)
{
	struct ipc_msg m = IPC_MSG(cli_hello);
	struct chan *c = &w->commands[n];
	int fds[2];

	assert_int_equal(chan_pair(fds), 0);
	assert_int_equal(client_open(&w->f, fds[0]), 0);
	assert_int_equal(chan_init(c, fds[1], CH_cli, ROOM_CLI, ROOM_FRONTEND), 0);
	c->phase = IPC_RUN;
	memcpy(m.cli_hello.schema, ipc_schema_hash, sizeof(m.cli_hello.schema));
	if (hello)
		send_from(w, c, &m);
	return c;
}

void
grant_fetcher(struct world *w, unsigned n, uint64_t pull, uint64_t id)
{
	int fds[2];
	struct ipc_msg m =
	    IPC_MSG(peer, .channel = CH_frontend_fetch, .pull = pull, .token = id);

	chan_release(&w->fetcher[n]); /* of the one before */
	assert_int_equal(chan_pair(fds), 0);
	assert_int_equal(chan_init(&w->fetcher[n], fds[0], CH_frontend_fetch, ROOM_FETCH,
			     ROOM_FRONTEND),
	    0);
	w->fetcher[n].phase = IPC_RUN;
	m.fds[0] = fds[1];
	m.nfds = 1;
	send_from(w, &w->supervisor, &m);
	close(fds[1]);
}
