/* One CRI call while it waits: for the first word of the store, for an answer of the
 * store, for a pull. Shared by the methods; the contract with the transport is call.h. */
#ifndef BULKHEAD_FRONTEND_CRI_H
#define BULKHEAD_FRONTEND_CRI_H

#include "frontend/cache.h"
#include "frontend/pull.h"
#include "frontend/query.h"

struct op {
	struct call *call;
	struct frontend *f;
	enum cri_kind kind;
	bool verbose;
	char ref[LIMIT_NAME + 1]; /* as the client wrote it */
	uint8_t id[32];		  /* the image it means, once found */
	uint8_t *info;		  /* verbose: JSON text */
	size_t info_n;
	void (*run)(struct op *op); /* once the cache is ready */
	struct cache_waiter cache;
	struct loop_timer patience;
	struct query *query;
	struct waiter pull;
};

/* Decodes the request. NULL: the call is finished with the reason. The caller frees the
 * request. */
struct op *op_new(
    struct call *c, enum cri_kind kind, struct span bytes, struct cri_request *request);

/* Runs op->run now, or when the cache is ready. */
void op_when_ready(struct op *op, void (*run)(struct op *op));

/* The ends of a call; op is freed. op_answer takes the blob's reference over; NULL means
 * that memory was short. */
void op_answer(struct op *op, struct blob *b);
void op_fail(struct op *op, enum err_class code, struct span text);
void op_fail_err(struct op *op, const struct err *e);

/* A question to the store: op->query, with these callbacks. NULL: op is finished. */
struct query *op_query(struct op *op, void (*row)(struct query *, struct ipc_msg *),
    void (*done)(struct query *, enum err_class, struct span));

/* PullImage (cri_pull.c). */
void cri_pull_image(struct call *c, struct span bytes);

#endif
