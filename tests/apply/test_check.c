/* The second look: a side file and a tree that an owned applier may have made as it
 * liked. */
#include "tests/apply/layer.h"

#include "common/base/fd.h"
#include "worker-store/apply/isal.h"
#include "worker-store/apply/side.h"
#include "worker-store/apply/tar_split.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct marks {
	ino_t inodes[8];
	int n, fail;
};

static int
mark(void *arg, int dirfd)
{
	struct marks *m = arg;
	struct stat st;

	if (m->fail)
		return -m->fail;
	assert_int_equal(fstat(dirfd, &st), 0);
	assert_true(S_ISDIR(st.st_mode) && m->n < 8);
	m->inodes[m->n++] = st.st_ino;
	return 0;
}

static int
check(struct layer *l, struct marks *m, const struct apply_limits *limits)
{
	struct apply_limits all = APPLY_LIMITS_DEFAULT;
	struct apply_opaque opaque = {mark, m};
	FD_AUTO out = memfd_create("out", 0);
	int fds = fd_count_open();

	l->err = (struct err){0};
	int r = apply_check(
	    l->root, l->side, out, &opaque, limits ? limits : &all, &l->result, &l->err);
	assert_int_equal(fd_count_open(), fds);
	if (r == 0) {
		struct stat st;
		assert_int_equal(fstat(out, &st), 0);
		assert_int_equal(st.st_size, l->result.tar_split_bytes);
	}
	return r;
}

static ino_t
inode(struct layer *l, const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(l->root, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_ino;
}

static void
good_layer(struct layer *l, struct tarball *t)
{
	tar_dir(t, "d");
	tar_file(t, "./d/f", "content");
	tar_file(t, "d/.wh..wh..opq", "");
	tar_file(t, ".wh..wh..opq", "");
	tar_head(t, (struct tar_head){.name = "o", .type = '2', .link = "d", .uid = 5});
	tar_file(t, "/abs", "x");
	tar_end(t);
	layer_open(l);
	assert_int_equal(layer_untar(l, t, 1 << 20, NULL), 0);
}

static void
test_good(void **state)
{
	struct tarball t = {0};
	struct layer l;
	struct marks m = {0};

	good_layer(&l, &t);
	if (check(&l, &m, NULL) < 0)
		fail_msg("%s", l.err.text);
	assert_int_equal(m.n, 2);
	assert_int_equal(m.inodes[0], inode(&l, "d"));
	assert_int_equal(m.inodes[1], inode(&l, "."));
	assert_int_equal(l.result.bytes, t.n);
	assert_int_equal(l.result.entries, 6);
	assert_int_equal(l.result.uids.n, 2);
	assert_int_equal(l.result.uids.ids[1], 5);
	m.fail = EIO;
	assert_int_equal(check(&l, &m, NULL), -EIO);
	m.fail = 0;
	struct apply_limits limits = {
	    .bytes = t.n, .entries = 6, .depth = LIMIT_PATH_DEPTH};
	assert_int_equal(check(&l, &m, &limits), 0);
	limits.bytes--;
	assert_true(check(&l, &m, &limits) < 0);
	limits =
	    (struct apply_limits){.bytes = t.n, .entries = 5, .depth = LIMIT_PATH_DEPTH};
	assert_true(check(&l, &m, &limits) < 0);
	tar_free(&t);
	layer_close(&l);
}

/* The tree changed under its side file. */
static void
test_tree_differs(void **state)
{
	struct tarball t = {0};
	struct layer l;
	struct marks m = {0};

	good_layer(&l, &t);
	FD_AUTO fd = openat(l.root, "d/f", O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "+", 1), 1);
	assert_true(check(&l, &m, NULL) < 0);
	assert_non_null(strstr(l.err.text, "disagree about \"./d/f\""));
	assert_int_equal(ftruncate(fd, 7), 0);
	assert_int_equal(check(&l, &m, NULL), 0);
	assert_int_equal(renameat(l.root, "d", l.root, "e"), 0);
	assert_true(check(&l, &m, NULL) < 0);
	assert_int_equal(symlinkat("e", l.root, "d"), 0); /* a link on the way */
	assert_true(check(&l, &m, NULL) < 0);
	assert_int_equal(unlinkat(l.root, "d", 0), 0);
	assert_int_equal(renameat(l.root, "e", l.root, "d"), 0);
	assert_int_equal(unlinkat(l.root, "abs", 0), 0);
	assert_int_equal(symlinkat("d/f", l.root, "abs"), 0); /* a link at the end */
	assert_true(check(&l, &m, NULL) < 0);
	assert_int_equal(unlinkat(l.root, "abs", 0), 0);
	assert_int_equal(mkfifoat(l.root, "abs", 0600), 0); /* must not block */
	assert_true(check(&l, &m, NULL) < 0);
	assert_int_equal(unlinkat(l.root, "abs", 0), 0);
	assert_int_equal(mkdirat(l.root, "abs", 0700), 0);
	assert_true(check(&l, &m, NULL) < 0);
	tar_free(&t);
	layer_close(&l);
}

static void
set_side(struct layer *l, const void *p, size_t n)
{
	assert_int_equal(ftruncate(l->side, 0), 0);
	assert_int_equal(pwrite(l->side, p, n, 0), n);
}

/* Cut anywhere, or with anything behind its end, a side file is refused. */
static void
test_cut(void **state)
{
	struct tarball t = {0};
	struct layer l;
	struct marks m = {0};
	uint8_t *side;
	size_t n;

	good_layer(&l, &t);
	assert_int_equal(fd_read_whole(l.side, 1 << 20, &side, &n), 0);
	for (size_t cut = 0; cut < n; cut += cut < n - 200 ? 37 : 1) {
		set_side(&l, side, cut);
		m.n = 0;
		assert_true(check(&l, &m, NULL) < 0);
		assert_int_equal(l.err.code, ERR_CONTENT);
	}
	set_side(&l, side, n);
	m.n = 0;
	assert_int_equal(check(&l, &m, NULL), 0);
	assert_int_equal(pwrite(l.side, "", 1, (off_t)n), 1);
	assert_true(check(&l, &m, NULL) < 0);
	free(side);
	tar_free(&t);
	layer_close(&l);
}

static void
record(struct tarball *s, uint8_t kind, const void *p, size_t n)
{
	uint32_t len = htole32((uint32_t)n);

	tar_bytes(s, &kind, 1);
	tar_bytes(s, &len, 4);
	tar_bytes(s, p, n);
}

static void
file_record(struct tarball *s, uint64_t size, const char *name, size_t n)
{
	uint8_t body[5000] = {0};

	size = htole64(size);
	memcpy(body, &size, 8);
	memcpy(body + 16, name, n);
	record(s, SIDE_FILE, body, 16 + n);
}

static void
end_record(
    struct tarball *s, uint64_t bytes, uint64_t entries, uint64_t owners, size_t ids)
{
	uint64_t w[SIDE_END_WORDS] = {bytes, entries, 0, 0, 0, 0, 0, owners};
	uint8_t body[sizeof(w) + 64] = {0};

	for (size_t i = 0; i < SIDE_END_WORDS; i++)
		w[i] = htole64(w[i]);
	memcpy(body, w, sizeof(w));
	for (size_t i = 0; i < ids; i++) /* equal ids: out of order from the second on */
		body[sizeof(w) + 4 * i] = 7;
	record(s, SIDE_END, body, sizeof(w) + 4 * ids);
}

static void
expect_refused(struct layer *l, struct tarball *s, const char *why)
{
	struct marks m = {0};

	set_side(l, s->p, s->n);
	if (check(l, &m, NULL) == 0 || !strstr(l->err.text, why))
		fail_msg("not \"%s\" but \"%s\"", why, l->err.text);
	tar_free(s);
	tar_bytes(s, SIDE_MAGIC, 8);
}

static void
test_hostile_records(void **state)
{
	struct tarball s = {0}, t = {0};
	struct layer l;

	good_layer(&l, &t);
	tar_bytes(&s, "BHSIDE2\n", 8);
	end_record(&s, 0, 0, 0, 0);
	expect_refused(&l, &s, "not a side file");
	record(&s, 0, "", 0);
	expect_refused(&l, &s, "unknown record");
	record(&s, 9, "x", 1);
	expect_refused(&l, &s, "unknown record");
	record(&s, SIDE_SEGMENT, "", 0);
	expect_refused(&l, &s, "empty segment");
	tar_bytes(&s, "\1\1\0\x10\0", 5); /* 1 MiB + 1 */
	tar_zeros(&s, (1 << 20) + 1);
	expect_refused(&l, &s, "out of bounds");
	tar_bytes(&s, "\1\xff\xff\xff\xff", 5);
	expect_refused(&l, &s, "out of bounds");
	record(&s, SIDE_FILE, "0123456789abcdef", 16);
	expect_refused(&l, &s, "short file record");
	file_record(&s, 0, "d/f", 3);
	expect_refused(&l, &s, "impossible size");
	file_record(&s, UINT64_MAX, "d/f", 3);
	expect_refused(&l, &s, "impossible size");
	file_record(&s, LIMIT_LAYER_DEFAULT + 1, "d/f", 3);
	expect_refused(&l, &s, "more than");
	file_record(&s, 7, "d/f\0x", 5);
	expect_refused(&l, &s, "with a NUL");
	file_record(&s, 18, "../outside/secret", 17);
	expect_refused(&l, &s, "\"..\"");
	file_record(&s, 7, "o/f", 3);
	expect_refused(&l, &s, "disagree");
	file_record(&s, 8, "d/f", 3);
	expect_refused(&l, &s, "disagree");
	file_record(&s, 1, "/", 1);
	expect_refused(&l, &s, "disagree");
	record(&s, SIDE_NODE, "", 0);
	expect_refused(&l, &s, "without a name");
	record(&s, SIDE_NODE, s.p, 0);
	expect_refused(&l, &s, "without a name");
	tar_bytes(&t, NULL, 5000);
	memset(t.p, 'n', 5000);
	record(&s, SIDE_NODE, t.p, LIMIT_PATH + 1);
	expect_refused(&l, &s, "over 4095");
	tar_free(&s);
	tar_free(&t);
	layer_close(&l);
}

static void
test_hostile_marks_and_ends(void **state)
{
	struct tarball s = {0}, t = {0};
	struct layer l;

	good_layer(&l, &t);
	tar_free(&t);
	tar_bytes(&s, SIDE_MAGIC, 8);
#define OPAQUE(path, why)                                \
	record(&s, SIDE_NODE, "x", 1);                   \
	record(&s, SIDE_OPAQUE, path, sizeof(path) - 1); \
	end_record(&s, 0, 1, 0, 0);                      \
	expect_refused(&l, &s, why)
	OPAQUE("d/f", "disagree");
	OPAQUE("o", "disagree");
	OPAQUE("none", "disagree");
	OPAQUE("..", "\"..\"");
	OPAQUE("/d", "disagree");
	OPAQUE("./d", "disagree");
	OPAQUE("d/", "disagree");
	OPAQUE("d\0", "NUL");
	record(&s, SIDE_OPAQUE, "d", 1);
	expect_refused(&l, &s, "too many opaque");
	record(&s, SIDE_END, "short", 5);
	expect_refused(&l, &s, "short end");
	end_record(&s, 0, 0, UINT64_C(2) << 32, 2);
	expect_refused(&l, &s, "out of order");
	end_record(&s, 0, 0, 2, 2);
	expect_refused(&l, &s, "out of order");
	end_record(&s, 0, 0, 2, 1);
	expect_refused(&l, &s, "out of bounds");
	end_record(&s, 0, 0, UINT64_C(4097) << 32, 1);
	expect_refused(&l, &s, "out of bounds");
	end_record(&s, 0, 0, UINT64_MAX, 1);
	expect_refused(&l, &s, "out of bounds");
	end_record(&s, 1, 0, 0, 0);
	expect_refused(&l, &s, "contradicts itself");
	end_record(&s, 0, 1, 0, 0);
	expect_refused(&l, &s, "contradicts itself");
	end_record(&s, 0, 0, 0, 0);
	end_record(&s, 0, 0, 0, 0);
	expect_refused(&l, &s, "after its end");
	tar_free(&s);
	layer_close(&l);
}

static void
test_full_disk(void **state)
{
	struct apply_limits all = APPLY_LIMITS_DEFAULT;
	struct apply_opaque opaque = {mark, NULL};
	struct tarball t = {0};
	struct layer l;
	struct marks m = {0};
	FD_AUTO full = open("/dev/full", O_WRONLY);

	good_layer(&l, &t);
	opaque.arg = &m;
	l.err = (struct err){0};
	assert_int_equal(
	    apply_check(l.root, l.side, full, &opaque, &all, &l.result, &l.err), -ENOSPC);
	assert_int_equal(l.err.code, ERR_NO_SPACE);
	tar_free(&t);
	layer_close(&l);
}

static void
test_encoding(void **state)
{
	static const struct {
		const char *in, *quoted, *base64;
	} rows[] = {
	    {"", "\"\"", ""},
	    {"a", "\"a\"", "YQ=="},
	    {"ab", "\"ab\"", "YWI="},
	    {"abc", "\"abc\"", "YWJj"},
	    {"\n\r\t\"\\", "\"\\n\\r\\t\\\"\\\\\"", "Cg0JIlw="},
	    {"<&>\x01\x1f\x7f", "\"\\u003c\\u0026\\u003e\\u0001\\u001f\x7f\"",
		"PCY+AR9/"},
	    {"\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", "\"\\u2028\\u2029\xe2\x80\xaa\"",
		"4oCo4oCp4oCq"},
	};
	char out[256];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = tar_split_quote(span_str(rows[i].in), out);
		assert_int_equal(n, strlen(rows[i].quoted));
		assert_memory_equal(out, rows[i].quoted, n);
		n = tar_split_base64(span_str(rows[i].in), out);
		assert_int_equal(n, strlen(rows[i].base64));
		assert_memory_equal(out, rows[i].base64, n);
	}
	assert_true(crc64(0, (const uint8_t *)"123456789", 9) == 0xb90956c775a41001);
	assert_true(crc64(crc64(0, (const uint8_t *)"1234", 4), (const uint8_t *)"56789",
			5) == 0xb90956c775a41001);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_tree_differs),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_hostile_records),
	    cmocka_unit_test(test_hostile_marks_and_ends),
	    cmocka_unit_test(test_full_disk),
	    cmocka_unit_test(test_encoding),
	};

	if (geteuid() != 0) {
		printf("needs root: it checks what untar made\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
