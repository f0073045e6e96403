/* Bytes somebody else owns. A span never owns, never allocates, and is not
 * NUL-terminated. */
#ifndef BULKHEAD_BASE_SPAN_H
#define BULKHEAD_BASE_SPAN_H

#include "common/base/compiler.h"

#include <string.h>

struct span {
	const uint8_t *p;
	size_t n;
};

static inline struct span
span_of(const void *p, size_t n)
{
	return (struct span){p, n};
}

static inline struct span
span_str(const char *s)
{
	return (struct span){(const uint8_t *)s, strlen(s)};
}

static inline bool
span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* As bytes sort, a beginning before what it begins: below, at or above 0. */
static inline int
span_compare(struct span a, struct span b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int r = n ? memcmp(a.p, b.p, n) : 0;

	return r ? r : (a.n > b.n) - (a.n < b.n);
}

static inline bool
span_is(struct span a, const char *s)
{
	return span_eq(a, span_str(s));
}

static inline bool
span_starts(struct span a, const char *s)
{
	size_t n = strlen(s);
	return a.n >= n && memcmp(a.p, s, n) == 0;
}

/* The part from offset `from` on; from must be <= a.n. */
static inline struct span
span_from(struct span a, size_t from)
{
	assert(from <= a.n);
	return (struct span){a.p + from, a.n - from};
}

/* Copies into a NUL-terminated buffer. false when it does not fit or holds a NUL; dst is
 * then "". */
bool span_to_str(struct span a, char *dst, size_t cap) MUST_CHECK;

/* A copy with a NUL behind it, for free(); it ends at the first NUL. NULL when memory is
 * short. */
char *span_strdup(struct span a);

/* Whether the bytes are valid UTF-8 without NUL (no surrogates, no overlong forms, <=
 * U+10FFFF). */
bool span_is_text(struct span a);

/* Writes the text with every byte outside printable ASCII, and the backslash, as \xNN:
 * safe for a terminal or a log. What looks escaped already stays as it is: each room that
 * passes a reason on escapes it. Cut (with "...") to fit cap, always terminated. Returns
 * dst. */
char *span_escape(struct span a, char *dst, size_t cap);

/* Lower-case hex of n bytes into dst (2n + 1 bytes). Returns dst. */
char *hex_encode(const uint8_t *p, size_t n, char *dst);

/* Exactly n bytes from 2n lower-case hex digits; upper case is refused. */
bool hex_decode(struct span hex, uint8_t *dst, size_t n) MUST_CHECK;

#endif
