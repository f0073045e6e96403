/* The frontend's state: its ports, the pulls under way, the queries that wait for the
 * store. */
#ifndef BULKHEAD_FRONTEND_FRONTEND_H
#define BULKHEAD_FRONTEND_FRONTEND_H

#include "common/base/err.h"
#include "common/ipc/port.h"
#include "common/ipc/values.h"

struct pull;
struct query;
struct grpc;
struct cache;

/* A client: today the command; later each control connection is one too. */
struct client {
	struct frontend *f;
	struct port port;
};

struct frontend {
	struct loop loop;
	struct port control, store;
	struct client client;
	struct pull *pulls;
	struct query *queries;
	struct grpc *grpc;  /* grpc_listen */
	struct cache *cache; /* made when first needed */
	size_t max_message; /* of gRPC; 0 = LIMIT_GRPC_MESSAGE_DEFAULT */
	unsigned log_level; /* enum log_level: what is worth a line; 0 = LOG_INFO */
	uint64_t last_id; /* pulls, fetchers and queries are numbered from one counter */
	char *insecure;	  /* host[:port] or CIDR, a line each */
	char *policy_problem; /* why no image may be pulled or tagged; "" = a policy was
				 read */
};

/* The next number; never 0. */
uint64_t frontend_next_id(struct frontend *f);

/* One line for the supervisor's log. */
void frontend_log(struct frontend *f, const char *fmt, ...) PRINTF(2, 3);

/* Tells the client that its request req has ended. */
void client_done(struct client *c, uint64_t req, enum err_class code, struct span text);

/* Makes the client's channel (fd is taken over). 0 or -errno. */
int client_open(struct frontend *f, int fd) MUST_CHECK;

/* Answers of the store and rows of the supervisor that belong to a query of a client.
 * Unknown or ended queries are dropped silently: the client went meanwhile. */
int query_answer(struct frontend *f, struct ipc_msg *m);

/* The store has gone: everything that waits for it ends. */
void query_end_all(struct frontend *f, enum err_class code, const char *text);

#endif
