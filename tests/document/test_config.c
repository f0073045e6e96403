#include "tests/document/check.h"

#include <errno.h>

#define ROOTFS "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[" DIGEST_A "]}"
#define BASE "{\"os\":\"linux\",\"architecture\":\"amd64\"," ROOTFS
#define RUN(members) BASE ",\"config\":{" members "}}"
#define CREATED(text) BASE ",\"created\":" text "}"
#define HISTORY(entries) BASE ",\"history\":[" entries "]}"

static const struct document_request req = {.kind = DOC_CONFIG};

static const struct document_config *
take(const char *json)
{
	static struct document_answer out;
	struct err e = {0};

	if (parse_exact(&req, json, strlen(json), &out, &e))
		fail_msg("%s", e.text);
	assert_int_equal(out.is, DOCUMENT_IS_CONFIG);
	return &out.config;
}

static void
test_full(void **state)
{
	const struct document_config *c = take(
	    "{\"created\":\"2020-01-01T01:00:00.25+01:00\",\"os\":\"linux\","
	    "\"architecture\":\"arm\","
	    "\"variant\":\"v7\",\"config\":{\"User\":\"app:staff\",\"Env\":[\"A=b\\nc\","
	    "\"HOME=/x\"],"
	    "\"Labels\":{\"a\":\"1\",\"A\":\"2\",\"io.kubernetes.cri.x\":\"\\u001b\"},"
	    "\"ExposedPorts\":{\"80/tcp\":{}},\"Volumes\":{\"../../"
	    "etc\":{}},\"Cmd\":null},"
	    "\"history\":[{\"created_by\":\"x\\ny\"},{},{\"empty_layer\":true}],"
	    "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[" DIGEST_A "," DIGEST_B "]}}");

	assert_int_equal(c->ndiff_ids, 2);
	assert_int_equal(c->diff_ids[0][0], 0xaa);
	assert_int_equal(c->diff_ids[1][31], 0xbb);
	assert_int_equal(c->created, 1577836800);
	assert_int_equal(c->created_ns, 250000000);
	assert_string_equal(c->os, "linux");
	assert_string_equal(c->architecture, "arm");
	assert_string_equal(c->variant, "v7");
	assert_string_equal(c->user, "app:staff");
	assert_int_equal(c->labels, 3);
	assert_int_equal(c->env, 2);
	assert_int_equal(c->ports, 1);
	assert_int_equal(c->volumes, 1);
	assert_int_equal(c->history, 3);
}

static void
test_bare(void **state)
{
	const struct document_config *c =
	    take("{" ROOTFS ",\"config\":null,\"history\":null}");

	assert_int_equal(c->created, -1);
	assert_int_equal(c->created_ns, 0);
	assert_string_equal(c->os, "");
	assert_string_equal(c->user, "");
	assert_int_equal(take(CREATED("\"0001-01-01T00:00:00Z\""))->created, 0);
	assert_true(
	    take(CREATED("\"9999-12-31T23:59:59-01:00\""))->created == 253402300799);
}

#define USER(u) RUN("\"User\":\"" u "\"")

static const struct row rows[] = {
    {"no rootfs", "{\"os\":\"linux\"}", "no rootfs"},
    {"rootfs null", "{\"rootfs\":null}", "no rootfs"},
    {"rootfs text", "{\"rootfs\":\"x\"}", "not an object"},
    {"type", "{\"rootfs\":{\"type\":\"layer\",\"diff_ids\":[" DIGEST_A "]}}",
	"not \"layers\""},
    {"no diff_ids", "{\"rootfs\":{\"type\":\"layers\"}}", "0 diff_ids"},
    {"empty diff_ids", "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}",
	"0 diff_ids"},
    {"diff_ids null", "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[null]}}",
	"no digest"},
    {"diff_id number", "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[1]}}",
	"no digest"},
    {"diff_id text", "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:../x\"]}}",
	"not a digest"},
    {"diff_ids twice",
	"{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[" DIGEST_A
	"],\"diff_ids\":[" DIGEST_B "]}}",
	"duplicate"},
    {"Diff_ids",
	"{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[" DIGEST_A
	"],\"Diff_ids\":[" DIGEST_B "]}}",
	"in case"},
    {"RootFS", BASE ",\"RootFS\":{}}", "in case"},
    {"rootf\xc5\xbf", BASE ",\"rootf\xc5\xbf\":{}}", "in case"},
    {"user", USER("app"), NULL},
    {"user 0", USER("0"), NULL},
    {"user max", USER("4294967294:4294967294"), NULL},
    {"user -1 as unsigned", USER("4294967295"), "not a possible user"},
    {"user 2^32", USER("4294967296"), "not a possible user"},
    {"group 2^32", USER("app:4294967296"), "not a possible user"},
    {"user 10^30", USER("1000000000000000000000000000000"), "not a possible user"},
    {"user -1", USER("-1"), "not a possible user"},
    {"user +0", USER("+0"), "not a possible user"},
    {"user 0x0", USER("0x0"), NULL},
    {"user newline", USER("0\\n"), "control"},
    {"user C1", USER("a\\u0085b"), "control"},
    {"user number", RUN("\"User\":0"), "not a string"},
    {"uSer", RUN("\"uSer\":\"0\""), "in case"},
    {"HOME", RUN("\"Env\":[\"HOME=/x\\nroot::0\"]"), "HOME"},
    {"env null", RUN("\"Env\":[null]"), "not a string"},
    {"env object", RUN("\"Env\":{}"), "not an array"},
    {"cmd text", RUN("\"Cmd\":\"/bin/sh\""), "not an array"},
    {"label number", RUN("\"Labels\":{\"a\":1}"), "a label"},
    {"label null", RUN("\"Labels\":{\"a\":null}"), "a label"},
    {"ports array", RUN("\"ExposedPorts\":[]"), "not an object"},
    {"workdir control", RUN("\"WorkingDir\":\"/\\u001b[2J\""), "control"},
    {"os control", "{\"os\":\"lin\\tux\"," ROOTFS "}", "control"},
    {"os long", "{\"os\":\"" HEX_A "a\"," ROOTFS "}", "longer than 64"},
    {"os at the limit", "{\"os\":\"" HEX_A "\"," ROOTFS "}", NULL},
    {"config array", BASE ",\"config\":[]}", "not an object"},
    {"history null entry", HISTORY("null"), "not an object"},
    {"history text entry", HISTORY("\"x\""), "not an object"},
    {"history empty entry", HISTORY("{}"), NULL},
    {"history empty_layer text", HISTORY("{\"empty_layer\":\"true\"}"), "not a boolean"},
    {"history Empty_Layer", HISTORY("{\"Empty_Layer\":true}"), "in case"},
    {"history time", HISTORY("{\"created\":\"yesterday\"}"), "RFC 3339"},
    {"created year 10^6", CREATED("\"1000000-01-01T00:00:00Z\""), "RFC 3339"},
    {"created empty", CREATED("\"\""), "RFC 3339"},
    {"created number", CREATED("0"), "not a string"},
    {"created escape", CREATED("\"\\u001b[31m\""), "\\x1b[31m"},
    {"array", "[]", "not an object"},
};

static void
test_rows(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_row(&req, &rows[i]);
}

static void
test_diff_ids(void **state)
{
	for (size_t more = 0; more < 2; more++) {
		struct build b = {0};
		build_add(
		    &b, "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[%s", DIGEST_A);
		for (size_t i = 1; i < LIMIT_LAYERS + more; i++)
			build_add(&b, ",%s", DIGEST_B);
		build_add(&b, "]}}");
		struct row row = {"many", b.p, more ? "128 diff_ids" : NULL};
		check_row(&req, &row);
		build_free(&b);
	}
}

static void
test_user_length(void **state)
{
	for (size_t more = 0; more < 2; more++) {
		struct build b = {0};
		build_add(&b, "%s,\"config\":{\"User\":\"", BASE);
		build_repeat(&b, "u", LIMIT_CONFIG_TEXT + more);
		build_add(&b, "\"}}");
		struct row row = {"long user", b.p, more ? "longer than 4096" : NULL};
		check_row(&req, &row);
		build_free(&b);
	}
}

static void
test_big(void **state)
{
	struct build b = {0};

	build_add(&b, "%s,\"config\":{\"ExposedPorts\":{\"1\":{}", BASE);
	for (int i = 2; i < 100000; i++)
		build_add(&b, ",\"%d\":{}", i);
	build_add(&b, "}}}");
	struct row row = {"10^5 ports", b.p, "too many keys"};
	check_row(&req, &row);
	build_free(&b);
	build_add(&b, "%s,\"config\":{\"Env\":[\"A=", BASE);
	build_repeat(&b, "0123456789abcdef", 10 * 65536);
	build_add(&b, "\"]}}");
	row = (struct row){"10 MiB of environment", b.p, "over the limit"};
	check_row(&req, &row);
	build_free(&b);
}

static void
test_type(void **state)
{
	struct document_request r = req;
	struct row row = {"type", BASE "}", NULL};

	r.media_type = span_str(MEDIA_OCI_CONFIG);
	check_row(&r, &row);
	r.media_type = span_str("application/octet-stream");
	check_row(&r, &row);
	r.media_type = span_str(MEDIA_OCI_MANIFEST);
	row.text = "not the type of an image config";
	check_row(&r, &row);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_full),
	    cmocka_unit_test(test_bare),
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_diff_ids),
	    cmocka_unit_test(test_user_length),
	    cmocka_unit_test(test_big),
	    cmocka_unit_test(test_type),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
