#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "worker-fetch/fetch/challenge.h"

static void
accepted(void **state)
{
	static const struct {
		const char *line, *realm, *service, *scope;
		bool basic, bearer;
	} rows[] = {
	    {"Bearer "
	     "realm=\"https://auth.example/"
	     "token\",service=\"reg\",scope=\"repository:a:pull\"",
		"https://auth.example/token", "reg", "repository:a:pull", false, true},
	    {"bearer REALM=https://a/t , Service=x", "https://a/t", "x", "", false, true},
	    {"Basic realm=\"Registry Realm\"", "", "", "", true, false},
	    {"Basic", "", "", "", true, false},
	    {"Basic realm=\"x\", Bearer realm=\"https://a/\"", "https://a/", "", "", true,
		true},
	    {"Bearer realm=\"https://a/\", Basic realm=\"x\", charset=\"UTF-8\"",
		"https://a/", "", "", true, true},
	    {"Negotiate, Basic realm=\"x\"", "", "", "", true, false},
	    {"Negotiate YII/abc+d==, Bearer realm=\"https://a/\"", "https://a/", "", "",
		false, true},
	    {"NTLM TlRM=, Basic realm=\"x\"", "", "", "", true, false},
	    {"NTLM /lRM, Basic realm=\"x\"", "", "", "", true, false},
	    {"Digest realm=\"x\", qop=\"auth, auth-int\", nonce=\"Bearer realm=y\"", "",
		"", "", false, false},
	    {"Bearer realm=\"https://a/\\\"\\\\b\",error=\"invalid_token\"",
		"https://a/\"\\b", "", "", false, true},
	    {"Bearer realm = \"https://a/\" , service = \"s t\"", "https://a/", "s t", "",
		false, true},
	    {",, Bearer realm=\"r\" ,, service=\"s\",", "r", "s", "", false, true},
	    {"Bearer realm=\"\",service=\"a&b\"", "", "a&b", "", false, true},
	    /* a widened scope is kept for messages only; challenge_scope decides */
	    {"Bearer realm=\"r\",scope=\"repository:a:pull,push registry:catalog:*\"",
		"r", "", "repository:a:pull,push registry:catalog:*", false, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct challenge c = {0};
		struct err e = {0};
		if (challenge_add(&c, span_str(rows[i].line), &e) < 0)
			fail_msg("%s: %s", rows[i].line, e.text);
		assert_string_equal(c.realm, rows[i].realm);
		assert_string_equal(c.service, rows[i].service);
		assert_string_equal(c.scope, rows[i].scope);
		assert_int_equal(c.basic, rows[i].basic);
		assert_int_equal(c.bearer, rows[i].bearer);
	}
}

static void
refused(void **state)
{
	static const char *const rows[] = {
	    "",
	    " ",
	    ",",
	    "=",
	    "\"",
	    "realm=\"x\"",
	    "Bearer realm=\"x",
	    "Bearer realm=\"x\\",
	    "Bearer realm=\"x\\\"",
	    "Bearer realm=\"a\",realm=\"b\"",
	    "Bearer realm=\"a\",REALM=\"b\"",
	    "Bearer realm=a,service=b,service=c",
	    "Bearer realm=a,scope=b,scope=c",
	    "Bearer realm=\"a\", Bearer realm=\"b\"",
	    "Bearer realm=\"a\", bearer",
	    "Bearer realm=\"a\r\nX: y\"",
	    "Bearer realm=\"a\x7f\"",
	    "Bearer realm=\"\xc3\xbc\"",
	    "Bearer @",
	    "(x)",
	    "Bearer realm=\"a\" \"b\"",
	    "Bearer {}",
	    "Basic realm=\"a\",realm=\"b\"",
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct challenge c = {0};
		struct err e = {0};
		if (challenge_add(&c, span_str(rows[i]), &e) == 0)
			fail_msg("accepted: %s", rows[i]);
		assert_int_equal(e.code, ERR_NETWORK);
	}
	struct challenge c = {0};
	struct err e = {0};
	assert_true(challenge_add(&c, span_of("Basic\0 x", 8), &e) < 0);
}

static void
several_lines(void **state)
{
	struct challenge c = {0};
	struct err e = {0};

	assert_int_equal(challenge_add(&c, span_str("Basic realm=\"x\""), &e), 0);
	assert_int_equal(challenge_add(&c, span_str("Bearer realm=\"y\""), &e), 0);
	assert_true(c.basic && c.bearer);
	assert_string_equal(c.realm, "y");
	assert_true(challenge_add(&c, span_str("Bearer realm=\"z\""), &e) < 0);
	assert_string_equal(c.realm, "y");
}

static void
value_lengths(void **state)
{
	static const struct {
		const char *name;
		size_t max;
	} rows[] = {{"realm", LIMIT_URL}, {"service", CHALLENGE_PARAM_MAX},
	    {"scope", CHALLENGE_PARAM_MAX}, {"unknown", LIMIT_URL}};
	static char line[LIMIT_URL + 64];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t more = 0; more < 2; more++) {
			for (int quoted = 0; quoted < 2; quoted++) {
				struct challenge c = {0};
				struct err e = {0};
				char *p = stpcpy(stpcpy(line, "Bearer "), rows[i].name);
				p = stpcpy(p, quoted ? "=\"" : "=");
				memset(p, 'v', rows[i].max + more);
				strcpy(p + rows[i].max + more, quoted ? "\"" : "");
				int r = challenge_add(&c, span_str(line), &e);
				assert_int_equal(r < 0, more);
			}
		}
	}
}

static void
scope(void **state)
{
	char text[64];

	assert_true(challenge_scope("library/alpine", text, sizeof(text)));
	assert_string_equal(text, "repository:library/alpine:pull");
	assert_false(challenge_scope("library/alpine", text, 30));
	assert_true(challenge_scope("library/alpine", text, 31));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(accepted),
	    cmocka_unit_test(refused),
	    cmocka_unit_test(several_lines),
	    cmocka_unit_test(value_lengths),
	    cmocka_unit_test(scope),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
