#include "tests/document/check.h"

#include <errno.h>

#define HEAD "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_MANIFEST "\""
#define CONFIG                                                                     \
	",\"config\":{\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":" DIGEST_A \
	",\"size\":9}"
#define LAYER(type, size) \
	"{\"mediaType\":\"" type "\",\"digest\":" DIGEST_B ",\"size\":" size "}"
#define TAR "application/vnd.oci.image.layer.v1.tar"
#define GZIP TAR "+gzip"
#define GOOD HEAD CONFIG ",\"layers\":[" LAYER(GZIP, "5") "]}"
#define WITH(layers) HEAD CONFIG ",\"layers\":[" layers "]}"
#define WITH_NOTES(notes) \
	HEAD CONFIG ",\"layers\":[" LAYER(GZIP, "5") "],\"annotations\":" notes "}"
#define DOCKER(layers)                                                                  \
	"{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_DOCKER_MANIFEST                   \
	"\",\"config\":{\"mediaType\":\"" MEDIA_DOCKER_CONFIG "\",\"digest\":" DIGEST_A \
	",\"size\":9},\"layers\":[" layers "]}"

static const struct document_request req = {.kind = DOC_MANIFEST};

static const struct document_manifest *
take(const char *json)
{
	static struct document_answer out;
	struct err e = {0};

	if (parse_exact(&req, json, strlen(json), &out, &e))
		fail_msg("%s", e.text);
	assert_int_equal(out.is, DOCUMENT_IS_MANIFEST);
	return &out.manifest;
}

static void
test_oci(void **state)
{
	const struct document_manifest *m = take(WITH(
	    LAYER(TAR, "0") "," LAYER(GZIP, "5") "," LAYER(TAR "+zstd", "274877906939")));

	assert_string_equal(m->media_type, MEDIA_OCI_MANIFEST);
	assert_string_equal(m->config_type, MEDIA_OCI_CONFIG);
	assert_int_equal(m->config[0], 0xaa);
	assert_int_equal(m->config_size, 9);
	assert_int_equal(m->nlayers, 3);
	assert_int_equal(m->layers[0].compression, COMPRESSION_NONE);
	assert_int_equal(m->layers[0].size, 0);
	assert_int_equal(m->layers[1].compression, COMPRESSION_GZIP);
	assert_int_equal(m->layers[1].digest[31], 0xbb);
	assert_int_equal(m->layers[2].compression, COMPRESSION_ZSTD);
	assert_true(m->layers[2].size == UINT64_C(274877906939));
}

static void
test_docker(void **state)
{
	const struct document_manifest *m =
	    take(DOCKER(LAYER("application/vnd.docker.image.rootfs.diff.tar.gzip",
		"5") "," LAYER("application/vnd.docker.image.rootfs.diff.tar", "6")));

	assert_string_equal(m->media_type, MEDIA_DOCKER_MANIFEST);
	assert_string_equal(m->config_type, MEDIA_DOCKER_CONFIG);
	assert_int_equal(m->layers[0].compression, COMPRESSION_GZIP);
	assert_int_equal(m->layers[1].compression, COMPRESSION_NONE);
}

/* In the order of the document; one that does not fit is left out, the next one counts.
 */
static void
test_annotations(void **state)
{
	struct build b = {0};

	build_add(&b, HEAD CONFIG
	    ",\"layers\":[" LAYER(GZIP, "5") "],\"annotations\":{"
					     "\"z\":\"\\u00e9\",\"\":\"no key\",");
	build_add(&b, "\"big\":\"");
	build_repeat(&b, "x", LIMIT_ANNOTATIONS - 8 - 3 - 11 + 1);
	build_add(&b, "\",\"fits\":\"");
	build_repeat(&b, "y", LIMIT_ANNOTATIONS - 8 - 4 - 11);
	build_add(&b, "\",\"a\":\"\"}}");
	const struct document_manifest *m = take(b.p);
	assert_int_equal(m->n_annotations, LIMIT_ANNOTATIONS);
	assert_memory_equal(
	    m->annotations, "\1\0\0\0z\2\0\0\0\xc3\xa9\4\0\0\0fits", 11 + 8);
	build_free(&b);
	m = take(WITH_NOTES("{\"b\":\"1\",\"a\":\"2\"}"));
	assert_int_equal(m->n_annotations, 20);
	assert_memory_equal(m->annotations, "\1\0\0\0b\1\0\0\0001\1\0\0\0a", 15);
	assert_int_equal(take(DOCKER(LAYER("application/vnd.docker.image.rootfs.diff.tar",
				  "6") "],\"annotations\":{\"a\":\"b\"},\"x\":["))
			     ->n_annotations,
	    0);
}

#define CONFIG_OF(type) \
	",\"config\":{\"mediaType\":\"" type "\",\"digest\":" DIGEST_A ",\"size\":9}"

static const struct row rows[] = {
    {"good", GOOD, NULL},
    {"annotations, subject, artifactType of an image",
	HEAD CONFIG
	",\"layers\":[" LAYER(GZIP, "5") "],\"annotations\":{\"a\":\"b\"},\"subject\":{},"
					 "\"artifactType\":\"x/y\"}",
	NULL},
    {"annotations null", WITH_NOTES("null"), NULL},
    {"annotations of every kind of text", WITH_NOTES("{\"a\":\"\",\"\":\"\\n\"}"), NULL},
    {"annotations array", WITH_NOTES("[]"), "not an object"},
    {"annotation number", WITH_NOTES("{\"a\":1}"), "not a string"},
    {"annotation null", WITH_NOTES("{\"a\":null}"), "not a string"},
    {"annotation object", WITH_NOTES("{\"a\":{}}"), "not a string"},
    {"annotation twice", WITH_NOTES("{\"a\":\"\",\"a\":\"\"}"), "duplicate"},
    {"annotation NUL", WITH_NOTES("{\"a\":\"\\u0000\"}"), ""},
    {"unknown members",
	HEAD CONFIG ",\"layers\":[" LAYER(GZIP, "5") "],\"x\":{\"y\":[1.5]}}", NULL},
    {"no layers", WITH(""), "0 layers"},
    {"layers missing", HEAD CONFIG "}", "without \"layers\""},
    {"layers null", HEAD CONFIG ",\"layers\":null}", "without \"layers\""},
    {"layers object", HEAD CONFIG ",\"layers\":{}}", "not an array"},
    {"layers twice", HEAD CONFIG ",\"layers\":[],\"layers\":[" LAYER(GZIP, "5") "]}",
	"duplicate"},
    {"Layers", HEAD CONFIG ",\"layers\":[" LAYER(GZIP, "5") "],\"Layers\":[]}",
	"in case"},
    {"layers by escape",
	HEAD CONFIG ",\"layers\":[" LAYER(GZIP, "5") "],\"\\u006cayers\":[]}",
	"duplicate"},
    {"mediaType twice", HEAD ",\"mediaType\":\"x\"" CONFIG ",\"layers\":[]}",
	"duplicate"},
    {"config missing", HEAD ",\"layers\":[" LAYER(GZIP, "5") "]}", "without \"config\""},
    {"config array", HEAD ",\"config\":[],\"layers\":[" LAYER(GZIP, "5") "]}",
	"not an object"},
    {"manifests too", HEAD CONFIG ",\"layers\":[" LAYER(GZIP, "5") "],\"manifests\":[]}",
	"ambiguous"},
    {"fsLayers too", HEAD CONFIG ",\"layers\":[" LAYER(GZIP, "5") "],\"fsLayers\":[]}",
	"ambiguous"},
    {"history too", HEAD CONFIG ",\"layers\":[" LAYER(GZIP, "5") "],\"history\":[]}",
	"ambiguous"},
    {"null layer", WITH("null"), "not an object"},
    {"text layer", WITH("\"x\""), "not an object"},
    {"size -1", WITH(LAYER(GZIP, "-1")), "negative"},
    {"size 0", WITH(LAYER(GZIP, "0")), "size 0"},
    {"size -0", WITH(LAYER(GZIP, "-0")), "-0"},
    {"size 2^63", WITH(LAYER(GZIP, "9223372036854775808")), "integer"},
    {"size 2^63-1", WITH(LAYER(GZIP, "9223372036854775807")), "over the limit"},
    {"size 1e3", WITH(LAYER(GZIP, "1e3")), "not an integer"},
    {"size 1.5", WITH(LAYER(GZIP, "1.5")), "not an integer"},
    {"size text", WITH(LAYER(GZIP, "\"12\"")), "not an integer"},
    {"size NaN", WITH(LAYER(GZIP, "NaN")), "no value"},
    {"size 1e400", WITH(LAYER(GZIP, "1e400")), "overflow"},
    {"size null", WITH(LAYER(GZIP, "null")), "no size"},
    {"size at the limit", WITH(LAYER(GZIP, "274877906944")), NULL},
    {"size over the limit", WITH(LAYER(GZIP, "274877906945")), "over the limit"},
    {"sum over the limit", WITH(LAYER(GZIP, "274877906944") "," LAYER(GZIP, "1")),
	"in all"},
    {"foreign",
	DOCKER(LAYER("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "5")),
	"foreign"},
    {"nondistributable",
	WITH(LAYER("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "5")),
	"foreign"},
    {"encrypted", WITH(LAYER(GZIP "+encrypted", "5")), "encrypted"},
    {"bzip2", WITH(LAYER(TAR "+bzip2", "5")), "not a layer's"},
    {"xz", WITH(LAYER(TAR "+xz", "5")), "not a layer's"},
    {"upper case type", WITH(LAYER("Application/vnd.oci.image.layer.v1.tar", "5")),
	"not a layer's"},
    {"config as layer", WITH(LAYER(MEDIA_OCI_CONFIG, "5")), "not a layer's"},
    {"layer as config", HEAD CONFIG_OF(GZIP) ",\"layers\":[" LAYER(GZIP, "5") "]}",
	"artifact"},
    {"helm chart",
	HEAD CONFIG_OF("application/vnd.cncf.helm.config.v1+json") ",\"layers\":[" LAYER(
	    "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "5") "]}",
	"artifact of type \"application/vnd.cncf.helm.config.v1+json\""},
    {"artifact",
	HEAD ",\"artifactType\":\"a/b\\u001b\"" CONFIG_OF(
	    "application/vnd.oci.empty.v1+json") ",\"layers\":[" LAYER(GZIP, "5") "]}",
	"artifact of type \"a/b\\x1b\""},
    {"docker config in oci",
	HEAD CONFIG_OF(MEDIA_DOCKER_CONFIG) ",\"layers\":[" LAYER(GZIP, "5") "]}",
	"a config of type"},
    {"config over",
	HEAD ",\"config\":{\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":" DIGEST_A
	     ",\"size\":4194305},\"layers\":[" LAYER(GZIP, "5") "]}",
	"over the limit"},
    {"config empty",
	HEAD ",\"config\":{\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":" DIGEST_A
	     ",\"size\":0},\"layers\":[" LAYER(GZIP, "5") "]}",
	"config: size 0"},
    {"schema1", "{\"schemaVersion\":1,\"fsLayers\":[],\"history\":[],\"signatures\":[]}",
	"schema 1"},
    {"schema1 by type",
	"{\"schemaVersion\":2,\"mediaType\":\"application/"
	"vnd.docker.distribution.manifest.v1+json\"}",
	"schema 1"},
    {"trailing", GOOD " x", "follows"},
    {"two", GOOD GOOD, "follows"},
    {"BOM", "\xef\xbb\xbf" GOOD, "byte order mark"},
    {"comment", "/* */" GOOD, "no value"},
};

static void
test_rows(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_row(&req, &rows[i]);
}

static void
test_layers(void **state)
{
	for (size_t more = 0; more < 2; more++) {
		struct build b = {0};
		build_add(&b, "%s%s,\"layers\":[%s", HEAD, CONFIG, LAYER(GZIP, "5"));
		for (size_t i = 1; i < LIMIT_LAYERS + more; i++)
			build_add(&b, ",%s", LAYER(GZIP, "5"));
		build_add(&b, "]}");
		struct row row = {"many layers", b.p, more ? "128 layers" : NULL};
		check_row(&req, &row);
		build_free(&b);
	}
}

/* A document of exactly the limit, and one byte more. */
static void
test_size(void **state)
{
	for (size_t more = 0; more < 2; more++) {
		static struct document_answer out;
		size_t n = LIMIT_DOCUMENT + more;
		char *p = malloc(n);
		struct err e = {0};
		assert_non_null(p);
		memset(p, ' ', n);
		memcpy(p, GOOD, strlen(GOOD));
		assert_int_equal(parse_exact(&req, p, n, &out, &e), more ? -EBADMSG : 0);
		free(p);
	}
}

static void
test_hostile_json(void **state)
{
	static struct document_answer out;
	struct build b = {0};

	build_add(&b, "%s%s,\"layers\":[%s]", HEAD, CONFIG, LAYER(GZIP, "5"));
	for (int i = 0; i < 5000; i++)
		build_add(&b, ",\"x%d\":0", i);
	build_add(&b, "}");
	struct row row = {"many keys", b.p, "too many keys"};
	check_row(&req, &row);
	build_free(&b);
	build_add(&b, "%s%s,\"layers\":[%s],\"x\":\"", HEAD, CONFIG, LAYER(GZIP, "5"));
	build_repeat(&b, "0123456789abcdef", 5000);
	build_add(&b, "\"}");
	row = (struct row){"long text", b.p, "too long"};
	check_row(&req, &row);
	build_free(&b);
	assert_int_equal(parse_exact(&req, "", 0, &out, NULL), -EBADMSG);
	assert_int_equal(
	    parse_exact(&req, GOOD, sizeof(GOOD), &out, NULL), -EBADMSG); /* a NUL */
}

/* Whatever single byte of a good manifest changes, the answer is a refusal or a complete
 * one. */
static void
test_flips(void **state)
{
	char json[] = GOOD;
	static struct document_answer out;

	for (size_t i = 0; i < sizeof(json) - 1; i++) {
		char was = json[i];
		for (int bit = 0; bit < 8; bit++) {
			json[i] = (char)(was ^ (1 << bit));
			if (parse_exact(&req, json, sizeof(json) - 1, &out, NULL))
				continue;
			assert_int_equal(out.manifest.nlayers, 1);
			assert_non_null(out.manifest.media_type);
		}
		json[i] = was;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_oci),
	    cmocka_unit_test(test_docker),
	    cmocka_unit_test(test_annotations),
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_layers),
	    cmocka_unit_test(test_size),
	    cmocka_unit_test(test_hostile_json),
	    cmocka_unit_test(test_flips),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
