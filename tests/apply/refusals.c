/* The hostile layers: see refusals.h. */
#include "tests/apply/refusals.h"

#include <stdio.h>
#include <stdlib.h>

#define NAMED(fn, name)                    \
	static void fn(struct tarball *t)  \
	{                                  \
		tar_file(t, name, "evil"); \
	}
NAMED(name_up, "../x")
NAMED(name_up_inside, "a/../../x")
NAMED(name_up_after_dot, "./../x")
NAMED(name_up_harmless, "a/../b")
NAMED(name_ends_up, "a/..")
NAMED(file_with_slash, "f/")
NAMED(root_file, "./")
NAMED(whiteout_nothing, "d/.wh.")
NAMED(whiteout_dot, ".wh..")
NAMED(whiteout_up, "d/.wh...")
NAMED(whiteout_whiteout, ".wh..wh.x")
NAMED(whiteout_plnk, ".wh..wh.plnk")
NAMED(whiteout_in_path, ".wh.a/b")

static void
root_link(struct tarball *t)
{
	tar_node(t, ".", '2', "/outside");
}

static void
name_empty(struct tarball *t)
{
	tar_file(t, "", "x");
}

static void
name_256(struct tarball *t)
{
	char name[257];

	memset(name, 'n', 256);
	name[256] = 0;
	tar_pax_records(t, "path", name, NULL);
	tar_file(t, "x", "");
}

static void
name_129_deep(struct tarball *t)
{
	char name[2 * 129 + 1];

	for (int i = 0; i < 129; i++)
		memcpy(name + 2 * i, "d/", 2);
	name[2 * 129] = 0;
	tar_pax_records(t, "path", name, NULL);
	tar_dir(t, "x");
}

static void
long_name_4096(struct tarball *t)
{
	char name[4097];

	memset(name, '/', sizeof(name));
	name[4095] = 'x';
	name[4096] = 0;
	tar_long(t, 'L', name, 4097);
	tar_file(t, "x", "");
}

/* T02, T04, T12: links. */
static void
file_over_dangling_parent(struct tarball *t)
{
	tar_node(t, "d", '2', "/outside");
	tar_file(t, "d/etc", "evil"); /* resolves to diff/outside, which is not there */
}

static void
link_loop(struct tarball *t)
{
	tar_node(t, "a", '2', "b");
	tar_node(t, "b", '2', "a");
	tar_file(t, "a/x", "evil");
}

static void
link_chain_41(struct tarball *t)
{
	char name[16], to[16];

	tar_dir(t, "l0");
	for (int i = 1; i <= 41; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		snprintf(to, sizeof(to), "l%d", i - 1);
		tar_node(t, name, '2', to);
	}
	tar_file(t, "l41/x", "evil");
}

#define HARDLINK(fn, target)                   \
	static void fn(struct tarball *t)      \
	{                                      \
		tar_dir(t, "d");               \
		tar_node(t, "h", '1', target); \
	}
HARDLINK(hard_absolute, "/outside/secret")
HARDLINK(hard_up, "../outside/secret")
HARDLINK(hard_itself, "h")
HARDLINK(hard_directory, "d")
HARDLINK(hard_root, "/")
HARDLINK(hard_missing, "lower/file")

static void
hard_through_link(struct tarball *t)
{
	tar_node(t, "l", '2', "../outside");
	tar_node(t, "h", '1', "l/secret");
}

static void
hard_whiteout(struct tarball *t)
{
	tar_file(t, ".wh.w", "");
	tar_node(t, "h", '1', "w");
}

static void
hard_with_data(struct tarball *t)
{
	tar_file(t, "f", "x");
	tar_head(
	    t, (struct tar_head){.name = "h", .type = '1', .link = "f", .size = 512});
	tar_file(t, "hidden", "evil");
}

static void
link_without_target(struct tarball *t)
{
	tar_node(t, "l", '2', "");
}

static void
whiteout_behind_link(struct tarball *t)
{
	tar_node(t, "l", '2', "/");
	tar_file(t, "l/.wh..wh..opq", "");
}

/* T03, T09, T28: one place twice. */
#define TWICE(fn, first, second)          \
	static void fn(struct tarball *t) \
	{                                 \
		first;                    \
		second;                   \
	}
TWICE(same_name, tar_file(t, "a", "1"), tar_file(t, "a", "2"))
TWICE(same_clean_name, tar_file(t, "a", "1"), tar_file(t, ".//a", "2"))
TWICE(link_then_directory, tar_node(t, "d", '2', "/outside"), tar_dir(t, "d/"))
TWICE(directory_then_link, tar_file(t, "d/x", "1"), tar_node(t, "d", '2', "/outside"))
TWICE(file_below_file, tar_file(t, "f", "1"), tar_file(t, "f/x", "2"))
TWICE(whiteout_of_own, tar_file(t, "a", "1"), tar_file(t, ".wh.a", ""))
TWICE(whiteout_of_own_tree, tar_file(t, "d/a", "1"), tar_file(t, ".wh.d", ""))
TWICE(file_below_whiteout, tar_file(t, ".wh.d", ""), tar_file(t, "d/x", "1"))

static void
same_place_by_link(struct tarball *t)
{
	tar_dir(t, "d");
	tar_node(t, "l", '2', "d");
	tar_file(t, "d/f", "1");
	tar_file(t, "l/f", "2");
}

static void
below_device(struct tarball *t)
{
	tar_head(
	    t, (struct tar_head){.name = "null", .type = '3', .major = 1, .minor = 3});
	tar_file(t, "null/x/y", "1");
}

/* T11: whiteouts of a wrong type. */
#define NODE(fn, name, type, link)             \
	static void fn(struct tarball *t)      \
	{                                      \
		tar_node(t, name, type, link); \
	}
NODE(whiteout_directory, ".wh.d", '5', NULL)
NODE(whiteout_link, ".wh.l", '2', "x")
NODE(whiteout_fifo, ".wh..wh..opq", '6', NULL)
NODE(fifo_with_slash, "p/", '6', NULL)
NODE(type_contiguous, "x", '7', NULL)
NODE(type_volume, "x", 'V', NULL)
NODE(type_multi, "x", 'M', NULL)
NODE(type_dump, "x", 'D', NULL)
NODE(type_solaris, "x", 'X', NULL)
NODE(type_acl, "x", 'A', NULL)
NODE(type_names, "x", 'N', NULL)
NODE(type_sparse, "x", 'S', NULL)
NODE(type_q, "x", 'Q', NULL)
NODE(type_high, "x", (char)0xff, NULL)
NODE(device_0_0, "w", '3', NULL)

static void
root_fifo(struct tarball *t)
{
	tar_node(t, "/", '6', NULL);
}

/* T14: attributes. */
static void
xattr(struct tarball *t, const char *key, const char *value, char type)
{
	tar_pax_records(t, key, value, NULL);
	tar_node(t, "x", type, type == '2' ? "y" : NULL);
}
#define XATTR(fn, key, value, type)         \
	static void fn(struct tarball *t)   \
	{                                   \
		xattr(t, key, value, type); \
	}
XATTR(xattr_on_link, "SCHILY.xattr.user.a", "b", '2')
XATTR(xattr_on_fifo, "SCHILY.xattr.user.a", "b", '6')
XATTR(xattr_unnamed, "SCHILY.xattr.", "b", '0')
XATTR(xattr_user_only, "SCHILY.xattr.user.", "b", '0')
XATTR(capability_text, "SCHILY.xattr.security.capability", "text", '0')
XATTR(capability_v1, "SCHILY.xattr.security.capability", "\1\1\1\1aaaabbbb", '0')

static void
hardlink_to_fifo_xattr(struct tarball *t)
{
	tar_node(t, "p", '6', NULL);
	tar_pax_records(t, "SCHILY.xattr.user.a", "1", NULL);
	tar_node(t, "h", '1', "p");
}

static void
opaque_below_file(struct tarball *t)
{
	tar_file(t, "f", "1");
	tar_file(t, "f/.wh..wh..opq", "");
}

static void
xattr_twice(struct tarball *t)
{
	tar_pax_records(t, "SCHILY.xattr.user.a", "1", "SCHILY.xattr.user.a", "2", NULL);
	tar_file(t, "x", "");
}

static void
xattr_many(struct tarball *t)
{
	struct tarball body = {0};
	char key[64];

	for (int i = 0; i < 65; i++) {
		snprintf(key, sizeof(key), "SCHILY.xattr.trusted.%d", i);
		pax_record(&body, key, "v", 1);
	}
	tar_pax(t, 'x', body.p, body.n);
	tar_free(&body);
	tar_file(t, "x", "");
}

static void
xattr_bytes(struct tarball *t)
{
	struct tarball body = {0}, value = {0};

	tar_zeros(&value, 40000);
	pax_record(&body, "SCHILY.xattr.user.a", value.p, value.n);
	pax_record(&body, "SCHILY.xattr.user.b", value.p, value.n);
	tar_pax(t, 'x', body.p, body.n);
	tar_free(&body);
	tar_free(&value);
	tar_file(t, "x", "");
}

/* T16 to T18, T30: numbers. */
#define POKED(fn, at, bytes)                                              \
	static void fn(struct tarball *t)                                 \
	{                                                                 \
		tar_head(t, (struct tar_head){.name = "n", .type = '0'}); \
		tar_poke(t, at, bytes, sizeof(bytes) - 1);                \
	}
POKED(mode_text, 100, "rwxr-xr")
POKED(mode_negative, 100, "\xff\xff\xff\xff\xff\xff\xff\xff")
POKED(uid_digit_after_end, 108, "12\0 4567")
POKED(uid_negative, 108, "\xff\xff\xff\xff\xff\xff\xff\xff")
POKED(uid_minus_one, 108, "\x80\0\0\0\xff\xff\xff\xff")
POKED(gid_2_33, 116, "\x80\0\0\2\0\0\0\0")
POKED(size_negative, 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
POKED(size_sign, 124, "\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff")
POKED(size_wide, 124, "\x80\1\0\0\0\0\0\0\0\0\0\0")
POKED(size_prefix, 124, "\xc0\0\0\0\0\0\0\0\0\0\0\1")
POKED(size_nine, 124, "00000000009")
POKED(mtime_late, 136, "\x80\0\0\0\0\0\0\2\0\0\0\1")
POKED(minor_text, 337, "abc")
POKED(magic_odd, 257, "ustarX00")
POKED(star_format, 508, "tar")

/* What only some readers take from a header of that kind. */
#define POKED_IN(fn, as, at, bytes)                                                    \
	static void fn(struct tarball *t)                                              \
	{                                                                              \
		tar_head(t, (struct tar_head){.name = "n", .type = '0', .magic = as}); \
		tar_poke(t, at, bytes, sizeof(bytes) - 1);                             \
	}
POKED_IN(v7_minor_text, "\0\0\0\0\0\0\0", 337, "abc")
POKED_IN(gnu_map, "ustar  ", 386, "0")
POKED_IN(gnu_map_goes_on, "ustar  ", 482, "\1")
POKED_IN(gnu_real_size, "ustar  ", 483, "00000000005")
POKED_IN(gnu_real_size_end, "ustar  ", 494, "1")

static void
prefix_with_slash(struct tarball *t)
{
	tar_head(t, (struct tar_head){.name = "f", .type = '0', .prefix = "d/"});
}

static void
size_beyond_stream(struct tarball *t)
{
	tar_head(t, (struct tar_head){.name = "f", .type = '0', .size = 1000});
	tar_bytes(t, "short", 5);
}

static void
size_2_60(struct tarball *t)
{
	tar_head(t, (struct tar_head){.name = "f", .type = '0'});
	tar_poke(t, 124, "\x80\0\0\0\x10\0\0\0\0\0\0\1", 12);
}

static void
size_two_ways(struct tarball *t)
{
	tar_pax_records(t, "size", "0", NULL);
	tar_file(t, "f", "these bytes would be read as a header by some");
}

static void
size_pax_only(struct tarball *t)
{
	tar_pax_records(t, "size", "512", NULL);
	tar_file(t, "f", "");
	tar_file(t, "hidden", "");
}

static void
uid_two_ways(struct tarball *t)
{
	tar_pax_records(t, "uid", "0", NULL);
	tar_head(t, (struct tar_head){.name = "f", .type = '0', .uid = 1000});
}

#define SIZED(fn, letter)                                  \
	static void fn(struct tarball *t)                  \
	{                                                  \
		tar_head(t, (struct tar_head){.name = "s", \
				.type = letter,            \
				.size = 512,               \
				.link = "x",               \
				.major = 1});              \
		tar_zeros(t, 512);                         \
	}
SIZED(size_on_link, '2')
SIZED(size_on_directory, '5')
SIZED(size_on_device, '3')
SIZED(size_on_fifo, '6')

static void
bad_checksum(struct tarball *t)
{
	tar_file(t, "f", "");
	t->p[t->header]++;
}

static void
one_zero_block(struct tarball *t)
{
	tar_file(t, "f", "");
	tar_zeros(t, 512);
	tar_file(t, "g", "");
}

static void
cut_header(struct tarball *t)
{
	tar_file(t, "f", "");
	tar_bytes(t, "rest", 4);
}

static void
cut_padding(struct tarball *t)
{
	tar_file(t, "f", "x");
	t->n -= 100;
}

static void
not_a_tar(struct tarball *t)
{
	for (int i = 0; i < 100; i++)
		tar_bytes(t, "070701 cpio or anything", 23);
}

/* T21: pax syntax. */
#define PAX(fn, body)                                    \
	static void fn(struct tarball *t)                \
	{                                                \
		tar_pax(t, 'x', body, sizeof(body) - 1); \
		tar_file(t, "f", "");                    \
	}
PAX(pax_length_0, "0 path=a\n")
PAX(pax_length_1, "1 path=a\n")
PAX(pax_length_short, "8 path=a\n")
PAX(pax_length_long, "11 path=a\n")
PAX(pax_length_huge, "1000000000 path=a\n")
PAX(pax_length_text, "x0 path=a\n")
PAX(pax_length_space, " 11 path=a\n")
PAX(pax_length_zeros, "011 path=a\n")
PAX(pax_no_newline, "10 path=ab")
PAX(pax_no_equals, "8 path\n\n")
PAX(pax_no_key, "6 =ab\n")
PAX(pax_key_nul, "11 pa\0h=ab\n")
PAX(pax_path_empty, "8 path=\n")
PAX(pax_path_nul, "11 path=\0b\n")
PAX(pax_path_twice, "10 path=a\n10 path=b\n")
PAX(pax_linkpath, "14 linkpath=a\n")
PAX(pax_size_minus, "11 size=-1\n")
PAX(pax_size_huge, "29 size=99999999999999999999\n")
PAX(pax_uid_text, "12 uid=root\n")
PAX(pax_uid_minus_one, "18 uid=4294967295\n")
PAX(pax_mtime_text, "13 mtime=NaN\n")
PAX(pax_mtime_dots, "15 mtime=1.2.3\n")
PAX(pax_mtime_late, "20 mtime=8589934593\n")
PAX(pax_mtime_2_63, "29 mtime=9223372036854775808\n")
PAX(pax_atime_text, "13 atime=NaN\n")
PAX(pax_rest, "10 path=a\n\0\0\0")

static void
pax_value_large(struct tarball *t)
{
	struct tarball body = {0}, value = {0};

	tar_zeros(&value, 65537);
	pax_record(&body, "comment", value.p, value.n);
	tar_pax(t, 'x', body.p, body.n);
	tar_free(&body);
	tar_free(&value);
	tar_file(t, "f", "");
}

static void
pax_header_large(struct tarball *t)
{
	struct tarball body = {0};

	tar_zeros(&body, (1 << 20) + 1);
	tar_pax(t, 'x', body.p, body.n);
	tar_free(&body);
}

static void
pax_alone(struct tarball *t)
{
	tar_pax_records(t, "path", "a", NULL);
	tar_end(t);
}

static void
pax_then_nothing(struct tarball *t)
{
	tar_pax_records(t, "path", "a", NULL);
}

static void
pax_twice(struct tarball *t)
{
	tar_pax_records(t, "path", "a", NULL);
	tar_pax_records(t, "path", "b", NULL);
	tar_file(t, "f", "");
}

static void
pax_then_long(struct tarball *t)
{
	tar_pax_records(t, "path", "a", NULL);
	tar_long(t, 'L', "b", 2);
	tar_file(t, "f", "");
}

static void
global_path(struct tarball *t)
{
	tar_pax(t, 'g', "10 path=a\n", 10);
	tar_file(t, "f", "");
}

static void
global_after_pax(struct tarball *t)
{
	tar_pax_records(t, "path", "a", NULL);
	tar_pax(t, 'g', "13 comment=a\n", 13);
	tar_file(t, "f", "");
}

/* T22: GNU long names. */
#define LONG(fn, body)                                    \
	static void fn(struct tarball *t)                 \
	{                                                 \
		tar_long(t, 'L', body, sizeof(body) - 1); \
		tar_file(t, "f", "");                     \
	}
LONG(long_empty, "")
LONG(long_without_nul, "name")
LONG(long_only_nul, "\0")
LONG(long_nuls, "name\0\0")
LONG(long_inner_nul, "na\0me\0")

static void
long_cut(struct tarball *t)
{
	tar_long(t, 'L', "name", 5);
	t->n -= 510;
}

static void
long_alone(struct tarball *t)
{
	tar_long(t, 'L', "name", 5);
	tar_end(t);
}

static void
long_twice(struct tarball *t)
{
	tar_long(t, 'K', "one", 4);
	tar_long(t, 'K', "two", 4);
	tar_node(t, "l", '2', "x");
}

/* T19, T20: sparse files. */
static void
sparse(struct tarball *t, const char *real, const char *map, size_t map_blocks)
{
	struct tarball text = {0};

	tar_bytes(&text, map, strlen(map));
	tar_zeros(&text, map_blocks * 512 - strlen(map));
	tar_pax_records(t, "GNU.sparse.major", "1", "GNU.sparse.minor", "0",
	    "GNU.sparse.name", "s", "GNU.sparse.realsize", real, NULL);
	tar_head(t, (struct tar_head){.name = "x", .type = '0', .size = text.n + 4});
	tar_bytes(t, text.p, text.n);
	tar_bytes(t, "data", 4);
	tar_pad(t);
	tar_free(&text);
}
#define SPARSE(fn, real, map)             \
	static void fn(struct tarball *t) \
	{                                 \
		sparse(t, real, map, 1);  \
		tar_file(t, "after", ""); \
	}
SPARSE(sparse_descending, "100", "2\n50\n2\n10\n2\n")
SPARSE(sparse_overlap, "100", "2\n0\n3\n1\n1\n")
SPARSE(sparse_beyond, "100", "1\n98\n4\n")
SPARSE(sparse_negative, "100", "1\n-4\n4\n")
SPARSE(sparse_text, "100", "one\n")
SPARSE(sparse_huge, "4611686018427387904", "1\n0\n4\n")
SPARSE(sparse_too_much, "100", "1\n0\n50\n")

static void
sparse_many(struct tarball *t)
{
	char *map = malloc(400000);

	strcpy(map, "70000\n");
	for (size_t n = 6, i = 0; i < 70000; i++, n += 4)
		strcpy(map + n, "0\n0\n");
	sparse(t, "100", map, 548);
	free(map);
}

static void
sparse_cut(struct tarball *t)
{
	sparse(t, "100", "1\n0\n4\n", 1);
	t->n -= 510;
}

static void
sparse_map_cut(struct tarball *t)
{
	sparse(t, "100", "1\n0\n4\n", 1);
	t->n -= 700;
}

static void
sparse_many_told(struct tarball *t)
{
	tar_pax_records(t, "GNU.sparse.size", "10", "GNU.sparse.numblocks", "65537",
	    "GNU.sparse.map", "0,1", "GNU.sparse.name", "s", NULL);
	tar_file(t, "x", "1");
}

static void
sparse_half(struct tarball *t)
{
	tar_pax_records(t, "GNU.sparse.name", "other", NULL);
	tar_file(t, "x", "1");
}

static void
sparse_directory(struct tarball *t)
{
	tar_pax_records(t, "GNU.sparse.size", "10", "GNU.sparse.numblocks", "1",
	    "GNU.sparse.map", "0,1", "GNU.sparse.name", "s", NULL);
	tar_dir(t, "x");
}

#define R(id, why, make)             \
	{                            \
		id, why, make, #make \
	}
const struct refusal refusals[] = {
    R("T01", "\"..\"", name_up),
    R("T01", "\"..\"", name_up_inside),
    R("T01", "\"..\"", name_up_after_dot),
    R("T01", "\"..\"", name_up_harmless),
    R("T01", "\"..\"", name_ends_up),
    R("T02", "no directory", file_over_dangling_parent),
    R("T02", "too many links", link_loop),
    R("T02", "too many links", link_chain_41),
    R("T03", "a name twice", link_then_directory),
    R("T03", "over a directory", directory_then_link),
    R("T04", "does not have", hard_absolute),
    R("T04", "\"..\"", hard_up),
    R("T04", "does not have", hard_itself),
    R("T04", "a directory or a whiteout", hard_directory),
    R("T04", "a whiteout or to /", hard_root),
    R("T04", "does not have", hard_missing),
    R("T04", "does not have", hard_through_link),
    R("T04", "a directory or a whiteout", hard_whiteout),
    R("T05", "with a size", hard_with_data),
    R("T07", "slash at its end", root_file),
    R("T07", "else than a directory", root_link),
    R("T07", "slash at its end", root_fifo),
    R("T07", "without a name", name_empty),
    R("T11", "invalid name", whiteout_nothing),
    R("T11", "invalid name", whiteout_dot),
    R("T11", "invalid name", whiteout_up),
    R("T11", "invalid name", whiteout_whiteout),
    R("T11", "invalid name", whiteout_plnk),
    R("T11", "used as a directory", whiteout_in_path),
    R("T11", "is no file", whiteout_directory),
    R("T11", "is no file", whiteout_link),
    R("T11", "is no file", whiteout_fifo),
    R("T11", "of its own layer", whiteout_of_own),
    R("T11", "of its own layer", whiteout_of_own_tree),
    R("T12", "behind a symlink", whiteout_behind_link),
    R("T13", "0:0", device_0_0),
    R("T14", "cannot have it", xattr_on_link),
    R("T14", "cannot have it", xattr_on_fifo),
    R("T14", "name is empty", xattr_unnamed),
    R("T14", "cannot have it", xattr_user_only),
    R("T14", "malformed security.capability", capability_text),
    R("T14", "malformed security.capability", capability_v1),
    R("T14", "given twice", xattr_twice),
    R("T14", "more than 64", xattr_many),
    R("T14", "more than 64 KiB", xattr_bytes),
    R("T15", "of a type", type_contiguous),
    R("T16", "invalid number", mode_text),
    R("T16", "invalid number", mode_negative),
    R("T17", "invalid number", uid_digit_after_end),
    R("T17", "invalid number", uid_negative),
    R("T17", "an owner over", uid_minus_one),
    R("T17", "an owner over", gid_2_33),
    R("T17", "differs between", uid_two_ways),
    R("T18", "invalid number", size_negative),
    R("T18", "invalid number", size_sign),
    R("T18", "invalid number", size_wide),
    R("T18", "invalid number", size_prefix),
    R("T18", "invalid number", size_nine),
    R("T18", "cut off", size_beyond_stream),
    R("T18", "files of more than", size_2_60),
    R("T18", "differs between", size_two_ways),
    R("T18", "differs between", size_pax_only),
    R("T18", "with a size", size_on_link),
    R("T18", "with a size", size_on_directory),
    R("T18", "with a size", size_on_device),
    R("T18", "with a size", size_on_fifo),
    R("T18", "invalid number", minor_text),
    R("T18", "invalid number", v7_minor_text),
    R("T19", "old GNU sparse", type_sparse),
    R("T19", "old GNU sparse", gnu_map),
    R("T19", "old GNU sparse", gnu_map_goes_on),
    R("T19", "old GNU sparse", gnu_real_size),
    R("T19", "old GNU sparse", gnu_real_size_end),
    R("T19", "sparse", sparse_descending),
    R("T19", "sparse", sparse_overlap),
    R("T19", "sparse", sparse_beyond),
    R("T19", "libarchive", sparse_negative),
    R("T19", "libarchive", sparse_text),
    R("T19", "sparse map", sparse_too_much),
    R("T19", "sparse regions", sparse_many),
    R("T19", "too many regions", sparse_many_told),
    R("T19", "cut off", sparse_cut),
    R("T19", "cut off", sparse_map_cut),
    R("T14", "cannot have it", hardlink_to_fifo_xattr),
    R("T29", "no directory", opaque_below_file),
    R("T19", "unknown form", sparse_half),
    R("T19", "unknown form", sparse_directory),
    R("T20", "files of more than", sparse_huge),
    R("T21", "length is wrong", pax_length_0),
    R("T21", "length is wrong", pax_length_1),
    R("T21", "length is wrong", pax_length_short),
    R("T21", "length is wrong", pax_length_long),
    R("T21", "length is wrong", pax_length_huge),
    R("T21", "length is wrong", pax_length_text),
    R("T21", "length is wrong", pax_length_space),
    R("T21", "length is wrong", pax_length_zeros),
    R("T21", "length is wrong", pax_no_newline),
    R("T21", "without a key", pax_no_equals),
    R("T21", "without a key", pax_no_key),
    R("T21", "without a key", pax_key_nul),
    R("T21", "a name that is empty", pax_path_empty),
    R("T21", "holds a NUL", pax_path_nul),
    R("T21", "given twice", pax_path_twice),
    R("T21", "no link", pax_linkpath),
    R("T21", "not a number", pax_size_minus),
    R("T21", "not a number", pax_size_huge),
    R("T21", "not a number", pax_uid_text),
    R("T21", "an owner over", pax_uid_minus_one),
    R("T21", "invalid mtime", pax_mtime_text),
    R("T21", "invalid mtime", pax_mtime_dots),
    R("T21", "length is wrong", pax_rest),
    R("T21", "over 64 KiB", pax_value_large),
    R("T21", "too large", pax_header_large),
    R("T21", "without its entry", pax_alone),
    R("T21", "without its entry", pax_then_nothing),
    R("T21", "two extended headers", pax_twice),
    R("T21", "two extended headers", pax_then_long),
    R("T21", "changes entries", global_path),
    R("T21", "two extended headers", global_after_pax),
    R("T22", "empty or too large", long_empty),
    R("T22", "NUL at the end", long_without_nul),
    R("T22", "NUL at the end", long_only_nul),
    R("T22", "NUL at the end", long_nuls),
    R("T22", "NUL at the end", long_inner_nul),
    R("T22", "cut off", long_cut),
    R("T22", "without its entry", long_alone),
    R("T22", "two extended headers", long_twice),
    R("T22", "empty or too large", long_name_4096),
    R("T23", "of a type", type_volume),
    R("T23", "of a type", type_multi),
    R("T23", "of a type", type_dump),
    R("T23", "of a type", type_solaris),
    R("T23", "of a type", type_acl),
    R("T23", "of a type", type_names),
    R("T23", "of a type", type_q),
    R("T23", "of a type", type_high),
    R("T23", "unknown magic", magic_odd),
    R("T23", "star format", star_format),
    R("T23", "checksum", not_a_tar),
    R("T24", "checksum", bad_checksum),
    R("T24", "single block of zeros", one_zero_block),
    R("T24", "cut off", cut_header),
    R("T24", "cut off", cut_padding),
    R("T26", "slash at its end", file_with_slash),
    R("T26", "slash at its end", prefix_with_slash),
    R("T26", "slash at its end", fifo_with_slash),
    R("T26", "over 255", name_256),
    R("T26", "without a target", link_without_target),
    R("T27", "too many components", name_129_deep),
    R("T28", "a name twice", same_name),
    R("T28", "a name twice", same_clean_name),
    R("T28", "two entries for one place", same_place_by_link),
    R("T29", "no directory", file_below_file),
    R("T29", "no directory", file_below_whiteout),
    R("T29", "no directory", below_device),
    R("T30", "mtime after", mtime_late),
    R("T30", "mtime after", pax_mtime_late),
    R("T30", "invalid mtime", pax_mtime_2_63),
    R("T30", "invalid atime", pax_atime_text),
};

const size_t refusals_n = ARRAY_LEN(refusals);
