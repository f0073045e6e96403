/* One layer on disk: its directory, its short link, its tar-split file; and its record.
 */
#ifndef BULKHEAD_STORE_LAYER_H
#define BULKHEAD_STORE_LAYER_H

#include "worker-store/store/store.h"

#define LOWERS_MAX 128 /* entries of `lower` that storage 1.43 can mount */

/* Publishes a staged tree as overlay/<id>, on top of a published parent (NULL = base
 * layer): mode, owner and ACL of `diff` reset, link, lower, work, merged, empty made, all
 * synced, renamed. A leftover of that name goes to the trash first. On error nothing
 * stays under the name. */
int layer_place(struct store *s, const char *id, const char *parent, struct staged *l,
    struct err *e) MUST_CHECK;

/* The same in the place of a layer that is there and damaged: the trees change places in
 * one step, its short link stays what the layers above call it by. l holds the damaged
 * one afterwards. */
int layer_swap(struct store *s, const char *id, const char *parent,
    const struct table *layers, struct staged *l, struct err *e) MUST_CHECK;

/* Makes the short link, the link file and `lower` of a layer that is there again, from
 * whatever of them is left and from the layers above and below. 1 when one of them was
 * not as it should be, 0, negative. `layers`: where the layers above are looked for. */
int layer_redress(struct store *s, const char *id, const char *parent,
    const struct table *layers, struct err *e) MUST_CHECK;

/* Moves all that belongs to a layer on disk into the trash. Missing parts are no error.
 * 0, -errno
 */
int layer_unplace(struct store *s, const char *id) MUST_CHECK;

/* Whether overlay/<id> holds a diff and a good link. */
bool layer_on_disk(const struct store *s, const char *id);

/* The record of a new layer. */
void layer_record(struct buf *out, const char *id, const char *parent,
    const struct commit_layer *l, const struct access *a);

/* Whether the flags hold a proof of access for this puller. */
bool access_has(struct span flags, const struct access *a);

/* The flags (an object, or empty) with one more proof; the oldest goes when there are
 * LIMIT_ACCESS_PROOFS. */
void access_add(struct buf *out, struct span flags, const struct access *a);

/* Deletes what a dead process left half made: records with flags.incomplete, their trees
 * to the trash (layers.lock is held, so nobody is at work on them). Saves if it found
 * any. */
int layers_recover(struct store *s, struct table *layers, struct table *mounts,
    int lock_fd, struct err *e) MUST_CHECK;

/* How often the layer is mounted. */
int64_t mount_count(struct table *mounts, struct span id);

#endif
