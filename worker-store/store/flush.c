/* The kernel lets hundreds of megabytes pile up before it writes by itself, and the
 * checks of the last layers would wait for all of them. So while layers are being
 * unpacked a room makes durable, over and over, what is there: one in check mode over an
 * empty directory, which sees no layer. Nothing rests on it: a layer is durable when its
 * own check has synced it.
 */
#include "worker-store/store/dir.h"
#include "worker-store/store/pull.h"

#include <fcntl.h>
#include <unistd.h>

#define FLUSH_FROM MiB(8) /* less is not worth a room, nor a flush */

static bool
pull_unpacks(const struct pull *p)
{
	return p->layers_begun && !p->ended;
}

static void
flush_next(struct keeper *room)
{
	struct flush *f = &room->flush;
	struct ipc_msg m = IPC_MSG(flush);

	if (f->busy || f->bytes < FLUSH_FROM)
		return;
	f->busy = true;
	f->bytes = 0;
	port_send(&f->helper.port, &m);
}

static void
flush_ask(struct helper *h)
{
	flush_next(h->room);
}

/* The kernel reports an error of its writing once: those who are at it hear of it here,
 * or never. */
static void
flush_lost(struct keeper *room, enum err_class code, const char *text)
{
	for (struct pull *p = room->pulls; p; p = p->next)
		if (pull_unpacks(p))
			pull_fail(
			    p, code, "%s: the room that flushes: %s", p->name, text);
}

static int
flush_message(struct helper *h, struct ipc_msg *m)
{
	char why[1024];

	if (m->type == MSG_flushed && h->room->flush.busy) {
		h->room->flush.busy = false;
		flush_next(h->room);
		return 0;
	}
	if (m->type != MSG_apply_failed)
		return -1;
	flush_lost(h->room, (enum err_class)m->apply_failed.code,
	    span_escape(m->apply_failed.text, why, sizeof(why)));
	return 0;
}

/* However it ends: it does nothing but what it is asked, and never ends by itself. */
static void
flush_failed(struct helper *h, const char *text)
{
	unlinkat(h->room->store.staging, STAGING_EMPTY, AT_REMOVEDIR);
	if (!h->room->flush.over)
		flush_lost(h->room, ERR_INTERNAL, text);
}

static void
flush_start(struct keeper *room)
{
	static const struct helper_ops ops = {
	    .ask = flush_ask, .message = flush_message, .failed = flush_failed};
	struct flush *f = &room->flush;
	FD_AUTO dir = dir_make(room->store.staging, STAGING_EMPTY, 0700);

	if (dir < 0)
		return; /* tried again with the next bytes */
	f->busy = f->over = false;
	helper_want_apply(room, &f->helper, APPLY_CHECK, 0, room_token(room), dir, &ops);
}

void
flush_moved(struct keeper *room, uint64_t bytes)
{
	struct flush *f = &room->flush;

	f->bytes += bytes;
	if (room->durability == DURABILITY_NONE || f->bytes < FLUSH_FROM)
		return;
	if (port_is_open(&f->helper.port))
		flush_next(room);
	else if (!f->helper.alive)
		flush_start(room);
}

void
flush_rest(struct keeper *room)
{
	for (const struct pull *p = room->pulls; p; p = p->next)
		if (pull_unpacks(p))
			return;
	room->flush.bytes = 0;
	if (!room->flush.helper.alive || room->flush.over)
		return;
	room->flush.over = true;
	helper_kill(&room->flush.helper);
}
