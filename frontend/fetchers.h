/* The fetchers of one pull, one an origin, and the requests they work on. */
#ifndef BULKHEAD_FRONTEND_FETCHERS_H
#define BULKHEAD_FRONTEND_FETCHERS_H

#include "frontend/frontend.h"
#include "frontend/origin.h"
#include "frontend/pace.h"
#include "frontend/pull.h"
#include "frontend/registries.h"

struct fetcher {
	struct fetcher *next;
	struct pull *pull;
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
	uint64_t size, token;
	char *target; /* after a redirect: path and query at the fetcher's origin */
	struct fetcher *fetcher;
	unsigned redirects;
	unsigned auth;	/* get.auth it was sent with last */
	uint64_t bytes; /* of its body, as the fetcher says */
	bool sent;
};

/* How far the pull has come with authentication. */
enum auth_state { AUTH_UNASKED, AUTH_ASKING, AUTH_HAVE };

/* What of the wish makes two pulls the same one, beside name and secret. */
struct wish {
	char os[65], architecture[65], variant[65], namespace[LIMIT_NAMESPACE + 1];
	unsigned verify;
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
	struct endpoint *endpoints;    /* where it can be had, by them */
	unsigned n_endpoints,
	    endpoint;		    /* the one that is asked (pull_use_endpoint) ... */
	struct registry registry;   /* ... where that is ... */
	enum fetch_auth credential; /* ... whose credentials go there ... */
	char ref[LIMIT_TAG + 1 > 80 ? LIMIT_TAG + 1
				    : 80]; /* ... and the tag or digest asked for */
	bool pinned;			   /* the name has a digest */
	uint8_t digest[32];
	bool verify, fallback; /* fallback: plain HTTP may be tried */
	uint8_t *secret;
	size_t secret_size;
	/* Where the credentials are from, for people: of the endpoint, of the request. */
	char source[LIMIT_PATH + 1], given[64];
	enum auth_state auth_state;
	unsigned auth;	  /* get.auth of new requests */
	unsigned tokens;  /* tokens asked for so far */
	uint64_t auth_at; /* when the newest credential was had; loop_now() */
	struct url realm; /* the token server of the last challenge */
	char service[1025];
	struct fetcher *fetchers; /* the newest first */
	struct fetcher *home;	  /* the registry's own */
	struct request *requests;
	bool ending; /* cancel has been sent: only pull_end matters now */

	uint64_t asked_at, begun_at; /* loop_now() */
	uint64_t stage;		     /* enum pull_stage, the furthest */
	bool wants_space;	     /* the store lets it wait for space */
	struct known_layer *layers;
	unsigned n_layers;
	struct pace pace;
};

/* Asks the supervisor for a fetcher of this origin. parent: whose token server it is to
 * ask, or NULL. NULL when memory is short. */
struct fetcher *fetcher_start(struct pull *p, const struct url *origin,
    enum fetch_auth auth, const struct fetcher *parent);

/* A fetcher of the pull for that origin that carries no secret, or NULL. */
struct fetcher *fetcher_find(struct pull *p, const struct url *origin);

/* Kills the fetcher's process and frees it; its requests are left without one. */
void fetcher_end(struct fetcher *fe);

/* Sends every request that has a running fetcher and need not wait for a token. */
void requests_send(struct pull *p);

struct request *request_add(
    struct pull *p, uint64_t req, enum fetch_kind kind, struct span ref);
struct request *request_find(struct pull *p, uint64_t req);
void request_free(struct pull *p, struct request *q);

/* Asks fe, the registry's fetcher or one for the realm's origin, for the token of the
 * last challenge. */
void pull_ask_token(struct pull *p, struct fetcher *fe);

/* What a fetcher's port does (report.c). */
int pull_fetcher_message(struct port *port, struct ipc_msg *m);
void pull_fetcher_ended(struct port *port, const char *why);

/* Ends the pull with a reason: tells the store, which cleans up and answers pull_end. */
void pull_fail(struct pull *p, enum err_class code, const char *fmt, ...) PRINTF(3, 4);

#endif
