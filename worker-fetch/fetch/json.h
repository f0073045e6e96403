/* A cursor over JSON (RFC 8259) for the two small bodies a fetcher reads itself, a token
 * server's answer and a registry's error: no tree, no allocation, bounded depth. */
#ifndef BULKHEAD_FETCH_JSON_H
#define BULKHEAD_FETCH_JSON_H

#include "common/base/span.h"

struct json {
	const uint8_t *p, *end;
};

/* A cursor at the start of s. */
static inline struct json
json_of(struct span s)
{
	return (struct json){s.p, s.n ? s.p + s.n : s.p};
}

/* The next byte that is no white space, not consumed; 0 at the end. */
uint8_t json_peek(struct json *j);

/* Consumes c (after white space) or answers false. */
bool json_take(struct json *j, char c) MUST_CHECK;

/* A string, decoded into dst (NUL-terminated). *fits says whether it all went in; NUL,
 * lone surrogates, control bytes and bad UTF-8 are errors. dst may be NULL with cap 0. */
bool json_string(struct json *j, char *dst, size_t cap, bool *fits) MUST_CHECK;

/* An integer; a fraction, an exponent or more than 18 digits is an error. */
bool json_integer(struct json *j, int64_t *v) MUST_CHECK;

/* Steps over any value of at most LIMIT_JSON_DEPTH levels. */
bool json_skip(struct json *j) MUST_CHECK;

/* Walks an object: call with *first = true; true with the decoded key (cut keys match
 * nothing) and the cursor at its value, or false at the end with *ok = true, or at an
 * error. */
bool json_member(struct json *j, bool *first, char *key, size_t cap, bool *ok) MUST_CHECK;

/* Whether only white space is left. */
bool json_end(struct json *j);

#endif
