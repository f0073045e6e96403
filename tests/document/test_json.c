#include "tests/document/check.h"

#include "common/json/scan.h"

static int
scan(const void *p, size_t n, struct err *e)
{
	uint8_t *copy = malloc(n ? n : 1);

	assert_non_null(copy);
	memcpy(copy, p, n);
	int r = json_scan(span_of(copy, n), "it", e);
	free(copy);
	return r;
}

static void
test_taken(void **state)
{
	static const char *const good[] = {"{}", "[]",
	    " {\"a\" : [ 1 , -2, 3.5, 1e9, 0, 0.5, -0.0 ] }\n",
	    "\"\\u00e9\\ud83d\\ude00\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "true", "false",
	    "null", "\t12\r\n", "{\"a\":{\"b\":[{},[],null,true,false]}}", "\"\xc3\xa9\"",
	    "[1E+2,1e-2]"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct err e = {0};
		if (scan(good[i], strlen(good[i]), &e))
			fail_msg("%s: %s", good[i], e.text);
	}
}

static void
test_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
	    {"", "ends where a value"},
	    {"  ", "ends where a value"},
	    {"\xef\xbb\xbf{}", "byte order mark"},
	    {"{} {}", "something follows"},
	    {"{}x", "something follows"},
	    {"{},", "something follows"},
	    {"[1,]", "no value here"},
	    {"{\"a\":1,}", "a key is not a string"},
	    {"{a:1}", "a key is not a string"},
	    {"{\"a\" 1}", "no colon"},
	    {"{\"a\":}", "no value here"},
	    {"[1 2]", "an array has no end"},
	    {"{\"a\":1", "an object has no end"},
	    {"[", "ends where a value"},
	    {"{", "a key is not a string"},
	    {"\"abc", "no end"},
	    {"\"a\nb\"", "control byte"},
	    {"\"\\x\"", "unknown escape"},
	    {"\"\\", "unknown escape"},
	    {"\"\\u12g4\"", "four hex"},
	    {"\"\\u12", "four hex"},
	    {"\"\\u0000\"", "NUL"},
	    {"\"\\ud800\"", "surrogate"},
	    {"\"\\ud800\\u0041\"", "surrogate"},
	    {"\"\\ud800\\n\"", "surrogate"},
	    {"\"\\udc00\"", "surrogate"},
	    {"\"\\ud83d\\ude", "surrogate"},
	    {"\"\xc0\x80\"", "not UTF-8"},
	    {"\"\xed\xa0\x80\"", "not UTF-8"},
	    {"\"\xff\"", "not UTF-8"},
	    {"NaN", "no value here"},
	    {"Infinity", "no value here"},
	    {"-Infinity", "no digits"},
	    {"nul", "unknown word"},
	    {"True", "no value here"},
	    {"01", "starts with 0"},
	    {"-01", "starts with 0"},
	    {"-0", "-0"},
	    {"1.", "after the point"},
	    {".5", "no value here"},
	    {"1e", "exponent"},
	    {"+1", "no value here"},
	    {"0x10", "something follows"},
	    {"// x\n{}", "no value here"},
	    {"{/**/}", "a key is not a string"},
	    {"'a'", "no value here"},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = {0};
		if (!scan(bad[i].text, strlen(bad[i].text), &e))
			fail_msg("%s: taken", bad[i].text);
		if (!strstr(e.text, bad[i].why))
			fail_msg("%s: refused with: %s", bad[i].text, e.text);
		assert_int_equal(e.code, ERR_CONTENT);
	}
}

static void
test_nul_and_utf16(void **state)
{
	assert_int_not_equal(scan("{\"a\":\"\0\"}", 9, NULL), 0);
	assert_int_not_equal(scan("{}\0", 3, NULL), 0);
	assert_int_not_equal(scan("\xff\xfe{\0}\0", 6, NULL), 0);
	assert_int_not_equal(scan("{\0}\0", 4, NULL), 0);
	assert_int_equal(scan("{}\0", 2, NULL), 0);
}

/* One limit at N and at N + 1. */
static void
both(const char *head, const char *part, const char *tail, size_t limit, const char *why)
{
	for (size_t more = 0; more < 2; more++) {
		struct build b = {0};
		struct err e = {0};
		build_add(&b, "%s", head);
		build_repeat(&b, part, limit + more);
		build_add(&b, "%s", tail);
		int r = scan(b.p, b.n, &e);
		if (more == 0 && r)
			fail_msg("%s at the limit: %s", why, e.text);
		if (more == 1 && (!r || !strstr(e.text, why)))
			fail_msg("%s beyond the limit: %s", why, e.text);
		build_free(&b);
	}
}

static void
test_limits(void **state)
{
	both("\"", "x", "\"", LIMIT_JSON_STRING, "too long");
	both("\"", "\\n", "\"", LIMIT_JSON_STRING, "too long");
	both("\"x", "\\u0101", "x\"", LIMIT_JSON_STRING / 2 - 1, "too long");
	both("[0", ",0", "]", LIMIT_JSON_VALUES - 2, "too many values");
	for (size_t more = 0; more < 2; more++) {
		struct build b = {0};
		build_repeat(&b, "[", LIMIT_JSON_DEPTH + more);
		build_repeat(&b, "]", LIMIT_JSON_DEPTH + more);
		assert_int_equal(scan(b.p, b.n, NULL) != 0, more);
		build_free(&b);
		build_add(&b, "{\"k\":0");
		for (size_t i = 1; i < LIMIT_JSON_KEYS + more; i++)
			build_add(&b, ",\"%zu\":0", i);
		build_add(&b, "}");
		assert_int_equal(scan(b.p, b.n, NULL) != 0, more);
		build_free(&b);
	}
}

static void
test_deep(void **state)
{
	struct build b = {0};
	struct err e = {0};

	build_repeat(&b, "[", 1000000);
	assert_int_not_equal(scan(b.p, b.n, &e), 0);
	assert_non_null(strstr(e.text, "too deep"));
	build_free(&b);
	build_repeat(&b, "{\"a\":", 1000000);
	assert_int_not_equal(scan(b.p, b.n, NULL), 0);
	build_free(&b);
}

/* Every prefix of a good text is refused. */
static void
test_prefixes(void **state)
{
	static const char text[] =
	    "{\"a\":[1.5e3,\"\\u00e9\\ud83d\\ude00\",true,null,{\"b\":-1}]}";

	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_int_not_equal(scan(text, n, NULL), 0);
	assert_int_equal(scan(text, sizeof(text) - 1, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_taken),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_nul_and_utf16),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_deep),
	    cmocka_unit_test(test_prefixes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
