/* The two tar readers against each other: every field in which they could differ, made
 * to. */
#include "tests/apply/tarball.h"
#include "worker-store/apply/tar_meta.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static ssize_t
no_payload(void *arg, size_t max, const uint8_t **p)
{
	return -EPIPE;
}

/* Scans the headers of one entry; masks them as the room does. */
static void
scan(struct tarball *t, struct tar_entry *e)
{
	static struct tar_scan s;
	struct err err = {0};
	size_t at = 0;
	int step;

	memset(&s, 0, sizeof(s));
	do {
		assert_true(at + 512 <= t->n);
		step = tar_scan_block(&s, t->p + at, &err);
		at += 512;
		if (step == TAR_BODY) {
			size_t n = (size_t)s.body;
			step = tar_scan_body(&s, t->p + at, &err);
			at += n + tar_padding(n);
		}
		if (step < 0)
			fail_msg("%s", err.text);
	} while (step != TAR_ENTRY);
	*e = s.entry;
	t->n = at;
}

static void
one(struct tarball *t, char type)
{
	tar_pax_records(
	    t, "path", "n\xc3\xa9", "SCHILY.xattr.user.k", "v", "mtime", "5.5", NULL);
	tar_head(t, (struct tar_head){.name = "x",
			.type = type,
			.mode = 0640,
			.uid = 1,
			.gid = 2,
			.size = type == '0' ? 3 : 0,
			.link = type == '0' ? NULL : "to"});
}

typedef void (*change_fn)(struct tar_entry *e);

/* What tar_meta_next says of the headers once e was changed: "" when it agrees. */
static const char *
after(char type, change_fn change)
{
	static struct err err;
	static struct tar_entry e;
	struct tarball t = {0};
	struct tar_attrs attrs;
	struct tar_meta *m = tar_meta_new(no_payload, NULL);

	memset(&err, 0, sizeof(err));
	one(&t, type);
	scan(&t, &e);
	if (change)
		change(&e);
	int r = tar_meta_next(m, span_of(t.p, t.n), &e, &attrs, &err);
	if (r == 0) {
		assert_int_equal(attrs.mtime.tv_sec, 5);
		assert_int_equal(attrs.mtime.tv_nsec, 500000000);
	}
	assert_true((r < 0) == (err.code == ERR_CONTENT));
	tar_meta_free(m);
	tar_free(&t);
	return err.text;
}

#define CHANGE(fn, what)                    \
	static void fn(struct tar_entry *e) \
	{                                   \
		what;                       \
	}
CHANGE(change_name, e->name[0] = 'm')
CHANGE(change_name_end, e->name[e->name_n - 2] = 0)
CHANGE(change_name_more, strcat(e->name, "x"))
CHANGE(change_link, e->link[1] = 'i')
CHANGE(change_to_directory, e->kind = TAR_DIRECTORY)
CHANGE(change_to_symlink, e->kind = TAR_SYMLINK)
CHANGE(change_to_hardlink, e->kind = TAR_HARDLINK)
CHANGE(change_mode, e->mode ^= 1)
CHANGE(change_uid, e->uid++)
CHANGE(change_gid, e->gid++)
CHANGE(change_size, e->size++)
CHANGE(change_mtime, e->mtime++)
CHANGE(change_xattrs, e->xattrs++)
CHANGE(change_xattrs_less, e->xattrs--)

static void
test_fields(void **state)
{
	static const struct {
		char type;
		change_fn change;
		const char *about;
	} rows[] = {
	    {'0', change_name, "name"},
	    {'0', change_name_end, "name"},
	    {'0', change_name_more, "name"},
	    {'2', change_link, "link target"},
	    {'1', change_link, "link target"},
	    {'0', change_to_directory, "type"},
	    {'5', change_to_symlink, "kind of link"},
	    {'0', change_to_hardlink, "kind of link"},
	    {'2', change_to_hardlink, "kind of link"},
	    {'0', change_mode, "mode"},
	    {'0', change_uid, "owner"},
	    {'0', change_gid, "owner"},
	    {'0', change_size, "size"},
	    {'0', change_mtime, "mtime"},
	    {'0', change_xattrs, "extended attributes"},
	    {'0', change_xattrs_less, "extended attributes"},
	};
	char want[64];

	assert_string_equal(after('0', NULL), "");
	assert_string_equal(after('1', NULL), "");
	assert_string_equal(after('2', NULL), "");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(want, sizeof(want), "an entry's %s", rows[i].about);
		const char *got = after(rows[i].type, rows[i].change);
		if (!strstr(got, want))
			fail_msg("row %zu: \"%s\" instead of \"%s\"", i, got, want);
	}
}

/* Two entries: the first one's payload is passed by the caller and skipped by libarchive.
 */
static const char *
two(uint64_t first_size, size_t cut, bool end)
{
	static struct err err;
	static struct tar_entry e[2];
	struct tarball t[2] = {{0}, {0}};
	struct tar_attrs attrs;
	struct tar_meta *m = tar_meta_new(no_payload, NULL);

	memset(&err, 0, sizeof(err));
	for (int i = 0; i < 2; i++) {
		tar_head(&t[i], (struct tar_head){.name = "f", .type = '0', .size = 700});
		scan(&t[i], &e[i]);
	}
	assert_int_equal(
	    tar_meta_next(m, span_of(t[0].p, t[0].n), &e[0], &attrs, &err), 0);
	e[1].size = first_size;
	int r = 0;
	if (!end)
		r = tar_meta_next(m, span_of(t[1].p, t[1].n - cut), &e[1], &attrs, &err);
	r = r < 0 ? r : tar_meta_end(m, &err);
	assert_true((r < 0) == (err.code == ERR_CONTENT));
	tar_meta_free(m);
	tar_free(&t[0]);
	tar_free(&t[1]);
	return err.text;
}

static void
test_sequence(void **state)
{
	assert_string_equal(two(700, 0, false), "");
	assert_string_equal(two(700, 0, true), "");
	assert_non_null(strstr(two(701, 0, false), "size"));
	assert_non_null(strstr(two(700, 512, false), "read a payload"));
	assert_non_null(strstr(two(700, 100, false), "libarchive"));
}

/* Headers that the scanner would never have let through do not get past libarchive's
 * warnings. */
static void
test_warnings(void **state)
{
	static struct tar_entry e;
	struct err err = {0};
	struct tarball t = {0};
	struct tar_attrs attrs;
	struct tar_meta *m = tar_meta_new(no_payload, NULL);

	tar_pax(&t, 'x', "99 path=a\n", 10);
	tar_file(&t, "f", "");
	strcpy(e.name, "f");
	e.name_n = 1;
	assert_true(tar_meta_next(m, span_of(t.p, t.n), &e, &attrs, &err) < 0);
	assert_int_equal(err.code, ERR_CONTENT);
	tar_meta_free(m);
	tar_free(&t);
}

static void
test_nothing(void **state)
{
	struct err err = {0};
	struct tar_meta *m = tar_meta_new(no_payload, NULL);

	assert_int_equal(tar_meta_end(m, &err), 0);
	tar_meta_free(m);
	tar_meta_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fields),
	    cmocka_unit_test(test_sequence),
	    cmocka_unit_test(test_warnings),
	    cmocka_unit_test(test_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
