#include "frontend/cri.h"

#include "frontend/cri_error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void
op_free(struct op *op)
{
	cache_forget(op->f, &op->cache);
	loop_timer_clear(&op->f->loop, &op->patience);
	if (op->query)
		query_forget(op->query);
	pull_leave(&op->pull);
	free(op->info);
	free(op);
}

static void
op_cancelled(struct call *c)
{
	op_free(c->state);
}

static void
op_end(struct op *op, enum grpc_code code, const char *text)
{
	struct call *c = op->call;

	op_free(op);
	call_finish(c, code, text);
}

void
op_answer(struct op *op, struct blob *b)
{
	if (!b) {
		op_end(op, GRPC_RESOURCE_EXHAUSTED,
		    "the answers that clients have not taken yet leave no memory for "
		    "this one");
		return;
	}
	call_send(op->call, b, 0, b->n);
	blob_unref(b);
	op_end(op, GRPC_OK, "");
}

void
op_fail(struct op *op, enum err_class class, struct span text)
{
	char said[CRI_ERROR_TEXT];
	enum grpc_code code = cri_error(class, text, said);

	/* Not the request's fault, and over as soon as the store has been restarted. */
	if (class == ERR_INTERNAL && !port_is_open(&op->f->store))
		code = GRPC_UNAVAILABLE;
	op_end(op, code, said);
}

void
op_fail_err(struct op *op, const struct err *e)
{
	op_fail(op, e->code, span_str(e->text));
}

static enum grpc_code
decode_code(int r)
{
	return r == -EINVAL   ? GRPC_INVALID_ARGUMENT
	       : r == -ENOMEM ? GRPC_RESOURCE_EXHAUSTED
			      : GRPC_INTERNAL; /* as gRPC's own libraries say it */
}

struct op *
op_new(struct call *c, enum cri_kind kind, struct span bytes, struct cri_request *request)
{
	const char *why = "";
	int r = cri_decode(kind, bytes, request, &why);

	if (r < 0) {
		call_finish(c, decode_code(r), why);
		return NULL;
	}
	struct op *op = calloc(1, sizeof(*op));
	if (!op) {
		call_finish(c, GRPC_RESOURCE_EXHAUSTED, "memory is short");
		return NULL;
	}
	op->call = c;
	op->f = c->f;
	op->kind = kind;
	op->verbose = request->verbose;
	c->state = op;
	c->cancelled = op_cancelled;
	if (!span_to_str(request->image, op->ref, sizeof(op->ref))) {
		op_fail(op, ERR_USAGE,
		    span_str("the image's reference is longer than a name can be"));
		return NULL;
	}
	return op;
}

static void
op_ready(struct cache_waiter *w)
{
	struct op *op = w->arg;

	loop_timer_clear(&op->f->loop, &op->patience);
	op->run(op);
}

static void
op_impatient(struct loop_timer *t)
{
	op_end(t->arg, GRPC_UNAVAILABLE,
	    "the store has not been read yet; the daemon's log says why");
}

void
op_when_ready(struct op *op, void (*run)(struct op *op))
{
	op->run = run;
	if (cache_ready(op->f)) {
		run(op);
		return;
	}
	op->cache.ready = op_ready;
	op->cache.arg = op;
	cache_wait(op->f, &op->cache);
	op->patience.fired = op_impatient;
	op->patience.arg = op;
	loop_timer_set(&op->f->loop, &op->patience, (uint64_t)LIMIT_CACHE_SECONDS * 1000);
}

struct query *
op_query(struct op *op, void (*row)(struct query *, struct ipc_msg *),
    void (*done)(struct query *, enum err_class, struct span))
{
	op->query = query_new(op->f);
	if (!op->query) {
		op_fail(op, ERR_INTERNAL, span_str("memory is short"));
		return NULL;
	}
	op->query->row = row;
	op->query->done = done;
	op->query->arg = op;
	return op->query;
}
