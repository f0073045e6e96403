#include "tests/document/check.h"

static void
header(const char *text, enum media_kind kind)
{
	const struct media *m;
	struct err e = {0};

	if (media_from_header(span_str(text), &m, &e))
		fail_msg("%s: %s", text, e.text);
	if (m->kind != kind)
		fail_msg("%s: kind %d", text, m->kind);
}

static void
test_headers(void **state)
{
	header("", MEDIA_NONE);
	header("application/json", MEDIA_NONE);
	header("Application/JSON; charset=utf-8", MEDIA_NONE);
	header("application/octet-stream", MEDIA_NONE);
	header(MEDIA_OCI_INDEX, MEDIA_INDEX);
	header("  application/vnd.OCI.image.Manifest.v1+json ; x=y", MEDIA_MANIFEST);
	header(MEDIA_DOCKER_MANIFEST ";", MEDIA_MANIFEST);
	header(
	    "application/vnd.docker.distribution.manifest.v1+prettyjws", MEDIA_SCHEMA1);
	header("text/html", MEDIA_UNKNOWN);
}

static void
test_headers_refused(void **state)
{
	char longest[LIMIT_MEDIA_TYPE + 2];
	const struct media *m;

	assert_int_not_equal(
	    media_from_header(
		span_str(MEDIA_OCI_INDEX ", " MEDIA_OCI_MANIFEST), &m, NULL),
	    0);
	assert_int_not_equal(media_from_header(span_str("a/b\n"), &m, NULL), 0);
	assert_int_not_equal(media_from_header(span_of("a/b\0c", 5), &m, NULL), 0);
	assert_int_not_equal(media_from_header(span_str("a/\xc3\xa9"), &m, NULL), 0);
	memset(longest, 'a', sizeof(longest));
	assert_int_equal(
	    media_from_header(span_of(longest, LIMIT_MEDIA_TYPE), &m, NULL), 0);
	assert_int_not_equal(
	    media_from_header(span_of(longest, LIMIT_MEDIA_TYPE + 1), &m, NULL), 0);
}

static void
test_documents_are_exact(void **state)
{
	assert_int_equal(media_find(span_str(MEDIA_OCI_CONFIG))->kind, MEDIA_CONFIG);
	assert_int_equal(media_find(span_str(MEDIA_OCI_CONFIG " "))->kind, MEDIA_UNKNOWN);
	assert_int_equal(
	    media_find(span_str("Application/vnd.oci.image.config.v1+json"))->kind,
	    MEDIA_UNKNOWN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_headers),
	    cmocka_unit_test(test_headers_refused),
	    cmocka_unit_test(test_documents_are_exact),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
