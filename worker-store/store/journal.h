/* What a process is about to change in more than one step, in its staging: should it die,
 * its successor brings that to an end. Lines of an op and an ID,
 *
 *   I <image>   the image's documents are about to be published, or removed
 *   L <layer>   a layer is: base first
 *
 * whatever has come of it. A torn last line means that nothing was done for it yet. */
#ifndef BULKHEAD_STORE_JOURNAL_H
#define BULKHEAD_STORE_JOURNAL_H

#include "worker-store/store/store.h"

#define JOURNAL_MAX MiB(1)

/* Adds the lines, on disk when the call returns. 0 or negative. */
int journal_write(struct store *s, const struct buf *text, struct err *e) MUST_CHECK;

/* The change is over. done false: it failed half way, and is brought to an end as a
 * successor would do it; should that fail too, its lines stay, for journal_redo. Under
 * HOLD_COMMIT. */
void journal_end(struct store *s, const struct hold *h, bool done);

/* Once more what of this process's own could not be brought to an end: before anything
 * else is looked at, under HOLD_COMMIT. Nothing, mostly. */
void journal_redo(struct store *s, const struct hold *h);

/* Settles a dead process's journal, under HOLD_COMMIT: an image without a record has no
 * documents and no summary, one with a record has no others than this names; a layer
 * without a record has nothing on disk, one that nothing needs has no record. v: the
 * records of now; *stale: they have changed since. out: what was done. 0 or negative. */
int journal_settle(struct store *s, const struct hold *h, struct view *v,
    struct span text, bool *stale, struct swept *out, struct err *e) MUST_CHECK;

#endif
