/* One verdict: (name, manifest digest), by the policy that is in force. */
#ifndef BULKHEAD_STORE_JUDGE_H
#define BULKHEAD_STORE_JUDGE_H

#include "worker-store/store/keeper.h"

struct judge {
	struct helper helper;
	const char *name; /* the owner's */
	uint8_t digest[DIGEST_BYTES];
	bool have;
	struct err e; /* why not */
	/* Once. e is NULL: accepted. */
	void (*decided)(struct judge *j, const struct err *e);
	void *arg;
};

void judge_start(struct keeper *room, struct judge *j, uint64_t pull);

#endif
