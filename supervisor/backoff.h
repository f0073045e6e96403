/* How long to wait before a room that ended is started again. */
#ifndef BULKHEAD_SUPERVISOR_BACKOFF_H
#define BULKHEAD_SUPERVISOR_BACKOFF_H

#include <stdint.h>

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS 10000
#define BACKOFF_RESET_MS 60000 /* one that lived so long begins anew */

struct backoff {
	uint64_t last; /* milliseconds waited last; 0 = never */
};

/* Milliseconds to wait now; lived: how long the one that ended did. */
uint64_t backoff_next(struct backoff *b, uint64_t lived);

#endif
