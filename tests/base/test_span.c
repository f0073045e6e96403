#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/base/span.h"

/* Nothing but printable ASCII comes out, and a second time changes nothing. */
static void
escapes(void **state)
{
	static const struct {
		struct span in;
		const char *out;
	} rows[] = {
	    {{(const uint8_t *)"", 0}, ""},
	    {{(const uint8_t *)"plain text", 10}, "plain text"},
	    {{(const uint8_t *)"a\nb\0c", 5}, "a\\x0ab\\x00c"},
	    {{(const uint8_t *)"\x1b[2J\x7f\xff", 6}, "\\x1b[2J\\x7f\\xff"},
	    {{(const uint8_t *)"a\\b", 3}, "a\\x5cb"},
	    {{(const uint8_t *)"\\x1b", 4}, "\\x1b"},
	    {{(const uint8_t *)"\\x1", 3}, "\\x5cx1"},
	    {{(const uint8_t *)"\\x1B", 4}, "\\x5cx1B"},
	    {{(const uint8_t *)"\\\\x1b", 5}, "\\x5c\\x1b"},
	    {{(const uint8_t *)"\\x1\n", 4}, "\\x5cx1\\x0a"},
	};
	char once[64], twice[64];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		span_escape(rows[i].in, once, sizeof(once));
		assert_string_equal(once, rows[i].out);
		span_escape(span_str(once), twice, sizeof(twice));
		assert_string_equal(twice, once);
	}
}

static void
escapes_cut(void **state)
{
	char text[12];

	assert_string_equal(
	    span_escape(span_str("abcdefghijklmnop"), text, sizeof(text)), "abcde...");
	assert_string_equal(span_escape(span_str("\n\n\n\n"), text, 3), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(escapes),
	    cmocka_unit_test(escapes_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
