/* What the frontend asked one fetcher for, from the message to its answer. */
#ifndef BULKHEAD_FETCH_JOB_H
#define BULKHEAD_FETCH_JOB_H

#include "common/ipc/chan.h"
#include "common/ipc/values.h"
#include "worker-fetch/fetch/feed.h"
#include "worker-fetch/fetch/spread.h"

#define FETCH_TOKENS 254 /* of one fetcher's life */
#define FETCH_JOBS 128	 /* at once */

enum job_kind { JOB_DOCUMENT, JOB_LAYER, JOB_TOKEN };

struct job {
	struct fetcher *fetcher;
	struct job *next;
	enum job_kind kind;
	uint64_t req, token;
	bool own;      /* JOB_TOKEN: the answer is for this fetcher itself */
	unsigned auth; /* as in the message `get` */
	uint64_t size; /* 0 = unknown */
	const char *accept;
	char *target, *form; /* form: what to POST, made when the secret is there */
	struct span service, scope; /* JOB_TOKEN; inside `texts` */
	char *texts;
	/* NULL: it waits for a secret or its ring, or has ended. */
	struct transfer *t;
	struct spread *stream; /* of JOB_LAYER; freed with the job */
	bool resume;	  /* another has begun the layer: the ring says where to go on */
	bool full;	  /* the stream is paused for want of room */
	bool arrived;	  /* the body is complete, the ring not yet open */
	bool over;	  /* answered; to be freed */
	uint64_t told;	  /* bytes of the last progress message */
	uint64_t told_at; /* loop_now() */
	uint64_t bytes;	  /* of the layer, up to what the feed was given last */
	struct feed feed;
};

/* What the jobs of one fetcher share. */
struct fetcher {
	struct chan *control;
	struct chan frontend, dial, store;
	struct transfer_engine *engine;
	struct transfer_origin origin;
	uint64_t pull, dials;
	struct err unusable; /* why nothing can be asked of the origin; code 0 = it can */
	char repository[LIMIT_REPOSITORY + 1];
	unsigned ranges; /* connections that one layer may use */
	unsigned claims; /* whose channel has not come yet */
	bool secret_due; /* one was announced and has not come */
	enum secret_kind secret_kind;
	char *secret;
	char *proxy_authorization;
	char *tokens[FETCH_TOKENS];
	unsigned n_tokens;
	struct job *jobs;
	unsigned n_jobs;
	bool dial_known; /* its channel has come; it may have gone again */
	bool broken;	 /* a neighbour's channel failed: the room must end */
};

/* Takes a `get` or `get_token`. 0, or -EPROTO when it is nonsense. Its answer is sent
 * later. */
int job_get(struct fetcher *f, const struct msg_get *m) MUST_CHECK;
int job_get_token(struct fetcher *f, const struct msg_get_token *m) MUST_CHECK;

/* Starts every job whose secret is there by now. */
void jobs_start(struct fetcher *f);

/* The hash room's channel for a layer; takes fd over. -EPROTO when no job claimed it. */
int job_connect(struct fetcher *f, uint64_t token, int fd) MUST_CHECK;

/* After a look at the feeds: opens rings, resumes transfers, ends layers. */
void jobs_advance(struct fetcher *f);

/* Tells the frontend about bytes that came since the last call. */
void jobs_progress(struct fetcher *f);

/* Frees the answered ones, or all. */
void jobs_sweep(struct fetcher *f, bool all);

/* Asks for the layer's ring, if that was not done. */
void job_claim(struct job *j);

/* Ends a job with a reason that needs no place: the frontend names the origin. */
void job_fail(struct job *j, enum err_class code, const char *text);

/* What a job's transfer calls (answer.c): see transfer_request. */
int job_sink(void *arg, struct span bytes);
void job_done(void *arg, const struct transfer_result *r);

/* A registry token for this fetcher. false when there are too many. */
bool fetcher_add_token(struct fetcher *f, const char *token) MUST_CHECK;

#endif
