/* Layers that must be refused. The ids are those of the project's corpus of hostile tars.
 */
#ifndef BULKHEAD_TESTS_REFUSALS_H
#define BULKHEAD_TESTS_REFUSALS_H

#include "tests/apply/tarball.h"

struct refusal {
	const char *id, *why; /* why: part of the error's text */
	void (*make)(struct tarball *t);
	const char *name;
};

extern const struct refusal refusals[];
extern const size_t refusals_n;

#endif
