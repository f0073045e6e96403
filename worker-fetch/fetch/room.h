/* The fetcher behind its channels: one origin of one pull. main.c gives it the sandbox,
 * the tests give it socket pairs. */
#ifndef BULKHEAD_FETCH_ROOM_H
#define BULKHEAD_FETCH_ROOM_H

#include "common/ipc/control.h"
#include "worker-fetch/fetch/transfer.h"

/* What the process exits with. */
enum { FETCH_EXIT_DONE = 0, FETCH_EXIT_FAILED = 1, FETCH_EXIT_PROTOCOL = 2 };

/* Serves until a neighbour that it lives for has gone. The control channel has said
 * HELLO; the engine is new. Returns the exit code. */
int fetch_room(struct chan *control, struct transfer_engine *engine);

#endif
