/* The one hash room of a layer, standing between fetch, inflate and apply: every digest
 * and length that is recorded for the layer is computed here, and nothing here parses a
 * byte.
 *
 *   compressed:    feed -> [SHA-256: blob] -> squeezed    expanded -> [SHA-256: DiffID]
 * -> tar uncompressed:  feed -> [SHA-256: both] -> tar
 *
 * A layer that is there already is only hashed: its tar goes nowhere.
 *
 * No leg ever waits for the other: whichever can move moves, or hash and inflate would
 * lock each other up. */
#ifndef BULKHEAD_HASH_HASH_H
#define BULKHEAD_HASH_HASH_H

#include "common/base/err.h"
#include "worker-fetch/hash/leg.h"

struct hash_plan {
	bool compressed;
	uint64_t size;	    /* of the blob, as the manifest says */
	uint64_t max_bytes; /* uncompressed, at most */
	bool discard;	    /* no applier: the ring `tar` is not used */
};

/* The rings of a layer, this room's sides; squeezed and expanded only with a compressed
 * one. */
struct hash_rings {
	struct ring feed;     /* fetch -> here */
	struct ring squeezed; /* here -> inflate */
	struct ring expanded; /* inflate -> here */
	struct ring tar;      /* here -> apply */
};

struct hash {
	struct hash_plan plan;
	struct hash_rings *rings;
	struct leg blob, tree; /* tree is unused without compression */
	uint64_t granted;      /* of max_bytes, so far; counts only with compression */
	bool dry;	       /* the tree stands still at what is granted */
	bool lost; /* the feed gave up or died; clear it when rings->feed is another */
};

struct hash_result {
	uint8_t digest[DIGEST_LEN];
	uint64_t size;
	uint8_t diff_id[DIGEST_LEN];
	uint64_t diff_size;
};

enum { HASH_IDLE = 0, HASH_MOVED = 1, HASH_DONE = 2 };

/* The rings stay the caller's and must outlive *h. 0 or -ENOMEM. */
int hash_init(
    struct hash *h, const struct hash_plan *plan, struct hash_rings *rings) MUST_CHECK;
void hash_release(struct hash *h);

/* Moves what can move now. HASH_MOVED, HASH_IDLE, HASH_DONE, or negative with *e; then
 * call hash_abort. A blob that is longer than planned, a tree beyond max_bytes or beyond
 * LIMIT_RATIO end here; a blob that is shorter does not: who asked compares. With a feed
 * that is lost the rest goes on; another may continue after the blob.bytes that came. */
int hash_step(struct hash *h, struct err *e) MUST_CHECK;

/* So much is granted from now on, in all; before the first call, max_bytes. */
void hash_grant(struct hash *h, uint64_t granted);

/* The rings that an idle room sleeps on; returns how many (0 to 2). */
size_t hash_waits(struct hash *h, struct ring *waits[2]);

/* After HASH_DONE, once. 0 or -EIO. */
int hash_end(struct hash *h, struct hash_result *out) MUST_CHECK;

/* Tells the neighbours downstream that the stream will not be whole. */
void hash_abort(struct hash *h);

/* Most uncompressed bytes for `size` compressed ones: max_bytes and the ratio rule. */
uint64_t hash_allowed(const struct hash_plan *plan, uint64_t size);

#endif
