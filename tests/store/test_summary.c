/* Summaries: bytes, files, and which image they are of. */
#include "tests/store/fixture.h"

#include "common/base/pairs.h"
#include "worker-store/store/hash.h"
#include "worker-store/store/summary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct summary
sample(const struct image *im)
{
	struct summary x = {.user = "app:1000"};

	if (im) {
		memcpy(x.config, im->rq.config_digest, DIGEST_BYTES);
		memcpy(x.manifest, im->rq.manifest_digest, DIGEST_BYTES);
	}
	assert_true(pairs_add(x.annotations, sizeof(x.annotations), &x.n_annotations,
	    span_str("org.example"), span_str("line\nline")));
	return x;
}

/* In memory of the exact size. */
static bool
parses(const uint8_t *p, size_t n)
{
	static struct summary out;
	uint8_t *copy = malloc(n ? n : 1);

	memcpy(copy, p, n);
	bool good = summary_parse(span_of(copy, n), &out);
	free(copy);
	return good;
}

static void
seal(uint8_t *bytes, size_t n)
{
	assert_int_equal(sha256(span_of(bytes, n - 32), bytes + n - 32), 0);
}

static void
test_bytes(void **state)
{
	static uint8_t bytes[SUMMARY_MAX + 2];
	static struct summary out;
	struct summary x = sample(NULL);
	size_t n = summary_print(&x, bytes);

	assert_true(summary_parse(span_of(bytes, n), &out));
	assert_string_equal(out.user, x.user);
	assert_int_equal(out.n_annotations, x.n_annotations);
	assert_memory_equal(out.annotations, x.annotations, x.n_annotations);
	for (size_t cut = 0; cut < n; cut++)
		assert_false(parses(bytes, cut));
	assert_false(parses(bytes, n + 1));
	for (size_t i = 0; i < n; i++) {
		bytes[i] ^= 1;
		assert_false(parses(bytes, n));
		bytes[i] ^= 1;
	}
}

/* Hashed rightly and still not what an honest store writes. */
static void
test_hostile(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} bad[] = {
	    {0, 'b'}, {6, 2}, {7, 1},	     /* magic, version */
	    {72, 9}, {73, 1}, {75, 0x80},    /* length of the user */
	    {76, 0}, {77, 1}, {79, 0xff},    /* length of the annotations */
	    {80, 0}, {81, '\n'}, {82, 0xff}, /* the user */
	    {88, 0}, {88, 0x80}, {92, 0xff}, /* a pair */
	};
	uint8_t bytes[SUMMARY_MAX];
	struct summary x = sample(NULL);
	size_t n = summary_print(&x, bytes);

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint8_t old = bytes[bad[i].at];
		bytes[bad[i].at] = bad[i].value;
		seal(bytes, n);
		if (parses(bytes, n))
			fail_msg("row %zu taken", i);
		bytes[bad[i].at] = old;
	}
	seal(bytes, n);
	assert_true(parses(bytes, n));
}

static void
test_limits(void **state)
{
	static char user[LIMIT_CONFIG_TEXT + 2], long_value[LIMIT_ANNOTATIONS + 1 - 9];
	static uint8_t bytes[SUMMARY_MAX], notes[LIMIT_ANNOTATIONS + 1];
	struct summary x = {0}, out;
	size_t n = 0;

	memset(user, 'u', LIMIT_CONFIG_TEXT + 1);
	memset(long_value, 'v', sizeof(long_value));
	assert_false(summary_user(&x, span_str(user)));
	assert_true(summary_user(&x, span_of(user, LIMIT_CONFIG_TEXT)));
	assert_false(summary_user(&x, span_str("a\x7f")));
	assert_false(summary_user(&x, span_of("a\0b", 3)));
	assert_false(summary_user(&x, span_str("\xff")));
	assert_true(summary_user(&x, span_of(user, LIMIT_CONFIG_TEXT)));
	assert_true(pairs_add(notes, sizeof(notes), &n, span_str("k"),
	    span_of(long_value, sizeof(long_value))));
	assert_int_equal(n, sizeof(notes));
	assert_false(summary_annotations(&x, span_of(notes, n)));
	notes[5] = (uint8_t)(LIMIT_ANNOTATIONS - 9);
	notes[6] = (uint8_t)((LIMIT_ANNOTATIONS - 9) >> 8);
	assert_true(summary_annotations(&x, span_of(notes, n - 1)));
	n = summary_print(&x, bytes);
	assert_int_equal(n, SUMMARY_MAX);
	assert_true(summary_parse(span_of(bytes, n), &out));
	assert_int_equal(strlen(out.user), LIMIT_CONFIG_TEXT);
}

/* The summary of the image as the store has it now. */
static int
load(struct fixture *f, const struct image *im, struct summary *out)
{
	CLEANUP(view_free) struct view v = VIEW_NONE;
	char id[ID_HEX + 1];

	assert_int_equal(view_load(&v, &f->s, &f->e), 0);
	hex_encode(im->rq.config_digest, 32, id);
	struct record *r = table_find(&v.images, span_str(id));
	assert_non_null(r);
	return summary_load(&f->s, r, out);
}

static void
test_files(void **state)
{
	struct fixture *f = *state;
	static struct summary out;
	struct commit_result res;
	struct image im;
	struct stat st;

	image_make(f, &im, "a", 1, false);
	image_stage(f, &im);
	assert_int_equal(image_commit(f, &im, &res), 0);
	assert_memory_equal(res.manifest, im.rq.manifest_digest, DIGEST_BYTES);
	assert_int_equal(load(f, &im, &out), 1);
	struct summary x = sample(&im), other = x;
	assert_int_equal(summary_write(&f->s, res.id, &x, &f->e), 0);
	assert_int_equal(load(f, &im, &out), 0);
	assert_string_equal(out.user, "app:1000");
	assert_int_equal(fstatat(f->s.own, "summaries", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	sh(f, 0, "test $(stat -c %%a @D/G/bulkhead/summaries/%s) = 600", res.id);
	/* of another manifest, of another config */
	other.manifest[3] ^= 1;
	assert_int_equal(summary_write(&f->s, res.id, &other, &f->e), 0);
	assert_int_equal(load(f, &im, &out), 1);
	other = x;
	other.config[3] ^= 1;
	assert_int_equal(summary_write(&f->s, res.id, &other, &f->e), 0);
	assert_int_equal(load(f, &im, &out), 1);
	assert_int_equal(summary_write(&f->s, res.id, &x, &f->e), 0);
	assert_int_equal(load(f, &im, &out), 0);
	/* torn, empty, replaced by something else */
	const char *const tricks[] = {"truncate -s 50", "truncate -s 0", "rm",
	    "f() { rm $1; mkdir $1; }; f", "f() { rmdir $1; ln -s /etc/passwd $1; }; f",
	    "f() { rm $1; mkfifo $1; }; f"};
	for (size_t i = 0; i < ARRAY_LEN(tricks); i++) {
		sh(f, 0, "%s @D/G/bulkhead/summaries/%s", tricks[i], res.id);
		assert_int_equal(load(f, &im, &out), 1);
	}
	sh(f, 0, "ls -A @D/G/bulkhead/%s | grep summary && exit 1 || exit 0", f->s.name);
	image_free(f, &im);
}

static void
ignore(void *arg, bool deleted, const char *text)
{
}

static void
test_removal(void **state)
{
	struct fixture *f = *state;
	CLEANUP(view_free) struct view v = VIEW_NONE;
	struct commit_result res;
	struct image im;
	char name[40];

	image_make(f, &im, "a", 1, false);
	image_stage(f, &im);
	assert_int_equal(image_commit(f, &im, &res), 0);
	struct summary x = sample(&im);
	assert_int_equal(summary_write(&f->s, res.id, &x, &f->e), 0);
	sh(f, 0,
	    "cd @D/G/bulkhead/summaries && cp %s "
	    "$(echo %s | tr 0-9a-f 1-9a-f0) && touch x .y && mkdir z",
	    res.id, res.id);
	assert_int_equal(view_load(&v, &f->s, &f->e), 0);
	assert_false(summary_crowded(&f->s));
	summary_sweep(&f->s, &v);
	sh(f, 0,
	    "cd @D/G/bulkhead/summaries && test \"$(ls -A | sort | xargs)\" = '%s z'",
	    res.id);
	take(f, HOLD_COMMIT);
	assert_int_equal(
	    store_remove_image(&f->s, &f->h, res.id, ignore, NULL, &f->e), 0);
	hold_release(&f->h);
	sh(f, 0, "test \"$(ls -A @D/G/bulkhead/summaries)\" = z");
	for (int i = 0; i < 1025; i++) {
		snprintf(name, sizeof(name), "@D/G/bulkhead/summaries/%d", i);
		if (i == 1023)
			assert_false(summary_crowded(&f->s));
		put_file(f, name + 3, "");
	}
	assert_true(summary_crowded(&f->s));
	image_free(f, &im);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fixture_new, fixture_free)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bytes),
	    cmocka_unit_test(test_hostile),
	    cmocka_unit_test(test_limits),
	    T(test_files),
	    T(test_removal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
