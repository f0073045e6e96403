/* A frontend with scripted neighbours at real channels: the test plays commands, store,
 * supervisor and fetchers. */
#ifndef BULKHEAD_TESTS_CORE_WORLD_H
#define BULKHEAD_TESTS_CORE_WORLD_H

#include "frontend/client.h"
#include "frontend/pull.h"
#include "frontend/query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct world {
	struct frontend f;
	struct chan store, supervisor;
	struct chan commands[4], fetcher[4];
	struct ipc_msg last;
};

struct world *world_new(const char *policy_problem);
void world_free(struct world *w);

/* Lets the frontend handle all that was sent, and `ms` pass. */
void settle(struct world *w, unsigned ms);

void send_from(struct world *w, struct chan *c, struct ipc_msg *m);
struct ipc_msg *expect(struct world *w, struct chan *c, enum ipc_type type);
void expect_silence(struct world *w, struct chan *c);

/* Opens command n; with or without its hello. */
struct chan *command_open(struct world *w, unsigned n, bool hello);

/* A new store, or the first. */
void store_open(struct world *w);

/* The supervisor grants fetcher `id` as number n. */
void grant_fetcher(struct world *w, unsigned n, uint64_t pull, uint64_t id);

#endif
