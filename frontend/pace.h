/* How fast a pull's bytes come, and since when none came. */
#ifndef BULKHEAD_FRONTEND_PACE_H
#define BULKHEAD_FRONTEND_PACE_H

#include "common/base/loop.h"

struct pull;

struct pace {
	struct loop_timer timer;
	uint64_t moved_at;	    /* loop_now() */
	uint64_t bytes;		    /* of all bodies, since the pull began */
	uint64_t sample_at, sample; /* for the rate: bytes at that time */
	uint64_t rate;		    /* bytes a second */
};

/* A fetcher told of a body: `more` bytes came (0: they would, but nobody takes them). */
void pace_moved(struct pull *p, uint64_t more);

/* Bytes a second lately. */
uint64_t pace_rate(const struct pull *p, uint64_t now);

void pace_stop(struct pull *p);

#endif
