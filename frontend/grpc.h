/* Inside the gRPC server: the sockets it listens on (grpc_server.c), connections
 * (grpc_conn.c) and the calls on them (grpc.c). */
#ifndef BULKHEAD_FRONTEND_GRPC_H
#define BULKHEAD_FRONTEND_GRPC_H

#include "common/ipc/control.h"
#include "frontend/grpc_frame.h"
#include "frontend/h2.h"

struct listener;
struct rpc;

/* How long what is waited for, in milliseconds: LIMIT_GRPC_*_SECONDS, shorter in tests.
 */
struct grpc_patience {
	unsigned sweep, hello, request, silence, answer;
};

/* The server: one a frontend. */
struct grpc {
	struct frontend *f;
	const struct method *methods;
	size_t methods_n;
	struct grpc_patience patience;
	struct grpc_memory memory;
	struct listener *listeners;
	struct conn *conns, *dirty;
	size_t conns_n, calls_n;
	struct loop_timer flush, sweep, stop;
	bool paused;   /* no accept for now */
	bool stopping; /* grpc_stop */
	void (*idle)(struct frontend *f);
};

/* One connection. */
struct conn {
	struct conn *next, **link;
	struct conn *next_dirty;
	struct grpc *grpc;
	struct loop_source source;
	struct h2 *h2;
	struct rpc *rpcs;
	uint8_t *rest; /* what the socket did not take */
	size_t rest_at, rest_n;
	uint64_t opened, heard, took; /* loop_now() of: accept; bytes from it; to it */
	uint64_t asked;		      /* our PING; 0: none is out */
	bool dirty, over;
};

/* The server of f, made when there is none; NULL: no memory. */
struct grpc *grpc_of(struct frontend *f);

/* Closes everything. */
void grpc_free(struct frontend *f);

/* One line, if the level is worth it; call: the number of the call it is about, or 0. */
void grpc_log(struct grpc *g, enum log_level level, uint64_t call, const char *fmt, ...)
    PRINTF(4, 5);

/* Accepts again, if it was paused and may. */
void grpc_resume(struct grpc *g);

/* Ends a grpc_stop when the last answer has gone out: says so, once. */
void grpc_settle(struct grpc *g);

/* ---- connections (grpc_conn.c) ---- */

/* Serves one connected socket, non-blocking (taken over, also on failure). 0 or -errno.
 */
int grpc_serve(struct grpc *g, int fd) MUST_CHECK;

/* Output is waiting: it goes out before the loop sleeps. */
void conn_dirty(struct conn *c);

/* Sends what there is. May close the connection: for the loop's own calls only. */
void conn_flush(struct conn *c);

/* Drops its calls and frees it; likewise. */
void conn_close(struct conn *c);

/* Whether it has been waited for long enough, and what for; asks whether it lives, when
 * it is silent. */
const char *conn_overdue(struct conn *c, uint64_t now);

/* ---- calls (grpc.c) ---- */

extern const struct h2_ops rpc_ops; /* owner: struct conn */

/* Ends the call from our side, if it has not been answered; `cancelled` is called. What
 * of the answer has not gone out is dropped. */
void rpc_end(struct rpc *r, enum grpc_code code, const char *text);

/* The connection has gone. */
void rpc_drop(struct rpc *r);

/* Ends those whose request has not come whole within `ms`. */
void rpc_hurry(struct conn *c, uint64_t now, unsigned ms);

/* Whether the client has something to take. */
bool rpc_owed(const struct conn *c);

/* rpc_end for all. */
void rpc_end_all(struct conn *c, enum grpc_code code, const char *text);

#endif
