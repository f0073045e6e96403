/* Tables of texts that a parser takes or refuses, and texts too long to write down. */
#ifndef BULKHEAD_TESTS_ROWS_H
#define BULKHEAD_TESTS_ROWS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/compiler.h"

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
