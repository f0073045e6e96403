/* Whose turn it is. So many may run at once, in all and of each namespace; the rest wait:
 * first come, first served within a namespace, and namespaces take turns. Pure. */
#ifndef BULKHEAD_FRONTEND_QUEUE_H
#define BULKHEAD_FRONTEND_QUEUE_H

#include "common/base/span.h"

#include <stdint.h>

/* A namespace that has anyone here. */
struct space;

/* One who waits or runs. Embed it. */
struct ticket {
	struct ticket *next;
	struct space *space; /* NULL: not in the queue */
	bool running;
	void *arg; /* the owner's */
};

struct queue {
	struct ticket *first; /* all, in the order they came */
	struct space *spaces;
	unsigned running, waiting;
	unsigned max, max_space; /* 0 = no limit */
	uint64_t turn;
};

/* At the end of its namespace's line. 0 or -ENOMEM. */
int queue_enter(struct queue *q, struct ticket *t, struct span space) MUST_CHECK;

/* The next that may run now; it counts as running. NULL: nobody may. */
struct ticket *queue_next(struct queue *q);

/* Done, or given up. Harmless when it is not in the queue. */
void queue_leave(struct queue *q, struct ticket *t);

/* How many of its own namespace wait before t, and how many of it run. */
struct queue_place {
	unsigned before, running;
};
struct queue_place queue_where(const struct queue *q, const struct ticket *t);

#endif
