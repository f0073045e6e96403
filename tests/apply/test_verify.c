/* The tar of a layer that is there, put together again: the same bytes or a reason,
 * whatever has become of tree and tar-split file. */
#include "tests/apply/layer.h"

#include "common/base/fd.h"
#include "worker-store/apply/isal.h"
#include "worker-store/apply/split_read.h"
#include "worker-store/apply/tar_split.h"

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

struct out {
	struct tarball got;
	int fail;
};

static int
take(void *arg, const uint8_t *p, size_t n)
{
	struct out *o = arg;

	if (o->fail)
		return -o->fail;
	tar_bytes(&o->got, p, n);
	return 0;
}

static int
mark(void *arg, int dirfd)
{
	return 0;
}

static int
verify(struct layer *l, int split, struct out *o, const struct apply_limits *limits)
{
	struct apply_limits all = APPLY_LIMITS_DEFAULT;
	struct apply_sink sink = {take, o};
	int fds = fd_count_open();

	tar_free(&o->got);
	l->err = (struct err){0};
	assert_int_equal(lseek(split, 0, SEEK_SET), 0);
	int r = apply_verify(
	    l->root, split, &sink, limits ? limits : &all, &l->result, &l->err);
	assert_int_equal(fd_count_open(), fds);
	assert_true(r == 0 || o->fail || l->err.text[0]);
	return r;
}

/* Untarred and checked; its tar-split file as a memfd. */
static int
make_layer(struct layer *l, const struct tarball *t)
{
	struct apply_limits all = APPLY_LIMITS_DEFAULT;
	struct apply_opaque opaque = {mark, NULL};
	struct apply_result result;

	layer_open(l);
	assert_int_equal(layer_untar(l, t, 100000, NULL), 0);
	int split = memfd_create("split", 0);
	if (apply_check(l->root, l->side, split, &opaque, &all, &result, &l->err) < 0)
		fail_msg("%s", l->err.text);
	return split;
}

static void
some_tar(struct tarball *t)
{
	char big[300000];

	memset(big, 'b', sizeof(big));
	tar_dir(t, "d");
	tar_file(t, "./d/f", "content");
	tar_file(t, "d/<&>\"\\\n\t\x01 caf\xc3\xa9 \xe2\x80\xa8", "odd");
	tar_file(t, "d/\xff\xfe raw", "not text");
	tar_file(t, "d/empty", "");
	tar_node(t, "l", '2', "d");
	tar_file(t, "l/through", "behind a link");
	tar_file(t, ".wh.gone", "");
	tar_node(t, "hard", '1', "d/f");
	tar_head(t, (struct tar_head){.name = "big", .type = '0', .size = sizeof(big)});
	tar_bytes(t, big, sizeof(big));
	tar_pad(t);
	tar_end(t);
	tar_bytes(t, "and junk behind its end", 23);
}

static void
test_same_bytes(void **state)
{
	struct tarball t = {0};
	struct layer l;
	struct out o = {0};

	some_tar(&t);
	FD_AUTO split = make_layer(&l, &t);
	if (verify(&l, split, &o, NULL) < 0)
		fail_msg("%s", l.err.text);
	assert_int_equal(o.got.n, t.n);
	assert_memory_equal(o.got.p, t.p, t.n);
	assert_int_equal(l.result.bytes, t.n);
	assert_int_equal(l.result.entries, 10);
	struct apply_limits limits = {
	    .bytes = t.n, .entries = 10, .depth = LIMIT_PATH_DEPTH};
	assert_int_equal(verify(&l, split, &o, &limits), 0);
	limits.bytes--;
	assert_true(verify(&l, split, &o, &limits) < 0);
	assert_non_null(strstr(l.err.text, "more than"));
	limits =
	    (struct apply_limits){.bytes = t.n, .entries = 9, .depth = LIMIT_PATH_DEPTH};
	assert_true(verify(&l, split, &o, &limits) < 0);
	assert_non_null(strstr(l.err.text, "too many entries"));
	o.fail = EPIPE;
	assert_int_equal(verify(&l, split, &o, NULL), -EPIPE);
	assert_int_equal(l.err.code, ERR_OK);
	tar_free(&o.got);
	tar_free(&t);
	layer_close(&l);
}

static void
expect(struct layer *l, int split, const char *why)
{
	struct out o = {0};

	if (verify(l, split, &o, NULL) == 0 || !strstr(l->err.text, why))
		fail_msg("not \"%s\" but \"%s\"", why, l->err.text);
	assert_int_equal(l->err.code, ERR_CONTENT);
	tar_free(&o.got);
}

static void
test_tree_damaged(void **state)
{
	struct tarball t = {0};
	struct layer l;
	struct out o = {0};

	some_tar(&t);
	FD_AUTO split = make_layer(&l, &t);
	FD_AUTO fd = openat(l.root, "d/f", O_RDWR);
	assert_int_equal(pwrite(fd, "C", 1, 0), 1);
	expect(&l, split, "\"./d/f\" of its tree has other content");
	assert_int_equal(pwrite(fd, "c", 1, 0), 1);
	assert_int_equal(pwrite(fd, "+", 1, 7), 1);
	expect(&l, split, "another size");
	assert_int_equal(ftruncate(fd, 6), 0);
	expect(&l, split, "another size");
	assert_int_equal(ftruncate(fd, 7), 0);
	assert_int_equal(pwrite(fd, "t", 1, 6), 1);
	assert_int_equal(verify(&l, split, &o, NULL), 0);
	assert_int_equal(unlinkat(l.root, "big", 0), 0);
	expect(&l, split, "missing");
	assert_int_equal(mkfifoat(l.root, "big", 0600), 0); /* must not block */
	expect(&l, split, "no file");
	assert_int_equal(unlinkat(l.root, "big", 0), 0);
	assert_int_equal(mkdirat(l.root, "big", 0700), 0);
	expect(&l, split, "no file");
	assert_int_equal(unlinkat(l.root, "big", AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("../outside/secret", l.root, "big"), 0);
	expect(&l, split, "missing");
	tar_free(&o.got);
	tar_free(&t);
	layer_close(&l);
}

struct change {
	int (*make)(int root);
	const char *why;
};

static int
change_mode(int root)
{
	return fchmodat(root, "d/suid", 0755, 0);
}

static int
change_directory(int root)
{
	return fchmodat(root, "d", 0777, 0);
}

static int
change_owner(int root)
{
	return fchownat(root, "l", 1, 0, AT_SYMLINK_NOFOLLOW);
}

static int
change_group(int root)
{
	return fchownat(root, "d/empty", 0, 7, 0);
}

static int
change_time(int root)
{
	const struct timespec times[2] = {{.tv_sec = 5}, {.tv_sec = 5}};

	return utimensat(root, "d/empty", times, 0);
}

static int
change_target(int root)
{
	const struct timespec times[2] = {{0}};

	return unlinkat(root, "l", 0) < 0 || symlinkat("e", root, "l") < 0 ||
	       utimensat(root, "l", times, AT_SYMLINK_NOFOLLOW) < 0;
}

static int
change_type(int root)
{
	return unlinkat(root, "pipe", 0) < 0 || mkdirat(root, "pipe", 0644) < 0;
}

static int
fill_empty(int root)
{
	FD_AUTO fd = openat(root, "d/empty", O_WRONLY);

	return write(fd, "x", 1) != 1;
}

static int
lose_empty(int root)
{
	return unlinkat(root, "d/empty", 0);
}

static int
lose_link(int root)
{
	return unlinkat(root, "l", 0);
}

static int
lose_whiteout(int root)
{
	return unlinkat(root, "d/gone", 0);
}

static int
lose_hardlink(int root)
{
	return unlinkat(root, "hard", 0);
}

static int
split_hardlink(int root)
{
	FD_AUTO fd = -1;

	if (unlinkat(root, "hard", 0) < 0)
		return -1;
	fd = openat(root, "hard", O_WRONLY | O_CREAT, 0644);
	return fd < 0;
}

/* All that can be told of nodes; entry is one more entry, if any. */
static void
nodes_tar(struct tarball *t, const char *entry)
{
	tar_dir(t, "./");
	tar_dir(t, "d");
	tar_file(t, "d/.wh.gone", "");
	tar_file(t, "d/.wh..wh..opq", "");
	tar_file(t, "d/empty", "");
	tar_head(t, (struct tar_head){.name = "d/suid", .type = '0', .mode = 04755});
	tar_node(t, "l", '2', "d");
	tar_node(t, "e", '2', "d");
	tar_node(t, "pipe", '6', "");
	tar_head(
	    t, (struct tar_head){.name = "null", .type = '3', .major = 1, .minor = 3});
	tar_node(t, "null2", '1', "null");
	tar_file(t, "one", "content");
	tar_node(t, "hard", '1', "one");
	if (entry)
		tar_file(t, entry, "");
	tar_end(t);
}

static void
test_nodes_differ(void **state)
{
	static const struct change changes[] = {
	    {change_mode, "\"d/suid\" of its tree has another mode"},
	    {change_directory, "\"d\" of its tree has another mode"},
	    {change_owner, "\"l\" of its tree has another owner"},
	    {change_group, "\"d/empty\" of its tree has another owner"},
	    {change_time, "\"d/empty\" of its tree has another time"},
	    {change_target, "\"l\" of its tree leads elsewhere"},
	    {change_type, "\"pipe\" of its tree is something else"},
	    {fill_empty, "\"d/empty\" of its tree has another size"},
	    {lose_empty, "\"d/empty\" of its tree is missing"},
	    {lose_link, "\"l\" of its tree is missing"},
	    {lose_whiteout, "\"d/.wh.gone\" of its tree is missing"},
	    {lose_hardlink, "\"hard\" of its tree is missing"},
	    {split_hardlink, "\"hard\" of its tree is another file"},
	};
	struct tarball t = {0};
	struct layer l;
	struct out o = {0};

	nodes_tar(&t, NULL);
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		FD_AUTO split = make_layer(&l, &t);
		if (verify(&l, split, &o, NULL) < 0)
			fail_msg("%s", l.err.text);
		assert_int_equal(changes[i].make(l.root), 0);
		expect(&l, split, changes[i].why);
		layer_close(&l);
	}
	tar_free(&o.got);
	tar_free(&t);
}

/* A tree for a user namespace has other owners. */
static void
test_shifted(void **state)
{
	struct apply_limits limits = APPLY_LIMITS_DEFAULT;
	struct tarball t = {0};
	struct layer l;
	struct out o = {0};

	nodes_tar(&t, NULL);
	FD_AUTO split = make_layer(&l, &t);
	assert_int_equal(fchownat(l.root, "d", 100000, 100000, 0), 0);
	expect(&l, split, "another owner");
	limits.shifted = true;
	assert_int_equal(verify(&l, split, &o, &limits), 0);
	assert_int_equal(fchmodat(l.root, "d", 0700, 0), 0);
	assert_true(verify(&l, split, &o, &limits) < 0);
	assert_non_null(strstr(l.err.text, "another mode"));
	tar_free(&o.got);
	tar_free(&t);
	layer_close(&l);
}

/* tar-split of an archive that no applier of ours would take, over the tree of one that
 * it did: what another program made of it is not known. */
static void
test_archives_of_others(void **state)
{
	static const char *const entries[] = {
	    "d/empty", "d/../x", ".wh..wh.plnk", "e/empty"};
	struct tarball t = {0};
	struct layer l;
	struct out o = {0};

	for (size_t i = 0; i <= ARRAY_LEN(entries); i++) {
		bool bad_sum = i == ARRAY_LEN(entries);
		nodes_tar(&t, NULL);
		FD_AUTO own = make_layer(&l, &t);
		assert_true(own >= 0 && lose_link(l.root) == 0);
		tar_free(&t);
		nodes_tar(&t, bad_sum ? NULL : entries[i]);
		if (bad_sum)
			t.p[t.header + 148] ^= 1;
		FD_AUTO split = memfd_create("split", 0);
		struct tar_split *s = tar_split_new(split);
		uint64_t bytes;
		assert_int_equal(tar_split_segment(s, span_of(t.p, t.n)), 0);
		assert_int_equal(tar_split_finish(s, &bytes), 0);
		tar_split_free(s);
		if (verify(&l, split, &o, NULL) < 0)
			fail_msg("%zu: %s", i, l.err.text);
		assert_memory_equal(o.got.p, t.p, t.n);
		tar_free(&t);
		layer_close(&l);
	}
	tar_free(&o.got);
}

static void
write_split(int fd, const void *text, size_t n)
{
	struct gzip *g = gzip_new(fd);
	uint64_t bytes;

	assert_non_null(g);
	assert_int_equal(gzip_write(g, text, n), 0);
	assert_int_equal(gzip_finish(g, &bytes), 0);
	gzip_free(g);
}

static int
split_of(const char *lines)
{
	int fd = memfd_create("split", 0);

	write_split(fd, lines, strlen(lines));
	return fd;
}

/* Cut or changed anywhere, a tar-split file gives a reason or the same bytes. */
static void
test_split_damaged(void **state)
{
	struct tarball t = {0};
	struct layer l;
	struct out o = {0};
	CLEANUP(free_ptr) uint8_t *bytes = NULL;
	size_t n;

	tar_file(&t, "f", "content");
	tar_end(&t);
	FD_AUTO split = make_layer(&l, &t);
	assert_int_equal(fd_read_whole(split, 1 << 20, &bytes, &n), 0);
	for (size_t i = 0; i < n; i++) {
		uint8_t flipped = bytes[i] ^ 0x10;
		assert_int_equal(pwrite(split, &flipped, 1, (off_t)i), 1);
		int r = verify(&l, split, &o, NULL);
		assert_true(r < 0 || (o.got.n == t.n && !memcmp(o.got.p, t.p, t.n)));
		assert_int_equal(pwrite(split, bytes + i, 1, (off_t)i), 1);
	}
	for (size_t i = n; i-- > 0;) {
		assert_int_equal(ftruncate(split, (off_t)i), 0);
		int r = verify(&l, split, &o, NULL);
		assert_true(i == 0 ? r == 0 && o.got.n == 0 : r < 0);
	}
	tar_free(&o.got);
	tar_free(&t);
	layer_close(&l);
}

static void
expect_lines(struct layer *l, const char *lines, const char *why)
{
	FD_AUTO split = split_of(lines);

	expect(l, split, why);
}

static void
test_hostile_lines(void **state)
{
	static const char *const odd[] = {"", "\n", "x\n", "{}\n", "[1]\n",
	    "{\"type\":2}\n", "{\"type\":3,\"payload\":\"\"}\n",
	    "{\"type\":1,\"payload\":null}\n", "{\"type\":1,\"name\":\"\"}\n",
	    "{\"type\":2,\"payload\":\"A\"}\n", "{\"type\":2,\"payload\":\"AAA!\"}\n",
	    "{\"type\":2,\"payload\":\"A===\"}\n", "{\"type\":2,\"payload\":\"AA=A\"}\n",
	    "{\"type\":2,\"payload\":\"AAAA}\n", "{\"type\":2,\"payload\":\"\"},\n",
	    "{\"type\":2,\"payload\":\"\"}}\n",
	    "{\"type\":2,\"payload\":\"\",\"more\":1}\n",
	    "{\"type\":1,\"name\":\"\\x41\"}\n", "{\"type\":1,\"name\":\"\\ud800\"}\n",
	    "{\"type\":1,\"name\":\"\\udc00\"}\n",
	    "{\"type\":1,\"name\":\"\\ud800\\u0041\"}\n",
	    "{\"type\":1,\"name\":\"\\u12\"}\n", "{\"type\":1,\"name\":\"a\x01\"}\n",
	    "{\"type\":1,\"name\":\"\\",
	    "{\"type\":99999999999999999999999,\"name\":\"a\"}\n"};
	struct tarball t = {0};
	struct layer l;
	struct out o = {0};

	tar_file(&t, "f", "content");
	FD_AUTO whole = make_layer(&l, &t);
	assert_true(whole >= 0);
	for (size_t i = 1; i < ARRAY_LEN(odd); i++)
		expect_lines(&l, odd[i], "tar-split file is damaged");
	expect_lines(&l, "{\"type\":1,\"name\":\"f\",\"size\":7}\n", "no checksum");
	expect_lines(&l,
	    "{\"type\":1,\"name\":\"f\",\"size\":9223372036854775807,"
	    "\"payload\":\"AAAAAAAAAAA=\"}\n",
	    "impossible size");
	expect_lines(&l,
	    "{\"type\":1,\"name\":\"../outside/secret\",\"size\":19,"
	    "\"payload\":\"AAAAAAAAAAA=\"}\n",
	    "..");
	expect_lines(&l,
	    "{\"type\":1,\"name\":\"f\\u0000\",\"size\":7,\"payload\":\"AAAAAAAAAAA=\"}"
	    "\n",
	    "NUL");
	expect_lines(&l,
	    "{\"type\":1,\"name\":\"f\",\"size\":7,\"payload\":\"AAAAAAAAAAA=\"}\n",
	    "other content");
	/* A link never leads out. */
	assert_int_equal(symlinkat("../outside", l.root, "out"), 0);
	expect_lines(&l,
	    "{\"type\":1,\"name\":\"out/secret\",\"size\":18,"
	    "\"payload\":\"AAAAAAAAAAA=\"}\n",
	    "missing");
	/* As written by others: members in any order, every escape, an empty segment,
	 * one gzip member behind the other. */
	FD_AUTO split =
	    split_of("{\"position\":0,\"payload\":\"YWI=\",\"type\":2}\n"
		     "{\"type\":1,\"name\":\"\\u00fc\\ud83d\\ude00\\/\\b\\f\\r\","
		     "\"payload\":null,\"position\":1}\n");
	write_split(split, "{\"type\":2,\"payload\":\"\"}\n", 24);
	assert_int_equal(verify(&l, split, &o, NULL), 0);
	assert_int_equal(o.got.n, 2);
	assert_memory_equal(o.got.p, "ab", 2);
	tar_free(&o.got);
	tar_free(&t);
	layer_close(&l);
}

/* A line of the longest size, and one byte more. */
static void
test_line_limit(void **state)
{
	static const char head[] = "{\"type\":2,\"payload\":\"", tail[] = "\"}\n";
	size_t room = LIMIT_TAR_SPLIT_LINE - strlen(head) - strlen(tail);
	CLEANUP(free_ptr) char *text = malloc(LIMIT_TAR_SPLIT_LINE + 8);
	struct tarball t = {0};
	struct layer l;
	struct out o = {0};

	tar_file(&t, "f", "content");
	FD_AUTO whole = make_layer(&l, &t);
	assert_true(whole >= 0);
	for (int over = 0; over < 2; over++) {
		size_t n = room / 4 * 4 + (over ? 4 : 0);
		memset(text, 'A', LIMIT_TAR_SPLIT_LINE + 8);
		memcpy(text, head, strlen(head));
		memcpy(text + strlen(head) + n, tail, strlen(tail));
		FD_AUTO split = memfd_create("split", 0);
		write_split(split, text, strlen(head) + n + strlen(tail));
		assert_true((verify(&l, split, &o, NULL) == 0) == !over);
		assert_true(over ? strstr(l.err.text, "longer than") != NULL
				 : o.got.n == n / 4 * 3);
	}
	tar_free(&o.got);
	tar_free(&t);
	layer_close(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_same_bytes),
	    cmocka_unit_test(test_tree_damaged),
	    cmocka_unit_test(test_nodes_differ),
	    cmocka_unit_test(test_shifted),
	    cmocka_unit_test(test_archives_of_others),
	    cmocka_unit_test(test_split_damaged),
	    cmocka_unit_test(test_hostile_lines),
	    cmocka_unit_test(test_line_limit),
	};

	if (geteuid() != 0) {
		printf("needs root: owners, whiteouts\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
