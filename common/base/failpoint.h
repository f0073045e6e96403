/* FAILPOINT(NAME), a row of failpoints.def: in a build with BULKHEAD_FAULTS a place at
 * which a test can hold the process; in any other nothing at all, not a byte.
 *
 * A room has no environment, no path and no descriptor to be told by, and no message of
 * the release build is to know of this. So a test puts a file "failpoints" beside the
 * programs, and each maps it before main(), while it still may. In it (struct failpoints)
 * lies the number of the point to stop at. Who gets there says so in the file and sleeps
 * until the file lets him go on: whom to kill meanwhile, himself or another, is the
 * test's business. A process cannot do it to itself, being the first of its pid
 * namespace. Without the file nothing happens. */
#ifndef BULKHEAD_BASE_FAILPOINT_H
#define BULKHEAD_BASE_FAILPOINT_H

#ifdef BULKHEAD_FAULTS

#include <stdint.h>

enum failpoint {
	FAILPOINT_NONE,
#define POINT(name, room, done) FAILPOINT_##name,
#include "common/base/failpoints.def"
#undef POINT
	FAILPOINT_N
};

#define FAILPOINT_MAGIC "bulkhead-failpoints:1"
struct failpoints {
	char magic[24];
	uint32_t points; /* FAILPOINT_N of who made the file */
	uint32_t armed;	 /* number of a point, 0 = none; cleared by who stops there */
	uint32_t skip;	 /* as often it is passed before */
	uint32_t state;	 /* 0; 1 = somebody stands at the point; 2 = he may go on */
	uint32_t hits[FAILPOINT_N];
};

void failpoint_reach(enum failpoint p);

/* For unit tests: called at each point. */
extern void (*failpoint_hook)(enum failpoint p);

#define FAILPOINT(name) failpoint_reach(FAILPOINT_##name)
#else
#define FAILPOINT(name) ((void)0)
#endif

#endif
