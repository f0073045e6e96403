/* `bulkhead check`: a quick look at everything the store's records say, without a lock
 * and without a change. In short steps, so that the room's other work goes on; begun
 * again when the records change meanwhile. */
#ifndef BULKHEAD_STORE_CHECK_H
#define BULKHEAD_STORE_CHECK_H

#include "worker-store/store/keeper.h"

/* Answers with a check_row a finding, then done. */
void check_begin(struct keeper *room, uint64_t req);

/* Ends those that run, without a word. */
void checks_end(struct keeper *room);

#endif
