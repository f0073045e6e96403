/* Landlock rules. ABI 2 is the floor; rights that a newer one knows are refused as well.
 */
#ifndef BULKHEAD_SANDBOX_LANDLOCK_H
#define BULKHEAD_SANDBOX_LANDLOCK_H

#include "policy/sandbox/profile.h"

/* Confines this process for good. no_new_privs must be set. abi: 2 and up (0: does
 * nothing). Paths are those of the room's new root; the store's rules hang on
 * SANDBOX_FD_STORE_GRAPH and SANDBOX_FD_STORE_RUN. 0, or negative with *e. */
int landlock_enter(enum profile_landlock kind, int abi, struct err *e) MUST_CHECK;

/* What a kind leaves, for people: "no file, no TCP". */
const char *landlock_text(enum profile_landlock kind);

/* The parts of the graph root that the store may write, and those that it may read. */
extern const char *const landlock_store_writes[];
extern const char *const landlock_store_reads[];

#endif
