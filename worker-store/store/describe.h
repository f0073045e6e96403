/* Images without a summary: their manifest and config are read from the store, hashed,
 * and parsed by a fresh document room each. Those that somebody waits for at once, the
 * others one after the other while no pull runs, seldom enough to be unnoticed. */
#ifndef BULKHEAD_STORE_DESCRIBE_H
#define BULKHEAD_STORE_DESCRIBE_H

#include "worker-store/store/keeper.h"

/* The frontend asks for one image. `done` follows the row: ERR_NOT_FOUND when the image
 * is gone, ERR_CONTENT when its documents are none; such an image is not tried again
 * until its record changes. */
void describe_image(struct keeper *room, const struct msg_describe *m);

/* The frontend watches: the others are described one by one, too. */
void describe_all(struct keeper *room);

/* The frontend is gone: nobody asks any more. */
void describe_stop(struct keeper *room);

/* Frees all; the loop is still there. */
void describe_end(struct keeper *room);

#endif
