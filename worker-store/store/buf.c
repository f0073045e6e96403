#include "worker-store/store/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){0};
}

static bool
buf_room(struct buf *b, size_t n)
{
	if (b->bad)
		return false;
	if (b->cap - b->n >= n)
		return true;
	size_t want = b->cap ? b->cap : 256;
	while (want - b->n < n) {
		if (want > SIZE_MAX / 2) {
			b->bad = true;
			return false;
		}
		want *= 2;
	}
	uint8_t *p = realloc(b->p, want);
	if (!p) {
		b->bad = true;
		return false;
	}
	b->p = p;
	b->cap = want;
	return true;
}

void
buf_add(struct buf *b, struct span s)
{
	if (s.n == 0 || !buf_room(b, s.n))
		return;
	memcpy(b->p + b->n, s.p, s.n);
	b->n += s.n;
}

void
buf_str(struct buf *b, const char *s)
{
	buf_add(b, span_str(s));
}

void
buf_fmt(struct buf *b, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text)) {
		b->bad = true;
		return;
	}
	buf_add(b, span_of(text, (size_t)n));
}

void
buf_json(struct buf *b, struct span text)
{
	buf_str(b, "\"");
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];
		if (c == '"' || c == '\\')
			buf_fmt(b, "\\%c", c);
		else if (c == '\n')
			buf_str(b, "\\n");
		else if (c == '\r')
			buf_str(b, "\\r");
		else if (c == '\t')
			buf_str(b, "\\t");
		else if (c < 0x20 || c == '<' || c == '>' || c == '&')
			buf_fmt(b, "\\u%04x", c);
		else
			buf_add(b, span_of(&c, 1));
	}
	buf_str(b, "\"");
}
