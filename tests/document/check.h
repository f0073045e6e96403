/* Shared by the tests of this folder. */
#ifndef BULKHEAD_TESTS_DOCUMENT_CHECK_H
#define BULKHEAD_TESTS_DOCUMENT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/json/tree.h"
#include "worker-store/document/document.h"
#include "worker-store/document/media.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HEX_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define DIGEST_A "\"sha256:" HEX_A "\""
#define DIGEST_B "\"sha256:" HEX_B "\""
#define DIGEST_C "\"sha256:" HEX_C "\""

/* A row of a table of documents: taken when text is NULL, else refused with a line that
 * holds it. */
struct row {
	const char *name, *json, *text;
};

/* The bytes in memory of their exact size, so that a read past the end is seen. */
static inline int
parse_exact(const struct document_request *req, const void *p, size_t n,
    struct document_answer *out, struct err *e)
{
	uint8_t *copy = malloc(n ? n : 1);

	assert_non_null(copy);
	memcpy(copy, p, n);
	int r = document_parse(req, span_of(copy, n), out, e);
	free(copy);
	return r;
}

static inline void
check_row(const struct document_request *req, const struct row *row)
{
	static struct document_answer answer;
	struct err e = {0};

	int r = parse_exact(req, row->json, strlen(row->json), &answer, &e);
	if (!row->text && r)
		fail_msg("%s: refused: %s", row->name, e.text);
	if (row->text && !r)
		fail_msg("%s: taken", row->name);
	if (row->text && !strstr(e.text, row->text))
		fail_msg("%s: refused, but with: %s", row->name, e.text);
	if (row->text)
		assert_true(r < 0);
}

/* Text that grows, for documents too long to write down. */
struct build {
	char *p;
	size_t n, cap;
};

static inline void __attribute__((format(printf, 2, 3)))
build_add(struct build *b, const char *fmt, ...)
{
	va_list ap;
	char part[2048];

	va_start(ap, fmt);
	int n = vsnprintf(part, sizeof(part), fmt, ap);
	va_end(ap);
	assert_true(n >= 0 && (size_t)n < sizeof(part));
	if (b->n + (size_t)n + 1 > b->cap) {
		b->cap = (b->cap + (size_t)n + 1) * 2;
		b->p = realloc(b->p, b->cap);
		assert_non_null(b->p);
	}
	memcpy(b->p + b->n, part, (size_t)n + 1);
	b->n += (size_t)n;
}

static inline void
build_repeat(struct build *b, const char *part, size_t times)
{
	for (size_t i = 0; i < times; i++)
		build_add(b, "%s", part);
}

static inline void
build_free(struct build *b)
{
	free(b->p);
	*b = (struct build){0};
}

#endif
