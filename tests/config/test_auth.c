#include "common/base/base64.h"
#include "tests/config/collect.h"

#include "supervisor/config/read.h"

#define AUTHS(entries) "{\"auths\":{" entries "}}"

static const struct said files[] = {
    {"{}", "", false},
    {"{\"auths\":{},\"credHelpers\":{}}", "", false},
    {"{\"auths\":null}", "", false},
    {"{\"HttpHeaders\":{\"User-Agent\":\"x\"},\"psFormat\":\"x\",\"auths\":{}}", "",
	false},
    {AUTHS("\"docker.io\":{\"auth\":\"dTpw\"},\"a.b:5000/ns/"
	   "x\":{\"auth\":\"dTpwOnE=\",\"email\":\"e\"}"),
	"docker.io!1!u:p\na.b:5000/ns/x!1!u:p:q\n", false},
    {AUTHS("\"https://index.docker.io/v1/\":{\"auth\":\"dTo=\"}"),
	"https://index.docker.io/v1/!1!u:\n", false},
    {AUTHS("\"a.b\":{\"auth\":\"dTpwAAA=\"}"), "a.b!1!u:p\n", false},
    {AUTHS("\"a.b\":{\"identitytoken\":\"tok\"}"), "a.b!2!tok\n", false},
    {AUTHS("\"a.b\":{\"auth\":\"dTpw\",\"identitytoken\":\"tok\"}"), "a.b!2!tok\n",
	false},
    {AUTHS("\"a.b\":{\"auth\":\"dTpw\",\"identitytoken\":\"\"}"), "a.b!1!u:p\n", false},
    {AUTHS("\"a.b\":{}"), "", false},
    {AUTHS("\"a.b\":{\"auth\":\"\"}"), "", false},
    {"{\"credHelpers\":{\"a.b\":\"secretservice\"},\"credsStore\":\"pass\"}",
	"cred_helper=a.b\\x09secretservice\ncreds_store=pass\n", false},
    {"{\"credsStore\":\"\"}", "", false},
    /* of no use to anybody, but no reason to keep the others from working */
    {AUTHS("\"a.b\":{\"auth\":\"!!!!\"},\"c.d\":{\"auth\":\"dTpw\"}"),
	"ignored=auths.\"a.b\": auth is not base64, or too long\nc.d!1!u:p\n", false},
    {AUTHS("\"a.b\":{\"auth\":\"dTp\"}"),
	"ignored=auths.\"a.b\": auth is not base64, or too long\n", false},
    {AUTHS("\"a.b\":{\"auth\":\"dXA=\"}"),
	"ignored=auths.\"a.b\": auth is not user:password\n", false},
    {AUTHS("\"a.b\":{\"auth\":\"OnA=\"}"),
	"ignored=auths.\"a.b\": auth is not user:password\n", false},
    {AUTHS("\"a.b\":{\"auth\":5}"),
	"ignored=auths.\"a.b\": neither auth nor identitytoken is a text\n", false},
    {AUTHS("\"a.b\":\"x\""), "ignored=auths.\"a.b\": not an object\n", false},
    {AUTHS("\"a b\":{\"auth\":\"dTpw\"}"),
	"ignored=auths.\"a b\": not host[:port][/path]\n", false},
    {AUTHS("\"a\\n\":{\"auth\":\"dTpw\"}"),
	"ignored=auths.\"a\\x0a\": not host[:port][/path]\n", false},
    {AUTHS("\"\":{\"auth\":\"dTpw\"}"), "ignored=auths.\"\": not host[:port][/path]\n",
	false},
    {AUTHS("\"a.b\":{\"Auth\":\"dTpw\"}"),
	"ignored=auths.\"a.b\": entry: the key \"Auth\" differs from \"auth\" only in "
	"case: ambiguous\n",
	false},

    {"", "not acceptable JSON", true},
    {"[]", "not a JSON object", true},
    {"{\"auths\":[]}", "auths is not an object", true},
    {"{\"Auths\":{}}", "only in case", true},
    {"{\"auths\":{},\"auths\":{}}", "duplicate", true},
    {AUTHS("\"a.b\":{},\"a.b\":{}"), "duplicate", true},
    {"{\"auths\":{}} x", "follows", true},
    {"{\"credHelpers\":[]}", "credHelpers is not an object", true},
    {"{\"credHelpers\":{\"a.b\":1}}", "credHelpers is not a name", true},
    {"{\"credHelpers\":{\"a.b\":\"x y\"}}", "credHelpers is not a name", true},
    {"{\"credsStore\":1}", "credsStore", true},
    {"{\"credsStore\":\"a\\tb\"}", "credsStore", true},
};

static void
test_files(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		check_said(CONFIG_AUTH, &files[i]);
}

static void
test_base64(void **state)
{
	static const struct {
		const char *text, *plain;
	} rows[] = {{"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"},
	    {"Zm9vYmFy", "foobar"}, {"+/+/", "\xfb\xff\xbf"}};
	static const char *const bad[] = {"Z", "Zg",
	    "Zg=", "Z===", "====", "Zg==Zg==", "Zm9v\n", "Zm 9", "-_-_", "Zm=v", "=m9v"};
	uint8_t out[16];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ssize_t n = base64_decode(span_str(rows[i].text), out, sizeof(out));
		assert_int_equal(n, strlen(rows[i].plain));
		assert_memory_equal(out, rows[i].plain, (size_t)n);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (base64_decode(span_str(bad[i]), out, sizeof(out)) != -EINVAL)
			fail_msg("%s taken", bad[i]);
	}
	assert_int_equal(base64_decode(span_str("Zm9v"), out, 3), 3);
	assert_int_equal(base64_decode(span_str("Zm9v"), out, 2), -EINVAL);
}

struct longest {
	size_t n;
	unsigned ignored;
};

static int
count_row(void *arg, const char *key, struct span value)
{
	((struct longest *)arg)->ignored += !strcmp(key, "ignored");
	return 0;
}

static int
count_secret(void *arg, struct span scope, enum secret_kind kind, struct span secret)
{
	((struct longest *)arg)->n = secret.n;
	return 0;
}

/* Secrets of exactly the limit, and one byte more: as a token, and as user:password. */
static void
test_limits(void **state)
{
	for (size_t more = 0; more < 2; more++) {
		struct longest got = {0};
		struct config_sink sink = {count_row, count_secret, NULL, &got};
		struct build b = {0};
		build_add(&b, "{\"auths\":{\"a.b\":{\"identitytoken\":\"");
		build_repeat(&b, "t", LIMIT_SECRET + more);
		build_add(&b, "\"}}}");
		assert_int_equal(
		    config_read(CONFIG_AUTH, span_of(b.p, b.n), "f", &sink, NULL), 0);
		assert_int_equal(got.n, more ? 0 : LIMIT_SECRET);
		assert_int_equal(got.ignored, more);
		build_free(&b);
		build_add(&b, "{\"auths\":{\"a.b\":{\"auth\":\"");
		/* "Ojo6" is ":::", so "eDo6" starts with a user. 16384 = 3 * 5461 + 1. */
		build_add(&b, "eDo6");
		build_repeat(&b, "Ojo6", 5460);
		build_add(&b, more ? "Ojo=" : "Og==");
		build_add(&b, "\"}}}");
		got = (struct longest){0};
		assert_int_equal(
		    config_read(CONFIG_AUTH, span_of(b.p, b.n), "f", &sink, NULL), 0);
		assert_int_equal(got.n, more ? 0 : LIMIT_SECRET);
		assert_int_equal(got.ignored, more);
		build_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_base64),
	    cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
