/* One blob, in order, over one connection or several.
 *
 * With a width above one the first request asks for the first piece alone. A server that
 * answers with that part is asked for the next pieces over further connections at the
 * same time; what comes early waits in memory, at most width - 1 pieces of SPREAD_PIECE.
 * One that answers with the whole blob is read to its end, and one that will not serve
 * several connections is asked for one piece after the other. */
#ifndef BULKHEAD_FETCH_SPREAD_H
#define BULKHEAD_FETCH_SPREAD_H

#include "worker-fetch/fetch/transfer.h"

#define SPREAD_PIECE MiB(2)

struct spread;

/* rq: TRANSFER_STREAM from rq->from to the end; sink and done as for a transfer, but done
 * may also be called from spread_step. Strings need not outlive the call. NULL when
 * memory is short or the target is no path. */
struct spread *spread_start(
    struct transfer_engine *en, const struct transfer_request *rq, unsigned width);

/* Once a round, outside of transfer_engine_poll: passes on what waits and asks for more.
 * After done only spread_free is left. */
void spread_step(struct spread *s);

/* The sink has room again. */
void spread_resume(struct spread *s);

/* Ends it without calling done. NULL is fine. */
void spread_free(struct spread *s);

#endif
