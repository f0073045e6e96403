/* Whether tree and tar-split of one layer still give the bytes that its DiffID names: an
 * apply room puts them together, a hash room that parses nothing hashes them. The apply
 * room reads what the layer's maker wrote, and may be owned by it: it can have its own
 * layer found damaged, and never damaged bytes found whole. */
#ifndef BULKHEAD_STORE_DEEP_H
#define BULKHEAD_STORE_DEEP_H

#include "worker-store/store/keeper.h"

enum deep_verdict {
	DEEP_SAME,
	DEEP_UNLIKE,  /* why */
	DEEP_UNKNOWN, /* it could not be found out: why */
	DEEP_BROKEN,  /* likewise, because a room did not do as it has to, or nothing */
	DEEP_NOTHING, /* tree or tar-split are not there at all, as a quick check tells */
};

/* Embedded in its owner, who sets the first four. */
struct deep {
	/* Once, from the loop. */
	void (*done)(struct deep *d, enum deep_verdict v, const char *why);
	/* Bytes so far; may come never. */
	void (*moved)(struct deep *d, uint64_t bytes);
	void *arg;
	struct keeper *room;
	/* private */
	struct helper hash, apply;
	struct loop_timer soon, span;
	uint64_t pull, size;
	bool shifted;	      /* the tree's owners */
	uint64_t bytes, seen; /* of them hashed by now, and when the span began */
	uint8_t diff_id[DIGEST_BYTES];
	int diff, split;
	uint64_t inode;
	bool busy, hashed, fits, answered, verified, broken;
	struct err why;
};

/* layer: its record, not kept; diff_id and diff_size as inspect_verifiable() gave them.
 * The result comes through `done`, never from inside this call. */
void deep_begin(struct deep *d, const struct record *layer,
    const uint8_t diff_id[DIGEST_BYTES], uint64_t diff_size);

/* Ends it; nothing follows. Harmless when nothing runs. */
void deep_end(struct deep *d);

/* Whether the layer's tree is still the one that was looked at. */
bool deep_is_of(const struct deep *d, struct span id);

#endif
