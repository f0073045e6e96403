/* The endpoints of one pull, in the order to be tried: mirrors, then the registry itself.
 * Each is an origin with its own fetcher and its own credential. */
#ifndef BULKHEAD_FRONTEND_SITES_H
#define BULKHEAD_FRONTEND_SITES_H

#include "common/ipc/values.h"
#include "frontend/frontend.h"
#include "frontend/origin.h"
#include "frontend/registries.h"

/* How far the pull has come with authentication. */
enum auth_state { AUTH_UNASKED, AUTH_ASKING, AUTH_HAVE };

struct site {
	struct pull *pull;
	struct endpoint place; /* who decided on it; alive as long as the pull */
	struct registry at;
	bool mirror;
	bool verify, fallback; /* fallback: plain HTTP may be tried */
	enum fetch_auth auth;
	struct fetcher *home; /* the one that holds its credential */
	uint64_t home_id;     /* of the last one */
	enum auth_state auth_state;
	unsigned credential; /* get.auth of new requests */
	unsigned tokens;     /* tokens asked for so far */
	unsigned token_req;  /* the number of the last question */
	uint64_t auth_at;    /* when the newest credential was had; loop_now() */
	uint64_t auth_until; /* when it runs out; 0 = nobody said */
	struct url realm;    /* the token server of the last challenge */
	bool withheld; /* which is another site: no credentials from files go there */
	char service[1025];
	enum err_class code; /* of the last failure here; ERR_OK = none */
	char cause[400];
};

/* Makes p->sites of the endpoints of a reference. 0, or negative with *e. */
int sites_make(struct pull *p, const struct ref *ref, struct err *e) MUST_CHECK;

/* Forgets them, with all fetchers and requests. */
void sites_drop(struct pull *p);

/* Where the credentials of a site are from, for people. */
const char *site_source(const struct site *s);

/* The same place by plain HTTP: on port 80, unless the name has a port. */
void url_to_http(struct url *u, const char *domain);

/* Where a place is, and what it may be asked by (enum insecure_flag): as configured, or
 * by the request's own word (verify as in struct pull_options). 0, or negative with *e.
 */
int endpoint_registry(const struct endpoint *at, unsigned verify, struct registry *out,
    unsigned *insecure, struct err *e) MUST_CHECK;

/* A line whenever its own fetcher asks in a way that anybody could answer. */
void site_log_insecure(const struct site *s);

/* Under which origin it is remembered whether it works. */
void site_origin(const struct site *s, struct url *origin);

/* What went wrong here, for the pull's last word. */
void site_failed(struct site *s, enum err_class code, const char *text);

/* Where requests begin. */
struct site *sites_first(struct pull *p);

/* Where it goes on after the site has failed with this class: the next one that the
 * fallback rules allow, those that failed lately last. NULL: nowhere. */
struct site *sites_next(const struct site *s, enum err_class code);

/* All that failed, each with its cause. */
void sites_explain(const struct pull *p, char *text, size_t cap);

#endif
