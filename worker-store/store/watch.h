/* The frontend's cache, kept current: after `watch` it is told every image record, then
 * every difference. What others change in the store is seen by the files' identity and
 * the last-writer tokens, once a second, and at once when inotify hints at it. Nothing
 * here takes a lock or waits for one. */
#ifndef BULKHEAD_STORE_WATCH_H
#define BULKHEAD_STORE_WATCH_H

#include "worker-store/store/keeper.h"
#include "worker-store/store/rows.h"

/* Makes the inotify descriptor, before the sandbox: afterwards it is only read. graph:
 * the graph root. -1 where the kernel has none to give: the look once a second is enough.
 */
int watch_prepare(int graph);

/* The frontend said `watch`: all records, now or as soon as they can be read; from then
 * on the differences. Once more = all of it again. */
void watch_start(struct keeper *room);

bool watch_is_on(const struct keeper *room);

/* Tells the differences now, before the answer of whatever made them is sent. Does
 * nothing unless watched. */
void watch_changed(struct keeper *room);

/* The summary of this image has just been written: the same for it alone, and cheaper. */
void watch_described(struct keeper *room, const uint8_t id[32]);

/* It cannot be described as long as its record stays (key: rows_key of that): nobody
 * tries again unasked. */
void watch_failed(struct keeper *room, const uint8_t id[32], uint64_t key);

/* The next image that was told without a description and may get one. *at: 0 to begin
 * with; false at the end. */
bool watch_undescribed(struct keeper *room, size_t *at, uint8_t id[32]);

/* The frontend is gone: nothing is told any more. */
void watch_stop(struct keeper *room);

/* Frees all; the loop is still there. */
void watch_end(struct keeper *room);

/* The store's records as they are now: read again only if a file has changed since, kept
 * until they have not been asked for in two seconds. Valid until the caller returns to
 * the loop. Only to be read: who changes records loads a view of its own, under the
 * locks. NULL with e filled when they cannot be read. */
struct view *watch_view(struct keeper *room, struct err *e);
struct rows *watch_rows(struct keeper *room, struct err *e);

#endif
