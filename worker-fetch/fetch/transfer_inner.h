/* One transfer and its engine from within: transfer.c queues and times them, attempt.c is
 * a single exchange from its request to what follows from its end. */
#ifndef BULKHEAD_FETCH_TRANSFER_INNER_H
#define BULKHEAD_FETCH_TRANSFER_INNER_H

#include "worker-fetch/fetch/transfer.h"
#include "worker-fetch/fetch/wire.h"

#include <time.h>

enum transfer_state { QUEUED, RUNNING, FINISHED };

struct transfer {
	struct transfer_engine *engine;
	struct transfer *next;
	struct transfer_request rq;
	struct url url;
	char *accept, *authorization, *form;
	char etag[LIMIT_ETAG + 1]; /* of the body, where the server gave one */
	enum transfer_state state;
	uint64_t not_before; /* QUEUED: when to try (again) */
	unsigned resumes, starved_tries, hops;
	/* of this attempt */
	struct wire_call *call;
	struct response head;
	struct err err;
	bool paused;
	bool enough; /* the rest of an error's body is not wanted */
	bool transient;
	uint64_t began, last, slow_since, slow_bytes;
	uint64_t from; /* bytes we had when it began */
	uint64_t skip; /* of those, still to be thrown away */
	/* of all attempts */
	uint64_t bytes;	  /* of the body from its beginning, rq.from included */
	uint64_t until;	  /* where it ends; UINT64_MAX = unknown */
	uint64_t skipped; /* read for nothing */
	uint8_t *body;
	size_t body_n, body_cap;
};

struct transfer_engine {
	struct wire *wire;
	struct trust *trust; /* with TLS and verification */
	struct identity *identity;
	struct transfer_origin origin;
	struct transfer *list; /* oldest first */
	unsigned asked;	       /* sockets on their way */
	bool news;	       /* something ended or paused in this round */
	uint64_t ask_after;    /* no connection could be had: not again before */
};

static inline uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* What the wire calls. */
extern const struct wire_events attempt_events;

/* Begins an attempt. false: the reason is lost with libcurl. */
bool attempt_start(struct transfer *t) MUST_CHECK;

/* Ends the exchange, if one is under way. */
void attempt_release(struct transfer *t);

/* Tells the owner and takes the transfer out of the running. */
void transfer_finish(
    struct transfer *t, enum transfer_outcome outcome, const struct url *location);

#endif
