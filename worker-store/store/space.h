/* The account of the space that pulls may still take, so that no two of them count on the
 * same bytes. What is reserved and not used yet is taken off what the file system says is
 * free; what is used, it has taken off itself. So what other programs write is seen, and
 * no error adds up. Pure.
 *
 * Nobody knows before what a layer unpacks to. It begins with SPACE_FACTOR times its
 * compressed size and an inode for each SPACE_AN_INODE of that, and more is reserved in
 * steps, before the applier gets further. Beyond what is certain to be needed nothing
 * takes more than half of what is left: so the large leave the small a place, and the
 * last in line is refused, not the first to be small.
 *
 * Bytes are those of the tar, as the layer's hash room counts them: it lets no more pass.
 * The applier says how many entries it made, and as no entry is smaller than a tar
 * block, what hash lets pass bounds what it can ask for. An inode that was not expected
 * brings a block of the file system with it. */
#ifndef BULKHEAD_STORE_SPACE_H
#define BULKHEAD_STORE_SPACE_H

#include "common/base/err.h"
#include "common/base/limits.h"

#define SPACE_FACTOR 3
#define SPACE_AN_INODE KiB(8)
#define SPACE_LEAST KiB(256)	/* asked for at first, of a compressed layer */
#define SPACE_STEP MiB(256)	/* most bytes that are granted at once later on */
#define SPACE_STEP_LEAST MiB(1) /* fewest */
#define SPACE_INODES 16		/* of a layer, whatever is in it; fewest at once */
#define SPACE_INODES_STEP 65536u
#define SPACE_ENTRY 512 /* bytes that an entry of a tar takes at least */

/* Of the file system, now. */
struct space_free {
	uint64_t bytes, inodes; /* inodes UINT64_MAX: it does not count them */
	uint64_t block;
};

/* One layer's part. The caller sets the first two. */
struct space_claim {
	uint64_t size; /* of the blob */
	uint64_t most; /* bytes that it may ever have: `size` if it is not compressed */
	bool done;     /* it takes nothing more */
	uint64_t bytes, bytes_used;
	uint64_t inodes, inodes_used;
	uint64_t block; /* that each inode not used yet brings along; 0 at first */
};

struct space_pull {
	struct space_claim of[LIMIT_LAYERS];
	size_t n; /* those that take part; the rest is zero */
};

/* Reserved and not used yet, of all pulls. */
struct space {
	uint64_t bytes, inodes;
};

/* Reserves for all layers of a pull that has nothing yet, but for those that are done:
 * all or nothing. 0, or -ENOSPC with e. */
int space_begin(struct space *s, const struct space_free *f, struct space_pull *p,
    struct err *e) MUST_CHECK;

/* More for the i-th of them: 0, -ENOSPC with e and nothing changed, or -EPROTO: it has
 * all that it may have. */
int space_more_bytes(struct space *s, const struct space_free *f, struct space_pull *p,
    size_t i, struct err *e) MUST_CHECK;
/* All inodes that it had are used. */
int space_more_inodes(struct space *s, const struct space_free *f, struct space_pull *p,
    size_t i, struct err *e) MUST_CHECK;

/* The layer has this many bytes by now. */
void space_used(struct space *s, struct space_claim *c, uint64_t bytes);

/* It is all there: what it did not use is free for others. */
void space_done(struct space *s, struct space_claim *c, uint64_t bytes, uint64_t inodes);

/* The pull is over, or begins anew: it has nothing reserved. */
void space_return(struct space *s, struct space_pull *p);

#endif
