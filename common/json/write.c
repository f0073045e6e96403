#include "common/json/write.h"

#include "common/base/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void
put(struct jw *w, const void *p, size_t n)
{
	size_t max = w->max ? w->max : LIMIT_RENDERED;

	if (w->error)
		return;
	if (n > max - w->n) {
		w->error = -EFBIG;
		return;
	}
	if (n > w->cap - w->n) {
		size_t cap = w->cap ? w->cap * 2 : 4096;
		while (cap < w->n + n)
			cap *= 2;
		char *p2 = realloc(w->p, cap);
		if (!p2) {
			w->error = -ENOMEM;
			return;
		}
		w->p = p2;
		w->cap = cap;
	}
	memcpy(w->p + w->n, p, n);
	w->n += n;
}

static void
put_line(struct jw *w)
{
	static const char blanks[4] = "    ";

	if (w->compact)
		return;
	put(w, "\n", 1);
	for (unsigned i = 0; i < w->depth; i++)
		put(w, blanks, sizeof(blanks));
}

/* What stands before every value and key: comma, line, indentation. */
static void
put_lead(struct jw *w)
{
	if (w->after_key) {
		w->after_key = false;
		return;
	}
	if (!w->depth)
		return;
	if (w->member[w->depth - 1])
		put(w, ",", 1);
	w->member[w->depth - 1] = true;
	put_line(w);
}

static void
open_container(struct jw *w, const char *c)
{
	put_lead(w);
	put(w, c, 1);
	if (w->depth == JW_DEPTH) {
		w->error = w->error ? w->error : -EINVAL;
		return;
	}
	w->member[w->depth++] = false;
}

void
jw_object(struct jw *w)
{
	open_container(w, "{");
}

void
jw_array(struct jw *w)
{
	open_container(w, "[");
}

void
jw_end(struct jw *w, char c)
{
	if (!w->depth || w->after_key) {
		w->error = w->error ? w->error : -EINVAL;
		return;
	}
	bool some = w->member[--w->depth];
	if (some)
		put_line(w);
	put(w, &c, 1);
}

/* The bytes of one character at p, and how they are written. */
static size_t
put_char(struct jw *w, const uint8_t *p, size_t n)
{
	char esc[8];
	static const char named[] = "\"\"\\\\\nn\tt\rr\bb\ff";

	for (size_t i = 0; i + 1 < sizeof(named); i += 2) {
		if (p[0] == (uint8_t)named[i]) {
			put(w, (char[]){'\\', named[i + 1]}, 2);
			return 1;
		}
	}
	if (p[0] < 0x20 || p[0] == 0x7f) {
		snprintf(esc, sizeof(esc), "\\u%04x", p[0]);
		put(w, esc, 6);
		return 1;
	}
	if (p[0] < 0x80) {
		put(w, p, 1);
		return 1;
	}
	size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (len > n || !span_is_text(span_of(p, len))) {
		put(w, "\xef\xbf\xbd", 3);
		return 1;
	}
	bool separator = len == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] | 1) == 0xa9;
	if (separator)
		put(w, p[2] == 0xa8 ? "\\u2028" : "\\u2029", 6);
	else
		put(w, p, len);
	return len;
}

static void
put_quoted(struct jw *w, struct span text)
{
	put(w, "\"", 1);
	for (size_t i = 0; i < text.n && !w->error;)
		i += put_char(w, text.p + i, text.n - i);
	put(w, "\"", 1);
}

void
jw_key_span(struct jw *w, struct span key)
{
	put_lead(w);
	put_quoted(w, key);
	put(w, ": ", w->compact ? 1 : 2);
	w->after_key = true;
}

void
jw_key(struct jw *w, const char *key)
{
	jw_key_span(w, span_str(key));
}

void
jw_text(struct jw *w, struct span text)
{
	put_lead(w);
	put_quoted(w, text);
}

void
jw_str(struct jw *w, const char *text)
{
	jw_text(w, span_str(text));
}

static void
put_word(struct jw *w, const char *word)
{
	put_lead(w);
	put(w, word, strlen(word));
}

void
jw_int(struct jw *w, int64_t v)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "%" PRId64, v);
	put_word(w, buf);
}

void
jw_uint(struct jw *w, uint64_t v)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "%" PRIu64, v);
	put_word(w, buf);
}

void
jw_real(struct jw *w, double v)
{
	char buf[40];

	size_t n = (size_t)snprintf(buf, sizeof(buf), "%.17g", v);
	if (!strpbrk(buf, ".e"))
		memcpy(buf + n, ".0", 3);
	if (strpbrk(buf, "in"))
		w->error = w->error ? w->error : -EINVAL;
	put_word(w, buf);
}

void
jw_bool(struct jw *w, bool v)
{
	put_word(w, v ? "true" : "false");
}

void
jw_null(struct jw *w)
{
	put_word(w, "null");
}

int
jw_done(struct jw *w)
{
	if (!w->error && (w->depth || w->after_key))
		w->error = -EINVAL;
	if (!w->compact)
		put(w, "\n", 1);
	return w->error;
}

void
jw_free(struct jw *w)
{
	free(w->p);
	w->p = NULL;
	w->n = w->cap = 0;
}
