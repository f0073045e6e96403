/* The CA certificates of a fetcher, parsed when a server's chain asks for them and not
 * before.
 *
 * A bundle holds some 140 certificates, and OpenSSL 3 takes 50 ms to parse them all, for
 * each connection anew. One pull needs two or three of them. */
#ifndef BULKHEAD_FETCH_TRUST_H
#define BULKHEAD_FETCH_TRUST_H

#include "common/base/span.h"

struct trust;

/* Indexes a PEM bundle; blocks other than CERTIFICATE, and those that are none, are
 * passed over. The bytes are not needed afterwards. NULL when memory is short. */
struct trust *trust_new(struct span pem);
void trust_free(struct trust *t);

/* Number of certificates found. */
size_t trust_count(const struct trust *t);

/* Number of certificates that had to be parsed so far. */
size_t trust_parsed(const struct trust *t);

/* Makes them what an SSL_CTX trusts. */
void trust_apply(struct trust *t, void *ssl_ctx);

#endif
