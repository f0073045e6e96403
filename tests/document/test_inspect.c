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
	    cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_facts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
