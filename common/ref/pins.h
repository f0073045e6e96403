/* Which images the configuration exempts from removal: kubelet is told not to collect
 * them, and the store removes none. Pure. */
#ifndef BULKHEAD_REF_PINS_H
#define BULKHEAD_REF_PINS_H

#include "common/ref/ref.h"

struct pin;
struct pins {
	struct pin *pin;
	size_t n;
};

/* Patterns, a line each, empty lines ignored, at most LIMIT_PINS:
 *	name		exactly this one, with what a short name leaves out added
 *	begin*		whatever begins so
 *	*part*		whatever holds it
 * As in CRI-O, upper and lower case are the same. Others (a star elsewhere) are left out,
 * with the first reason in *e, which the caller zeroes. 0 or -ENOMEM. */
int pins_parse(struct span lines, struct pins *out, struct err *e) MUST_CHECK;

/* Safe on a zeroed or freed one. */
void pins_free(struct pins *p);

/* Whether a pattern matches the name, either as ref_print makes it or as people write it
 * (without docker.io/library/). */
bool pins_match(const struct pins *p, const struct ref *name);

#endif
