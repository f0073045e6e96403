#include "tests/document/check.h"

#include "worker-store/document/facts.h"
#include "worker-store/document/inspect.h"

#include <errno.h>

#define CONFIG                                                                      \
	"{\"created\":\"2020-01-01T00:00:00.100Z\",\"os\":\"linux\",\"config\":{"   \
	"\"Labels\":{\"b\":\"1\","                                                  \
	"\"a\":\"2\"},\"Env\":[\"X=<&>\"]},\"rootfs\":{\"type\":\"layers\",\"diff_" \
	"ids\":[\"x\"]},"                                                           \
	"\"history\":[{\"comment\":\"c\",\"empty_layer\":false}]}"
#define MANIFEST "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_MANIFEST "\"}"
#define FACTS                                                                         \
	"id\tabc\ndigest\tsha256:d\nsize\t42\ndriver\toverlay\nname\tx/y:1\nname\tx/" \
	"y:2\n"                                                                       \
	"graph.UpperDir\t/g/diff\nhistory\tx/y:1\n"

static void
has(const struct jw *w, const char *part)
{
	char *text = strndup(w->p, w->n);

	assert_non_null(text);
	if (!strstr(text, part))
		fail_msg("no %s in %s", part, text);
	free(text);
}

static void
test_local(void **state)
{
	CLEANUP(jw_free) struct jw w = {.compact = true};
	struct err e = {0};

	int r =
	    inspect_local(span_str(CONFIG), span_str(MANIFEST), span_str(FACTS), &w, &e);
	if (r)
		fail_msg("%s", e.text);
	has(&w,
	    "[{\"Id\":\"abc\",\"Digest\":\"sha256:d\",\"RepoTags\":[\"x/y:1\",\"x/y:2\"],"
	    "\"RepoDigests\":[],\"Parent\":\"\",\"Comment\":\"c\","
	    "\"Created\":\"2020-01-01T00:00:00.1Z\"");
	has(&w, "\"Config\":{\"Env\":[\"X=<&>\"],\"Labels\":{\"a\":\"2\",\"b\":\"1\"}}");
	has(&w, "\"Size\":42,\"VirtualSize\":42,\"GraphDriver\":{\"Name\":\"overlay\","
		"\"Data\":{"
		"\"UpperDir\":\"/g/diff\"}}");
	has(&w, "\"Annotations\":{},\"ManifestType\":\"" MEDIA_OCI_MANIFEST
		"\",\"User\":\"\"");
	has(&w, "\"History\":[{\"comment\":\"c\"}],\"NamesHistory\":[\"x/y:1\"]}]");
}

/* Members of the wrong kind are left out, not believed and not fatal. */
static void
test_strange(void **state)
{
	CLEANUP(jw_free) struct jw w = {.compact = true};
	struct err e = {0};
	static const char config[] =
	    "{\"created\":5,\"os\":[],\"config\":[],\"rootfs\":1,"
	    "\"history\":[null,7,{\"created\":\"x\"}],\"author\":{}}";

	int r = inspect_local(span_str(config), span_str("[]"), span_str(""), &w, &e);
	if (r)
		fail_msg("%s", e.text);
	has(&w, "\"Created\":null,\"Config\":{}");
	has(&w, "\"RootFS\":{\"Type\":\"\",\"Layers\":null}");
	has(&w, "\"NamesHistory\":null");
}

static void
test_remote(void **state)
{
	CLEANUP(jw_free) struct jw w = {.compact = true};
	struct err e = {0};

	int r = inspect_remote(span_str("{\"b\":1,\"a\":[1.5]}"), span_str(MANIFEST),
	    span_str("name\tx/y:1\ndigest\tsha256:d\n"), &w, &e);
	if (r)
		fail_msg("%s", e.text);
	assert_true(span_is(span_of(w.p, w.n),
	    "{\"Name\":\"x/"
	    "y:1\",\"Digest\":\"sha256:d\",\"MediaType\":\"" MEDIA_OCI_MANIFEST
	    "\",\"Manifest\":" MANIFEST ",\"Config\":{\"b\":1,\"a\":[1.5]}}"));
}

#define SPEC_CONFIG                                                                     \
	"{\"created\":\"2020-01-01T00:00:00.100Z\",\"author\":\"me\",\"os\":\"linux\"," \
	"\"architecture\":\"arm\",\"variant\":\"v7\",\"os.version\":\"1\","             \
	"\"os.features\":[\"x\"],\"docker_version\":\"9\",\"config\":{\"User\":\"u\","  \
	"\"Labels\":{\"b\":\"1\\u001b\",\"a\":\"2\"},\"Env\":[\"X=<&>\"],\"Odd\":1,"    \
	"\"ExposedPorts\":{\"80/"                                                       \
	"tcp\":{\"x\":1}},\"Cmd\":[\"c\"],\"Entrypoint\":[\"e\"],"                      \
	"\"Volumes\":{\"/v\":{}},\"WorkingDir\":\"/w\",\"StopSignal\":\"9\"},"          \
	"\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:d\"]},"                 \
	"\"history\":[{\"created_by\":\"x\",\"empty_layer\":true}]}"

/* CRI-O's form: Go's omitempty, maps sorted, no member that OCI does not have. */
static void
test_cri(void **state)
{
	CLEANUP(jw_free) struct jw w = {.compact = true};
	static const char manifest[] =
	    "{\"layers\":[{\"digest\":" DIGEST_A ",\"size\":5,\"x\":1},null,7,"
	    "{\"digest\":\"sha256:x\",\"size\":5},{\"digest\":" DIGEST_B "}]}";
	struct err e = {0};

	if (inspect_cri(span_str(SPEC_CONFIG), span_str(manifest), &w, &e))
		fail_msg("%s", e.text);
	const char *want =
	    "{\"labels\":{\"a\":\"2\",\"b\":\"1\\u001b\"},\"imageSpec\":{"
	    "\"created\":\"2020-01-01T00:00:00.1Z\",\"author\":\"me\","
	    "\"architecture\":\"arm\",\"os\":\"linux\",\"os.version\":\"1\","
	    "\"os.features\":[\"x\"],\"variant\":\"v7\",\"config\":{\"User\":\"u\","
	    "\"ExposedPorts\":{\"80/tcp\":{}},\"Env\":[\"X=<&>\"],\"Entrypoint\":[\"e\"],"
	    "\"Cmd\":[\"c\"],\"Volumes\":{\"/v\":{}},\"WorkingDir\":\"/w\","
	    "\"Labels\":{\"a\":\"2\",\"b\":\"1\\u001b\"},\"StopSignal\":\"9\"},"
	    "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:d\"]},"
	    "\"history\":[{\"created_by\":\"x\",\"empty_layer\":true}]},"
	    "\"layers\":[{\"digest\":" DIGEST_A ",\"size\":5}]}";
	if (!span_is(span_of(w.p, w.n), want))
		fail_msg("%.*s\nnot\n%s", (int)w.n, w.p, want);
}

static void
test_cri_strange(void **state)
{
	CLEANUP(jw_free) struct jw w = {.compact = true};
	CLEANUP(jw_free) struct jw small = {.compact = true, .max = 60};
	struct err e = {0};

	if (inspect_cri(span_str("{\"config\":{\"Labels\":{}},\"created\":[]}"),
		span_str("[]"), &w, &e))
		fail_msg("%s", e.text);
	assert_true(span_is(span_of(w.p, w.n),
	    "{\"imageSpec\":{\"architecture\":\"\",\"os\":\"\",\"config\":{},"
	    "\"rootfs\":{\"type\":\"\",\"diff_ids\":null}},\"layers\":[]}"));
	assert_int_equal(
	    inspect_cri(span_str(CONFIG), span_str(MANIFEST), &small, &e), -EBADMSG);
	assert_int_equal(
	    inspect_cri(span_str("{"), span_str(MANIFEST), &small, &e), -EBADMSG);
}

static void
test_too_long(void **state)
{
	CLEANUP(jw_free) struct jw w = {.max = 100};
	struct err e = {0};

	assert_int_equal(
	    inspect_local(span_str(CONFIG), span_str(MANIFEST), span_str(FACTS), &w, &e),
	    -EBADMSG);
	assert_int_equal(e.code, ERR_CONTENT);
}

static void
test_facts(void **state)
{
	static const char *const bad[] = {"id", "id\tx", "id x\n", "\tx\n", "what\tx\n",
	    "graph.\tx\n", "name\ta\x1b\n", "name\t\xff\n", "id\ta\n\n", "name\ta\tb\n"};
	struct span rest = span_str("id\t\nname\tz\n"), key, value;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (!facts_check(span_str(bad[i]), NULL))
			fail_msg("row %zu taken", i);
	}
	assert_int_equal(facts_check(span_str(FACTS), NULL), 0);
	assert_int_equal(facts_check(span_str(""), NULL), 0);
	assert_true(
	    facts_next(&rest, &key, &value) && span_is(key, "id") && value.n == 0);
	assert_true(facts_next(&rest, &key, &value) && span_is(value, "z"));
	assert_false(facts_next(&rest, &key, &value));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_local),
	    cmocka_unit_test(test_strange),
	    cmocka_unit_test(test_remote),
	    cmocka_unit_test(test_cri),
	    cmocka_unit_test(test_cri_strange),
	    cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_facts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
