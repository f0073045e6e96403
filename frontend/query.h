/* A question to the store or the supervisor, answered by rows and one end. */
#ifndef BULKHEAD_FRONTEND_QUERY_H
#define BULKHEAD_FRONTEND_QUERY_H

#include "frontend/frontend.h"

struct query {
	struct query *next;
	uint64_t id;
	/* One answer that is not the last; may take m's fds, which are closed after the
	 * call otherwise. May be NULL. */
	void (*row)(struct query *q, struct ipc_msg *m);
	/* The last call; q is freed after it. When the store has gone, port_is_open
	 * (&f->store) is false in here: nothing is wrong with the question, ask again. */
	void (*done)(struct query *q, enum err_class code, struct span text);
	void *arg;
	bool of_supervisor; /* set it when asking through &f->control: needs no store */
	struct frontend *f;
};

/* NULL when memory is short. Set row, done and arg, then send a message with .req = q->id
 * through port_send(&f->store, ...) (or &f->control for `status`). With no store there it
 * ends soon, from the loop; never from inside this call. */
struct query *query_new(struct frontend *f);

/* The asker went: no callback any more, answers are dropped. q is freed. */
void query_forget(struct query *q);

/* Answers of the store and rows of the supervisor. One for a query that was forgotten is
 * dropped. Negative: it is no answer to a query, the sender broke the protocol. */
int query_answer(struct frontend *f, struct ipc_msg *m);

/* The store has gone: everything that waits for it ends (of_supervisor does not). */
void query_end_all(struct frontend *f, enum err_class code, const char *text);

#endif
