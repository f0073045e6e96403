/* What an accepted layer becomes: names, types, owners, modes, times, attributes,
 * whiteouts. */
#include "tests/apply/layer.h"

#include "common/base/fd.h"
#include "worker-store/apply/side.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Untars t whole and in odd pieces; the second tree stays open in *l. */
static void
accept(struct layer *l, struct tarball *t)
{
	static const size_t chunks[] = {1 << 20, 700, 1};

	for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
		layer_open(l);
		if (layer_untar(l, t, chunks[i], NULL) != 0)
			fail_msg("%s", l->err.text);
		assert_int_equal(l->result.bytes, t->n);
		assert_true(layer_reassembles(l, t));
		if (i + 1 < ARRAY_LEN(chunks))
			layer_close(l);
	}
	tar_free(t);
}

#define STAT(path, want) assert_string_equal(layer_stat(&l, path), want)

static void
test_types(void **state)
{
	struct tarball t = {0};
	struct layer l;

	tar_head(&t, (struct tar_head){
			 .name = "./d/", .type = '5', .mode = 02755, .uid = 5, .gid = 6});
	tar_head(&t, (struct tar_head){.name = "./d/f",
			 .type = '0',
			 .mode = 04711,
			 .uid = 7,
			 .gid = 8,
			 .size = 5,
			 .mtime = 1234567890});
	tar_bytes(&t, "hello", 5);
	tar_pad(&t);
	tar_file(&t, "d/empty", "");
	tar_node(&t, "d/l", '2', "../../outside/secret");
	tar_node(&t, "d/h", '1', "./d/empty");
	tar_head(
	    &t, (struct tar_head){.name = "p", .type = '6', .mode = 01604, .uid = 1});
	tar_head(
	    &t, (struct tar_head){.name = "old", .size = 3, .magic = "\0\0\0\0\0\0\0\0"});
	tar_bytes(&t, "v7!", 3);
	tar_pad(&t);
	tar_head(&t, (struct tar_head){.name = "olddir/", .magic = "\0\0\0\0\0\0\0\0"});
	tar_file(&t, "implied/a/b/c", "x");
	tar_end(&t);
	accept(&l, &t);
	STAT("d", "d 2755 5:6 0 1600000000");
	STAT("d/f", "- 4711 7:8 5 1234567890");
	STAT("d/l", "l 0777 0:0 20 1600000000 ../../outside/secret");
	STAT("d/empty", "- 0644 0:0 0 1600000000");
	STAT("d/h", "- 0644 0:0 0 1600000000");
	STAT("p", "p 1604 1:0 0 1600000000");
	STAT("old", "- 0644 0:0 3 1600000000");
	STAT("olddir", "d 0644 0:0 0 1600000000");
	STAT("implied/a/b/c", "- 0644 0:0 1 1600000000");
	assert_memory_equal(layer_stat(&l, "implied/a"), "d 0755 0:0", 10);
	assert_string_equal(layer_cat(&l, "d/f"), "hello");
	assert_int_equal(l.result.uids.n, 4);
	assert_int_equal(l.result.uids.ids[3], 7);
	assert_int_equal(l.result.entries, 9);
	layer_close(&l);
}

static void
test_directory_times(void **state)
{
	struct tarball t = {0};
	struct layer l;

	/* children after, and before, their directory's entry; metadata of the later one
	 * counts */
	tar_head(
	    &t, (struct tar_head){.name = "a/", .type = '5', .mode = 0500, .mtime = 111});
	tar_file(&t, "a/x", "1");
	tar_file(&t, "b/c/x", "1");
	tar_head(
	    &t, (struct tar_head){
		    .name = "b/c", .type = '5', .mode = 0711, .uid = 3, .mtime = 222});
	tar_file(&t, "b/c/y", "1");
	tar_end(&t);
	accept(&l, &t);
	STAT("a", "d 0500 0:0 0 111");
	STAT("b/c", "d 0711 3:0 0 222");
	layer_close(&l);
}

static void
test_setgid_directory(void **state)
{
	struct tarball t = {0};
	struct layer l;

	/* what is made below a setgid directory must not inherit its group or bit */
	tar_head(
	    &t, (struct tar_head){.name = "s/", .type = '5', .mode = 02775, .gid = 50});
	tar_dir(&t, "s/d/");
	tar_file(&t, "s/d/f", "1");
	tar_file(&t, "s/f", "1");
	tar_node(&t, "s/l", '2', "f");
	tar_end(&t);
	accept(&l, &t);
	STAT("s/d", "d 0755 0:0 0 1600000000");
	STAT("s/d/f", "- 0644 0:0 1 1600000000");
	STAT("s/f", "- 0644 0:0 1 1600000000");
	STAT("s/l", "l 0777 0:0 1 1600000000 f");
	layer_close(&l);
}

static void
test_pax(void **state)
{
	struct tarball t = {0}, value = {0};
	struct layer l;
	char name[300];

	memset(name, 'n', 255);
	snprintf(name + 255, sizeof(name) - 255, "/\xc5\x91\xff");
	tar_pax_records(&t, "path", name, "uid", "4294967294", "gid", "3000000", "mtime",
	    "1500000000.5", "comment", "\xff", "SCHILY.acl.access", "nonsense",
	    "LIBARCHIVE.xattr.user.a", "!!", "hdrcharset", "X", "SCHILY.realsize", "9",
	    "uname", "\xe9", NULL);
	tar_head(&t, (struct tar_head){.name = "short", .type = '0', .size = 2});
	tar_bytes(&t, "ok", 2);
	tar_pad(&t);
	/* decomposed: libarchive would compose it */
	tar_pax_records(&t, "path", "e\xcc\x81", "linkpath", "\xc3\xa9", NULL);
	tar_node(&t, "x", '2', "y");
	pax_record(&value, "path", "v", 1);
	pax_record(&value, "SCHILY.xattr.user.nul", "a\0b", 3);
	pax_record(&value, "SCHILY.xattr.user.empty", "", 0);
	pax_record(&value, "SCHILY.xattr.user.overlay.opaque", "y", 1);
	pax_record(&value, "SCHILY.xattr.trusted.overlay.redirect", "/", 1);
	pax_record(&value, "SCHILY.xattr.security.selinux", "x", 1);
	pax_record(&value, "SCHILY.xattr.user.containers.override_stat", "0:0", 3);
	pax_record(&value, "SCHILY.xattr.system.posix_acl_access", "bad", 3);
	pax_record(&value, "SCHILY.xattr.security.capability",
	    "\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	tar_pax(&t, 'x', value.p, value.n);
	tar_head(&t, (struct tar_head){.name = "x", .type = '0', .mode = 0755, .uid = 9});
	tar_pax_records(&t, "SCHILY.xattr.user.on.dir", "yes", NULL);
	tar_dir(&t, "dx");
	tar_pax(&t, 'g', "17 comment=hello\n", 17);
	tar_end(&t);
	tar_free(&value);
	accept(&l, &t);
	STAT(name, "- 0644 4294967294:3000000 2 1500000000");
	STAT("e\xcc\x81", "l 0777 0:0 2 1600000000 \xc3\xa9");
	assert_string_equal(layer_xattr(&l, "v", "user.nul"), "a");
	assert_string_equal(layer_xattr(&l, "v", "user.overlay.opaque"), "-");
	assert_string_equal(layer_xattr(&l, "v", "trusted.overlay.redirect"), "-");
	assert_string_equal(layer_xattr(&l, "v", "user.containers.override_stat"), "-");
	assert_string_equal(layer_xattr(&l, "v", "system.posix_acl_access"), "-");
	assert_string_not_equal(layer_xattr(&l, "v", "security.capability"), "-");
	assert_string_equal(layer_xattr(&l, "dx", "user.on.dir"), "yes");
	assert_int_equal(l.result.xattrs_dropped, 6);
	assert_int_equal(l.result.entries, 5);
	layer_close(&l);
}

static void
test_gnu(void **state)
{
	struct tarball t = {0};
	struct layer l;
	char name[4097];

	for (int i = 0; i < 4095; i++)
		name[i] = i % 200 == 199 ? '/' : 'g';
	name[4095] = 0;
	tar_long(&t, 'L', name, 4096);
	tar_head(&t, (struct tar_head){.name = "cut", .type = '0', .magic = "ustar  "});
	tar_long(&t, 'K', "target", 7);
	tar_long(&t, 'L', "link", 5);
	tar_head(&t,
	    (struct tar_head){.name = "c", .type = '2', .link = "c", .magic = "ustar  "});
	tar_head(&t, (struct tar_head){.name = "big", .type = '0', .magic = "ustar  "});
	tar_poke(&t, 108, "\x80\0\0\0\xff\xff\xff\xfe", 8); /* uid in base 256 */
	tar_poke(
	    &t, 136, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00", 12); /* 1969 */
	accept(&l, &t); /* no end blocks */
	STAT("link", "l 0777 0:0 6 1600000000 target");
	STAT("big", "- 0644 4294967294:0 0 0");
	FD_AUTO deep = -1;
	for (char *part = strtok(name, "/"); part; part = strtok(NULL, "/")) {
		int fd = openat(deep < 0 ? l.root : deep, part, O_RDONLY);
		assert_true(fd >= 0);
		fd_close(&deep);
		deep = fd;
	}
	layer_close(&l);
}

static void
test_whiteouts(void **state)
{
	struct tarball t = {0};
	struct layer l;
	struct side_reader r;
	struct side_record rec;
	struct err e = {0};
	char opaque[64] = "";

	tar_head(&t, (struct tar_head){
			 .name = "d/.wh.gone", .type = '0', .uid = 77, .mode = 0644});
	tar_node(&t, "d/.wh.linked", '1', "d/.wh.gone");
	tar_file(&t, "d/.wh.data", "bytes");
	tar_file(&t, "d/.wh..wh..opq", "");
	tar_file(&t, ".wh..wh..opq", "");
	tar_file(&t, ".wh.again", "");
	tar_file(&t, "again", "new");
	tar_file(&t, ".wh.dir", "");
	tar_dir(&t, "dir");
	tar_file(&t, "dir/in", "new");
	tar_file(&t, ".wh.top", "");
	tar_file(&t, "top/.wh.below", ""); /* below what is whited out: nothing to do */
	tar_end(&t);
	accept(&l, &t);
	assert_memory_equal(layer_stat(&l, "d/gone"), "c 0000 77:0", 11);
	assert_memory_equal(layer_stat(&l, "d/linked"), "c 0000 0:0", 10);
	assert_memory_equal(layer_stat(&l, "d/data"), "c 0000 0:0", 10);
	STAT("again", "- 0644 0:0 3 1600000000");
	STAT("dir/in", "- 0644 0:0 3 1600000000");
	assert_memory_equal(layer_stat(&l, "top"), "c 0000", 6);
	STAT("d/.wh..wh..opq", "-");
	assert_int_equal(l.result.opaque, 2);
	/* owners of whiteouts do not count */
	assert_int_equal(l.result.uids.n, 1);
	assert_int_equal(lseek(l.side, 0, SEEK_SET), 0);
	assert_int_equal(side_read_open(&r, l.side), 0);
	while (side_read(&r, &rec, &e) > 0) {
		if (rec.kind == SIDE_OPAQUE)
			snprintf(opaque + strlen(opaque), 16, "<%.*s>", (int)rec.data.n,
			    (const char *)rec.data.p);
	}
	side_read_free(&r);
	assert_string_equal(opaque, "<d><>");
	layer_close(&l);
}

/* A whiteout gives way to any kind of entry of its own layer. */
static void
test_whiteouts_replaced(void **state)
{
	struct tarball t = {0};
	struct layer l;

	tar_file(&t, "f", "1");
	tar_file(&t, ".wh.s", "");
	tar_node(&t, "s", '2', "f");
	tar_file(&t, ".wh.p", "");
	tar_node(&t, "p", '6', NULL);
	tar_file(&t, ".wh.h", "");
	tar_node(&t, "h", '1', "f");
	accept(&l, &t);
	STAT("s", "l 0777 0:0 1 1600000000 f");
	STAT("p", "p 0644 0:0 0 1600000000");
	STAT("h", "- 0644 0:0 1 1600000000");
	layer_close(&l);
}

static void
test_hardlink_attributes(void **state)
{
	struct tarball t = {0}, body = {0};
	struct layer l;

	tar_file(&t, "f", "1");
	tar_node(&t, "p", '6', NULL);
	pax_record(&body, "SCHILY.xattr.user.k", "v", 1);
	pax_record(&body, "SCHILY.xattr.security.capability",
	    "\1\0\0\3\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\5\0\0\0", 24);
	tar_pax(&t, 'x', body.p, body.n);
	tar_node(&t, "h", '1', "f");
	tar_pax_records(&t, "SCHILY.xattr.trusted.k", "v", NULL);
	tar_node(&t, "hp", '1', "p"); /* must not be opened: it would block */
	tar_pax_records(&t, "SCHILY.xattr.security.capability", "on a directory", NULL);
	tar_dir(&t, "d");
	accept(&l, &t);
	assert_string_equal(layer_xattr(&l, "f", "user.k"), "v");
	assert_string_not_equal(layer_xattr(&l, "f", "security.capability"), "-");
	assert_int_equal(l.result.xattrs_dropped, 2);
	tar_free(&body);
	layer_close(&l);
}

static void
test_links_in_parents(void **state)
{
	struct tarball t = {0};
	struct layer l;

	/* absolute and climbing links stay inside; payload behind them is kept in
	 * segments */
	tar_dir(&t, "usr/lib");
	tar_node(&t, "lib", '2', "usr/lib");
	tar_node(&t, "abs", '2', "/usr/lib");
	tar_node(&t, "climb", '2', "../../../../usr/lib");
	tar_file(&t, "lib/a", "aaa");
	tar_file(&t, "abs/b", "bbb");
	tar_file(&t, "climb/c", "ccc");
	tar_file(&t, "lib/sub/d", "ddd");
	tar_node(&t, "h", '1', "lib/a");
	tar_end(&t);
	accept(&l, &t);
	assert_string_equal(layer_cat(&l, "usr/lib/a"), "aaa");
	assert_string_equal(layer_cat(&l, "usr/lib/b"), "bbb");
	assert_string_equal(layer_cat(&l, "usr/lib/c"), "ccc");
	assert_string_equal(layer_cat(&l, "usr/lib/sub/d"), "ddd");
	assert_string_equal(layer_cat(&l, "h"), "aaa");
	layer_close(&l);
}

static void
test_hardlinks(void **state)
{
	struct tarball t = {0};
	struct layer l;

	tar_head(
	    &t, (struct tar_head){.name = "f", .type = '0', .mode = 04755, .size = 1});
	tar_bytes(&t, "x", 1);
	tar_pad(&t);
	/* the link's header speaks last; chown takes setuid away, chmod brings it back */
	tar_head(&t, (struct tar_head){.name = "h",
			 .type = '1',
			 .link = "f",
			 .mode = 04711,
			 .uid = 3,
			 .mtime = 9});
	tar_node(&t, "s", '2', "/outside/secret");
	tar_head(
	    &t, (struct tar_head){
		    .name = "hs", .type = '1', .link = "s", .mode = 04777, .uid = 4});
	tar_end(&t);
	accept(&l, &t);
	STAT("f", "- 4711 3:0 1 9");
	STAT("h", "- 4711 3:0 1 9");
	STAT("hs", "l 0777 4:0 15 1600000000 /outside/secret");
	layer_close(&l);
}

static void
test_devices_left_out(void **state)
{
	struct tarball t = {0};
	struct layer l;

	tar_head(&t,
	    (struct tar_head){.name = "dev/null", .type = '3', .major = 1, .minor = 3});
	tar_head(&t, (struct tar_head){.name = "dev/sda", .type = '4', .major = 8});
	tar_node(&t, "dev/zero", '1', "dev/null");
	tar_node(&t, "dev/again", '1', "/dev/zero");
	tar_end(&t);
	accept(&l, &t);
	STAT("dev/null", "-");
	STAT("dev/zero", "-");
	assert_int_equal(l.result.devices_left_out, 4);
	layer_close(&l);
}

static void
test_root_entries(void **state)
{
	struct tarball t = {0};
	struct layer l;

	tar_head(
	    &t, (struct tar_head){.name = "./", .type = '5', .mode = 0700, .uid = 12});
	tar_file(&t, "f", "");
	accept(&l, &t);
	assert_memory_equal(layer_stat(&l, "."), "d 0755 0:0", 10);
	assert_false(l.result.root_given);
	assert_int_equal(l.result.uids.n, 2); /* counts all the same */
	layer_close(&l);
	tar_head(
	    &t, (struct tar_head){.name = "/", .type = '5', .mode = 0700, .uid = 12});
	tar_file(&t, "/f", "");
	accept(&l, &t);
	STAT(".", "d 0700 12:0 0 1600000000");
	assert_true(l.result.root_given);
	assert_int_equal(l.result.root_mode, 0700);
	layer_close(&l);
}

static void
test_ends(void **state)
{
	struct tarball t = {0};
	struct layer l;

	accept(&l, &t); /* an empty layer */
	assert_int_equal(l.result.entries, 0);
	layer_close(&l);
	tar_end(&t);
	accept(&l, &t);
	layer_close(&l);
	tar_file(&t, "f", "x");
	tar_zeros(&t, 512); /* one block, then nothing */
	accept(&l, &t);
	layer_close(&l);
	tar_file(&t, "f", "x");
	tar_end(&t);
	tar_file(&t, "ghost", "kept, not parsed");
	tar_bytes(&t, "\x01junk", 5);
	tar_zeros(&t, 3 << 20);
	accept(&l, &t);
	STAT("ghost", "-");
	layer_close(&l);
}

static void
test_large(void **state)
{
	struct tarball t = {0};
	struct layer l;
	char name[64];

	/* payloads across pieces and side file buffers, 1 MiB pax header */
	tar_head(
	    &t, (struct tar_head){.name = "big", .type = '0', .size = (5 << 20) + 1});
	for (int i = 0; i < (5 << 20) + 1; i += 4)
		tar_bytes(&t, &i, i + 4 > (5 << 20) + 1 ? 1 : 4);
	tar_pad(&t);
	struct tarball body = {0}, value = {0};
	tar_zeros(&value, 65000);
	for (int i = 0; i < 16; i++) {
		snprintf(name, sizeof(name), "VENDOR.%d", i);
		pax_record(&body, name, value.p, value.n);
	}
	tar_pax(&t, 'x', body.p, body.n);
	tar_file(&t, "after", "x");
	tar_free(&body);
	tar_free(&value);
	layer_open(&l);
	assert_int_equal(layer_untar(&l, &t, 300000, NULL), 0);
	assert_true(layer_reassembles(&l, &t));
	assert_int_equal(l.result.tree_bytes, (5 << 20) + 2);
	tar_free(&t);
	layer_close(&l);
}

static void
put_sparse_1_0(struct tarball *t, const char *map, const char *data, const char *real)
{
	char text[1024] = "";

	snprintf(text, sizeof(text), "%s", map);
	tar_pax_records(t, "GNU.sparse.major", "1", "GNU.sparse.minor", "0",
	    "GNU.sparse.name", "sparse", "GNU.sparse.realsize", real, NULL);
	tar_head(t, (struct tar_head){.name = "GNUSparseFile.1/sparse",
			.type = '0',
			.size = 512 + strlen(data)});
	tar_bytes(t, text, 512);
	tar_bytes(t, data, strlen(data));
	tar_pad(t);
}

static void
test_sparse(void **state)
{
	struct tarball t = {0};
	struct layer l;

	put_sparse_1_0(&t, "2\n0\n3\n100000\n2\n", "abcde", "200000");
	tar_pax_records(&t, "GNU.sparse.size", "1000", "GNU.sparse.numblocks", "1",
	    "GNU.sparse.map", "5,2", "GNU.sparse.name", "s01", NULL);
	tar_head(&t, (struct tar_head){.name = "x", .type = '0', .size = 2});
	tar_bytes(&t, "ab", 2);
	tar_pad(&t);
	tar_file(&t, "after", "x");
	tar_end(&t);
	accept(&l, &t);
	STAT("sparse", "- 0644 0:0 200000 1600000000");
	STAT("s01", "- 0644 0:0 1000 1600000000");
	STAT("GNUSparseFile.1", "-");
	assert_string_equal(layer_cat(&l, "sparse"), "abc");
	FD_AUTO fd = openat(l.root, "sparse", O_RDONLY);
	char two[3] = "";
	assert_int_equal(pread(fd, two, 2, 100000), 2);
	assert_string_equal(two, "de");
	layer_close(&l);
}

static void
test_umask(void **state)
{
	struct tarball t = {0};
	struct layer l;

	umask(077);
	tar_head(&t, (struct tar_head){.name = "d/f", .type = '0', .mode = 0666});
	accept(&l, &t);
	assert_int_equal(umask(022), 077);
	STAT("d/f", "- 0666 0:0 0 1600000000");
	assert_memory_equal(layer_stat(&l, "d"), "d 0755", 6);
	layer_close(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_types),
	    cmocka_unit_test(test_directory_times),
	    cmocka_unit_test(test_setgid_directory),
	    cmocka_unit_test(test_pax),
	    cmocka_unit_test(test_gnu),
	    cmocka_unit_test(test_whiteouts),
	    cmocka_unit_test(test_whiteouts_replaced),
	    cmocka_unit_test(test_hardlink_attributes),
	    cmocka_unit_test(test_links_in_parents),
	    cmocka_unit_test(test_hardlinks),
	    cmocka_unit_test(test_devices_left_out),
	    cmocka_unit_test(test_root_entries),
	    cmocka_unit_test(test_ends),
	    cmocka_unit_test(test_large),
	    cmocka_unit_test(test_sparse),
	    cmocka_unit_test(test_umask),
	};

	if (geteuid() != 0) {
		printf("needs root: owners, capabilities and whiteouts are the point\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
