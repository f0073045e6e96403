/* What all pulls of this node know of origins: who failed lately, so that another
 * endpoint is asked instead, and who asked to be left alone for a while (429 and
 * Retry-After). Times are loop_now()'s, so that no change of the clock matters. Pure. */
#ifndef BULKHEAD_FRONTEND_HEALTH_H
#define BULKHEAD_FRONTEND_HEALTH_H

#include "common/ref/url.h"

#define HEALTH_FIRST_MS 5000   /* after one failure; twice that after the next, ... */
#define HEALTH_MOST_MS 300000  /* ... at most */
#define HEALTH_WRONG_MS 600000 /* after bytes that were not those asked for */

struct origin_health {
	char origin[LIMIT_HOST + 32]; /* "" = free */
	unsigned failures;	      /* in a row */
	uint64_t bad_until, paused_until;
};

/* The origins of the last troubles; all zero = none. */
struct health {
	struct origin_health rows[LIMIT_ORIGINS];
};

/* It did not answer as a registry that works does: it is passed over for a while. */
void health_failed(struct health *h, const struct url *origin, uint64_t now);

/* It sent bytes that were not those asked for. */
void health_wrong(struct health *h, const struct url *origin, uint64_t now);

/* It answered. */
void health_good(struct health *h, const struct url *origin);

bool health_is_bad(const struct health *h, const struct url *origin, uint64_t now);

/* Nobody asks it anything for so many milliseconds. */
void health_pause(struct health *h, const struct url *origin, uint64_t ms, uint64_t now);

/* Milliseconds that are left of it; 0: it may be asked. */
uint64_t health_pause_left(
    const struct health *h, const struct url *origin, uint64_t now);

#endif
