/* One verdict: (name, manifest digest), by the policy that is in force. */
#ifndef BULKHEAD_STORE_JUDGE_H
#define BULKHEAD_STORE_JUDGE_H

#include "worker-store/store/keeper.h"

struct judge {
	struct helper helper;
	const char *name; /* the owner's */
	uint8_t digest[DIGEST_BYTES];
	uint8_t policy[32]; /* by which it was accepted */
	bool have;
	bool stale;	/* the verdict was by a policy that is in force no longer */
	unsigned tries; /* rooms asked: a reload may come between question and answer */
	struct err e;	/* why not */
	/* Once. e is NULL: accepted. */
	void (*decided)(struct judge *j, const struct err *e);
	void *arg;
};

void judge_start(struct keeper *room, struct judge *j, uint64_t pull);

/* Whether what was accepted still counts: false after a reload with another policy. Start
 * over then. */
bool judge_is_current(const struct keeper *room, const struct judge *j);

#endif
