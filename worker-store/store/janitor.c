/* The supervisor may be killed in the middle of a pull. Nobody can then start a room that
 * removes what is staged, and this room never walks a tree that an applier made. So an
 * apply room in remove mode, with the staging as its root, is started before the first
 * layer and waits for that day. It ends with its channel, as this room does. */
#include "worker-store/store/pull.h"

#define JANITOR_MS 10000

static void
janitor_waits(struct helper *h)
{
	for (struct pull *p = h->room->pulls; p; p = p->next) {
		if (p->layers_begun && !p->ended)
			layers_step(p);
	}
}

static int
janitor_message(struct helper *h, struct ipc_msg *m)
{
	if (!h->room->lost || (m->type != MSG_erased && m->type != MSG_apply_failed))
		return -1;
	loop_quit(&h->room->loop);
	return 0;
}

/* Killed or not started: with the next layer another one is tried, this one's pulls end.
 */
static void
janitor_failed(struct helper *h, const char *text)
{
	for (struct pull *p = h->room->pulls; p; p = p->next) {
		if (p->layers_begun)
			pull_fail(
			    p, ERR_INTERNAL, "the room that would clean up: %s", text);
	}
}

bool
janitor_ready(struct keeper *room)
{
	static const struct helper_ops ops = {
	    .ask = janitor_waits, .message = janitor_message, .failed = janitor_failed};

	if (port_is_open(&room->janitor.port))
		return true;
	if (!room->janitor.alive)
		helper_want_apply(room, &room->janitor, APPLY_ERASE, 0, room_token(room),
		    room->store.staging, &ops);
	return false;
}

bool
janitor_work(struct keeper *room)
{
	struct ipc_msg m = IPC_MSG(erase);

	if (!port_is_open(&room->janitor.port))
		return false;
	port_send(&room->janitor.port, &m);
	loop_timer_set(&room->loop, &room->stop_timer, JANITOR_MS);
	return true;
}
