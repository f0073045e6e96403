/* bulkhead-store: the storing side. The one file of the room that touches ambient things.
 */
#include "policy/sandbox/sandbox.h"
#include "worker-store/store/hash.h"
#include "worker-store/store/check.h"
#include "worker-store/store/describe.h"
#include "worker-store/store/dir.h"
#include "worker-store/store/pull.h"
#include "worker-store/store/watch.h"

#include "common/base/fd.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { EXIT_FAILED = 1, EXIT_PROTOCOL = 2 };

#define STOP_MS \
	10000 /* for rooms to end and the trash to be removed, once told to stop */

#define HEAP_UP_TO (32 << 20)
#define TRIM_MS 2000

/* Why this graph root cannot be used; every request is answered with it. */
static struct err unusable;

static struct keeper room = {
    .graph = SANDBOX_FD_STORE_GRAPH, .run = SANDBOX_FD_STORE_RUN};

uint64_t
room_token(struct keeper *r)
{
	return ++r->tokens;
}

void
room_log(struct keeper *r, enum log_level level, const char *fmt, ...)
{
	char text[LIMIT_LOG_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (port_is_open(&r->control))
		control_log(&r->control.chan, level, "%s", text);
}

/* ---- the end ---- */

void
room_stop_check(struct keeper *r)
{
	if (!r->stopping || r->lost || r->pulls || r->jobs || r->erase.busy)
		return; /* lost: the janitor's end is ours */
	/* What an erasing room could not remove is left to the next sweep. */
	loop_quit(&r->loop);
}

static void
stop_timer_fired(struct loop_timer *t)
{
	loop_quit(&room.loop);
}

static void
room_stop(const char *why)
{
	if (room.stopping)
		return;
	room.stopping = true;
	pulls_end(&room, why);
	checks_end(&room);
	if (room.sweep.queued && room.sweep.want && !room.sweep_only)
		job_cancel(&room.sweep);
	loop_timer_set(&room.loop, &room.stop_timer, STOP_MS);
	loop_timer_set(&room.loop, &room.reap_timer, 1);
}

/* What requests have left in the heap goes back, every two seconds at most. */
static void
trim_fired(struct loop_timer *t)
{
	malloc_trim(0);
}

static struct loop_timer trim = {.fired = trim_fired};

static void
reap_timer_fired(struct loop_timer *t)
{
	query_reap(&room);
	pulls_reap(&room);
	if (!trim.at)
		loop_timer_set(&room.loop, &trim, TRIM_MS);
	room_stop_check(&room);
}

/* ---- sweeping ---- */

static struct swept swept;

/* What was in flight and came through is looked at while everything goes on. */
static void
sweep_tell(void)
{
	if (!swept.stores)
		return;
	room_log(&room, LOG_INFO,
	    "cleared away after %u dead stores: %u layers and %u images that they were "
	    "about to publish; %u have records and are checked",
	    swept.stores, swept.layers, swept.images, swept.n_published);
	if (!room.sweep_only && swept.n_published)
		check_published(&room, swept.published, swept.n_published);
}

static void
sweep_run(struct job *j)
{
	struct err e = {0};

	int r = store_sweep(&room.store, &room.hold, &swept, &e);
	if (r == -EAGAIN && room.stopping && !room.sweep_only)
		return; /* others' locks are not waited for: the next store clears away */
	if (r == -EAGAIN) { /* a journal has to be read under the locks: queue for them */
		j->want = HOLD_COMMIT;
		job_add(&room, j);
		return;
	}
	if (r < 0)
		room_log(&room, LOG_WARNING,
		    "cannot clear away what a dead store left: %s", e.text);
	room.swept = true;
	sweep_tell();
	erase_kick(&room);
	if (room.sweep_only)
		room_stop("only here to sweep");
}

static void
sweep_failed(struct job *j, const struct err *e)
{
	room_log(
	    &room, LOG_WARNING, "cannot clear away what a dead store left: %s", e->text);
	if (room.sweep_only)
		room_stop("only here to sweep");
}

/* ---- the supervisor ---- */

/* A pattern that cannot be used was refused with its file; here it would only be left
 * out. */
static int
take_pins(struct span lines)
{
	struct err e = {0};
	struct pins pins;

	int r = pins_parse(lines, &pins, &e);
	if (r < 0)
		return r;
	pins_free(&room.pins);
	room.pins = pins;
	return 0;
}

/* Of a reload too: layers in flight beyond a lower limit go on. */
static void
take_limits(uint64_t max_layer, uint64_t max_image, uint64_t max_layers,
    uint64_t max_layers_pull, uint64_t durability, uint64_t check_rate)
{
	room.max_layer = max_layer;
	room.max_image = max_image;
	room.max_layers = max_layers;
	room.max_layers_pull = max_layers_pull;
	room.durability = (enum durability)durability;
	room.check_rate = check_rate;
	disk_durability(room.durability);
}

static int
setup(const struct msg_setup_store *m)
{
	struct ipc_msg key = IPC_MSG(access_key);

	if (!span_to_str(m->graph_root, room.graph_root, sizeof(room.graph_root)))
		return -EPROTO;
	int r = take_pins(m->pins);
	if (r < 0)
		return r;
	take_limits(m->max_layer, m->max_image, m->max_layers, m->max_layers_pull,
	    m->durability, m->check_rate);
	room.sweep_only = m->sweep_only;
	memcpy(room.policy, m->policy, sizeof(room.policy));
	if (!unusable.code)
		(void)!store_open(&room.store, room.graph, room.run, -1, &unusable);
	room.control.chan.phase = IPC_RUN;
	if (unusable.code) {
		if (room.sweep_only)
			loop_quit(&room.loop);
		return 0;
	}
	memcpy(key.access_key.key, room.store.key, sizeof(room.store.key));
	port_send(&room.control, &key);
	room.sweep = (struct job){.run = sweep_run, .failed = sweep_failed};
	job_add(&room, &room.sweep);
	return 0;
}

/* What waits for its commit is looked at again there: by the limits it was begun with, by
 * the policy of now. */
static int
reload(const struct msg_reload_store *m)
{
	take_limits(m->max_layer, m->max_image, m->max_layers, m->max_layers_pull,
	    m->durability, m->check_rate);
	memcpy(room.policy, m->policy, sizeof(room.policy));
	layers_step_all(&room);
	return take_pins(m->pins);
}

static void
pong(uint64_t seq)
{
	struct ipc_msg m = IPC_MSG(pong, .seq = seq);

	port_send(&room.control, &m);
}

static int
frontend_message(struct port *p, struct ipc_msg *m)
{
	if (unusable.code)
		return query_refuse(&room, m, &unusable);
	if (m->type == MSG_watch)
		describe_all(&room);
	return m->type == MSG_pull || m->type == MSG_cancel || m->type == MSG_again
		   ? pull_message(&room, m)
		   : query_message(&room, m);
}

/* Without a frontend nobody wants anything, and numbers of its requests must mean nothing
 * to the next one. */
static void
frontend_ended(struct port *p, const char *why)
{
	port_release(p);
	if (why)
		room_log(&room, LOG_ERROR, "the frontend broke the protocol: %s", why);
	watch_stop(&room);
	describe_stop(&room);
	checks_end(&room);
	queries_end(&room, "the frontend is gone");
	pulls_end(&room, "the frontend is gone");
}

static int
on_peer(struct ipc_msg *m)
{
	if (m->peer.channel == CH_fetch_store) {
		pull_peer(&room, m);
		return 0;
	}
	if (m->peer.channel != CH_frontend_store)
		return helper_peer(&room, m) ? 0 : -EPROTO;
	/* A new one means that the old one is reaped: its last word may be on the way. */
	if (port_is_open(&room.frontend))
		frontend_ended(&room.frontend, NULL);
	pulls_forget(&room);
	room.frontend.message = frontend_message;
	room.frontend.ended = frontend_ended;
	return port_open(&room.frontend, &room.loop, ipc_msg_take_fd(m, 0),
	    CH_frontend_store, ROOM_STORE, ROOM_FRONTEND, IPC_RUN);
}

static int
control_message(struct port *p, struct ipc_msg *m)
{
	switch (m->type) {
	case MSG_setup_store:
		return setup(&m->setup_store);
	case MSG_peer:
		return on_peer(m);
	case MSG_gone:
		helper_gone(&room, &m->gone);
		return 0;
	case MSG_refused:
		helper_refused(&room, &m->refused);
		return 0;
	case MSG_access:
		pull_access(&room, &m->access);
		return 0;
	case MSG_reload_store:
		return reload(&m->reload_store);
	case MSG_ping:
		pong(m->ping.seq);
		return 0;
	case MSG_stop:
		room_stop("shutting down");
		return 0;
	default:
		return -EPROTO;
	}
}

/* The supervisor is gone, and with it everybody else but the janitor. */
static void
control_ended(struct port *p, const char *why)
{
	port_release(p);
	room.lost = true;
	room.stopping = true;
	pulls_end(&room, "the supervisor is gone");
	if (!janitor_work(&room))
		loop_quit(&room.loop);
}

/* ---- the beginning ---- */

static int
warm_up(void *arg, struct err *e)
{
	uint8_t hash[32];

	umask(022);
	/* The records' text and tables are large and short-lived: fresh pages for each
	 * would be a quarter of the time that the locks are held. */
	mallopt(M_MMAP_THRESHOLD, HEAP_UP_TO);
	mallopt(M_TRIM_THRESHOLD, HEAP_UP_TO);
	if (sha256(span_str("warm"), hash) < 0)
		return err_set(e, ERR_INTERNAL, "cannot start libcrypto");
	/* A graph root that is not fit is told to who asks for something, not to who
	 * starts us. */
	(void)!store_prepare(SANDBOX_FD_STORE_GRAPH, &unusable);
	room.inotify = watch_prepare(SANDBOX_FD_STORE_GRAPH);
	return 0;
}

static int
begin(const struct sandbox_report *report)
{
	room.store = STORE_CLOSED;
	room.hold = HOLD_NONE;
	room.erase.dir = -1;
	room.job_timer = (struct loop_timer){.fired = job_timer_fired, .arg = &room};
	room.reap_timer = (struct loop_timer){.fired = reap_timer_fired};
	room.stop_timer = (struct loop_timer){.fired = stop_timer_fired};
	room.control.message = control_message;
	room.control.ended = control_ended;
	int r = loop_init(&room.loop);
	if (r == 0)
		r = port_open(&room.control, &room.loop, CONTROL_FD, CH_control,
		    ROOM_STORE, ROOM_SUPERVISOR, IPC_START);
	if (r == 0)
		r = control_hello(&room.control.chan, ROOM_STORE,
		    (unsigned)report->landlock_abi, report->landlock);
	return r;
}

int
main(void)
{
	struct sandbox_report report = {0};
	const struct sandbox_setup sandbox = {.warm_up = warm_up, .report = &report};

	if (sandbox_enter(ROOM_STORE, &sandbox) < 0 || begin(&report) < 0)
		return EXIT_FAILED;
	if (loop_run(&room.loop) < 0)
		return EXIT_FAILED;
	if (!unusable.code)
		pulls_reap(&room);
	checks_end(&room);
	describe_end(&room);
	watch_end(&room);
	store_close(&room.store);
	if (port_is_open(&room.control) && chan_flush(&room.control.chan) < 0)
		return EXIT_FAILED;
	return EXIT_SUCCESS;
}
