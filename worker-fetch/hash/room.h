/* The hash room behind its channels: what main.c runs in the sandbox, and tests run
 * without. */
#ifndef BULKHEAD_HASH_ROOM_H
#define BULKHEAD_HASH_ROOM_H

#include "common/ipc/control.h"

enum { HASH_EXIT_DONE = 0, HASH_EXIT_FAILED = 1, HASH_EXIT_PROTOCOL = 2 };

/* Takes its peers from the control channel, one layer from the store, makes the rings,
 * moves the layer, and tells the store `hashed` or `hash_failed`. Returns the exit code.
 *
 * A hash_failed of ERR_INTERNAL may be the echo of a neighbour's failure (it gave up, or
 * died): the neighbour's own reason is the better one. What inflate says is passed on
 * from here. After the first byte, stall_seconds without another one end the layer with
 * ERR_DEADLINE. */
int hash_room(struct chan *control, unsigned stall_seconds);

#endif
