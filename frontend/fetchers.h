/* The fetchers of one pull, one an origin, and the requests they work on. */
#ifndef BULKHEAD_FRONTEND_FETCHERS_H
#define BULKHEAD_FRONTEND_FETCHERS_H

#include "frontend/frontend.h"
#include "frontend/origin.h"

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
	unsigned auth; /* get.auth it was sent with last */
	bool sent;
};

/* How far the pull has come with authentication. */
enum auth_state { AUTH_UNASKED, AUTH_ASKING, AUTH_HAVE };

struct pull {
	struct pull *next;
	struct frontend *f;
	struct client *client; /* NULL: gone */
	uint64_t id, client_req;
	char name[LIMIT_NAME + 1]; /* the canonical reference to be recorded */
	char ref[LIMIT_TAG + 1 > 80 ? LIMIT_TAG + 1
				    : 80]; /* tag or digest, as the registry is asked */
	struct registry registry;
	bool verify, fallback; /* fallback: plain HTTP may be tried */
	enum fetch_auth auth_source;
	uint8_t *secret;
	size_t secret_size;
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
