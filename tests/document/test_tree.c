#include "tests/document/check.h"

#include <errno.h>

static struct jv *
parse(const char *text)
{
	struct jv *root;
	struct err e = {0};

	if (jv_parse(span_str(text), "it", &root, &e))
		fail_msg("%s: %s", text, e.text);
	return root;
}

static void
refuse(const char *text, const char *why)
{
	struct jv *root;
	struct err e = {0};

	assert_int_equal(jv_parse(span_str(text), "it", &root, &e), -EBADMSG);
	assert_null(root);
	if (!strstr(e.text, why))
		fail_msg("%s: refused with: %s", text, e.text);
}

static void
test_values(void **state)
{
	CLEANUP(jv_free)
	struct jv *root = parse("{\"i\":-5,\"t\":\"\\u00e9\",\"b\":true,\"n\":null,\"a\":"
				"[1,null,\"x\"],\"r\":1.0}");

	assert_int_equal(jv_kind(root), JV_OBJECT);
	assert_int_equal(jv_count(root), 6);
	assert_int_equal(jv_int(jv_get(root, "i")), -5);
	assert_true(span_is(jv_text(jv_get(root, "t")), "\xc3\xa9"));
	assert_true(jv_bool(jv_get(root, "b")));
	assert_null(jv_get(root, "n"));
	assert_true(jv_has(root, "n"));
	assert_false(jv_has(root, "x"));
	assert_null(jv_get(root, "x"));
	assert_int_equal(jv_count(jv_get(root, "a")), 3);
	assert_null(jv_at(jv_get(root, "a"), 1));
	assert_null(jv_at(jv_get(root, "a"), 3));
	assert_int_equal(jv_kind(jv_get(root, "r")), JV_REAL);
	assert_null(jv_get(jv_get(root, "i"), "x"));
	assert_int_equal(jv_count(NULL), 0);
	assert_int_equal(jv_kind(NULL), JV_NULL);
}

static void
test_refused(void **state)
{
	refuse("{\"layers\":1,\"layers\":2}", "duplicate");
	refuse("{\"layers\":1,\"\\u006cayers\":2}", "duplicate");
	refuse("{\"a\":{\"b\":1,\"b\":1}}", "duplicate");
	refuse("9223372036854775808", "integer");
	refuse("-9223372036854775809", "integer");
	refuse("1e400", "overflow");
	refuse("{\"a\":1}}", "follows");
}

static void
test_case(void **state)
{
	static const char *const known[] = {"layers", "mediaType", "links", NULL};
	static const char *const bad[] = {"{\"Layers\":1}", "{\"LAYERS\":1}",
	    "{\"mediatype\":1}", "{\"layer\xc5\xbf\":1}", "{\"lin\xe2\x84\xaas\":1}",
	    "{\"layers\":1,\"layerS\":1}", "{\"\\u004cayers\":1}"};
	static const char *const good[] = {"{\"layers\":1,\"mediaType\":2}",
	    "{\"layer\":1}", "{\"layerss\":1}", "{\"\":1}", "{\"\xc5\xbf\":1}"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(jv_free) struct jv *root = parse(bad[i]);
		struct err e = {0};
		if (!jv_check_case(root, known, "it", &e))
			fail_msg("%s: taken", bad[i]);
		assert_non_null(strstr(e.text, "only in case"));
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		CLEANUP(jv_free) struct jv *root = parse(good[i]);
		assert_int_equal(jv_check_case(root, known, "it", NULL), 0);
	}
}

static void
test_only(void **state)
{
	static const char *const known[] = {"a", "b", NULL};
	CLEANUP(jv_free) struct jv *good = parse("{\"b\":1}");
	CLEANUP(jv_free) struct jv *bad = parse("{\"a\":1,\"c\\u001b\":1}");
	struct err e = {0};

	assert_int_equal(jv_check_only(good, known, "it", &e), 0);
	assert_int_not_equal(jv_check_only(bad, known, "it", &e), 0);
	assert_string_equal(e.text, "it: unknown key \"c\\x1b\"");
}

static void
test_write(void **state)
{
	static const char text[] =
	    "{\"z\":[1,-2,1.5,true,false,null,{},[]],"
	    "\"a\":\"\\u0001\\\"\\\\\\n\\u007f\\u2028\xc3\xa9\xf0\x9f\x98\x80\"}";
	CLEANUP(jv_free) struct jv *root = parse(text);
	CLEANUP(jw_free) struct jw w = {.compact = true};

	jv_write(root, &w);
	assert_int_equal(jw_done(&w), 0);
	assert_true(span_is(span_of(w.p, w.n), text));
}

static void
test_write_errors(void **state)
{
	CLEANUP(jw_free)
	struct jw small = {.max = 8}, open = {0}, deep = {0}, extra = {0};

	jw_str(&small, "1234567");
	assert_int_equal(jw_done(&small), -EFBIG);
	jw_object(&open);
	assert_int_equal(jw_done(&open), -EINVAL);
	for (int i = 0; i < JW_DEPTH + 1; i++)
		jw_array(&deep);
	assert_int_equal(jw_done(&deep), -EINVAL);
	jw_end(&extra, '}');
	assert_int_equal(jw_done(&extra), -EINVAL);
	jw_free(&deep);
	jw_free(&open);
}

/* Bytes that are no UTF-8 must not get out. */
static void
test_write_hostile_bytes(void **state)
{
	CLEANUP(jw_free) struct jw w = {.compact = true};

	jw_text(&w, span_of("a\xff\xc3", 3));
	assert_int_equal(jw_done(&w), 0);
	assert_true(span_is(span_of(w.p, w.n), "\"a\xef\xbf\xbd\xef\xbf\xbd\""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_case),
	    cmocka_unit_test(test_only),
	    cmocka_unit_test(test_write),
	    cmocka_unit_test(test_write_errors),
	    cmocka_unit_test(test_write_hostile_bytes),
	};
	jv_warm_up();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
