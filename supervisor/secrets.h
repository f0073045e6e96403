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
	unsigned file;	 /* which said it */
	char scope[601]; /* host[:port][/path], without scheme or slash at the end */
};

/* A credential helper that a file names. */
struct secret_helper {
	struct secret_helper *next;
	unsigned file;
	char name[LIMIT_HELPER_NAME + 1];
	char scope[601];  /* as in struct secret; "" = for all others of that file */
	char server[601]; /* what to ask it for: as the file spells it */
};

/* Several files, in the order in which they are looked into. */
struct secrets {
	struct secret *first;
	struct secret_helper *helpers;
	unsigned files; /* the number of the one that is being read, from 0 on */
	/* credential-helpers of registries.conf, a line each; "" = the files alone. */
	char order[1025];
};

/* One place where a credential may be. */
struct candidate {
	const struct secret *secret; /* or NULL, and: */
	char helper[LIMIT_HELPER_NAME + 1];
	char server[601];
	/* Where the helper is named: in that auth file, for this server or for all; or in
	 * credential-helpers. */
	enum { HELPER_OF_SERVER, HELPER_OF_ALL, HELPER_LISTED } named;
	unsigned file;
};

/* Keeps a copy. "https://" or "http://" before the scope and a path of "/v1/" or "/v2/"
 * after it are dropped, as `docker login` wrote them. 0, -EINVAL for a scope that is
 * none, or -ENOMEM. */
int secrets_add(struct secrets *s, struct span scope, enum secret_kind kind,
    struct span bytes) MUST_CHECK;

/* What is added from now on is another file's. */
void secrets_file(struct secrets *s);

/* Forgets what the file that is being read has said. */
void secrets_file_drop(struct secrets *s);

/* A helper of the file: for one registry, or with scope "" for all that it has nothing
 * else for. 0, -EINVAL for a name that is none ([a-z0-9-]{1,64}), or -ENOMEM. */
int secrets_add_helper(struct secrets *s, struct span scope, struct span name) MUST_CHECK;

/* A row of credential-helpers; "" begins the list anew. 0, -EINVAL as above, -E2BIG. */
int secrets_add_order(struct secrets *s, struct span name) MUST_CHECK;

/* The next place for a repository at a registry, *cursor being 0 for the first. The
 * helpers of registries.conf and the files come in its order; in each file its helper for
 * the registry alone, or else the longest of the scopes that are host/repository or one
 * of its parents (containers-auth.json(5)), or else its helper for all. false: there is
 * none. The table owns what *out shows. */
bool secrets_next(const struct secrets *s, const char *host, const char *repository,
    unsigned *cursor, struct candidate *out);

/* Wipes and frees all. */
void secrets_release(struct secrets *s);

/* What the store records of access to a private layer: the first 16 bytes of
 * HMAC-SHA-256(key, origin NUL user NUL password). 0 or negative. */
int secret_proof(const uint8_t key[32], const char *origin, struct span secret,
    uint8_t out[16]) MUST_CHECK;

#endif
