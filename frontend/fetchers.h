/* The fetchers of one pull, one an origin, and the requests they work on. */
#ifndef BULKHEAD_FRONTEND_FETCHERS_H
#define BULKHEAD_FRONTEND_FETCHERS_H

#include "frontend/frontend.h"
#include "frontend/origin.h"
#include "frontend/pace.h"
#include "frontend/pull.h"
#include "frontend/sites.h"

struct fetcher {
	struct fetcher *next;
	struct pull *pull;
	struct site *site; /* whom it asks, or who sent us there */
	uint64_t id;
	struct url origin;
	struct port port; /* open once the supervisor has started it */
	bool tokens;   /* asks another origin's token server for the registry's fetcher */
	bool answered; /* it has had an HTTP answer: no plain HTTP instead any more */
};

struct request {
	struct request *next;
	uint64_t req;
	enum fetch_kind kind;
	char ref[200];
	bool named; /* the pull's own name: each place may have another tag for it */
	uint64_t size, token;
	char *target; /* path and query at the fetcher's origin; NULL: as ref has it */
	struct site *site;
	struct fetcher *fetcher;
	unsigned redirects;
	unsigned auth;	     /* get.auth it was sent with last */
	unsigned challenges; /* that the newest credential did not answer */
	uint64_t bytes;	     /* of its body, as the fetcher says */
	bool sent;
	bool done;  /* fetched; kept, for the store may find it wrong */
	bool begun; /* a layer that was asked for once: it goes on where its ring says */
	/* After failures. */
	unsigned tries, resumes;
	uint64_t bytes_then; /* at the last one */
	uint64_t not_before; /* loop_now() */
	uint64_t waited;     /* milliseconds, of all its pauses */
	bool orphan;	     /* its fetcher died */
	bool
	    lost; /* its pipeline ended; the store says why, or the timer ends the pull */
};

/* What of the wish makes two pulls the same one, beside name and secret. */
struct wish {
	char os[65], architecture[65], variant[65], namespace[LIMIT_NAMESPACE + 1];
	unsigned verify, place;
	enum pull_mode mode;
	enum fetch_auth auth;
	enum secret_kind secret_kind;
	char secret_for[LIMIT_REPOSITORY + 1];
	uint64_t generation;
};

/* What the store told of a layer last, for those who join later. */
struct known_layer {
	bool known;
	struct msg_layer m;
	uint64_t bytes; /* fetched so far */
};

/* A short name that may mean several images: they are tried one after another. */
struct pull_names {
	struct candidates all;
	unsigned at;
	bool looking;	  /* which of them is there already is found out first */
	char tried[1500]; /* "NAME: why it cannot be had; " of those before */
	size_t tried_n;
};

struct pull {
	struct pull *next;
	struct frontend *f;
	struct waiter *waiters;
	struct ticket ticket; /* its place in the queue; space NULL: it needs none */
	bool begun;	      /* the store knows of it */
	uint64_t id;
	struct wish wish;
	char name[LIMIT_NAME + 1];     /* the canonical reference to be recorded */
	struct pull_names *names;      /* NULL: the name has one meaning */
	struct registries *registries; /* as they were when it was asked for */
	char ref[LIMIT_TAG + 1 > 80 ? LIMIT_TAG + 1
				    : 80]; /* tag or digest, as registries are asked */
	bool pinned;			   /* the name has a digest */
	uint8_t digest[32];
	struct site *sites;   /* the endpoints, the registry itself last */
	unsigned n_sites, at; /* at: where requests begin */
	bool settled;	      /* the name has led to a document */
	bool unsure;	      /* a mirror failed otherwise than by not having something */
	uint8_t *secret;
	size_t secret_size;
	char given[64];		  /* where the request's own credentials are from */
	unsigned token_reqs;	  /* numbers of token requests given out */
	struct fetcher *fetchers; /* the newest first */
	struct request *requests;
	struct loop_timer again; /* when the next request may be sent */
	struct loop_timer lost;	 /* the store owes a word about a layer */
	bool ending;		 /* cancel has been sent: only pull_end matters now */

	uint64_t asked_at, begun_at; /* loop_now() */
	uint64_t stage;		     /* enum pull_stage, the furthest */
	bool wants_space;	     /* the store lets it wait for space */
	struct known_layer *layers;
	unsigned n_layers;
	struct pace pace;
};

/* Asks the supervisor for a fetcher of this origin on behalf of the site. parent: whose
 * token server it is to ask, or NULL. NULL when memory is short. */
struct fetcher *fetcher_start(struct site *s, const struct url *origin,
    enum fetch_auth auth, const struct fetcher *parent);

/* A fetcher of the site for that origin that carries no secret: one that is there, or a
 * new one, for which those end that nobody asks any more. NULL when memory is short. */
struct fetcher *fetcher_elsewhere(struct site *s, const struct url *origin);

/* The site's own fetcher, asked for when there is none. NULL when memory is short. */
struct fetcher *site_home(struct site *s);

/* Kills the fetcher's process and frees it; its requests are left without one. */
void fetcher_end(struct fetcher *fe);

/* Sends every request that has a running fetcher and need not wait: for a token, for its
 * next try, for an origin that asked to be left alone. */
void requests_send(struct pull *p);

struct request *request_add(
    struct pull *p, uint64_t req, enum fetch_kind kind, struct span ref);
struct request *request_find(struct pull *p, uint64_t req);
void request_free(struct pull *p, struct request *q);

/* Turns the request to a site, from the beginning. false when memory is short. */
bool request_turn(struct request *q, struct site *to) MUST_CHECK;

/* Asks fe, the site's own fetcher or one for the realm's origin, for the token of the
 * last challenge. */
void site_ask_token(struct site *s, struct fetcher *fe);

/* Begins with that. */
void site_token_begin(struct site *s);

/* A fetcher that was to bring a token did not; it is ended if it was made for that. */
struct failure;
void site_token_failed(struct fetcher *fe, const struct failure *why);

/* What a fetcher's port does (report.c). */
int pull_fetcher_message(struct port *port, struct ipc_msg *m);
void pull_fetcher_ended(struct port *port, const char *why);

/* Why a request failed. */
struct failure {
	enum err_class code;
	const char *text; /* names the place itself */
	bool transient;	  /* the same may do better later */
	bool answered;	  /* the registry works as such */
	bool busy;	  /* and has too much to do */
	bool wrong;	  /* what came was not what was asked for, says the store ... */
	bool proven;	  /* ... by its digest */
	bool pipeline;	  /* the rooms that take a layer are gone */
	unsigned retry_after;
	const struct url *origin; /* who is to be left alone for so long */
};

/* Tries it again later, or at the next endpoint, or ends the pull (retry.c). */
void request_failed(struct request *q, const struct failure *why);

/* The same of a site that cannot be asked, where no request waits for it yet. */
void site_unready(struct site *s, const struct failure *why);

/* Ends the pull with a reason: tells the store, which cleans up and answers pull_end. */
void pull_fail(struct pull *p, enum err_class code, const char *fmt, ...) PRINTF(3, 4);

#endif
