/* SHA-256 of what is in memory; the one file that names libcrypto in this room. */
#ifndef BULKHEAD_STORE_HASH_H
#define BULKHEAD_STORE_HASH_H

#include "common/base/span.h"

/* 0 or -ENOMEM. */
int sha256(struct span data, uint8_t hash[32]) MUST_CHECK;

#endif
