#include "worker-fetch/fetch/feed.h"

#include <errno.h>

int
feed_connect(struct feed *f, int fd)
{
	int r = chan_init(&f->chan, fd, CH_hash_fetch, ROOM_FETCH, ROOM_HASH);

	if (r == 0)
		f->state = FEED_OPENING;
	return r;
}

int
feed_open(struct feed *f)
{
	struct ipc_msg m;
	const char *why;
	int r = chan_recv(&f->chan, &m, &why);

	if (r == CHAN_EMPTY)
		return r;
	if (r != 0 || m.type != MSG_feed_ring) {
		if (r == 0)
			ipc_msg_release(&m);
		return -EPROTO;
	}
	f->ring = RING_CLOSED;
	f->from = m.feed_ring.from;
	r = ring_attach(&f->ring, RING_PRODUCER, RING_BLOB, m.fds);
	ipc_msg_release(&m);
	if (r == 0)
		f->state = FEED_OPEN;
	return r;
}

static void
publish(struct feed *f)
{
	if (f->filled)
		ring_publish(&f->ring, f->filled);
	f->slot = NULL;
	f->filled = 0;
}

int
feed_put(struct feed *f, struct span bytes)
{
	if (f->state != FEED_OPEN)
		return 1;
	if (f->slot && f->filled + bytes.n > f->ring.geometry.slot_size)
		publish(f);
	if (!f->slot) {
		int r = ring_reserve(&f->ring, &f->slot);
		if (r < 0) {
			f->slot = NULL;
			return r == -EAGAIN ? 1 : r;
		}
	}
	if (bytes.n > f->ring.geometry.slot_size)
		return -EMSGSIZE;
	memcpy(f->slot + f->filled, bytes.p, bytes.n);
	f->filled += bytes.n;
	/* A full slot leaves at once: its reader may be waiting. */
	if (f->filled == f->ring.geometry.slot_size)
		publish(f);
	return 0;
}

void
feed_finish(struct feed *f, int how)
{
	if (f->state != FEED_OPEN)
		return;
	publish(f);
	ring_finish(&f->ring, how);
	f->state = FEED_ENDED;
}

void
feed_release(struct feed *f)
{
	if (f->state >= FEED_OPEN)
		ring_close(&f->ring);
	if (f->state >= FEED_OPENING)
		chan_release(&f->chan);
	f->state = FEED_IDLE;
	f->slot = NULL;
}
