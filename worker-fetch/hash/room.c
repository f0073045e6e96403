#include "worker-fetch/hash/room.h"

#include "common/base/fd.h"
#include "common/ipc/values.h"
#include "worker-fetch/hash/hash.h"

#include <errno.h>
#include <time.h>

#define SEND_MS 10000	/* to a store that does not read */
#define PROGRESS_MS 200 /* between two reports */

struct layer {
	struct chan *control;
	struct chan store, fetch, inflate, apply;
	int next; /* channel to the fetcher that goes on once this one is lost, or -1 */
	unsigned feeds;
	uint64_t compression;
	bool again; /* the applier feeds it */
	struct hash_plan plan;
	struct hash_rings rings;
	struct hash hash;
	unsigned stall_seconds;
	uint64_t granted;	    /* at first */
	bool asked;		    /* for more */
	uint64_t moved_at, told_at; /* milliseconds */
};

/* Sent by run() instead of a class: somebody broke the protocol, or the work is not
 * wanted. */
enum { LEFT = 1, VIOLATED = 2 };

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Another fetcher. It may be here before the end of the one before is seen, and it may be
 * a liar's: only the last one counts, and only when that end comes. */
static int
take_next(struct layer *r, struct ipc_msg *m)
{
	if (m->type != MSG_peer || m->peer.channel != CH_hash_fetch ||
	    ++r->feeds > LIMIT_FEEDS)
		return VIOLATED;
	fd_close(&r->next);
	r->next = ipc_msg_take_fd(m, 0);
	return 0;
}

static int
take_peer(struct layer *r)
{
	static const enum room peers[CH_COUNT] = {
	    [CH_store_hash] = ROOM_STORE,
	    [CH_hash_fetch] = ROOM_FETCH,
	    [CH_hash_inflate] = ROOM_INFLATE,
	    [CH_hash_apply] = ROOM_APPLY,
	};
	struct ipc_msg m;
	int e = control_wait(r->control, &m, -1);

	if (e != 0)
		return e == CHAN_CLOSED ? LEFT : VIOLATED;
	uint64_t kind = m.type == MSG_peer ? m.peer.channel : CH_control;
	struct chan *c = kind == CH_store_hash	   ? &r->store
			 : kind == CH_hash_fetch   ? &r->fetch
			 : kind == CH_hash_inflate ? &r->inflate
			 : kind == CH_hash_apply   ? &r->apply
						   : NULL;
	if (kind == CH_hash_fetch && r->fetch.fd >= 0) {
		e = take_next(r, &m);
		ipc_msg_release(&m);
		return e;
	}
	if (!c || c->fd >= 0) {
		ipc_msg_release(&m);
		return VIOLATED;
	}
	int fd = ipc_msg_take_fd(&m, 0);
	return chan_init(c, fd, (enum ipc_channel)kind, ROOM_HASH, peers[kind]) < 0 ? LEFT
										    : 0;
}

static int
take_layer(struct layer *r)
{
	struct ipc_msg m;
	const char *why;
	int e = chan_recv_wait(&r->store, &m, -1, &why);

	if (e == CHAN_CLOSED)
		return LEFT;
	if (e != 0 || m.type != MSG_hash_layer)
		return VIOLATED;
	r->compression = m.hash_layer.compression;
	if (r->compression != COMPRESSION_NONE && r->compression != COMPRESSION_GZIP &&
	    r->compression != COMPRESSION_ZSTD)
		return VIOLATED;
	r->again = m.hash_layer.again;
	if (r->again && (r->compression != COMPRESSION_NONE || !m.hash_layer.discard))
		return VIOLATED;
	r->plan = (struct hash_plan){
	    .compressed = r->compression != COMPRESSION_NONE,
	    .size = m.hash_layer.size,
	    .max_bytes = m.hash_layer.max_bytes,
	    .discard = m.hash_layer.discard,
	};
	r->granted = m.hash_layer.granted;
	return 0;
}

static int
set_up(struct layer *r)
{
	int e = 0;

	while (e == 0 && (r->store.fd < 0 || r->fetch.fd < 0 || r->apply.fd < 0))
		e = take_peer(r);
	if (e == 0)
		e = take_layer(r);
	while (e == 0 && r->plan.compressed && r->inflate.fd < 0)
		e = take_peer(r);
	return e;
}

/* Makes a ring and sends the neighbour's end with m. */
static int
offer(struct chan *c, struct ipc_msg *m, struct ring *ring, enum ring_role role,
    struct ring_geometry g)
{
	int e = ring_create(ring, role, g, m->fds);

	if (e < 0)
		return e;
	m->nfds = RING_FDS;
	e = chan_send_wait(c, m, SEND_MS);
	ipc_msg_release(m); /* ours would hide the neighbour's death */
	return e;
}

static int
offer_inflate(struct layer *r)
{
	struct ipc_msg in = IPC_MSG(inflate_in, .compression = r->compression);
	struct ipc_msg out = IPC_MSG(inflate_out);
	int e = offer(&r->inflate, &in, &r->rings.squeezed, RING_PRODUCER, RING_BLOB);

	if (e < 0)
		return e;
	return offer(&r->inflate, &out, &r->rings.expanded, RING_CONSUMER, RING_TAR);
}

static int
offer_rings(struct layer *r, struct err *err)
{
	struct ipc_msg feed = IPC_MSG(feed_ring), tar = IPC_MSG(apply_ring);
	struct ipc_msg again = IPC_MSG(verify_ring);
	int e = 0;

	if (r->again)
		e = offer(&r->apply, &again, &r->rings.feed, RING_CONSUMER, RING_TAR);
	else if (!r->plan.discard)
		e = offer(&r->apply, &tar, &r->rings.tar, RING_PRODUCER, RING_TAR);
	if (e == 0 && r->plan.compressed)
		e = offer_inflate(r);
	if (e == 0 && !r->again)
		e = offer(&r->fetch, &feed, &r->rings.feed, RING_CONSUMER, RING_BLOB);
	if (e == 0)
		e = hash_init(&r->hash, &r->plan, &r->rings);
	if (e == 0)
		hash_grant(&r->hash, r->granted);
	if (r->again) {
		r->hash.blob.from = "apply";
		r->hash.blob.patient = false; /* there is no other applier */
	}
	return e < 0 ? err_errno(err, -e, "making the rings of a layer") : 0;
}

/* Now and then; a store that is behind with reading is not told more. */
static void
tell_progress(struct layer *r)
{
	if (r->moved_at - r->told_at < PROGRESS_MS || chan_wants_write(&r->store))
		return;
	r->told_at = r->moved_at;
	struct ipc_msg m = IPC_MSG(hash_progress, .compressed = r->hash.blob.bytes,
	    .uncompressed = r->plan.compressed ? r->hash.tree.bytes : r->hash.blob.bytes);
	int e = chan_send(&r->store, &m);
	(void)e; /* a store that is gone is seen in nap() */
}

/* The next fetcher gets a ring of its own and the number of bytes that came. One that is
 * gone again is no loss: there may be another. */
static int
switch_feed(struct layer *r)
{
	struct ipc_msg feed = IPC_MSG(feed_ring, .from = r->hash.blob.bytes);

	if (!r->hash.lost || r->next < 0)
		return HASH_IDLE;
	ring_close(&r->rings.feed);
	r->rings.feed = RING_CLOSED;
	chan_release(&r->fetch);
	if (chan_init(&r->fetch, fd_steal(&r->next), CH_hash_fetch, ROOM_HASH,
		ROOM_FETCH) < 0 ||
	    offer(&r->fetch, &feed, &r->rings.feed, RING_CONSUMER, RING_BLOB) < 0)
		return HASH_IDLE;
	r->hash.lost = false;
	return HASH_MOVED;
}

/* Not ahead of the need, which might be none: the answer can be the end of the pull. */
static int
ask_grant(struct layer *r, struct err *err)
{
	struct ipc_msg m = IPC_MSG(hash_more, .uncompressed = r->hash.tree.bytes);

	if (r->asked || !r->hash.dry)
		return 0;
	r->asked = true;
	int e = chan_send_wait(&r->store, &m, SEND_MS);
	return e < 0 ? err_errno(err, -e, "asking for space") : 0;
}

/* Never less than before, nor without a question. */
static int
take_grant(struct layer *r, uint64_t granted)
{
	if (!r->asked || granted <= r->hash.granted || granted > r->plan.max_bytes)
		return VIOLATED;
	r->asked = false;
	hash_grant(&r->hash, granted);
	return 0;
}

/* What the store, or the supervisor, says while a layer moves: a grant, another fetcher,
 * or "stop". */
static int
said(struct layer *r, struct ipc_msg *m)
{
	switch (m->type) {
	case MSG_hash_grant:
		return take_grant(r, m->hash_grant.granted);
	case MSG_peer:
		return take_next(r, m);
	case MSG_stop:
		return LEFT;
	default:
		return VIOLATED;
	}
}

static int
interrupted(struct layer *r, const struct pollfd extra[2])
{
	struct ipc_msg m;
	const char *why;

	for (int i = 0; i < 2; i++) {
		struct chan *c = i == 0 ? r->control : &r->store;
		if (extra[i].revents == 0)
			continue;
		int e = chan_recv(c, &m, &why);
		if (e == CHAN_EMPTY)
			continue;
		if (e != 0)
			return e == CHAN_CLOSED ? LEFT : VIOLATED;
		e = said(r, &m);
		ipc_msg_release(&m);
		if (e != 0)
			return e;
	}
	return 0;
}

/* Before the first byte the fetcher may still be asking for leave; who asked for the
 * layer ends that wait. After it, bells without bytes do not prolong the deadline. */
static int
nap(struct layer *r, struct err *err)
{
	struct ring *waits[2] = {NULL};
	size_t n = hash_waits(&r->hash, waits);
	struct pollfd extra[] = {{.fd = r->control->fd, .events = POLLIN},
	    {.fd = r->store.fd, .events = POLLIN}};
	int timeout = -1;

	if (r->hash.blob.bytes > 0) {
		uint64_t gone = now_ms() - r->moved_at,
			 most = (uint64_t)r->stall_seconds * 1000;
		if (gone >= most)
			return err_set(err, ERR_DEADLINE,
			    "no byte of the layer moved for %u s: %s is stuck",
			    r->stall_seconds,
			    r->asked ? "the grant of space for it"
			    : r->hash.lost || (waits[0] == &r->rings.feed &&
						  waits[n - 1] != &r->rings.tar)
				? "the registry or its fetcher"
				: "unpacking it");
		timeout = (int)(most - gone);
	}
	int e = ring_wait(waits, n, extra, ARRAY_LEN(extra), timeout);
	if (e < 0 && e != -ETIMEDOUT)
		return err_errno(err, -e, "waiting for bytes");
	return interrupted(r, extra);
}

static int
move(struct layer *r, struct err *err)
{
	r->moved_at = r->told_at = now_ms();
	for (;;) {
		int e = hash_step(&r->hash, err);
		if (e == HASH_IDLE)
			e = switch_feed(r);
		if (e >= 0 && ask_grant(r, err) < 0)
			e = -EPIPE;
		if (e < 0)
			return e;
		if (e == HASH_DONE)
			return 0;
		if (e == HASH_MOVED) {
			r->moved_at = now_ms();
			tell_progress(r);
			continue;
		}
		e = nap(r, err);
		if (e != 0)
			return e;
	}
}

/* When inflate gave up, it has said why before it did. It can blame nothing but its
 * layer. */
static void
ask_inflate(struct layer *r, struct err *err)
{
	struct ipc_msg m;
	const char *why;

	if (err->code != ERR_INTERNAL || r->inflate.fd < 0 ||
	    chan_recv(&r->inflate, &m, &why) != 0)
		return;
	if (m.type == MSG_inflate_failed) {
		err->code =
		    m.inflate_failed.code == ERR_INTERNAL ? ERR_INTERNAL : ERR_CONTENT;
		if (!span_to_str(m.inflate_failed.text, err->text, sizeof(err->text)))
			err->code = ERR_INTERNAL;
	}
	ipc_msg_release(&m);
}

static int
tell_failure(struct layer *r, struct err *err)
{
	ask_inflate(r, err);
	struct ipc_msg m = IPC_MSG(
	    hash_failed, .code = (uint64_t)err->code, .text = span_str(err->text));
	int e = chan_send_wait(&r->store, &m, SEND_MS);
	(void)e; /* the exit code says it too */
	return HASH_EXIT_FAILED;
}

static int
tell_result(struct layer *r, struct err *err)
{
	struct hash_result out;
	int e = hash_end(&r->hash, &out);

	if (e < 0) {
		err_errno(err, -e, "hashing");
		return tell_failure(r, err);
	}
	struct ipc_msg m = IPC_MSG(hashed, .size = out.size, .diff_size = out.diff_size);
	memcpy(m.hashed.digest, out.digest, DIGEST_LEN);
	memcpy(m.hashed.diff_id, out.diff_id, DIGEST_LEN);
	return chan_send_wait(&r->store, &m, SEND_MS) < 0 ? HASH_EXIT_FAILED
							  : HASH_EXIT_DONE;
}

static int
run(struct layer *r)
{
	struct err err = {0};
	int e = set_up(r);

	if (e != 0)
		return e == LEFT ? HASH_EXIT_FAILED : HASH_EXIT_PROTOCOL;
	e = offer_rings(r, &err);
	if (e < 0)
		return tell_failure(r, &err);
	e = move(r, &err);
	if (e == 0)
		return tell_result(r, &err);
	hash_abort(&r->hash);
	if (e > 0)
		return e == LEFT ? HASH_EXIT_FAILED : HASH_EXIT_PROTOCOL;
	return tell_failure(r, &err);
}

int
hash_room(struct chan *control, unsigned stall_seconds)
{
	struct layer r = {.control = control,
	    .stall_seconds = stall_seconds,
	    .store.fd = -1,
	    .fetch.fd = -1,
	    .inflate.fd = -1,
	    .apply.fd = -1,
	    .next = -1,
	    .rings = {RING_CLOSED, RING_CLOSED, RING_CLOSED, RING_CLOSED}};
	struct chan *chans[] = {&r.store, &r.fetch, &r.inflate, &r.apply};
	struct ring *rings[] = {
	    &r.rings.feed, &r.rings.squeezed, &r.rings.expanded, &r.rings.tar};
	control->phase = IPC_RUN; /* no set-up message for this room */
	int code = run(&r);

	hash_release(&r.hash);
	for (size_t i = 0; i < ARRAY_LEN(chans); i++)
		chan_release(chans[i]);
	for (size_t i = 0; i < ARRAY_LEN(rings); i++)
		ring_close(rings[i]);
	fd_close(&r.next);
	return code;
}
