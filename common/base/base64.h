/* Base64 as credentials come in. */
#ifndef BULKHEAD_BASE_BASE64_H
#define BULKHEAD_BASE_BASE64_H

#include "common/base/span.h"

#include <sys/types.h>

/* Standard base64 with padding. Bytes written (<= cap), or -EINVAL. */
ssize_t base64_decode(struct span text, uint8_t *dst, size_t cap) MUST_CHECK;

#endif
