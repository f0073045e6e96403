/* What a client gives along for the registry: which secret it is, and whether it is for
 * that registry at all. Pure. */
#ifndef BULKHEAD_FRONTEND_CRI_AUTH_H
#define BULKHEAD_FRONTEND_CRI_AUTH_H

#include "common/ref/ref.h"
#include "frontend/cri_codec.h"

struct cri_secret {
	enum fetch_auth auth; /* GIVEN, or FILES: nothing was given that may be used */
	enum secret_kind kind;
	size_t n;
	uint8_t bytes[LIMIT_SECRET];
};

/* The secret for pulling ref. `auth` (base64 of user:password) goes before username and
 * password; an identity token before an empty password; a registry token last. A server
 * address that is not the registry's makes all of it count as not given, for a secret
 * goes nowhere but to its own registry. 0, or -EINVAL with the reason (never the secret).
 * The caller wipes *out. */
int cri_auth_read(const struct cri_auth *a, const struct ref *ref, struct cri_secret *out,
    struct err *e) MUST_CHECK;

/* Whether address (a URL or host[:port]) is the registry of that domain. */
bool cri_auth_is_for(struct span address, const char *domain);

#endif
