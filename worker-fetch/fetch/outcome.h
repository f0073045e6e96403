/* What a finished exchange means, in words for a person. */
#ifndef BULKHEAD_FETCH_OUTCOME_H
#define BULKHEAD_FETCH_OUTCOME_H

#include "common/ref/url.h"
#include "worker-fetch/fetch/identity.h"
#include "worker-fetch/fetch/response.h"

/* Fills *e for a status that is neither success, redirect nor challenge: 404 is
 * ERR_NOT_FOUND, 401 and 403 are ERR_AUTH, everything else ERR_NETWORK. body: of the
 * answer, possibly cut; the registry's own code and message are quoted, escaped. Returns
 * negative. */
int outcome_status(
    const struct url *url, const struct response *head, struct span body, struct err *e);

/* Fills *e for a transfer that the TLS or TCP connection ended. detail: the library's
 * words; untrusted says that the certificate was the reason; id: our own certificates, or
 * NULL. Returns negative. */
int outcome_broken(const struct url *url, const char *detail, bool untrusted,
    const struct identity *id, struct err *e);

/* "https://host/path" without its query, which may hold a signature: for messages.
 * Escaped, cut. */
#define OUTCOME_PLACE 300
char *outcome_place(const struct url *url, char dst[OUTCOME_PLACE]);

#endif
