/* Times as RFC 3339 writes them, read as strictly as Go's JSON reader does. */
#ifndef BULKHEAD_DOCUMENT_MOMENT_H
#define BULKHEAD_DOCUMENT_MOMENT_H

#include "common/base/span.h"

struct moment {
	int64_t sec; /* since 1970 in UTC; may be negative */
	uint32_t nsec;
};

#define MOMENT_MAX INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

/* 0 or -EINVAL. */
int moment_parse(struct span text, struct moment *out) MUST_CHECK;

/* Into 1970 .. 9999, the bounds of what is recorded. */
struct moment moment_clamp(struct moment m);

/* As Go would write it again: fraction without trailing zeros, an offset of zero as Z.
 * text must be what moment_parse takes; dst has room for text.n + 1 bytes. Returns dst.
 */
char *moment_normalise(struct span text, char *dst);

#endif
