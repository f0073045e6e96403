#include "cli/images.h"
#include "cli/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define H64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void
test_sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {{0, "0 B"}, {1, "1 B"}, {999, "999 B"}, {1000, "1 kB"},
	    {1500, "1.5 kB"}, {7660000, "7.66 MB"}, {999400, "999 kB"}, {999500, "1 MB"},
	    {999999, "1 MB"}, {123456789, "123 MB"}, {1000000000, "1 GB"},
	    {UINT64_MAX, "18.4 EB"}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[TEXT_SIZE];
		assert_string_equal(text_size(rows[i].bytes, text), rows[i].text);
	}
}

static void
test_ages(void **state)
{
	static const struct {
		int64_t age;
		const char *text;
	} rows[] = {{-5, "Less than a second ago"}, {0, "Less than a second ago"},
	    {1, "1 second ago"}, {59, "59 seconds ago"}, {60, "About a minute ago"},
	    {120, "2 minutes ago"}, {3599, "59 minutes ago"}, {3600, "About an hour ago"},
	    {7200, "2 hours ago"}, {47 * 3600, "47 hours ago"}, {48 * 3600, "2 days ago"},
	    {13 * 86400, "13 days ago"}, {14 * 86400, "2 weeks ago"},
	    {59 * 86400, "8 weeks ago"}, {60 * 86400, "2 months ago"},
	    {729 * 86400, "24 months ago"}, {730 * 86400, "2 years ago"}};
	char text[TEXT_AGE];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(
		    text_age(2000000000 - rows[i].age, 2000000000, text), rows[i].text);
	assert_non_null(strstr(text_age(INT64_MIN, INT64_MAX, text), "years ago"));
	assert_string_equal(
	    text_age(INT64_MAX, INT64_MIN, text), "Less than a second ago");
}

static void
test_times(void **state)
{
	char text[TEXT_TIME];

	assert_string_equal(text_time(0, text), "1970-01-01T00:00:00Z");
	assert_string_equal(text_time(1767323045, text), "2026-01-02T03:04:05Z");
	assert_string_equal(text_time(INT64_MAX, text), "");
	assert_string_equal(text_time(INT64_MIN, text), "");
	assert_string_equal(text_time(253402300800, text), "");
}

/* What `print` writes, as fresh memory. */
static char *
json_of(struct span s)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	text_json(f, s);
	fclose(f);
	return text;
}

static void
test_escape(void **state)
{
	char *safe = text_safe_dup(span_of("a\x1b[31m\nb\\x1b\xc3\xa9\0z", 16));

	assert_string_equal(safe, "a\\x1b[31m\\x0ab\\x1b\\xc3\\xa9\\x00z");
	free(safe);
	safe =
	    json_of(span_of("{\n\t\"a\": \"\x1b]0;x\x07\x7f\xc3\xa9\xc2\x9b\r\"}\n", 24));
	assert_string_equal(
	    safe, "{\n\t\"a\": \"\\u001b]0;x\\u0007\\u007f\xc3\xa9\\u009b\\u000d\"}\n");
	free(safe);
}

/* ---- images ---- */

static void
add(struct image_list *l, uint8_t id, int64_t created, const char *names)
{
	struct image image = {.created = created, .size = 7660000, .layers = 2};
	char text[1024], *save = NULL;

	memset(image.id, id, sizeof(image.id));
	if (id != 0xcc)
		memset(image.digest, 0xd0, sizeof(image.digest));
	assert_int_equal(image_list_add(l, &image), 0);
	snprintf(text, sizeof(text), "%s", names);
	for (char *n = strtok_r(text, " ", &save); n; n = strtok_r(NULL, " ", &save))
		assert_int_equal(
		    image_list_name(l, span_str(n[0] == '+' ? n + 1 : n), n[0] == '+'),
		    0);
}

#define NOW 2000000000

static struct image_list
example(void)
{
	struct image_list l = {0};

	add(&l, 0xaa, NOW - 14 * 86400,
	    "docker.io/library/alpine:latest docker.io/library/alpine:3 "
	    "+docker.io/library/alpine@sha256:" H64);
	add(&l, 0xbb, NOW - 60, "quay.io/o/app@sha256:" H64);
	add(&l, 0xcc, NOW - 3600, "");
	image_list_sort(&l);
	return l;
}

static char *
table_of(const struct image_list *l, const struct image_filter *f, struct image_view view)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	view.now = NOW;
	assert_int_equal(images_print_table(l, f, &view, out), 0);
	fclose(out);
	return text;
}

static void
test_table(void **state)
{
	CLEANUP(image_list_release) struct image_list l = example();
	struct image_filter all = {0};
	char *text = table_of(&l, &all, (struct image_view){0});

	assert_string_equal(text,
	    "REPOSITORY                TAG     IMAGE ID      CREATED             SIZE\n"
	    "quay.io/o/app             <none>  bbbbbbbbbbbb  About a minute ago  7.66 "
	    "MB\n"
	    "<none>                    <none>  cccccccccccc  About an hour ago   7.66 "
	    "MB\n"
	    "docker.io/library/alpine  latest  aaaaaaaaaaaa  2 weeks ago         7.66 "
	    "MB\n"
	    "docker.io/library/alpine  3       aaaaaaaaaaaa  2 weeks ago         7.66 "
	    "MB\n");
	free(text);
	text =
	    table_of(&l, &all, (struct image_view){.digests = true, .noheading = true});
	assert_null(strstr(text, "REPOSITORY"));
	assert_non_null(strstr(text, "<none>  sha256:" H64 "  bbbbbbbbbbbb  "));
	assert_non_null(strstr(text, "latest  sha256:d0d0d0d0"));
	assert_non_null(strstr(text, "<none>  <none>"));
	free(text);
	text = table_of(&l, &all, (struct image_view){.no_trunc = true});
	assert_non_null(
	    strstr(text, "  sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			 "aaaaaaaaaa  2 weeks"));
	free(text);
}

/* Names that no registry would take, from a store that somebody else writes. */
static void
test_hostile_names(void **state)
{
	CLEANUP(image_list_release) struct image_list l = {0};
	struct image_filter all = {0};
	char huge[LIMIT_NAME + 1];

	add(&l, 1, 0, "x\x1b[2J:t\x07 : @ a:b:c / a@b@c \xff");
	memset(huge, 'h', LIMIT_NAME);
	huge[LIMIT_NAME] = 0;
	assert_int_equal(image_list_name(&l, span_str(huge), false), 0);
	assert_int_equal(image_list_name(&l, span_of("a\0b", 3), false), -EINVAL);
	char *text = table_of(&l, &all, (struct image_view){.digests = true});
	assert_null(strchr(text, 0x1b));
	assert_null(strchr(text, 0x07));
	assert_non_null(strstr(text, "x\\x1b[2J"));
	assert_non_null(strstr(text, huge));
	free(text);
}

static bool
matches(const char *const *filters, const struct image *image)
{
	struct image_filter f = {0};
	struct err e = {0};

	for (; *filters; filters++)
		assert_int_equal(image_filter_add(&f, *filters, &e), 0);
	return image_filter_match(&f, image);
}

static void
test_filters(void **state)
{
	CLEANUP(image_list_release) struct image_list l = example();
	const struct image *bb = &l.v[0], *cc = &l.v[1], *aa = &l.v[2];
	static const char *const alpine[] = {"reference=docker.io/library/alpine:latest",
	    "reference=docker.io/library/alpine", "reference=library/alpine",
	    "reference=alpine", "reference=alpine:3", "reference=alp*",
	    "reference=*/alpine", "reference=*/*/alpine", "reference=alpin[e]",
	    "reference=library/alpine:lat*", "id=aaa", "id=sha256:aaaa",
	    "dangling=false"};
	static const char *const not_alpine[] = {"reference=alpin",
	    "reference=docker.io/*", "reference=*", "reference=alpine:4",
	    "reference=docker.io/library/alpine@*", "id=bbb", "dangling=true"};

	for (size_t i = 0; i < ARRAY_LEN(alpine); i++) {
		if (!matches((const char *const[]){alpine[i], NULL}, aa))
			fail_msg("%s", alpine[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(not_alpine); i++) {
		/* "*" stops at slashes but the bare name has none. */
		bool want = strcmp(not_alpine[i], "reference=*") == 0;
		if (matches((const char *const[]){not_alpine[i], NULL}, aa) != want)
			fail_msg("%s", not_alpine[i]);
	}
	assert_true(matches((const char *const[]){"dangling=true", NULL}, cc));
	assert_false(matches((const char *const[]){"reference=*", NULL}, cc));
	assert_true(matches((const char *const[]){"reference=app@sha256:*", NULL}, bb));
	assert_true(matches((const char *const[]){"reference=x", "reference=o/app",
				"id=bb0", NULL},
			bb) == false);
	assert_true(matches(
	    (const char *const[]){"reference=x", "reference=o/app", "id=bbb", NULL}, bb));

	/* Only the names that match show. */
	struct image_filter f = {0};
	struct err e = {0};
	assert_int_equal(image_filter_add(&f, "reference=alpine:3", &e), 0);
	char *text = table_of(&l, &f, (struct image_view){.noheading = true});
	assert_string_equal(
	    text, "docker.io/library/alpine  3  aaaaaaaaaaaa  2 weeks ago  7.66 MB\n");
	free(text);
	for (size_t i = 1; i < IMAGE_PATTERNS; i++)
		assert_int_equal(image_filter_reference(&f, "x", &e), 0);
	assert_int_equal(image_filter_reference(&f, "x", &e), -EINVAL);
}

static void
test_json(void **state)
{
	CLEANUP(image_list_release) struct image_list l = example(), none = {0};
	struct image_filter f = {0};
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	assert_int_equal(images_print_json(&none, &f, out), 0);
	fclose(out);
	assert_string_equal(text, "[]\n");
	free(text);
	out = open_memstream(&text, &n);
	assert_int_equal(images_print_json(&l, &f, out), 0);
	fclose(out);
	assert_non_null(strstr(text, "\"CreatedAt\": \"2033-05-04T03:33:20Z\""));
	assert_non_null(strstr(text, "\"docker.io/library/alpine@sha256:" H64 "\""));
	assert_non_null(strstr(text, "\"Id\": \"aaaaaaaaaaaa"));
	assert_non_null(strstr(text, "\"Digest\": \"\""));
	free(text);
}

static void
test_ids(void **state)
{
	CLEANUP(image_list_release) struct image_list l = example();
	struct image_filter f = {0};
	struct image_view view = {.now = NOW};
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	images_print_ids(&l, &f, &view, out);
	fclose(out);
	assert_string_equal(text, "bbbbbbbbbbbb\ncccccccccccc\naaaaaaaaaaaa\n");
	free(text);
}

static void
test_list_limits(void **state)
{
	CLEANUP(image_list_release) struct image_list l = {0};
	struct image image = {0};

	assert_int_equal(image_list_name(&l, span_str("a"), false), -EINVAL);
	for (size_t i = 0; i < LIMIT_STORE_RECORDS; i++)
		assert_int_equal(image_list_add(&l, &image), 0);
	assert_int_equal(image_list_add(&l, &image), -E2BIG);
	l.names = IMAGE_LIST_NAMES - 1;
	assert_int_equal(image_list_name(&l, span_str("a"), false), 0);
	assert_int_equal(image_list_name(&l, span_str("a"), false), -E2BIG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_ages),
	    cmocka_unit_test(test_times),
	    cmocka_unit_test(test_escape),
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_hostile_names),
	    cmocka_unit_test(test_filters),
	    cmocka_unit_test(test_json),
	    cmocka_unit_test(test_ids),
	    cmocka_unit_test(test_list_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
