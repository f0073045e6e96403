#include "worker-store/store/pull.h"

#include "common/base/fd.h"

#define AGAIN_MS 1000 /* doubled each time, up to ... */
#define AGAIN_MS_MAX 30000

static void
erase_ask(struct helper *h)
{
	struct ipc_msg m = IPC_MSG(erase);

	port_send(&h->port, &m);
}

static int
erase_message(struct helper *h, struct ipc_msg *m)
{
	struct erase *x = &h->room->erase;
	char why[200];

	if (m->type == MSG_erased) {
		x->erased = true;
		return 0;
	}
	if (m->type != MSG_apply_failed)
		return -1;
	room_log(h->room, LOG_WARNING, "cannot remove what was thrown away: %s",
	    span_escape(m->apply_failed.text, why, sizeof(why)));
	return 0;
}

static void
erase_later(struct keeper *room)
{
	struct erase *x = &room->erase;
	unsigned next = 2 * x->delay_ms;

	if (room->stopping)
		return;
	x->delay_ms = !next ? AGAIN_MS : next < AGAIN_MS_MAX ? next : AGAIN_MS_MAX;
	loop_timer_set(&room->loop, &x->again, x->delay_ms);
}

static void
erase_done(struct keeper *room, bool good)
{
	struct erase *x = &room->erase;

	fd_close(&x->dir);
	x->busy = false;
	if (good) {
		store_trash_gone(&room->store, x->name);
		x->name[0] = 0;
		x->delay_ms = 0;
		erase_kick(room);
	} else {
		erase_later(room);
	}
	space_retry(room);
	room_stop_check(room);
}

static void
erase_gone(struct helper *h)
{
	erase_done(h->room, h->room->erase.erased);
}

static void
erase_failed(struct helper *h, const char *text)
{
	struct keeper *room = h->room;

	room_log(room, LOG_WARNING, "removing what was thrown away: %s", text);
	helper_drop(h);
	erase_done(room, false);
}

static void
erase_again(struct loop_timer *t)
{
	erase_kick(t->arg);
}

void
erase_kick(struct keeper *room)
{
	static const struct helper_ops ops = {
	    erase_ask, erase_message, erase_gone, erase_failed};
	struct erase *x = &room->erase;
	struct err e = {0};

	if (x->busy || room->lost)
		return;
	if (!x->name[0] && !store_trash_full(&room->store))
		return;
	x->again.fired = erase_again;
	x->again.arg = room;
	x->dir = store_trash_take(&room->store, x->name, &e);
	if (x->dir < 0) {
		room_log(room, LOG_WARNING, "%s", e.text);
		erase_later(room);
		return;
	}
	x->busy = true;
	x->erased = false;
	helper_want_apply(
	    room, &x->helper, APPLY_ERASE, 0, room_token(room), x->dir, &ops);
}
