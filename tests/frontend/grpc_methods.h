/* A server with methods of its own, under "/test.T/": Echo; Big and Stream answer as many
 * bytes or chunks as the request says in digits; Fail fails with the request as its text;
 * Wait is left to the test. */
#ifndef BULKHEAD_TESTS_GRPC_METHODS_H
#define BULKHEAD_TESTS_GRPC_METHODS_H

#include "frontend/grpc.h"

struct world {
	struct frontend f; /* first */
	struct call *waiting[300];
	size_t waiting_n;
	struct blob *chunk; /* what Stream sends */
	unsigned started, cancelled, idle;
	unsigned ended[17]; /* calls by status, as counted for the metrics */
	void (*on_cancel)(struct call *c);
	struct loop_timer tick;
};

/* On zeroed memory. Aborts when it cannot. */
void world_init(struct world *w);

/* Takes the call that has waited longest, more or less, out of w->waiting. */
struct call *world_take(struct world *w);

#endif
