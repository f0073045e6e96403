#include "worker-store/store/deep.h"

#include "common/ipc/ring.h"
#include "worker-store/store/dir.h"
#include "worker-store/store/pull.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

/* A number that no pull of a frontend has: its rooms end with it. */
static uint64_t
pull_of(struct keeper *room)
{
	return PULL_OF_STORE | room_token(room);
}

static int
diff_open(const struct store *s, struct span id)
{
	char path[ID_HEX + 16];

	snprintf(path, sizeof(path), "%.*s/diff", (int)id.n, (const char *)id.p);
	return dir_open(s->overlay, path);
}

static int
split_open(const struct store *s, struct span id)
{
	char path[ID_HEX + 20];

	snprintf(path, sizeof(path), "%.*s.tar-split.gz", (int)id.n, (const char *)id.p);
	return openat(s->layers, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

static uint64_t
inode_of(int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 ? st.st_ino : 0;
}

bool
deep_is_of(const struct deep *d, struct span id)
{
	FD_AUTO fd = diff_open(&d->room->store, id);

	return fd >= 0 && inode_of(fd) == d->inode;
}

void
deep_end(struct deep *d)
{
	if (!d->busy)
		return;
	struct ipc_msg end = IPC_MSG(end, .pull = d->pull);
	d->busy = false;
	loop_timer_clear(&d->room->loop, &d->soon);
	loop_timer_clear(&d->room->loop, &d->span);
	helper_drop(&d->hash);
	helper_drop(&d->apply);
	fd_close(&d->diff);
	fd_close(&d->split);
	/* Whatever of it lives, and the ends of channels that nobody came for. */
	port_send(&d->room->control, &end);
}

static void
finish(struct deep *d)
{
	struct err why = d->why;
	enum deep_verdict v = DEEP_UNKNOWN;

	deep_end(d);
	if (d->broken)
		v = DEEP_BROKEN;
	else if (d->hashed && d->verified && d->fits)
		v = DEEP_SAME;
	else if (why.code == ERR_CONTENT || (d->hashed && !d->fits))
		v = DEEP_UNLIKE;
	if (v == DEEP_UNLIKE && why.code != ERR_CONTENT)
		d->done(d, v, "they are other bytes than it was made of");
	else
		d->done(d, v, why.text[0] ? why.text : "no reason was given");
}

static void
soon_fired(struct loop_timer *t)
{
	struct deep *d = t->arg;

	if (inode_of(d->diff) && d->split >= 0) {
		finish(d);
		return;
	}
	deep_end(d);
	d->done(d, DEEP_NOTHING, "");
}

/* Both have ended: on from the loop, because the next layer uses the same helpers. */
static void
part_gone(struct helper *h)
{
	struct deep *d = h->arg;

	if (d->busy && !d->hash.alive && !d->apply.alive)
		loop_timer_set(&d->room->loop, &d->soon, 0);
}

/* What an applier says of the files comes before what a hash room says of its applier. */
static void
note(struct deep *d, enum err_class code, const char *text)
{
	if (d->broken || d->why.code == ERR_CONTENT ||
	    (d->why.code && code != ERR_CONTENT))
		return;
	d->why = (struct err){0};
	err_set(&d->why, code, "%s", text);
}

/* Whatever was said before does not count any more. */
static void
note_broken(struct deep *d, const char *text)
{
	d->why = (struct err){0};
	note(d, ERR_INTERNAL, text);
	d->broken = true;
}

static void
room_failed(struct helper *h, const char *text)
{
	struct deep *d = h->arg;

	if (h->broke && !d->broken)
		note_broken(d, text);
	note(d, ERR_INTERNAL, text);
	if (h == &d->apply)
		d->verified = false;
	/* It is killed, and its end will not be told. */
	if (h->alive)
		loop_timer_set(&d->room->loop, &d->soon, 0);
	/* One that never came would be waited for. The other way round the applier ends
	 * by itself, and what it has to say is worth hearing. */
	if (h == &d->apply && d->hash.alive)
		helper_kill(&d->hash);
	part_gone(h);
}

static void
apply_gone(struct helper *h)
{
	struct deep *d = h->arg;

	if (!d->answered)
		note_broken(d, "the apply room ended without an answer");
	part_gone(h);
}

/* ---- its time ---- */

static uint64_t
span_bytes(const struct deep *d)
{
	uint64_t slow = d->room->check_rate / 8 * LIMIT_VERIFY_SECONDS;

	return slow && slow < LIMIT_VERIFY_BYTES ? slow : LIMIT_VERIFY_BYTES;
}

/* The rate may leave whole slots of the ring behind it. */
static void
span_begin(struct deep *d)
{
	struct keeper *room = d->room;
	uint64_t ms = room->answer_ms ? room->answer_ms : LIMIT_VERIFY_SECONDS * 1000;

	if (room->check_rate)
		ms += 2000 * RING_TAR.slot_size / room->check_rate;
	d->seen = d->bytes;
	loop_timer_set(&room->loop, &d->span, (unsigned)(ms < INT_MAX ? ms : INT_MAX));
}

/* A room that is slower than any machine, or says nothing, would be waited for for ever.
 */
static void
span_fired(struct loop_timer *t)
{
	struct deep *d = t->arg;
	char text[160];

	if (d->bytes - d->seen >= span_bytes(d)) {
		span_begin(d);
		return;
	}
	snprintf(text, sizeof(text), "only %llu bytes of it came within %d s",
	    (unsigned long long)(d->bytes - d->seen), LIMIT_VERIFY_SECONDS);
	note_broken(d, text);
	finish(d);
}

/* ---- what the rooms say ---- */

static int
apply_message(struct helper *h, struct ipc_msg *m)
{
	struct deep *d = h->arg;
	char why[1024];

	if (d->answered)
		return -1;
	d->answered = true;
	switch (m->type) {
	case MSG_verified:
		d->verified = true;
		return 0;
	case MSG_apply_failed:
		note(d, m->apply_failed.code == ERR_CONTENT ? ERR_CONTENT : ERR_INTERNAL,
		    span_escape(m->apply_failed.text, why, sizeof(why)));
		return 0;
	default:
		return -1;
	}
}

static void
apply_ask(struct helper *h)
{
	struct deep *d = h->arg;
	struct ipc_msg m = IPC_MSG(
	    verify, .bytes = d->size, .rate = d->room->check_rate, .shifted = d->shifted);

	m.fds[0] = d->split;
	m.nfds = 1;
	port_send(&h->port, &m);
}

static int
hash_message(struct helper *h, struct ipc_msg *m)
{
	struct deep *d = h->arg;

	switch (m->type) {
	case MSG_hash_progress:
		d->bytes = m->hash_progress.uncompressed;
		d->moved(d, d->bytes);
		return 0;
	case MSG_hashed:
		if (d->hashed)
			return -1;
		d->hashed = true;
		d->fits = m->hashed.size == d->size &&
			  memcmp(m->hashed.digest, d->diff_id, sizeof(d->diff_id)) == 0;
		return 0;
	case MSG_hash_failed:
		/* Of an applier that went away, which says it better itself. */
		if (m->hash_failed.code == ERR_CONTENT && !d->broken)
			note_broken(d, "the apply room put more together than was ever "
				       "in the layer");
		note(d, ERR_INTERNAL, "the hash room gave up");
		return 0;
	default:
		return -1;
	}
}

static void
hash_ask(struct helper *h)
{
	static const struct helper_ops ops = {
	    apply_ask, apply_message, apply_gone, room_failed};
	struct deep *d = h->arg;
	struct ipc_msg m = IPC_MSG(
	    hash_layer, .size = d->size, .max_bytes = d->size, .discard = 1, .again = 1);

	port_send(&h->port, &m);
	d->apply.arg = d;
	helper_want_apply(
	    d->room, &d->apply, APPLY_VERIFY, d->pull, h->token, d->diff, &ops);
}

static bool
any(struct span array)
{
	struct json_iter it = json_iter(array);
	struct span first;

	return json_next(&it, &first);
}

void
deep_begin(struct deep *d, const struct record *layer,
    const uint8_t diff_id[DIGEST_BYTES], uint64_t diff_size)
{
	static const struct helper_ops ops = {
	    hash_ask, hash_message, part_gone, room_failed};
	struct keeper *room = d->room;

	*d = (struct deep){.done = d->done,
	    .moved = d->moved,
	    .arg = d->arg,
	    .room = room,
	    .pull = pull_of(room),
	    .size = diff_size,
	    .shifted = any(layer->uidmap) || any(layer->gidmap),
	    .diff = diff_open(&room->store, layer->id),
	    .split = split_open(&room->store, layer->id),
	    .busy = true};
	memcpy(d->diff_id, diff_id, sizeof(d->diff_id));
	d->inode = inode_of(d->diff);
	d->soon = (struct loop_timer){.fired = soon_fired, .arg = d};
	d->span = (struct loop_timer){.fired = span_fired, .arg = d};
	d->hash.arg = d;
	if (d->inode && d->split >= 0) {
		span_begin(d);
		helper_want_rehash(room, &d->hash, d->pull, room_token(room), &ops);
	} else {
		loop_timer_set(&room->loop, &d->soon, 0);
	}
}
