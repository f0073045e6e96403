/* Calls: a request's fields and bytes in, a method started, its messages and status out.
 */
#include "frontend/grpc.h"

#include "frontend/metrics.h"

#include <stdio.h>

enum rpc_state {
	RPC_FIELDS,   /* its fields are coming */
	RPC_BODY,     /* its message is coming */
	RPC_RUNNING,  /* its method has it */
	RPC_ANSWERED, /* has its status; the answer goes out */
};

/* One message of an answer on its way. */
struct piece {
	struct piece *next;
	struct blob *blob;
	size_t at, n;
	size_t sent; /* of prefix and bytes together */
};

/* One stream: a call from its first field on, until its last byte has gone. */
struct rpc {
	struct h2_stream stream; /* first */
	struct call call;
	struct conn *conn;
	struct rpc *next, **link;
	enum rpc_state state;
	bool post, is_grpc, timeout_set, timeout_bad;
	bool responded; /* the answer's fields are given to HTTP */
	uint64_t timeout;
	char path[128]; /* of no method; for the answer */
	struct grpc_body body;
	struct grpc_refusal refusal; /* call_finish answers this instead */
	struct piece *first, **last;
	enum grpc_code code;
	char *text; /* percent-encoded */
};

static struct rpc *
rpc_of(struct h2_stream *s)
{
	static_assert(
	    offsetof(struct rpc, stream) == 0, "a stream is an rpc's first member");
	return (struct rpc *)s;
}

/* ---- the answer ---- */

static void
piece_drop(struct rpc *r)
{
	struct piece *p = r->first;

	r->first = p->next;
	if (!r->first)
		r->last = &r->first;
	blob_unref(p->blob);
	free(p);
}

/* Bytes of one message: its prefix, then the blob's own memory. */
static size_t
piece_copy(struct piece *p, uint8_t *out, size_t room)
{
	uint8_t prefix[GRPC_PREFIX];
	const uint8_t *from;
	size_t left;

	if (p->sent < GRPC_PREFIX) {
		grpc_prefix(prefix, p->n);
		from = prefix + p->sent;
		left = GRPC_PREFIX - p->sent;
	} else {
		from = p->blob->bytes + p->at + (p->sent - GRPC_PREFIX);
		left = p->n - (p->sent - GRPC_PREFIX);
	}
	size_t n = left < room ? left : room;
	memcpy(out, from, n);
	p->sent += n;
	return n;
}

static size_t
status_fields(struct rpc *r, struct h2_field *fields, char number[static 4])
{
	snprintf(number, 4, "%u", (unsigned)r->code % 100);
	fields[0] = (struct h2_field){"grpc-status", span_str(number)};
	if (!r->text)
		return 1;
	fields[1] = (struct h2_field){"grpc-message", span_str(r->text)};
	return 2;
}

static size_t
rpc_fill(struct h2_stream *s, uint8_t *p, size_t n, bool *end)
{
	struct rpc *r = rpc_of(s);
	size_t got = 0;

	while (r->first && got < n) {
		got += piece_copy(r->first, p + got, n - got);
		if (r->first->sent == GRPC_PREFIX + r->first->n)
			piece_drop(r);
	}
	if (got > 0)
		r->conn->took = loop_now();
	if (!r->first && r->state == RPC_ANSWERED) {
		struct h2_field fields[2];
		char number[4];
		h2_trailers(s, fields, status_fields(r, fields, number));
		*end = true;
	}
	return got;
}

/* The answer's fields; with its status when no message comes before that. */
static void
rpc_respond(struct rpc *r, const char *http, bool body)
{
	struct h2_field fields[5] = {
	    {":status", span_str(http)},
	    {"content-type", span_str("application/grpc")},
	    {"grpc-accept-encoding", span_str("identity")},
	};
	char number[4];

	r->responded = true;
	h2_respond(&r->stream, fields,
	    3 + (body ? 0 : status_fields(r, fields + 3, number)), body);
}

/* One line a call. What went wrong is worth it by itself; a client that went or that asks
 * for other services is not. */
static void
rpc_tell(struct rpc *r)
{
	const struct method *m = r->call.method;
	const char *name = m ? m->name : "unknown method";
	uint64_t ms = loop_now() - r->call.started;
	bool usual = r->code == GRPC_OK || r->code == GRPC_CANCELLED || !m;

	metrics_call(r->call.f, m ? m->name : "unknown", r->code, ms);
	grpc_log(r->conn->grpc, usual ? LOG_DEBUG : LOG_INFO, r->call.id,
	    "%s: %s in %llu ms%s%.500s", name, grpc_code_name(r->code),
	    (unsigned long long)ms, r->text ? ": " : "", r->text ? r->text : "");
}

static void
rpc_answer(struct rpc *r, const char *http, enum grpc_code code, const char *text)
{
	r->state = RPC_ANSWERED;
	r->code = code;
	loop_timer_clear(&r->call.f->loop, &r->call.deadline);
	grpc_body_free(&r->body);
	if (*text)
		r->text = grpc_percent_encode(text);
	if (r->responded)
		h2_more(&r->stream);
	else
		rpc_respond(r, http, false);
	conn_dirty(r->conn);
	rpc_tell(r);
}

void
call_send(struct call *c, struct blob *b, size_t at, size_t n)
{
	struct rpc *r = c->stream;

	assert(n <= b->n && at <= b->n - n);
	if (r->state != RPC_RUNNING || r->refusal.code != GRPC_OK)
		return;
	if (n > frontend_message_max(r->call.f)) {
		grpc_refuse(&r->refusal, GRPC_RESOURCE_EXHAUSTED,
		    "the answer has %zu bytes, the limit is %zu (max_message)", n,
		    frontend_message_max(r->call.f));
		return;
	}
	struct piece *p = calloc(1, sizeof(*p));
	if (!p) {
		grpc_refuse(&r->refusal, GRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	*p = (struct piece){.blob = blob_ref(b), .at = at, .n = n};
	*r->last = p;
	r->last = &p->next;
	if (r->responded)
		h2_more(&r->stream);
	else
		rpc_respond(r, "200", true);
	conn_dirty(r->conn);
}

void
call_finish(struct call *c, enum grpc_code code, const char *text)
{
	struct rpc *r = c->stream;

	if (r->state != RPC_RUNNING)
		return;
	if (r->refusal.code != GRPC_OK)
		rpc_answer(r, "200", r->refusal.code, r->refusal.text);
	else
		rpc_answer(r, "200", code, text);
}

void
rpc_end(struct rpc *r, enum grpc_code code, const char *text)
{
	void (*cancelled)(struct call * c) =
	    r->state == RPC_RUNNING ? r->call.cancelled : NULL;

	if (r->state == RPC_ANSWERED)
		return;
	bool inside = r->first && r->first->sent > 0;
	while (r->first)
		piece_drop(r);
	rpc_answer(r, "200", code, text);
	if (inside) /* no status can follow half a message */
		h2_reset(&r->stream, H2_CANCEL);
	if (cancelled)
		cancelled(&r->call);
}

/* ---- the request ---- */

static void
rpc_deadline(struct loop_timer *t)
{
	rpc_end(t->arg, GRPC_DEADLINE_EXCEEDED, "the call's deadline has passed");
}

static struct h2_stream *
rpc_open(void *owner)
{
	struct conn *c = owner;
	struct grpc *g = c->grpc;

	if (g->stopping || g->calls_n >= LIMIT_GRPC_CALLS)
		return NULL;
	struct rpc *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->conn = c;
	r->last = &r->first;
	r->body.memory = &g->memory;
	r->call = (struct call){.f = g->f,
	    .id = frontend_next_id(g->f),
	    .started = loop_now(),
	    .deadline = {.fired = rpc_deadline, .arg = r},
	    .stream = r};
	r->next = c->rpcs;
	r->link = &c->rpcs;
	if (r->next)
		r->next->link = &r->next;
	c->rpcs = r;
	g->calls_n++;
	return &r->stream;
}

static void
rpc_path(struct rpc *r, struct span path)
{
	const struct grpc *g = r->conn->grpc;

	for (size_t i = 0; i < g->methods_n; i++) {
		if (span_is(path, g->methods[i].path))
			r->call.method = &g->methods[i];
	}
	span_escape(path, r->path, sizeof(r->path));
}

static void
rpc_field(struct h2_stream *s, struct span name, struct span value)
{
	struct rpc *r = rpc_of(s);

	if (span_is(name, ":method"))
		r->post = span_is(value, "POST");
	else if (span_is(name, ":path"))
		rpc_path(r, value);
	else if (span_is(name, "content-type"))
		r->is_grpc = grpc_content_type(value);
	else if (span_is(name, "grpc-encoding"))
		r->body.encoded = !span_is(value, "identity");
	else if (span_is(name, "grpc-timeout")) {
		r->timeout_set = true;
		r->timeout_bad = !grpc_timeout_parse(value, &r->timeout);
	}
}

/* Who cannot speak gRPC at all is also told in HTTP's terms. */
static const char *
rpc_check(const struct rpc *r, bool too_large, struct grpc_refusal *no)
{
	if (too_large) {
		grpc_refuse(no, GRPC_RESOURCE_EXHAUSTED,
		    "the request's metadata is longer than %u bytes or %u fields",
		    (unsigned)LIMIT_GRPC_HEADERS, LIMIT_GRPC_FIELDS);
	} else if (!r->post) {
		grpc_refuse(no, GRPC_INTERNAL, "gRPC calls are made with POST");
		return "405";
	} else if (!r->is_grpc) {
		grpc_refuse(
		    no, GRPC_INTERNAL, "the content type is not application/grpc");
		return "415";
	} else if (r->timeout_bad) {
		grpc_refuse(no, GRPC_INTERNAL, "grpc-timeout is malformed");
	} else if (!r->call.method) {
		grpc_refuse(no, GRPC_UNIMPLEMENTED, "unknown method %s", r->path);
	}
	return "200";
}

static void
rpc_headers(struct h2_stream *s, bool too_large)
{
	struct rpc *r = rpc_of(s);
	struct grpc_refusal no = {0};
	const char *http = rpc_check(r, too_large, &no);

	if (r->state != RPC_FIELDS) /* rpc_hurry was faster */
		return;
	if (no.code != GRPC_OK) {
		rpc_answer(r, http, no.code, no.text);
		return;
	}
	r->state = RPC_BODY;
	if (r->timeout_set)
		loop_timer_set(&r->call.f->loop, &r->call.deadline, r->timeout);
}

static void
rpc_data(struct h2_stream *s, struct span bytes)
{
	struct rpc *r = rpc_of(s);
	struct grpc_refusal no = {0};

	if (r->state != RPC_BODY)
		return;
	grpc_body_add(&r->body, bytes, frontend_message_max(r->call.f), &no);
	if (no.code != GRPC_OK)
		rpc_answer(r, "200", no.code, no.text);
}

/* The method may answer at once; the stream lives on until the loop has sent that. */
static void
rpc_request(struct h2_stream *s)
{
	struct rpc *r = rpc_of(s);
	struct grpc_refusal no = {0};

	if (r->state != RPC_BODY)
		return;
	struct span request = grpc_body_end(&r->body, &no);
	if (no.code != GRPC_OK) {
		rpc_answer(r, "200", no.code, no.text);
		return;
	}
	/* Answering frees the body, and the method may read on after that. */
	struct grpc_body body = r->body;
	r->body = (struct grpc_body){0};
	r->state = RPC_RUNNING;
	r->call.method->start(&r->call, request);
	grpc_body_free(&body);
}

/* ---- the end ---- */

void
rpc_drop(struct rpc *r)
{
	bool running = r->state == RPC_RUNNING;

	loop_timer_clear(&r->call.f->loop, &r->call.deadline);
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
	r->conn->grpc->calls_n--;
	if (r->state != RPC_ANSWERED) {
		r->state = RPC_ANSWERED; /* call_finish does nothing from now on */
		r->code = GRPC_CANCELLED;
		rpc_tell(r);
	}
	if (running && r->call.cancelled)
		r->call.cancelled(&r->call);
	while (r->first)
		piece_drop(r);
	grpc_body_free(&r->body);
	free(r->text);
	free(r);
}

static void
rpc_closed(struct h2_stream *s)
{
	rpc_drop(rpc_of(s));
}

void
rpc_hurry(struct conn *c, uint64_t now, unsigned ms)
{
	for (struct rpc *r = c->rpcs; r; r = r->next) {
		if (r->state <= RPC_BODY && now - r->call.started > ms)
			rpc_end(r, GRPC_DEADLINE_EXCEEDED,
			    "the request did not come whole in time");
	}
}

bool
rpc_owed(const struct conn *c)
{
	for (const struct rpc *r = c->rpcs; r; r = r->next) {
		if (r->first || r->state == RPC_ANSWERED)
			return true;
	}
	return false;
}

void
rpc_end_all(struct conn *c, enum grpc_code code, const char *text)
{
	for (struct rpc *r = c->rpcs; r; r = r->next)
		rpc_end(r, code, text);
}

const struct h2_ops rpc_ops = {
    .open = rpc_open,
    .field = rpc_field,
    .headers = rpc_headers,
    .data = rpc_data,
    .end = rpc_request,
    .fill = rpc_fill,
    .closed = rpc_closed,
};
