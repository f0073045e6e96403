/* How long to wait before trying again: exponential, with full jitter, so that those who
 * failed together do not come back together. */
#ifndef BULKHEAD_BASE_JITTER_H
#define BULKHEAD_BASE_JITTER_H

#include <stdint.h>

/* Milliseconds before the next try, after `tries` (1 and up) have failed: anything from 0
 * to first << (tries - 1), or to `most` if that is less, as `random` has it. */
static inline uint64_t
jitter_ms(unsigned tries, uint64_t first, uint64_t most, uint64_t random)
{
	uint64_t top = most;

	if (tries && tries <= 32 && first << (tries - 1) < most)
		top = first << (tries - 1);
	return random % (top + 1);
}

/* Bits for it. */
uint64_t jitter_random(void);

#endif
