/* One layer's way out: small pieces from the network, gathered into the slots of a ring.
 */
#ifndef BULKHEAD_FETCH_FEED_H
#define BULKHEAD_FETCH_FEED_H

#include "common/ipc/chan.h"
#include "common/ipc/ring.h"

enum feed_state {
	FEED_IDLE,    /* nobody needs the ring yet */
	FEED_CLAIMED, /* asked for */
	FEED_OPENING, /* the channel of the hash room is here, the ring is not */
	FEED_OPEN,
	FEED_ENDED,
};

struct feed {
	enum feed_state state;
	struct chan chan; /* of FEED_OPENING and later */
	struct ring ring; /* of FEED_OPEN */
	uint64_t from;	  /* bytes of the layer that hash has from others */
	uint8_t *slot;	  /* reserved, or NULL */
	size_t filled;	  /* bytes in it */
};

/* Takes over the fd of the hash room's channel. 0 or negative. */
int feed_connect(struct feed *f, int fd) MUST_CHECK;

/* Looks for the ring on the channel. 0: open; CHAN_EMPTY: not yet; negative: never. */
int feed_open(struct feed *f) MUST_CHECK;

/* Takes all bytes (no more than a slot) and answers 0; 1: no room, nothing taken;
 * negative: the hash room is gone or lies. */
int feed_put(struct feed *f, struct span bytes) MUST_CHECK;

/* Hands over what is left and says how it ended: RING_ENDED or RING_ABORTED. */
void feed_finish(struct feed *f, int how);

void feed_release(struct feed *f);

#endif
