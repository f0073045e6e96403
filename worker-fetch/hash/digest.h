/* SHA-256 of a stream. The one place of this room that names libcrypto. */
#ifndef BULKHEAD_HASH_DIGEST_H
#define BULKHEAD_HASH_DIGEST_H

#include "common/base/span.h"

#define DIGEST_LEN 32

struct digest {
	void *ctx;
};

/* Makes libcrypto load all it will need: before the sandbox closes. 0 or -ENOMEM. */
int digest_warm_up(void) MUST_CHECK;

/* 0 or -ENOMEM. */
int digest_init(struct digest *d) MUST_CHECK;
void digest_release(struct digest *d);

/* 0 or -EIO (libcrypto refused, which would be a fault of the machine). */
int digest_add(struct digest *d, struct span bytes) MUST_CHECK;
int digest_end(struct digest *d, uint8_t out[DIGEST_LEN]) MUST_CHECK;

#endif
