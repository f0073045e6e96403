/* One leg of the hash room: bytes from one ring to the next, hashed and counted on the
 * way.
 *
 * The neighbour may still write the slot that is read. So the bytes are copied first,
 * into the slot that only this room writes; what is hashed is that copy; and it is
 * published after it was hashed. */
#ifndef BULKHEAD_HASH_LEG_H
#define BULKHEAD_HASH_LEG_H

#include "common/base/err.h"
#include "common/ipc/ring.h"
#include "worker-fetch/hash/digest.h"

struct leg {
	struct ring *in, *out; /* out NULL: what was hashed is dropped */
	const char *from, *to; /* the neighbours, for messages */
	struct digest digest;
	uint64_t bytes; /* published so far */
	uint64_t limit; /* most bytes it may ever publish; its owner may raise it */
	bool patient;	/* a neighbour `from` that gives up or dies may be followed by
			   another */
	bool ended;
};

enum { LEG_IDLE = 0, LEG_MOVED = 1, LEG_ENDED = 2, LEG_OVER = 3, LEG_LOST = 4 };

/* 0 or -ENOMEM. The rings stay the caller's; out may be NULL. */
int leg_init(struct leg *l, struct ring *in, struct ring *out) MUST_CHECK;
void leg_release(struct leg *l);

/* Moves at most one slot of the outgoing ring, without waiting. LEG_MOVED; LEG_IDLE: see
 * leg_waits; LEG_ENDED: everything moved and the end passed on (again at each further
 * call); LEG_OVER: the next byte would be the (limit + 1)th, and it was not passed on;
 * LEG_LOST: a patient leg's neighbour `from` is gone, what came of it stands; or negative
 * with *e: a neighbour gave up, died or lied. */
int leg_step(struct leg *l, struct err *e) MUST_CHECK;

/* The ring that an idle leg waits for. */
struct ring *leg_waits(struct leg *l);

#endif
