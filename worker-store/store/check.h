/* `bulkhead check`: a look at everything the store's records say, without a lock and
 * without a change; deep, at every byte, too. In short steps, so that the room's other
 * work goes on; begun again when the records change meanwhile. Then, if wanted, what was
 * found is mended, under the locks. */
#ifndef BULKHEAD_STORE_CHECK_H
#define BULKHEAD_STORE_CHECK_H

#include "worker-store/store/keeper.h"
#include "worker-store/store/mend.h"

/* Answers with a check_row a finding, then done. */
void check_begin(struct keeper *room, const struct msg_check_store *m);

/* Ends it, with `done`. */
void check_cancel(struct keeper *room, uint64_t req);

/* A quick check of the images and layers alone that a dead store was about to publish,
 * and that have records: findings go to the log. ids: whole IDs; copied. */
void check_published(struct keeper *room, const char (*ids)[ID_HEX + 1], size_t n);

/* Ends those that run, without a word. */
void checks_end(struct keeper *room);

/* ---- what a pull is to put again ---- */

/* Whether a check has left it for a pull: the layer's or image's ID. */
bool check_wants(const struct keeper *room, const char *id);
/* It has been. */
void check_satisfied(struct keeper *room, const char *id);

#endif
