/* Growing bytes: the one way this room builds text that it will write. */
#ifndef BULKHEAD_STORE_BUF_H
#define BULKHEAD_STORE_BUF_H

#include "common/base/span.h"

/* Zero-initialised is empty. When memory runs out, `bad` is set, the content no longer
 * counts, and later calls do nothing: look at it once, at the end. */
struct buf {
	uint8_t *p;
	size_t n, cap;
	bool bad;
};

/* Frees the content; for CLEANUP(buf_free). */
void buf_free(struct buf *b);

void buf_add(struct buf *b, struct span s);
void buf_str(struct buf *b, const char *s);
void buf_fmt(struct buf *b, const char *fmt, ...) PRINTF(2, 3);

/* The text as a JSON string with its quotes, escaped as Go's encoder does (RFC 8259; `<`,
 * `>`,
 * `&` as \u00xx too). The text must be valid UTF-8. */
void buf_json(struct buf *b, struct span text);

static inline struct span
buf_span(const struct buf *b)
{
	return span_of(b->p, b->n);
}

#endif
