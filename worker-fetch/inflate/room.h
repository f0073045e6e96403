/* The inflate room behind its channels: what main.c runs in the sandbox, and tests run
 * without. */
#ifndef BULKHEAD_INFLATE_ROOM_H
#define BULKHEAD_INFLATE_ROOM_H

#include "common/ipc/control.h"

enum { INFLATE_EXIT_DONE = 0, INFLATE_EXIT_FAILED = 1, INFLATE_EXIT_PROTOCOL = 2 };

/* Takes its one peer from the control channel, both rings from it, and inflates. When the
 * stream is refused, hash is told why before the ring is aborted. Returns the exit code.
 */
int inflate_room(struct chan *control);

#endif
