/* The scanner, the tables, identities and times: pure. */
#include "tests/store/fixture.h"

#include "worker-store/store/hash.h"
#include "worker-store/store/image.h"
#include "worker-store/store/layer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct span
S(const char *s) {
	return span_str(s);
}

static void
test_json_accepts(void **state)
{
	static const char *const good[] = {"null", "true", " [1, -0.5e+7 ,\"\"]\n", "{}",
	    "{\"a\":[{}],\"b\":\"\\u0041\\n\\\\\"}", "0", "-1", "\"\xc3\xa9\"", "1E5"};
	struct span v;

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(json_check(S(good[i]), &v), 0);
}

static void
test_json_refuses(void **state)
{
	static const char *const bad[] = {"", " ", "nul", "01", "1.", ".5", "1e", "+1",
	    "[1,]", "{\"a\"}", "{\"a\":1,}", "{a:1}", "[1 2]", "\"\\x\"", "\"\\u12g4\"",
	    "\"a", "\"\n\"", "[]x", "{\"a\":1}}", "\"\xff\"", "\"\xed\xa0\x80\"", "'a'",
	    "[", "{", "-", "\"\\"};
	struct span v;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(json_check(S(bad[i]), &v), -EBADMSG);
	assert_int_equal(json_check(span_of("[1\0]", 4), &v), -EBADMSG);
}

/* Strings are walked eight bytes at once: each byte that means something, at each place,
 * with what may precede it. */
static void
test_json_every_byte(void **state)
{
	for (size_t at = 1; at < 28; at++) {
		for (unsigned byte = 0; byte < 256; byte++) {
			char text[32];
			struct span v;
			memset(text, byte & 1 ? 'a' : 0x20, sizeof(text));
			text[0] = text[29] = '"';
			text[at] = (char)byte;
			bool good =
			    byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
			int want = good ? 0 : -EBADMSG;
			assert_int_equal(json_check(span_of(text, 30), &v), want);
			assert_int_equal(
			    span_is_text(span_of(text, 30)), byte > 0 && byte < 0x80);
		}
	}
}

static void
test_json_depth(void **state)
{
	char text[2 * LIMIT_JSON_DEPTH + 3];
	struct span v;

	for (int n = LIMIT_JSON_DEPTH; n <= LIMIT_JSON_DEPTH + 1; n++) {
		memset(text, '[', (size_t)n);
		memset(text + n, ']', (size_t)n);
		assert_int_equal(json_check(span_of(text, 2 * (size_t)n), &v),
		    n == LIMIT_JSON_DEPTH ? 0 : -EBADMSG);
	}
}

static void
test_json_strings(void **state)
{
	static const struct {
		const char *json, *text;
	} pairs[] = {
	    {"\"a\\/b\"", "a/b"},
	    {"\"\\u00e9\\ud83d\\ude00\"", "\xc3\xa9\xf0\x9f\x98\x80"},
	    {"\"\\b\\f\\n\\r\\t\\\"\\\\\"", "\b\f\n\r\t\"\\"},
	};
	static const char *const bad[] = {"\"\\u0000\"", "\"\\ud800\"", "\"\\ude00\"",
	    "\"\\ud800x\"", "\"\\ud800\\u0041\"", "5"};
	uint8_t out[64];

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		ssize_t n = json_decode(S(pairs[i].json), out);
		assert_true(n >= 0 && span_is(span_of(out, (size_t)n), pairs[i].text));
		assert_true(json_string_is(S(pairs[i].json), S(pairs[i].text)));
		assert_false(json_string_is(S(pairs[i].json), S("a/")));
		assert_false(json_string_is(S(pairs[i].json), S("a/bc")));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(json_decode(S(bad[i]), out), -EBADMSG);
	CLEANUP(buf_free) struct buf b = {0};
	buf_json(&b, S("a<b>&\"\\\n\t\x01\xc3\xa9"));
	assert_true(span_is(
	    buf_span(&b), "\"a\\u003cb\\u003e\\u0026\\\"\\\\\\n\\t\\u0001\xc3\xa9\""));
}

static void
test_json_numbers(void **state)
{
	int64_t v;

	assert_true(json_int64(S("9223372036854775807"), &v) && v == INT64_MAX);
	assert_false(json_int64(S("9223372036854775808"), &v));
	assert_true(json_int64(S("-9223372036854775808"), &v) && v == INT64_MIN);
	assert_false(json_int64(S("-9223372036854775809"), &v));
	assert_true(json_int64(S("0"), &v) && v == 0);
	assert_false(json_int64(S("1.0"), &v));
	assert_false(json_int64(S("1e3"), &v));
	assert_false(json_int64(S("-"), &v));
}

static void
test_json_edit(void **state)
{
	CLEANUP(buf_free) struct buf b = {0};
	const struct json_edit edits[] = {
	    {"b", S("7")}, {"c", S("")}, {"n", S("[]")}, {"q", S("")}};

	json_edit_object(
	    &b, S("{ \"a\" : [1, 2] ,\"\\u0062\":1,\"c\":{},\"d\": 1.50 }"), edits, 4);
	assert_true(
	    span_is(buf_span(&b), "{\"a\":[1, 2],\"\\u0062\":7,\"d\":1.50,\"n\":[]}"));
}

static int
parse(enum table_kind kind, const char *text, struct table *t)
{
	return table_parse(t, kind, S(text), "x.json", NULL);
}

static void
test_table_shapes(void **state)
{
	static const struct {
		enum table_kind kind;
		const char *text;
		bool good;
	} rows[] = {
	    {TABLE_LAYERS, "", true},
	    {TABLE_LAYERS, " \n", true},
	    {TABLE_LAYERS, "null", true},
	    {TABLE_LAYERS, "[]", true},
	    {TABLE_LAYERS, "[{\"id\":\"a\",\"uidset\":[0,4294967295],\"names\":null}]",
		true},
	    {TABLE_LAYERS, "[{\"id\":\"a\",\"uidset\":[4294967296]}]", false},
	    {TABLE_LAYERS, "[{\"id\":\"a\",\"uidset\":[-1]}]", false},
	    {TABLE_LAYERS, "[{\"id\":\"a\",\"diff-size\":1.5}]", false},
	    {TABLE_LAYERS, "[{\"id\":\"a\",\"created\":\"yesterday\"}]", false},
	    {TABLE_LAYERS, "[{\"id\":\"a/b\"}]", false},
	    {TABLE_LAYERS, "[{\"id\":\"\"}]", false},
	    {TABLE_LAYERS, "[{\"id\":\"\\u0061\"}]", false},
	    {TABLE_LAYERS, "[{\"id\":\"a\",\"Parent\":\"b\"}]", false},
	    {TABLE_LAYERS, "[{\"id\":\"a\",\"parent\":\"b\",\"parent\":\"c\"}]", false},
	    {TABLE_LAYERS, "[{\"id\":\"a\",\"flags\":[]}]", false},
	    {TABLE_LAYERS, "[{\"id\":\"a\",\"uidmap\":[1]}]", false},
	    {TABLE_LAYERS, "[{\"id\":\"a\",\"diff-digest\":\"\"}]", true},
	    {TABLE_LAYERS, "[{\"id\":\"a\",\"diff-digest\":\"md5:00\"}]", false},
	    {TABLE_IMAGES, "[{\"id\":\"a\",\"big-data-sizes\":{\"k\":\"1\"}}]", false},
	    {TABLE_IMAGES, "[{\"id\":\"a\",\"big-data-digests\":{\"signature\":\"x\"}}]",
		true},
	    {TABLE_IMAGES, "[{\"id\":\"a\",\"big-data-digests\":{\"manifest-x\":\"x\"}}]",
		false},
	    {TABLE_IMAGES, "[{\"id\":\"a\",\"metadata\":{}}]", false},
	    {TABLE_CONTAINERS, "[{\"id\":\"a\",\"image\":\"b\",\"layer\":\"c\",\"x\":1}]",
		true},
	    {TABLE_CONTAINERS, "[{\"id\":\"a\",\"image\":7}]", false},
	    {TABLE_MOUNTS, "[{\"id\":\"a\",\"path\":\"/x\",\"count\":2}]", true},
	    {TABLE_MOUNTS, "[{\"id\":\"a\",\"count\":\"2\"}]", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct table t;
		int r = parse(rows[i].kind, rows[i].text, &t);
		if ((r == 0) != rows[i].good)
			fail_msg("%s: %d", rows[i].text, r);
		table_free(&t);
	}
}

static void
test_table_find_and_put(void **state)
{
	struct table t;
	CLEANUP(buf_free) struct buf b = {0};

	assert_int_equal(
	    parse(TABLE_LAYERS,
		"[{\"id\":\"c\",\"flags\":{\"incomplete\":true}},{\"id\":\"a\","
		"\"diff-size\":7},{\"id\":\"b\",\"parent\":\"a\"}]",
		&t),
	    0);
	assert_true(table_find(&t, S("c"))->incomplete);
	assert_int_equal(table_find(&t, S("a"))->diff_size, 7);
	assert_true(span_is(table_find(&t, S("b"))->parent, "a"));
	assert_null(table_find(&t, S("d")));
	buf_str(&b, "{\"id\":\"d\",\"parent\":\"b\"}");
	assert_int_equal(table_put(&t, NULL, &b, NULL), 0);
	assert_non_null(table_find(&t, S("d")));
	buf_str(&b, "{\"id\":\"d\"}");
	assert_true(table_put(&t, NULL, &b, NULL) < 0); /* twice */
	buf_free(&b);
	buf_str(&b, "{\"id\":\"e\"}");
	assert_true(table_put(&t, table_find(&t, S("a")), &b, NULL) < 0); /* another id */
	table_find(&t, S("c"))->gone = true;
	assert_null(table_find(&t, S("c")));
	buf_free(&b);
	table_print(&t, &b);
	assert_true(span_is(buf_span(&b),
	    "[{\"id\":\"a\",\"diff-size\":7},{\"id\":\"b\",\"parent\":"
	    "\"a\"},{\"id\":\"d\",\"parent\":\"b\"}]"));
	table_free(&t);
}

static void
test_table_record_limit(void **state)
{
	for (size_t n = LIMIT_STORE_RECORDS; n <= LIMIT_STORE_RECORDS + 1; n++) {
		CLEANUP(buf_free) struct buf b = {0};
		struct table t;
		buf_str(&b, "[");
		for (size_t i = 0; i < n; i++)
			buf_fmt(&b, "%s{\"id\":\"%zu\"}", i ? "," : "", i);
		buf_str(&b, "]");
		int r = table_parse(&t, TABLE_LAYERS, buf_span(&b), "x", NULL);
		assert_int_equal(r == 0, n == LIMIT_STORE_RECORDS);
		table_free(&t);
	}
}

static void
test_layer_ids(void **state)
{
	uint8_t diff[32] = {0}, hash[32];
	char base[ID_HEX + 1], child[ID_HEX + 1], text[2 * ID_HEX + 2], want[ID_HEX + 1];

	assert_int_equal(layer_id(NULL, diff, base), 0);
	assert_string_equal(
	    base, "0000000000000000000000000000000000000000000000000000000000000000");
	assert_int_equal(layer_id(base, diff, child), 0);
	snprintf(text, sizeof(text), "%s+%s", base, base);
	assert_int_equal(sha256(S(text), hash), 0);
	assert_string_equal(child, hex_encode(hash, 32, want));
}

static void
test_item_files(void **state)
{
	char out[64];

	assert_true(item_file(S("manifest"), out, sizeof(out)));
	assert_string_equal(out, "manifest");
	assert_true(item_file(S("a-b"), out, sizeof(out)));
	assert_string_equal(out, "=YS1i");
	assert_true(item_file(S("a-"), out, sizeof(out)));
	assert_string_equal(out, "=YS0=");
	assert_true(item_file(S("A"), out, sizeof(out)));
	assert_string_equal(out, "=QQ==");
	assert_false(item_file(S(""), out, sizeof(out)));
	assert_false(item_file(S("."), out, sizeof(out)));
	assert_false(item_file(S(".."), out, sizeof(out)));
	assert_false(item_file(S("???"), out, sizeof(out))); /* base64 with a slash */
	assert_true(item_file(S("abc"), out, 4));
	assert_false(item_file(S("abc"), out, 3));
}

static void
test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t s;
		uint32_t ns;
		const char *again;
	} rows[] = {
	    {"1970-01-01T00:00:00Z", 0, 0, "1970-01-01T00:00:00Z"},
	    {"2024-02-29T23:59:59.5Z", 1709251199, 500000000, "2024-02-29T23:59:59.5Z"},
	    {"2024-01-02T05:04:05.123456789+02:00", 1704164645, 123456789,
		"2024-01-02T03:04:05.123456789Z"},
	    {"0001-01-01T00:00:00Z", -62135596800, 0, "1970-01-01T00:00:00Z"},
	    {"9999-12-31T23:59:59Z", 253402300799, 0, "9999-12-31T23:59:59Z"},
	    {"1999-12-31T23:59:59.0000000019-00:30", 946686599, 1,
		"2000-01-01T00:29:59.000000001Z"},
	};
	static const char *const bad[] = {"", "2024", "2024-13-01T00:00:00Z",
	    "2024-01-01T00:00:00", "2024-01-01 00:00:00Z", "2024-01-01T00:00:00.Z",
	    "2024-01-01T00:00:00Zx", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00+24:00"};
	struct stamp t;
	char out[31];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(stamp_parse(S(rows[i].text), &t));
		assert_int_equal(t.s, rows[i].s);
		assert_int_equal(t.ns, rows[i].ns);
		assert_string_equal(stamp_print(t, out), rows[i].again);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(stamp_parse(S(bad[i]), &t));
	assert_string_equal(
	    stamp_print((struct stamp){INT64_MAX, 5}, out), "9999-12-31T23:59:59Z");
}

static void
test_access_flags(void **state)
{
	struct access a = {.proof = {0xab}}, all = {.public = true};
	CLEANUP(buf_free) struct buf b = {0};

	access_add(&b, S("{\"x\":1,\"bulkhead.access\":[\"11\"]}"), &a);
	assert_true(span_is(buf_span(&b), "{\"x\":1,\"bulkhead.access\":[\"11\","
					  "\"ab000000000000000000000000000000\"]}"));
	assert_true(access_has(buf_span(&b), &a));
	assert_false(access_has(buf_span(&b), &all));
	CLEANUP(buf_free) struct buf p = {0};
	access_add(&p, buf_span(&b), &all);
	assert_true(span_is(buf_span(&p), "{\"x\":1,\"bulkhead.access\":\"public\"}"));
	assert_true(access_has(buf_span(&p), &a));
	/* What another program wrote there counts for nothing. */
	assert_false(access_has(S("{\"bulkhead.access\":{\"public\":1}}"), &a));
	assert_false(access_has(S(""), &all));
}

/* The last of the final list ends foremost in the history: upstream's updateNames. */
static void
test_name_history(void **state)
{
	struct table t;
	CLEANUP(buf_free) struct buf b = {0};

	assert_int_equal(parse(TABLE_IMAGES,
			     "[{\"id\":\"a\",\"names\":[\"x\",\"y\"],\"names-history\":["
			     "\"y\",\"z\"]}]",
			     &t),
	    0);
	assert_int_equal(image_add_name(&b, &t.rec[0], "n", NULL), 0);
	assert_true(
	    span_is(buf_span(&b), "{\"id\":\"a\",\"names\":[\"n\",\"x\",\"y\"],"
				  "\"names-history\":[\"y\",\"x\",\"n\",\"z\"]}"));
	buf_free(&b);
	assert_int_equal(image_drop_name(&b, &t.rec[0], "x", NULL), 0);
	assert_true(span_is(buf_span(&b),
	    "{\"id\":\"a\",\"names\":[\"y\"],\"names-history\":[\"y\",\"z\"]}"));
	buf_free(&b);
	assert_int_equal(image_drop_name(&b, &t.rec[0], "", NULL), 0);
	assert_true(
	    span_is(buf_span(&b), "{\"id\":\"a\",\"names-history\":[\"y\",\"z\"]}"));
	table_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_json_accepts),
	    cmocka_unit_test(test_json_refuses),
	    cmocka_unit_test(test_json_every_byte),
	    cmocka_unit_test(test_json_depth),
	    cmocka_unit_test(test_json_strings),
	    cmocka_unit_test(test_json_numbers),
	    cmocka_unit_test(test_json_edit),
	    cmocka_unit_test(test_table_shapes),
	    cmocka_unit_test(test_table_find_and_put),
	    cmocka_unit_test(test_table_record_limit),
	    cmocka_unit_test(test_layer_ids),
	    cmocka_unit_test(test_item_files),
	    cmocka_unit_test(test_times),
	    cmocka_unit_test(test_access_flags),
	    cmocka_unit_test(test_name_history),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
