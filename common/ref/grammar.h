/* Character classes of the reference grammar: ASCII only, no locale. */
#ifndef BULKHEAD_REF_GRAMMAR_H
#define BULKHEAD_REF_GRAMMAR_H

#include "common/base/span.h"

static inline bool
is_lower(uint8_t c)
{
	return c >= 'a' && c <= 'z';
}

static inline bool
is_upper(uint8_t c)
{
	return c >= 'A' && c <= 'Z';
}

static inline bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static inline bool
is_alpha(uint8_t c)
{
	return is_lower(c) || is_upper(c);
}

static inline bool
is_alnum(uint8_t c)
{
	return is_alpha(c) || is_digit(c);
}

static inline bool
is_lower_hex(uint8_t c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f');
}

static inline bool
is_hex(uint8_t c)
{
	return is_lower_hex(c) || (c >= 'A' && c <= 'F');
}

/* Offset of the first c, or s.n. */
static inline size_t
span_find(struct span s, uint8_t c)
{
	const uint8_t *at = s.n ? memchr(s.p, c, s.n) : NULL;
	return at ? (size_t)(at - s.p) : s.n;
}

#endif
