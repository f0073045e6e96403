#include "tests/document/check.h"

#include <errno.h>

#define HEAD "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":["
#define DOCKER_HEAD \
	"{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_DOCKER_INDEX "\",\"manifests\":["
#define TAIL "]}"
#define ENTRY(digest, platform)                                        \
	"{\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"digest\":" digest \
	",\"size\":7" platform "}"
#define PLATFORM(os, arch) \
	",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\"}"
#define VARIANT(arch, v)                                                                 \
	",\"platform\":{\"os\":\"linux\",\"architecture\":\"" arch "\",\"variant\":\"" v \
	"\"}"
#define A ENTRY(DIGEST_A, PLATFORM("linux", "amd64"))

static struct document_request
want(const char *architecture, const char *variant)
{
	return (struct document_request){.kind = DOC_TOP,
	    .os = span_str("linux"),
	    .architecture = span_str(architecture),
	    .variant = span_str(variant)};
}

/* The first hex digit of the chosen entry's digest; '-' when there is none. */
static char
choose(const char *json, const char *architecture, const char *variant)
{
	struct document_request req = want(architecture, variant);
	static struct document_answer out;
	struct err e = {0};

	int r = parse_exact(&req, json, strlen(json), &out, &e);
	if (r == -ENOENT) {
		assert_int_equal(e.code, ERR_NOT_FOUND);
		return '-';
	}
	if (r)
		fail_msg("%s", e.text);
	assert_int_equal(out.is, DOCUMENT_IS_INDEX);
	assert_int_equal(out.index.size, 7);
	assert_string_equal(out.index.media_type, MEDIA_OCI_MANIFEST);
	return "0123456789abcdef"[out.index.digest[0] >> 4];
}

static void
test_choice(void **state)
{
	static const struct {
		const char *json, *architecture, *variant;
		char is;
	} rows[] = {
	    {HEAD A TAIL, "amd64", "", 'a'},
	    {HEAD A TAIL, "arm64", "", '-'},
	    {HEAD TAIL, "amd64", "", '-'},
	    /* two for one platform: the first */
	    {HEAD A "," ENTRY(DIGEST_B, PLATFORM("linux", "amd64")) TAIL, "amd64", "",
		'a'},
	    {HEAD ENTRY(DIGEST_B, PLATFORM("windows", "amd64")) "," A TAIL, "amd64", "",
		'a'},
	    /* an entry without a platform: last resort, and the first of those */
	    {HEAD ENTRY(DIGEST_B, "") "," A TAIL, "amd64", "", 'a'},
	    {HEAD ENTRY(DIGEST_B, "") "," ENTRY(DIGEST_C, "") TAIL, "amd64", "", 'b'},
	    {HEAD ENTRY(DIGEST_B, ",\"platform\":null") TAIL, "amd64", "", 'b'},
	    {HEAD ENTRY(DIGEST_B, ",\"platform\":{}") TAIL, "amd64", "", '-'},
	    {DOCKER_HEAD ENTRY(DIGEST_B, "") TAIL, "amd64", "", '-'},
	    {DOCKER_HEAD A TAIL, "amd64", "", 'a'},
	    /* arm */
	    {HEAD ENTRY(DIGEST_A, VARIANT("arm", "v5")) "," ENTRY(
		 DIGEST_B, VARIANT("arm", "v7")) TAIL,
		"arm", "v7", 'b'},
	    {HEAD ENTRY(DIGEST_A, VARIANT("arm", "v5")) "," ENTRY(
		 DIGEST_B, VARIANT("arm", "v6")) TAIL,
		"arm", "v7", 'b'},
	    {HEAD ENTRY(DIGEST_A, VARIANT("arm", "v7")) TAIL, "arm", "v6", '-'},
	    {HEAD ENTRY(DIGEST_A, PLATFORM("linux", "arm")) TAIL, "arm", "v7", 'a'},
	    {HEAD ENTRY(DIGEST_A, VARIANT("arm", "v7")) TAIL, "arm", "", '-'},
	    {HEAD ENTRY(DIGEST_A, VARIANT("arm", "v8")) TAIL, "arm", "v8", 'a'},
	    {HEAD ENTRY(DIGEST_A, VARIANT("arm", "v7")) TAIL, "arm", "v8", '-'},
	    /* arm64 */
	    {HEAD ENTRY(DIGEST_A, VARIANT("arm64", "v8")) TAIL, "arm64", "", 'a'},
	    {HEAD ENTRY(DIGEST_A, VARIANT("arm64", "v8")) "," ENTRY(
		 DIGEST_B, PLATFORM("linux", "arm64")) TAIL,
		"arm64", "", 'b'},
	    {HEAD ENTRY(DIGEST_B, PLATFORM("linux", "arm64")) "," ENTRY(
		 DIGEST_A, VARIANT("arm64", "v8")) TAIL,
		"arm64", "v8", 'a'},
	    {HEAD ENTRY(DIGEST_B, PLATFORM("linux", "arm64")) TAIL, "arm64", "v8", 'b'},
	    {HEAD ENTRY(DIGEST_A, VARIANT("arm64", "v9")) TAIL, "arm64", "v8", '-'},
	    /* a variant of nobody's list */
	    {HEAD ENTRY(DIGEST_A, VARIANT("amd64", "v3")) "," ENTRY(
		 DIGEST_B, PLATFORM("linux", "amd64")) TAIL,
		"amd64", "", 'b'},
	    {HEAD ENTRY(DIGEST_A, VARIANT("amd64", "v3")) "," ENTRY(
		 DIGEST_B, PLATFORM("linux", "amd64")) TAIL,
		"amd64", "v3", 'a'},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char is = choose(rows[i].json, rows[i].architecture, rows[i].variant);
		if (is != rows[i].is)
			fail_msg("row %zu: %c, not %c", i, is, rows[i].is);
	}
}

static void
test_names_what_there_is(void **state)
{
	struct document_request req = want("riscv64", "");
	struct document_answer out;
	struct err e = {0};
	static const char json[] =
	    HEAD A "," ENTRY(DIGEST_B, VARIANT("arm64", "v8")) "," ENTRY(
		DIGEST_B, PLATFORM("unknown", "unknown")) TAIL;

	assert_int_equal(parse_exact(&req, json, strlen(json), &out, &e), -ENOENT);
	assert_string_equal(e.text,
	    "no image for the platform linux/riscv64; the index has "
	    "linux/amd64, linux/arm64/v8");
}

static void
test_long_list_of_platforms(void **state)
{
	struct document_request req = want("riscv64", "");
	static struct document_answer out;
	struct build b = {0};
	struct err e = {0};

	build_add(&b, "%s%s", HEAD, A);
	for (int i = 1; i < LIMIT_INDEX_ENTRIES; i++)
		build_add(&b, ",%s",
		    ENTRY(DIGEST_B, VARIANT("arm64", "\xc3\xa9-long-variant-name")));
	build_add(&b, "%s", TAIL);
	assert_int_equal(parse_exact(&req, b.p, b.n, &out, &e), -ENOENT);
	assert_non_null(strstr(e.text, ", ..."));
	assert_non_null(strstr(e.text, "\\xc3\\xa9"));
	build_free(&b);
}

static void
test_entries(void **state)
{
	struct document_request req = want("amd64", "");

	for (int more = 0; more < 2; more++) {
		static struct document_answer out;
		struct build b = {0};
		struct err e = {0};
		build_add(&b, "%s%s", HEAD, A);
		for (int i = 1; i < LIMIT_INDEX_ENTRIES + more; i++)
			build_add(&b, ",%s", A);
		build_add(&b, "%s", TAIL);
		assert_int_equal(
		    parse_exact(&req, b.p, b.n, &out, &e), more ? -EBADMSG : 0);
		assert_int_equal(strstr(e.text, "over the limit") != NULL, more);
		build_free(&b);
	}
}

#define ONE(fields) HEAD "{" fields PLATFORM("linux", "amd64") "}" TAIL
#define TYPE "\"mediaType\":\"" MEDIA_OCI_MANIFEST "\""

static const struct row refused[] = {
    {"nested",
	ONE("\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"digest\":" DIGEST_A ",\"size\":7"),
	"an index inside an index"},
    {"nested docker",
	ONE("\"mediaType\":\"" MEDIA_DOCKER_INDEX "\",\"digest\":" DIGEST_A
	    ",\"size\":7"),
	"an index inside an index"},
    {"schema1",
	ONE("\"mediaType\":\"application/"
	    "vnd.docker.distribution.manifest.v1+json\",\"digest\":" DIGEST_A
	    ",\"size\":7"),
	"schema 1"},
    {"config as entry",
	ONE("\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":" DIGEST_A ",\"size\":7"),
	"not an image manifest"},
    {"no type", ONE("\"digest\":" DIGEST_A ",\"size\":7"), "no mediaType"},
    {"no digest", ONE(TYPE ",\"size\":7"), "no digest"},
    {"digest number", ONE(TYPE ",\"digest\":7,\"size\":7"), "no digest"},
    {"no size", ONE(TYPE ",\"digest\":" DIGEST_A), "no size"},
    {"size over", ONE(TYPE ",\"digest\":" DIGEST_A ",\"size\":4194305"),
	"over the limit"},
    {"size 0", ONE(TYPE ",\"digest\":" DIGEST_A ",\"size\":0"), "size 0"},
    {"size negative", ONE(TYPE ",\"digest\":" DIGEST_A ",\"size\":-1"), "negative"},
    {"size text", ONE(TYPE ",\"digest\":" DIGEST_A ",\"size\":\"12\""), "not an integer"},
    {"Digest", ONE(TYPE ",\"Digest\":" DIGEST_B ",\"digest\":" DIGEST_A ",\"size\":7"),
	"in case"},
    {"digest twice",
	ONE(TYPE ",\"digest\":" DIGEST_B ",\"digest\":" DIGEST_A ",\"size\":7"),
	"duplicate"},
    {"null entry", HEAD "null" TAIL, "not an object"},
    {"text entry", HEAD "\"x\"" TAIL, "not an object"},
    {"array platform", HEAD ENTRY(DIGEST_A, ",\"platform\":[]") TAIL, "not an object"},
    {"control in platform", HEAD ENTRY(DIGEST_A, PLATFORM("linux\\n", "amd64")) TAIL,
	"control"},
    {"OS", HEAD ENTRY(DIGEST_A, ",\"platform\":{\"OS\":\"linux\"}") TAIL, "in case"},
    {"manifests object",
	"{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":{}}",
	"not an array"},
    {"manifests null",
	"{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":null}",
	"without"},
    {"with layers", HEAD A "],\"layers\":[]}", "ambiguous"},
    {"with layers null", HEAD A "],\"layers\":null}", "ambiguous"},
    {"with config", HEAD A "],\"config\":{}}", "ambiguous"},
    {"with fsLayers", HEAD A "],\"fsLayers\":[]}", "ambiguous"},
    {"Manifests", HEAD A "],\"Manifests\":[]}", "in case"},
    {"manifests by escape", HEAD A "],\"\\u006danifests\":[]}", "duplicate"},
    {"no version", "{\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":[" A "]}",
	"no schemaVersion"},
    {"version 3",
	"{\"schemaVersion\":3,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":[" A
	"]}",
	"schemaVersion 3"},
    {"version 1", "{\"schemaVersion\":1,\"name\":\"x\",\"fsLayers\":[],\"history\":[]}",
	"schema 1"},
    {"version text",
	"{\"schemaVersion\":\"2\",\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":[" A
	"]}",
	"not an integer"},
    {"array", "[]", "not an object"},
    {"text", "\"x\"", "not an object"},
    {"empty", "{}", "no schemaVersion"},
    {"type of a layer",
	"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\"}",
	"neither an index nor"},
};

static void
test_refused(void **state)
{
	struct document_request req = want("amd64", "");

	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		check_row(&req, &refused[i]);
}

/* Digests that are none, in the place of the chosen entry's. */
static void
test_digests(void **state)
{
	static const char *const bad[] = {"sha256:" HEX_A "a", "SHA256:" HEX_A,
	    "md5:aaaa", "sha256:../../x", "../sha256:" HEX_A, "sha256+b64:" HEX_A, "",
	    " sha256:" HEX_A, "sha256:" HEX_A "\\n", "sha256:" HEX_A "%2f",
	    "sha999:" HEX_A, HEX_A, "sha256", "sha256:", "sha512:" HEX_A HEX_A,
	    "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaA",
	    "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    "sha256:////////////////////////////////////////////////////////////////"};
	struct document_request req = want("amd64", "");

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct build b = {0};
		build_add(&b, "%s{%s,\"digest\":\"%s\",\"size\":7%s}%s", HEAD, TYPE,
		    bad[i], PLATFORM("linux", "amd64"), TAIL);
		struct row row = {bad[i], b.p, "digest"};
		check_row(&req, &row);
		build_free(&b);
	}
}

static void
test_kind(void **state)
{
	static const char json[] = HEAD A TAIL;
	struct document_request req = want("amd64", "");
	struct row row = {"as a manifest", json, "an index inside an index"};

	req.kind = DOC_MANIFEST;
	check_row(&req, &row);
	req.kind = DOC_CONFIG;
	row.text = "no rootfs";
	check_row(&req, &row);
}

/* mediaType of the body against the Content-Type. */
static void
test_types(void **state)
{
	static const char *const none = "{\"schemaVersion\":2,\"manifests\":[" A "]}";
	static const struct {
		const char *type, *text;
		bool bare; /* body without mediaType */
	} rows[] = {
	    {"", NULL, false},
	    {MEDIA_OCI_INDEX, NULL, false},
	    {"Application/vnd.oci.image.index.v1+json; charset=utf-8", NULL, false},
	    {"application/json", NULL, false},
	    {MEDIA_DOCKER_INDEX, "came as", false},
	    {MEDIA_OCI_MANIFEST, "came as", false},
	    {"text/html", "came as", false},
	    {MEDIA_OCI_INDEX ", " MEDIA_OCI_MANIFEST, "not one media type", false},
	    {"", NULL, true},
	    {MEDIA_OCI_INDEX, NULL, true},
	    {MEDIA_DOCKER_INDEX, NULL, true},
	    {"text/plain", NULL, true},
	    {MEDIA_OCI_MANIFEST, "ambiguous", true},
	    {MEDIA_OCI_CONFIG, "neither an index nor", true},
	    {"text/html", "neither an index nor", true},
	    {"application/vnd.docker.distribution.manifest.v1+json", "schema 1", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct document_request req = want("amd64", "");
		req.media_type = span_str(rows[i].type);
		struct row row = {
		    rows[i].type, rows[i].bare ? none : HEAD A TAIL, rows[i].text};
		check_row(&req, &row);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_choice),
	    cmocka_unit_test(test_names_what_there_is),
	    cmocka_unit_test(test_long_list_of_platforms),
	    cmocka_unit_test(test_entries),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_digests),
	    cmocka_unit_test(test_kind),
	    cmocka_unit_test(test_types),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
