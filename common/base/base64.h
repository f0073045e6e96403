/* Base64 as credentials come in. */
#ifndef BULKHEAD_BASE_BASE64_H
#define BULKHEAD_BASE_BASE64_H

#include "common/base/span.h"

#include <sys/types.h>

/* The value of a digit, -1 for what is none. */
int base64_digit(uint8_t c);

/* Standard base64 with padding. Bytes written (<= cap), or -EINVAL. */
ssize_t base64_decode(struct span text, uint8_t *dst, size_t cap) MUST_CHECK;

#endif
