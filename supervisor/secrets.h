/* Secrets from files: kept by the scope that the file gave them, handed to the fetcher of
 * the registry they belong to, compared as bytes. */
#ifndef BULKHEAD_SUPERVISOR_SECRETS_H
#define BULKHEAD_SUPERVISOR_SECRETS_H

#include "common/base/limits.h"
#include "common/base/span.h"
#include "common/ipc/values.h"

struct secret {
	struct secret *next;
	enum secret_kind kind;
	size_t n;
	uint8_t *bytes;	 /* "user:password", or an identity token */
	char scope[601]; /* host[:port][/path], without scheme or slash at the end */
};

struct secrets {
	struct secret *first;
};

/* Keeps a copy. "https://" or "http://" before the scope and a path of "/v1/" or "/v2/"
 * after it are dropped, as `docker login` wrote them. 0, -EINVAL for a scope that is
 * none, or -ENOMEM. */
int secrets_add(struct secrets *s, struct span scope, enum secret_kind kind,
    struct span bytes) MUST_CHECK;

/* The secret for a repository at a registry: of the scopes that are host/repository or
 * one of its parents, the longest (containers-auth.json(5)). NULL: none. The table owns
 * it. */
const struct secret *secrets_find(
    const struct secrets *s, const char *host, const char *repository);

/* Wipes and frees all. */
void secrets_release(struct secrets *s);

/* What the store records of access to a private layer: the first 16 bytes of
 * HMAC-SHA-256(key, origin NUL user NUL password). 0 or negative. */
int secret_proof(const uint8_t key[32], const char *origin, struct span secret,
    uint8_t out[16]) MUST_CHECK;

#endif
