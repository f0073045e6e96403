/* The frontend's state: its ports, the pulls under way, the queries that wait for the
 * store. */
#ifndef BULKHEAD_FRONTEND_FRONTEND_H
#define BULKHEAD_FRONTEND_FRONTEND_H

#include "common/base/err.h"
#include "common/ipc/port.h"
#include "common/ipc/values.h"
#include "frontend/health.h"
#include "frontend/queue.h"

struct cache;
struct client;
struct acceptor;
struct grpc;
struct metrics;
struct metrics_socket;
struct pull;
struct query;
struct registries;

struct frontend {
	struct loop loop;
	struct port control, store;
	bool embedded;		/* for one command, and ends with it */
	struct client *clients; /* of the control channel (client.h) */
	unsigned n_clients;
	struct acceptor *control_socket;       /* control_listen */
	struct metrics_socket *metrics_socket; /* metrics_listen */
	struct pull *pulls;		       /* the oldest first */
	struct queue queue;		       /* whose turn it is */
	struct query *queries;
	struct grpc *grpc;	 /* grpc_listen */
	struct cache *cache;	 /* made when first needed */
	struct metrics *metrics; /* metrics_init */
	uint64_t last_id; /* pulls, fetchers and queries are numbered from one counter */
	struct health health;	    /* of registries, for all pulls */
	struct loop_timer no_store; /* ends what was asked while there is no store */

	/* As set up, and set up again by each reload. */
	struct registries *registries, *coming; /* coming: rows for the next set-up */
	char *policy_problem; /* why no image may be pulled or tagged; "" = a policy was
				 read */
	char *auth_file;      /* its path, for people; "" = none */
	size_t max_message;   /* of gRPC; 0 = LIMIT_GRPC_MESSAGE_DEFAULT */
	unsigned log_level;   /* enum log_level: what is worth a line; 0 = LOG_INFO */
	uint64_t progress_ms; /* without a byte of a body; 0 = for ever */
	unsigned retries;     /* of one request at one endpoint */
	uint64_t retry_after_ms; /* most that a registry may ask us to wait */
	enum fallback fallback;	 /* when mirrors fail */
	uint64_t generation;	 /* of the configuration */
	uint64_t restarts;	 /* of this room, for the metrics */
};

/* Bytes of one gRPC message, request or answer. */
static inline size_t
frontend_message_max(const struct frontend *f)
{
	return f->max_message ? f->max_message : LIMIT_GRPC_MESSAGE_DEFAULT;
}

/* The next number; never 0. */
uint64_t frontend_next_id(struct frontend *f);

/* One line for the supervisor's log. */
void frontend_log(struct frontend *f, const char *fmt, ...) PRINTF(2, 3);

#endif
