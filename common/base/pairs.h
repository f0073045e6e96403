/* Texts by key in one run of bytes, as messages and summaries carry annotations: for key
 * and value a length (u32, little endian) and the bytes. */
#ifndef BULKHEAD_BASE_PAIRS_H
#define BULKHEAD_BASE_PAIRS_H

#include "common/base/span.h"

/* Takes the next pair off; false at the end, and at what is no pair (*rest is not empty
 * then). */
bool pairs_next(struct span *rest, struct span *key, struct span *value);

/* Whether all of it is pairs, keys not empty, everything UTF-8 without NUL. */
bool pairs_check(struct span pairs);

/* Appends a pair if it fits into cap bytes with the *n that are there. */
bool pairs_add(uint8_t *dst, size_t cap, size_t *n, struct span key, struct span value);

#endif
