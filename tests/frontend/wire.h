/* Protobuf by hand: what a client would write, and what it would read. No library, so
 * that it can contradict the one that the frontend uses. */
#ifndef BULKHEAD_TESTS_FRONTEND_WIRE_H
#define BULKHEAD_TESTS_FRONTEND_WIRE_H

#include "common/base/span.h"
#include "tests/rows.h"

/* A message being written. */
struct wire {
	size_t n;
	uint8_t *p;
	size_t cap;
};

static inline void
wire_raw(struct wire *w, const void *p, size_t n)
{
	if (w->n + n > w->cap) {
		w->cap = 2 * (w->cap + n);
		w->p = realloc(w->p, w->cap);
		assert_non_null(w->p);
	}
	if (n)
		memcpy(w->p + w->n, p, n);
	w->n += n;
}

static inline void
wire_varint(struct wire *w, uint64_t v)
{
	do {
		uint8_t b = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
		wire_raw(w, &b, 1);
		v >>= 7;
	} while (v);
}

static inline void
wire_number(struct wire *w, unsigned field, uint64_t v)
{
	wire_varint(w, field << 3);
	wire_varint(w, v);
}

static inline void
wire_bytes(struct wire *w, unsigned field, const void *p, size_t n)
{
	wire_varint(w, field << 3 | 2);
	wire_varint(w, n);
	wire_raw(w, p, n);
}

static inline void
wire_text(struct wire *w, unsigned field, const char *text)
{
	wire_bytes(w, field, text, strlen(text));
}

/* Puts `inner` in as a submessage and frees it. */
static inline void
wire_sub(struct wire *w, unsigned field, struct wire *inner)
{
	wire_bytes(w, field, inner->p, inner->n);
	free(inner->p);
	*inner = (struct wire){0};
}

static inline struct span
wire_span(const struct wire *w)
{
	return span_of(w->p, w->n);
}

static inline void
wire_free(struct wire *w)
{
	free(w->p);
	*w = (struct wire){0};
}

/* ---- reading ---- */

static inline uint64_t
wire_take_varint(struct span *rest)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		assert_true(rest->n > 0);
		uint8_t b = rest->p[0];
		*rest = span_from(*rest, 1);
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	fail_msg("a varint without an end");
	return 0;
}

struct wire_field {
	unsigned number;
	uint64_t value;	   /* of a varint */
	struct span bytes; /* of everything else that CRI has */
};

static inline bool
wire_take(struct span *rest, struct wire_field *out)
{
	if (!rest->n)
		return false;
	uint64_t tag = wire_take_varint(rest);
	*out = (struct wire_field){.number = (unsigned)(tag >> 3)};
	if ((tag & 7) == 0) {
		out->value = wire_take_varint(rest);
	} else {
		assert_int_equal(tag & 7, 2);
		size_t n = wire_take_varint(rest);
		assert_true(n <= rest->n);
		out->bytes = span_of(rest->p, n);
		*rest = span_from(*rest, n);
	}
	return true;
}

/* The i-th field of that number; false when there are fewer. */
static inline bool
wire_find(struct span message, unsigned number, unsigned i, struct wire_field *out)
{
	while (wire_take(&message, out)) {
		if (out->number == number && i-- == 0)
			return true;
	}
	*out = (struct wire_field){0};
	return false;
}

static inline struct span
wire_get(struct span message, unsigned number)
{
	struct wire_field f;

	wire_find(message, number, 0, &f);
	return f.bytes;
}

static inline unsigned
wire_count(struct span message, unsigned number)
{
	struct wire_field f;
	unsigned n = 0;

	while (wire_take(&message, &f))
		n += f.number == number;
	return n;
}

#define assert_span(span_, text)                                                      \
	do {                                                                          \
		struct span got_ = (span_);                                           \
		if (!span_is(got_, text))                                             \
			fail_msg(                                                     \
			    "\"%.*s\" instead of \"%s\"", (int)got_.n, got_.p, text); \
	} while (0)

#endif
