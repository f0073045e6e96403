/* A uid for each living room. Blocks of 64 are claimed by a lock on a file for as long as
 * the supervisor lives, so that a daemon and embedded commands never share one. */
#ifndef BULKHEAD_SANDBOX_UIDS_H
#define BULKHEAD_SANDBOX_UIDS_H

#include "common/base/err.h"

#include <sys/types.h>

#define UIDS_BASE 1879113728u
#define UIDS_BLOCK 64u	/* ids of one block */
#define UIDS_BLOCKS 64u /* blocks from uid_base on */
#define UIDS_CLAIMS 4u	/* blocks one supervisor may hold */

struct uids {
	uid_t base;
	int dir; /* of the lock files */
	unsigned nblocks;
	struct uids_block {
		int lock;
		unsigned number;
		unsigned next; /* where to look first: a uid just freed comes last */
		uint64_t used;
	} block[UIDS_CLAIMS];
};

/* Claims a first block under `dir` (made when missing, 0700). 0, or negative with *e. */
int uids_init(struct uids *u, const char *dir, uid_t base, struct err *e) MUST_CHECK;
void uids_release(struct uids *u);

/* A uid (and gid) that no living room has; claims another block when this one is used up.
 * 0, or negative with *e. */
int uids_take(struct uids *u, uid_t *uid, struct err *e) MUST_CHECK;

/* Only after the room has been reaped. */
void uids_give(struct uids *u, uid_t uid);

#endif
