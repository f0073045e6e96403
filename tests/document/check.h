/* Shared by the tests of this folder. */
#ifndef BULKHEAD_TESTS_DOCUMENT_CHECK_H
#define BULKHEAD_TESTS_DOCUMENT_CHECK_H

#include "common/json/tree.h"
#include "tests/rows.h"
#include "worker-store/document/document.h"
#include "worker-store/document/media.h"

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

#endif
