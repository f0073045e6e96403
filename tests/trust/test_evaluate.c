#include "common/base/limits.h"
#include "policy/trust/trust.h"
#include "tests/rows.h"

#define YES "[{\"type\":\"insecureAcceptAnything\"}]"
#define NO "[{\"type\":\"reject\"}]"
#define GPG "[{\"type\":\"signedBy\",\"keyType\":\"GPGKeys\",\"keyPath\":\"/k\"}]"
#define COSIGN "[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\"}]"
#define DOCKER(fallback, scopes) \
	"{\"default\":" fallback ",\"transports\":{\"docker\":{" scopes "}}}"
#define DIGEST "sha256:" HEX_A

static const uint8_t digest[DIGEST_BYTES] = {1};

static struct policy_verdict
judge(const char *json, const char *name)
{
	CLEANUP(policy_free) struct policy *p = NULL;
	struct policy_verdict v;
	struct err e = {0};

	if (policy_parse(span_str(json), "/etc/p.json", &p, &e))
		fail_msg("%s: %s", json, e.text);
	memset(&v, 0xff, sizeof(v));
	policy_evaluate(p, span_str(name), digest, &v);
	return v;
}

static void
test_table(void **state)
{
	static const struct {
		const char *json, *name;
		bool accept;
	} rows[] = {
	    {"{\"default\":" YES "}", "docker.io/library/busybox:latest", true},
	    {"{\"default\":" NO "}", "docker.io/library/busybox:latest", false},
	    /* the whole name */
	    {DOCKER(NO, "\"docker.io/library/busybox:latest\":" YES),
		"docker.io/library/busybox:latest", true},
	    {DOCKER(NO, "\"docker.io/library/busybox:latest\":" YES),
		"docker.io/library/busybox:1", false},
	    {DOCKER(NO, "\"a.b/c@" DIGEST "\":" YES), "a.b/c@" DIGEST, true},
	    {DOCKER(NO, "\"a.b/c@" DIGEST "\":" YES), "a.b/c:1", false},
	    /* repository, namespaces, host */
	    {DOCKER(NO, "\"a.b/c/d\":" YES), "a.b/c/d:1", true},
	    {DOCKER(NO, "\"a.b/c/d\":" YES), "a.b/c/d@" DIGEST, true},
	    {DOCKER(NO, "\"a.b/c/d\":" YES), "a.b/c/dd:1", false},
	    {DOCKER(NO, "\"a.b/c/d\":" YES), "a.b/c:1", false},
	    {DOCKER(NO, "\"a.b/c\":" YES), "a.b/c/d:1", true},
	    {DOCKER(NO, "\"a.b/c\":" YES), "a.b/cc/d:1", false},
	    {DOCKER(NO, "\"a.b/c\":" YES), "a.b/x/c:1", false},
	    {DOCKER(NO, "\"a.b\":" YES), "a.b/c/d:1", true},
	    {DOCKER(NO, "\"a.b\":" YES), "a.b:5000/c/d:1", false},
	    {DOCKER(NO, "\"a.b:5000\":" YES), "a.b:5000/c/d:1", true},
	    {DOCKER(NO, "\"a.b:5000\":" YES), "a.b/c/d:1", false},
	    {DOCKER(NO, "\"a.b/\":" YES), "a.b/c/d:1", false},
	    {DOCKER(NO, "\"busybox\":" YES), "docker.io/library/busybox:1", false},
	    {DOCKER(NO, "\"library\":" YES), "docker.io/library/busybox:1", false},
	    {DOCKER(NO, "\"docker.io/library\":" YES), "docker.io/library/busybox:1",
		true},
	    /* the transport's default before the global one */
	    {DOCKER(NO, "\"\":" YES), "a.b/c:1", true},
	    {DOCKER(YES, "\"\":" NO), "a.b/c:1", false},
	    /* only the most specific counts */
	    {DOCKER(YES, "\"a.b/c:1\":" NO ",\"a.b/c\":" YES ",\"a.b\":" YES), "a.b/c:1",
		false},
	    {DOCKER(NO, "\"a.b\":" NO ",\"a.b/c\":" YES), "a.b/c:1", true},
	    {DOCKER(NO, "\"a.b\":" YES ",\"a.b/c\":" NO), "a.b/c/d:1", false},
	    {DOCKER(YES, "\"a.b/c/d\":" NO ",\"a.b/c\":" YES), "a.b/c/d:1", false},
	    /* wildcards */
	    {DOCKER(NO, "\"*.b.c\":" YES), "a.b.c/d:1", true},
	    {DOCKER(NO, "\"*.b.c\":" YES), "a.b.c:5000/d:1", true},
	    {DOCKER(NO, "\"*.b.c\":" YES), "x.a.b.c/d:1", true},
	    {DOCKER(NO, "\"*.b.c\":" YES), "b.c/d:1", false},
	    {DOCKER(NO, "\"*.b.c\":" YES), "ab.c/d:1", false},
	    {DOCKER(NO, "\"*.b.c\":" YES), "a.b.c.evil/d:1", false},
	    {DOCKER(NO, "\"*.c\":" YES), "a.b.c/d:1", true},
	    {DOCKER(YES, "\"*.b.c\":" NO ",\"*.c\":" YES), "a.b.c/d:1", false},
	    {DOCKER(YES, "\"*.b.c\":" YES ",\"a.b.c\":" NO), "a.b.c/d:1", false},
	    {DOCKER(YES, "\"*.b.c\":" NO ",\"\":" YES), "a.b.c/d:1", false},
	    {DOCKER(NO, "\"a.b.c\":" YES ",\"*.b.c\":" NO), "a.b.c:1/d:1", false},
	    /* other transports play no part */
	    {"{\"default\":" NO ",\"transports\":{\"dir\":{\"\":" YES
	     "},\"atomic\":{\"a.b\":" YES "},\"Docker\":{\"\":" YES "}}}",
		"a.b/c:1", false},
	    {"{\"default\":" YES ",\"transports\":{\"atomic\":{\"a.b\":" NO "}}}",
		"a.b/c:1", true},
	    /* all of several must accept */
	    {"{\"default\":[{\"type\":\"insecureAcceptAnything\"},{\"type\":\"reject\"}]"
	     "}",
		"a.b/c:1", false},
	    {"{\"default\":[{\"type\":\"reject\"},{\"type\":\"insecureAcceptAnything\"}]"
	     "}",
		"a.b/c:1", false},
	    {"{\"default\":[{\"type\":\"insecureAcceptAnything\"},"
	     "{\"type\":\"insecureAcceptAnything\"}]}",
		"a.b/c:1", true},
	    /* signatures: never accepted unverified */
	    {"{\"default\":" GPG "}", "a.b/c:1", false},
	    {"{\"default\":" COSIGN "}", "a.b/c:1", false},
	    {DOCKER(YES, "\"a.b\":" GPG), "a.b/c:1", false},
	    {DOCKER(GPG, "\"a.b\":" YES), "a.b/c:1", true},
	    {"{\"default\":[{\"type\":\"insecureAcceptAnything\"},"
	     "{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\"}]}",
		"a.b/c:1", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct policy_verdict v = judge(rows[i].json, rows[i].name);
		if (v.accept != rows[i].accept)
			fail_msg("row %zu (%s): %s", i, rows[i].name, v.text);
		assert_non_null(strstr(v.text, "/etc/p.json"));
	}
}

/* What is not a full name is refused even where everything is allowed. */
static void
test_names(void **state)
{
	static const char *const bad[] = {"", "busybox", "busybox:1", "a.b/c",
	    "docker.io/busybox:1", "a.b/C:1", "a.b/c:1@" DIGEST, "a.b/c@sha256:aa",
	    "a.b/c:1\n", "a.b/../c:1", "/c:1", "a.b//c:1", "*.b/c:1"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct policy_verdict v = judge("{\"default\":" YES "}", bad[i]);
		if (v.accept)
			fail_msg("%s accepted", bad[i]);
		assert_non_null(strstr(v.text, "not a full name"));
	}
}

static void
test_texts(void **state)
{
	assert_string_equal(judge(DOCKER(NO, "\"a.b\":" YES), "a.b/c:1").text,
	    "/etc/p.json: transports.docker.\"a.b\" allows it (insecureAcceptAnything)");
	assert_string_equal(judge("{\"default\":" NO "}", "a.b/c:1").text,
	    "a.b/c:1 is refused by the signature policy: /etc/p.json: \"default\" says "
	    "reject: an "
	    "entry for the name, its repository or its registry there would decide "
	    "otherwise");
	assert_non_null(strstr(judge(DOCKER(YES, "\"\":" GPG), "a.b/c:1").text,
	    "transports.docker.\"\" says signedBy: this version cannot verify "
	    "signatures"));
	assert_non_null(strstr(judge("{\"default\":" COSIGN "}", "a.b/c:1").text,
	    "says sigstoreSigned: this version cannot verify"));
}

static void
test_explained(void **state)
{
	static const struct {
		const char *json, *name, *text;
	} rows[] = {
	    {"{\"default\":" NO "}", "a.b/c:1", "/etc/p.json: \"default\": reject"},
	    {DOCKER(NO, "\"a.b\":" YES), "a.b/c:1",
		"/etc/p.json: transports.docker.\"a.b\": insecureAcceptAnything"},
	    {DOCKER(NO, "\"a.b\":" YES), "a.c/c:1", "/etc/p.json: \"default\": reject"},
	    {"{\"default\":[{\"type\":\"insecureAcceptAnything\"},"
	     "{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\"}]}",
		"a.b/c:1",
		"/etc/p.json: \"default\": insecureAcceptAnything, sigstoreSigned"},
	    {"{\"default\":" YES "}", "busybox", "no full name: refused"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(policy_free) struct policy *p = NULL;
		struct err e = {0};
		char text[1024];
		assert_int_equal(
		    policy_parse(span_str(rows[i].json), "/etc/p.json", &p, &e), 0);
		assert_string_equal(
		    policy_explain(p, span_str(rows[i].name), text, sizeof(text)),
		    rows[i].text);
		/* cut where there is no room */
		char small[20];
		policy_explain(p, span_str(rows[i].name), small, sizeof(small));
		assert_memory_equal(small, text, sizeof(small) - 1);
		assert_int_equal(small[19], 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_texts),
	    cmocka_unit_test(test_explained),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
