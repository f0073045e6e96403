#include "common/base/compiler.h"
#include "common/base/pairs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define PAIR(k, v) span_str(k), span_str(v)

/* In memory of their exact size, so that a read past the end is seen. */
static bool
check(const void *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	memcpy(copy, p, n);
	bool good = pairs_check(span_of(copy, n));
	free(copy);
	return good;
}

static void
test_round(void **state)
{
	uint8_t bytes[64];
	size_t n = 0;
	struct span rest, key, value;

	assert_true(pairs_add(bytes, sizeof(bytes), &n, PAIR("a", "one")));
	assert_true(pairs_add(bytes, sizeof(bytes), &n, PAIR("b/c", "")));
	assert_memory_equal(bytes, "\1\0\0\0a\3\0\0\0one\3\0\0\0b/c\0\0\0\0", 23);
	assert_int_equal(n, 23);
	assert_true(check(bytes, n));
	rest = span_of(bytes, n);
	assert_true(pairs_next(&rest, &key, &value));
	assert_true(span_is(key, "a") && span_is(value, "one"));
	assert_true(pairs_next(&rest, &key, &value));
	assert_true(span_is(key, "b/c") && value.n == 0);
	assert_false(pairs_next(&rest, &key, &value));
	assert_int_equal(rest.n, 0);
}

static void
test_room(void **state)
{
	uint8_t bytes[32];
	size_t n = 0;

	for (size_t cap = 0; cap < 11; cap++)
		assert_false(pairs_add(bytes, cap, &n, PAIR("k", "vv")));
	assert_int_equal(n, 0);
	assert_true(pairs_add(bytes, 11, &n, PAIR("k", "vv")));
	assert_int_equal(n, 11);
	assert_false(pairs_add(bytes, 11, &n, PAIR("", "")));
}

static void
test_bad(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} bad[] = {
	    {"\1", 1}, {"\1\0\0\0", 4}, {"\1\0\0\0a", 5}, {"\1\0\0\0a\0\0\0", 8},
	    {"\1\0\0\0a\1\0\0\0", 9}, {"\1\0\0\0a\xff\xff\xff\xff", 9},
	    {"\xff\xff\xff\xff", 4}, {"\0\0\0\0\0\0\0\0", 8}, /* no key */
	    {"\1\0\0\0\0\0\0\0\0", 9},			      /* NUL */
	    {"\1\0\0\0a\1\0\0\0\xff", 10},		      /* no UTF-8 */
	    {"\1\0\0\0a\0\0\0\0\1", 10},		      /* something behind it */
	};

	assert_true(check("", 0));
	assert_true(check("\1\0\0\0a\0\0\0\0", 9));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (check(bad[i].bytes, bad[i].n))
			fail_msg("row %zu taken", i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round),
	    cmocka_unit_test(test_room),
	    cmocka_unit_test(test_bad),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
