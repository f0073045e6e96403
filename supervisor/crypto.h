/* The supervisor's two uses of libcrypto, on bytes it never interprets. */
#ifndef BULKHEAD_SUPERVISOR_CRYPTO_H
#define BULKHEAD_SUPERVISOR_CRYPTO_H

#include "common/base/span.h"

/* 0, or -ENOMEM / -EIO. */
int crypto_sha256(struct span bytes, uint8_t out[32]) MUST_CHECK;
int crypto_hmac_sha256(
    const uint8_t key[32], struct span bytes, uint8_t out[32]) MUST_CHECK;

#endif
