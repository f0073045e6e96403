/* The client certificates of a fetcher: who we are, for an origin that asks in its
 * handshake.
 */
#ifndef BULKHEAD_FETCH_IDENTITY_H
#define BULKHEAD_FETCH_IDENTITY_H

#include "common/base/err.h"
#include "common/base/span.h"

struct identity;

/* Parses pairs of path and PEM text, certificate (its chain behind it) and key by turns.
 * The bytes are not needed afterwards. 0, *out being NULL for no pair at all; -EINVAL
 * with *e naming the path: no certificate, no key, one that is encrypted, or two that do
 * not belong together. */
int identity_new(struct span pairs, struct identity **out, struct err *e) MUST_CHECK;
void identity_free(struct identity *id);

/* From now on an SSL_CTX answers a server's request with the first of them that an
 * authority of the server's list has signed (any, if it names none), and with none if
 * there is no such.
 */
void identity_apply(struct identity *id, void *ssl_ctx);

/* Whether a server has asked for one. */
bool identity_asked(const struct identity *id);

/* What became of the certificates in a handshake that failed, for people; host: whose
 * they are. Returns dst. */
char *identity_tell(const struct identity *id, const char *host, char *dst, size_t cap);

#endif
