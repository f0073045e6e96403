/* One gRPC call: what the transport (h2.c, grpc.c) and the methods (cri*.c) know of each
 * other. gRPC over HTTP/2: one thread, one loop; nothing here blocks. */
#ifndef BULKHEAD_FRONTEND_CALL_H
#define BULKHEAD_FRONTEND_CALL_H

#include "frontend/frontend.h"

/* Status codes of gRPC, as in its specification. */
enum grpc_code {
	GRPC_OK = 0,
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_NOT_FOUND = 5,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_FAILED_PRECONDITION = 9,
	GRPC_ABORTED = 10,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_UNAUTHENTICATED = 16,
};

/* Immutable bytes that several answers in flight may share. Made with one reference. All
 * of them together stay within LIMIT_GRPC_ANSWERS. */
struct blob {
	unsigned refs;
	size_t n;
	uint8_t bytes[];
};
struct blob *blob_new(size_t n); /* contents to be filled in; NULL when memory is short */
struct blob *blob_ref(struct blob *b);
void blob_unref(struct blob *b); /* NULL will do */

/* Made by the transport when a whole request is there. It lives until call_finish, or
 * until the client went or the deadline passed. */
struct call {
	struct frontend *f;
	const struct method *method;
	uint64_t id;		    /* for logs: frontend_next_id */
	uint64_t started;	    /* loop_now() when its headers came */
	struct loop_timer deadline; /* the transport's; at = 0: the client set none */
	void *state;		    /* the method's own */
	/* Set by a method that keeps the call: the client went or the deadline passed
	 * (the answer is given already). Free the state; the call is gone on return.
	 * Comes from the loop only, never from inside call_send or call_finish (of any
	 * call), and never after call_finish. */
	void (*cancelled)(struct call *c);
	void *stream; /* the transport's own */
};

/* One RPC. start gets the request message (a view, valid until start returns) and answers
 * now or later: exactly one call_finish, unless `cancelled` came. */
struct method {
	const char *path; /* "/runtime.v1.ImageService/ListImages" */
	const char *name; /* for logs and metrics: "ListImages" */
	void (*start)(struct call *c, struct span request);
};
extern const struct method cri_methods[];
extern const size_t cri_methods_n;

/* One message of the answer: bytes [at, at + n) of b, which is referenced as long as
 * needed. Unary methods send one, streaming ones any number; sent with the client's flow
 * control. Longer than the configured limit: the call fails with RESOURCE_EXHAUSTED at
 * call_finish. */
void call_send(struct call *c, struct blob *b, size_t at, size_t n);

/* Ends the call: its messages go out, then the status. text: for people, percent-encoded
 * here; "" when OK. The call is the transport's again: do not touch it. */
void call_finish(struct call *c, enum grpc_code code, const char *text);

/* Serves gRPC on a listening socket (taken over, also on failure): these methods (not
 * copied; cri_methods, or a test's own). May be called for several sockets, the methods
 * being the same. Messages of either direction may have f->max_message bytes, from now on
 * when it changes. 0 or -errno. */
int grpc_listen(
    struct frontend *f, int fd, const struct method *methods, size_t n) MUST_CHECK;

/* No new connections, GOAWAY on all; `idle` is called once, from the loop, when the last
 * answer has gone out. Calls in flight get `ms` to end, then UNAVAILABLE. */
void grpc_stop(struct frontend *f, unsigned ms, void (*idle)(struct frontend *f));

#endif
