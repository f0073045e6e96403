/* Rows of registries as the supervisor keeps them: counted, compared, not understood. */
#include "tests/rows.h"

#include "supervisor/registries.h"

#include <errno.h>

static int
add(struct registry_rows *r, enum registry_row kind, const char *name, const char *value)
{
	struct err e = {0};

	int rc = registry_rows_add(r, kind, 1, span_str(name), span_str(value), &e);
	if (rc < 0 && rc != -EPROTO)
		assert_int_equal(e.code, ERR_USAGE);
	return rc;
}

static void
test_kept(void **state)
{
	struct registry_rows a = {0}, b = {0};

	assert_true(registry_rows_equal(&a, &b));
	for (unsigned i = 0; i < 200; i++) {
		char name[16];
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(add(&a, REGISTRY_ALIAS, name, "v"), 0);
	}
	assert_int_equal(a.n, 200);
	assert_string_equal(a.rows[150].name, "n150");
	assert_string_equal(a.rows[150].value, "v");
	assert_int_equal(a.rows[150].flags, 1);
	assert_false(registry_rows_equal(&a, &b));
	registry_rows_release(&a);
	assert_int_equal(add(&a, REGISTRY_ALIAS, "n", "v"), 0);
	assert_int_equal(add(&b, REGISTRY_ALIAS, "n", "w"), 0);
	assert_false(registry_rows_equal(&a, &b));
	registry_rows_release(&b);
	assert_int_equal(add(&b, REGISTRY_ALIAS, "n", "v"), 0);
	assert_true(registry_rows_equal(&a, &b));
	registry_rows_release(&a);
	registry_rows_release(&b);
}

/* What a reader that was taken over might say: the frontend would not take it. */
static void
test_order(void **state)
{
	struct registry_rows r = {0};

	assert_int_equal(add(&r, REGISTRY_MIRROR, "", "m"), -EPROTO);
	assert_int_equal(add(&r, REGISTRY_TABLE, "p", "l"), 0);
	for (unsigned i = 0; i <= LIMIT_MIRRORS; i++)
		assert_int_equal(
		    add(&r, REGISTRY_MIRROR, "", "m"), i < LIMIT_MIRRORS ? 0 : -EPROTO);
	assert_int_equal(add(&r, REGISTRY_TABLE, "q", "l"), 0);
	assert_int_equal(add(&r, REGISTRY_MIRROR, "", "m"), 0);
	assert_int_equal(add(&r, REGISTRY_FILE, "/f", ""), 0);
	assert_int_equal(add(&r, REGISTRY_MIRROR, "", "m"), -EPROTO);
	for (unsigned i = 0; i <= LIMIT_SEARCH; i++)
		assert_int_equal(
		    add(&r, REGISTRY_SEARCH, "", "s"), i < LIMIT_SEARCH ? 0 : -EPROTO);
	assert_int_equal(add(&r, REGISTRY_SEARCH, "", ""), 0);
	assert_int_equal(add(&r, REGISTRY_SEARCH, "", "s"), 0);
	registry_rows_release(&r);
}

static void
test_limits(void **state)
{
	static const struct {
		enum registry_row kind;
		unsigned most;
	} rows[] = {{REGISTRY_TABLE, LIMIT_REGISTRIES}, {REGISTRY_ALIAS, LIMIT_ALIASES},
	    {REGISTRY_MODE, LIMIT_REGISTRY_ROWS}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct registry_rows r = {0};
		for (unsigned k = 0; k < rows[i].most; k++)
			assert_int_equal(add(&r, rows[i].kind, "n", "v"), 0);
		assert_true(add(&r, rows[i].kind, "n", "v") < 0);
		registry_rows_release(&r);
	}
}

static void
test_bytes(void **state)
{
	struct registry_rows r = {0};
	size_t piece = 4096, n = LIMIT_REGISTRY_BYTES / piece;
	char *text = malloc(piece - 1);

	assert_non_null(text);
	memset(text, 'x', piece - 2);
	text[piece - 2] = 0;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(add(&r, REGISTRY_MODE, text, ""), 0);
	assert_int_equal(r.bytes, LIMIT_REGISTRY_BYTES);
	assert_true(add(&r, REGISTRY_MODE, "", "") < 0);
	free(text);
	registry_rows_release(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_kept),
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
