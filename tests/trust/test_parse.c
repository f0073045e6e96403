#include "common/base/limits.h"
#include "policy/trust/trust.h"
#include "tests/rows.h"

#include <errno.h>

#define ACCEPT "[{\"type\":\"insecureAcceptAnything\"}]"
#define DEFAULT "\"default\":" ACCEPT
#define REQUIREMENT(r) "{\"default\":[" r "]}"
#define DOCKER(scopes) "{" DEFAULT ",\"transports\":{\"docker\":{" scopes "}}}"
#define IDENTITY(i)                                                                      \
	REQUIREMENT("{\"type\":\"signedBy\",\"keyType\":\"GPGKeys\",\"keyPath\":\"/k\"," \
		    "\"signedIdentity\":" i "}")

static const struct row rows[] = {
    {"default only", "{" DEFAULT "}", NULL},
    {"white space", " \n{ " DEFAULT " }\n", NULL},
    {"empty transports", "{" DEFAULT ",\"transports\":{}}", NULL},
    {"empty transport", "{" DEFAULT ",\"transports\":{\"docker\":{}}}", NULL},
    {"other transports",
	"{" DEFAULT ",\"transports\":{\"dir\":{\"\":" ACCEPT
	"},\"docker-daemon\":{\"\":" ACCEPT "},\"x\":{\"*a*\":" ACCEPT "}}}",
	NULL},
    {"scopes",
	DOCKER("\"\":" ACCEPT ",\"a.b/c\":" ACCEPT ",\"*.b.c\":" ACCEPT
	       ",\"a.b/c:t\":" ACCEPT),
	NULL},
    {"signedBy",
	REQUIREMENT("{\"type\":\"signedBy\",\"keyType\":\"GPGKeys\",\"keyPath\":\"/k\"}"),
	NULL},
    {"signedBy keyPaths",
	REQUIREMENT("{\"type\":\"signedBy\",\"keyType\":\"GPGKeys\",\"keyPaths\":[\"/"
		    "k\",\"/l\"]}"),
	NULL},
    {"signedBy keyData",
	REQUIREMENT(
	    "{\"type\":\"signedBy\",\"keyType\":\"GPGKeys\",\"keyData\":\"aGk=\"}"),
	NULL},
    {"sigstore keyPath", REQUIREMENT("{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\"}"),
	NULL},
    {"sigstore fulcio",
	REQUIREMENT("{\"type\":\"sigstoreSigned\",\"fulcio\":{\"caPath\":\"/"
		    "c\",\"oidcIssuer\":\"x\","
		    "\"subjectEmail\":\"y\"},\"rekorPublicKeyPath\":\"/r\"}"),
	NULL},
    {"sigstore pki",
	REQUIREMENT("{\"type\":\"sigstoreSigned\",\"pki\":{\"caRootsPath\":\"/c\","
		    "\"subjectHostname\":\"y\"}}"),
	NULL},
    {"matchExact", IDENTITY("{\"type\":\"matchExact\"}"), NULL},
    {"exactReference",
	IDENTITY("{\"type\":\"exactReference\",\"dockerReference\":\"a/b:c\"}"), NULL},
    {"remapIdentity",
	IDENTITY("{\"type\":\"remapIdentity\",\"prefix\":\"a\",\"signedPrefix\":\"b\"}"),
	NULL},

    {"empty", "", "ends where a value"},
    {"array", "[]", "not a JSON object"},
    {"no default", "{}", "no \"default\""},
    {"no default but transports", "{\"transports\":{\"docker\":{\"\":" ACCEPT "}}}",
	"no \"default\""},
    {"default null", "{\"default\":null}", "not an array"},
    {"default object", "{\"default\":{\"type\":\"reject\"}}", "not an array"},
    {"default empty", "{\"default\":[]}", "is empty"},
    {"scope empty", DOCKER("\"a.b\":[]"), "is empty"},
    {"scope null", DOCKER("\"a.b\":null"), "not an array"},
    {"unknown key", "{" DEFAULT ",\"defaults\":" ACCEPT "}", "unknown key \"defaults\""},
    {"Default", "{" DEFAULT ",\"Default\":" ACCEPT "}", "unknown key"},
    {"default twice", "{" DEFAULT "," DEFAULT "}", "duplicate"},
    {"default by escape", "{" DEFAULT ",\"\\u0064efault\":" ACCEPT "}", "duplicate"},
    {"scope twice", DOCKER("\"a.b\":" ACCEPT ",\"a.b\":[{\"type\":\"reject\"}]"),
	"duplicate"},
    {"trailing", "{" DEFAULT "} {}", "follows"},
    {"comment", "{/* x */" DEFAULT "}", "not acceptable JSON"},
    {"transports array", "{" DEFAULT ",\"transports\":[]}", "not an object"},
    {"transports null", "{" DEFAULT ",\"transports\":null}", "not an object"},
    {"transport array", "{" DEFAULT ",\"transports\":{\"docker\":[]}}", "not an object"},
    {"unknown type", REQUIREMENT("{\"type\":\"insecureacceptanything\"}"),
	"unknown type"},
    {"type missing", REQUIREMENT("{}"), "no type"},
    {"type null", REQUIREMENT("{\"type\":null}"), "no type"},
    {"type number", REQUIREMENT("{\"type\":1}"), "no type"},
    {"type twice",
	REQUIREMENT("{\"type\":\"reject\",\"type\":\"insecureAcceptAnything\"}"),
	"duplicate"},
    {"requirement text", REQUIREMENT("\"insecureAcceptAnything\""), "not an object"},
    {"requirement null", REQUIREMENT("null"), "not an object"},
    {"accept with more", REQUIREMENT("{\"type\":\"insecureAcceptAnything\",\"x\":1}"),
	"unknown key"},
    {"reject with more", REQUIREMENT("{\"type\":\"reject\",\"Type\":\"x\"}"),
	"unknown key"},
    {"signedBy without key",
	REQUIREMENT("{\"type\":\"signedBy\",\"keyType\":\"GPGKeys\"}"),
	"none of the sources"},
    {"signedBy two keys",
	REQUIREMENT("{\"type\":\"signedBy\",\"keyType\":\"GPGKeys\",\"keyPath\":\"/a\","
		    "\"keyData\":\"x\"}"),
	"several"},
    {"signedBy key null and path",
	REQUIREMENT("{\"type\":\"signedBy\",\"keyType\":\"GPGKeys\",\"keyPath\":\"/a\","
		    "\"keyData\":null}"),
	"several"},
    {"signedBy keyType",
	REQUIREMENT("{\"type\":\"signedBy\",\"keyType\":\"X\",\"keyPath\":\"/k\"}"),
	"keyType"},
    {"signedBy no keyType", REQUIREMENT("{\"type\":\"signedBy\",\"keyPath\":\"/k\"}"),
	"keyType"},
    {"signedBy keyPath empty",
	REQUIREMENT("{\"type\":\"signedBy\",\"keyType\":\"GPGKeys\",\"keyPath\":\"\"}"),
	"keyPath"},
    {"signedBy keyPaths empty",
	REQUIREMENT("{\"type\":\"signedBy\",\"keyType\":\"GPGKeys\",\"keyPaths\":[]}"),
	"keyPaths"},
    {"signedBy keyPaths number",
	REQUIREMENT("{\"type\":\"signedBy\",\"keyType\":\"GPGKeys\",\"keyPaths\":[1]}"),
	"keyPaths"},
    {"sigstore without key", REQUIREMENT("{\"type\":\"sigstoreSigned\"}"),
	"none of the sources"},
    {"sigstore two rekors",
	REQUIREMENT("{\"type\":\"sigstoreSigned\",\"keyPath\":\"/"
		    "k\",\"rekorPublicKeyPath\":\"/r\","
		    "\"rekorPublicKeyData\":\"x\"}"),
	"more than one"},
    {"sigstore keyType",
	REQUIREMENT(
	    "{\"type\":\"sigstoreSigned\",\"keyType\":\"GPGKeys\",\"keyPath\":\"/k\"}"),
	"unknown key"},
    {"sigstore fulcio empty", REQUIREMENT("{\"type\":\"sigstoreSigned\",\"fulcio\":{}}"),
	"fulcio"},
    {"sigstore fulcio more",
	REQUIREMENT("{\"type\":\"sigstoreSigned\",\"fulcio\":{\"x\":\"y\"}}"),
	"unknown key"},
    {"identity unknown", IDENTITY("{\"type\":\"matchAny\"}"), "unknown type"},
    {"identity null", IDENTITY("null"), "not an object"},
    {"identity more", IDENTITY("{\"type\":\"matchExact\",\"prefix\":\"a\"}"),
	"unknown key"},
    {"identity less", IDENTITY("{\"type\":\"remapIdentity\",\"prefix\":\"a\"}"),
	"signedPrefix"},
    {"identity empty", IDENTITY("{\"type\":\"exactReference\",\"dockerReference\":\"\"}"),
	"dockerReference"},
    {"star inside", DOCKER("\"example*.*.com\":" ACCEPT), "can match no image"},
    {"star alone", DOCKER("\"*\":" ACCEPT), "can match no image"},
    {"star dot", DOCKER("\"*.\":" ACCEPT), "can match no image"},
    {"star with path", DOCKER("\"*.a.b/c\":" ACCEPT), "can match no image"},
    {"star with port", DOCKER("\"*.a.b:5000\":" ACCEPT), "can match no image"},
    {"two stars", DOCKER("\"*.*.b\":" ACCEPT), "can match no image"},
};

static void
check(const struct row *row)
{
	CLEANUP(policy_free) struct policy *p = NULL;
	struct err e = {0};

	int r = policy_parse(span_str(row->json), "/p.json", &p, &e);
	if (!row->text) {
		if (r)
			fail_msg("%s: refused: %s", row->name, e.text);
		return;
	}
	if (!r)
		fail_msg("%s: taken", row->name);
	assert_null(p);
	assert_int_equal(r, -EACCES);
	assert_int_equal(e.code, ERR_POLICY);
	if (!strstr(e.text, row->text) || !strstr(e.text, "/p.json"))
		fail_msg("%s: refused, but with: %s", row->name, e.text);
}

static void
test_rows(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check(&rows[i]);
}

static void
test_scopes(void **state)
{
	for (size_t more = 0; more < 2; more++) {
		struct build b = {0};
		build_add(
		    &b, "{%s,\"transports\":{\"docker\":{\"x\":%s", DEFAULT, ACCEPT);
		for (size_t i = 1; i < LIMIT_POLICY_SCOPES + more; i++)
			build_add(&b, ",\"h%zu.example\":%s", i, ACCEPT);
		build_add(&b, "}}}");
		struct row row = {"scopes", b.p, more ? "more than 1024 scopes" : NULL};
		check(&row);
		build_free(&b);
	}
}

static void
test_requirements(void **state)
{
	for (size_t more = 0; more < 2; more++) {
		struct build b = {0};
		build_add(&b, "{\"default\":[{\"type\":\"reject\"}");
		build_repeat(&b, ",{\"type\":\"reject\"}", 31 + more);
		build_add(&b, "]}");
		struct row row = {"requirements", b.p, more ? "more than 32" : NULL};
		check(&row);
		build_free(&b);
	}
}

static void
test_size(void **state)
{
	for (size_t more = 0; more < 2; more++) {
		size_t n = LIMIT_POLICY + more;
		CLEANUP(policy_free) struct policy *p = NULL;
		char *text = malloc(n);
		assert_non_null(text);
		memset(text, ' ', n);
		memcpy(text, "{" DEFAULT "}", strlen("{" DEFAULT "}"));
		int r = policy_parse(span_of(text, n), "/p.json", &p, NULL);
		assert_int_equal(r, more ? -EACCES : 0);
		free(text);
	}
}

static void
test_count(void **state)
{
	CLEANUP(policy_free) struct policy *p = NULL;
	static const char json[] = "{" DEFAULT ",\"transports\":{\"docker\":{\"\":" ACCEPT
				   ",\"a.b\":" ACCEPT "},\"dir\":{\"/x\":" ACCEPT "}}}";

	assert_int_equal(policy_parse(span_str(json), "f", &p, NULL), 0);
	assert_int_equal(policy_scopes(p), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_scopes),
	    cmocka_unit_test(test_requirements),
	    cmocka_unit_test(test_size),
	    cmocka_unit_test(test_count),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
