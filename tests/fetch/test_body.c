#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "worker-fetch/fetch/body.h"
#include "worker-fetch/fetch/json.h"

static struct token_answer answer;

static int
scan(const char *text)
{
	struct err e = {0};
	int r = token_scan(span_str(text), &answer, &e);
	assert_int_equal(e.code, r < 0 ? ERR_AUTH : ERR_OK);
	return r;
}

static void
tokens_accepted(void **state)
{
	static const struct {
		const char *body, *token;
		unsigned expires;
	} rows[] = {
	    {"{\"token\":\"abc\"}", "abc", 60},
	    {" {\"access_token\" : \"abc\" , \"expires_in\" : 300}\r\n", "abc", 300},
	    {"{\"token\":\"a\",\"access_token\":\"a\"}", "a", 60},
	    {"{\"token\":\"a\",\"access_token\":\"\"}", "a", 60},
	    {"{\"token\":null,\"access_token\":\"b\"}", "b", 60},
	    {"{\"expires_in\":0,\"token\":\"a\"}", "a", 60},
	    {"{\"expires_in\":-1,\"token\":\"a\"}", "a", 60},
	    {"{\"expires_in\":10000000000,\"token\":\"a\"}", "a", 86400},
	    {"{\"expires_in\":1e9,\"token\":\"a\"}", "a", 60},
	    {"{\"expires_in\":\"300\",\"token\":\"a\"}", "a", 60},
	    {"{\"expires_in\":99999999999999999999999,\"token\":\"a\"}", "a", 60},
	    {"{\"token\":\"\\u0041\\/b\"}", "A/b", 60},
	    {"{\"\\u0074oken\":\"a\"}", "a", 60},
	    {"{\"x\":[{\"token\":\"no\"},[],{},[[1,-2.5e+3]],true,null],\"token\":"
	     "\"yes\","
	     "\"refresh_token\":\"secret\",\"issued_at\":\"2026-01-01T00:00:00Z\"}",
		"yes", 60},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (scan(rows[i].body) < 0)
			fail_msg("refused: %s", rows[i].body);
		assert_string_equal(answer.token, rows[i].token);
		assert_int_equal(answer.expires, rows[i].expires);
	}
}

static void
tokens_refused(void **state)
{
	static const char *const rows[] = {
	    "",
	    "{}",
	    "[]",
	    "null",
	    "\"token\"",
	    "{\"token\":\"\"}",
	    "{\"token\":1}",
	    "{\"token\":\"a\nb\"}",
	    "{\"token\":\"a\\nb\"}",
	    "{\"token\":\"a b\"}",
	    "{\"token\":\"a\\u0000b\"}",
	    "{\"token\":\"\xc3\xbc\"}",
	    "{\"token\":\"a\\r\\nX: y\"}",
	    "{\"token\":\"a\",\"access_token\":\"b\"}",
	    "{\"token\":\"a\",\"token\":\"a\"}",
	    "{\"token\":\"a\",\"\\u0074oken\":\"a\"}",
	    "{\"token\":\"a\"",
	    "{\"token\":\"a\"}x",
	    "{\"token\":\"a\"}{}",
	    "{\"token\":\"a\",}",
	    "{,\"token\":\"a\"}",
	    "{\"token\" \"a\"}",
	    "{token:\"a\"}",
	    "{'token':'a'}",
	    "{\"token\":\"a\\x\"}",
	    "{\"token\":\"a\\ud800\"}",
	    "{\"token\":\"a\\udc00\"}",
	    "{\"token\":\"a\\u12\"}",
	    "{\"token\":\"a\"/*c*/}",
	    "{\"x\":01,\"token\":\"a\"}",
	    "{\"x\":1.,\"token\":\"a\"}",
	    "{\"x\":+1,\"token\":\"a\"}",
	    "{\"x\":NaN,\"token\":\"a\"}",
	    "{\"x\":[1,],\"token\":\"a\"}",
	    "{\"x\":[1 2],\"token\":\"a\"}",
	    "{\"x\":{\"a\"},\"token\":\"a\"}",
	    "{\"x\":[},\"token\":\"a\"}",
	    "{\"x\":\"\xff\",\"token\":\"a\"}",
	    "\xef\xbb\xbf{\"token\":\"a\"}",
	    "{\"expires_in\":1,\"expires_in\":2,\"token\":\"a\"}",
	    "{\"expires_in\":,\"token\":\"a\"}",
	    "{\"x\":tru,\"token\":\"a\"}",
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (scan(rows[i]) == 0)
			fail_msg("accepted: %s", rows[i]);
	}
}

static void
token_lengths(void **state)
{
	char *body = malloc(LIMIT_TOKEN_BODY + 2);
	struct err e = {0};

	for (size_t more = 0; more < 2; more++) {
		size_t n = LIMIT_SECRET + more;
		char *p = stpcpy(body, "{\"token\":\"");
		memset(p, 't', n);
		strcpy(p + n, "\"}");
		assert_int_equal(scan(body) < 0, more);
	}
	assert_int_equal(snprintf(body, 32, "{\"token\":\"a\"}"), 13);
	memset(body + 13, ' ', LIMIT_TOKEN_BODY - 12);
	assert_int_equal(token_scan(span_of(body, LIMIT_TOKEN_BODY), &answer, &e), 0);
	assert_true(token_scan(span_of(body, LIMIT_TOKEN_BODY + 1), &answer, &e) < 0);
	free(body);
}

static void
depth(void **state)
{
	char body[256];

	for (size_t more = 0; more < 2; more++) {
		size_t n = LIMIT_JSON_DEPTH + more;
		char *p = stpcpy(body, "{\"x\":");
		memset(p, '[', n);
		memset(p + n, ']', n);
		strcpy(p + 2 * n, ",\"token\":\"a\"}");
		assert_int_equal(scan(body) < 0, more);
	}
}

static void
errors(void **state)
{
	static const struct {
		const char *body, *code, *message;
	} rows[] = {
	    {"{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"manifest "
	     "unknown\","
	     "\"detail\":{\"Tag\":\"x\"}}]}",
		"MANIFEST_UNKNOWN", "manifest unknown"},
	    {"{\"errors\":[{\"detail\":[1],\"message\":\"m\",\"code\":\"DENIED\"},{"
	     "\"code\":\"B\"}]}",
		"DENIED", "m"},
	    /* cut in the middle: what was there is told */
	    {"{\"errors\":[{\"code\":\"TOOMANYREQUESTS\",\"message\":\"you have reac",
		"TOOMANYREQUESTS", ""},
	    {"{\"errors\":[]}", "", ""},
	    {"{\"errors\":null}", "", ""},
	    {"{\"errors\":[{\"code\":1}]}", "", ""},
	    {"{\"details\":\"x\"}", "", ""},
	    {"{\"a\":1,\"errors\":[{\"code\":\"X\"}]}", "X", ""},
	    {"<html><body>502</body></html>", "", ""},
	    {"404 page not found\nmore", "", "404 page not found"},
	    {"bad\x1b[31m", "", "bad\\x1b[31m"},
	    {"{\"errors\":[{\"code\":\"A\\u001b\",\"message\":\"\\u001b[2J\"}]}",
		"A\\x1b", "\\x1b[2J"},
	    {"", "", ""},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error_answer a;
		error_scan(span_str(rows[i].body), &a);
		assert_string_equal(a.code, rows[i].code);
		assert_string_equal(a.message, rows[i].message);
	}
}

static void
basic(void **state)
{
	char out[64];

	assert_true(
	    basic_authorization(span_str("Aladdin:open sesame"), out, sizeof(out)));
	assert_string_equal(out, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
	assert_true(basic_authorization(span_str("a:"), out, sizeof(out)));
	assert_string_equal(out, "Basic YTo=");
	assert_true(basic_authorization(span_str("a:\xc3\xbc"), out, sizeof(out)));
	assert_false(basic_authorization(span_str("nocolon"), out, sizeof(out)));
	assert_false(basic_authorization(span_str(""), out, sizeof(out)));
	assert_false(basic_authorization(span_str("a:b\r\n"), out, sizeof(out)));
	assert_false(basic_authorization(span_of("a:\0", 3), out, sizeof(out)));
	assert_true(basic_authorization(span_str("a:b"), out, 11));
	assert_false(basic_authorization(span_str("a:b"), out, 10));
	assert_true(header_safe(span_str("!~")));
	assert_false(header_safe(span_str("")));
	assert_false(header_safe(span_str("a b")));
	assert_false(header_safe(span_str("a\x7f")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tokens_accepted),
	    cmocka_unit_test(tokens_refused),
	    cmocka_unit_test(token_lengths),
	    cmocka_unit_test(depth),
	    cmocka_unit_test(errors),
	    cmocka_unit_test(basic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
