/* Every limit of a layer: n is accepted, n + 1 refused. */
#include "tests/apply/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int
with_limits(struct tarball *t, struct apply_limits limits, const char *why)
{
	struct layer l;

	layer_open(&l);
	int r = layer_untar(&l, t, 512, &limits);
	if (r < 0)
		assert_non_null(strstr(l.err.text, why));
	layer_close(&l);
	return r;
}

static void
test_limits(void **state)
{
	struct apply_limits all = APPLY_LIMITS_DEFAULT, less;
	struct tarball t = {0};

	tar_file(&t, "a/b/c", "xyz");
	tar_pax(&t, 'g', "13 comment=a\n", 13);
	tar_dir(&t, "d");
	tar_end(&t);
	less = all;
	less.entries = 3;
	assert_int_equal(with_limits(&t, less, "entries"), 0);
	less.entries = 2;
	assert_true(with_limits(&t, less, "entries") < 0);
	less = all;
	less.bytes = t.n;
	assert_int_equal(with_limits(&t, less, "bytes"), 0);
	less.bytes = t.n - 1;
	assert_true(with_limits(&t, less, "bytes") < 0);
	less = all;
	less.depth = 3;
	assert_int_equal(with_limits(&t, less, "components"), 0);
	less.depth = 2;
	assert_true(with_limits(&t, less, "components") < 0);
	tar_free(&t);
}

/* Every fixed limit: n accepted, n + 1 refused. */
static void
at_depth(struct tarball *t, size_t n)
{
	struct tarball name = {0};

	for (size_t i = 0; i < n; i++)
		tar_bytes(&name, "d/", 2);
	name.p[name.n - 1] = 0;
	tar_long(t, 'L', name.p, name.n);
	tar_dir(t, "x");
	tar_free(&name);
}

static void
at_name(struct tarball *t, size_t n)
{
	struct tarball name = {0};

	while (name.n < n)
		tar_bytes(&name, name.n % 128 == 127 ? "/" : "n", 1);
	tar_bytes(&name, "", 1);
	tar_long(t, 'L', name.p, name.n);
	tar_file(t, "x", "");
	tar_free(&name);
}

static void
one_record(struct tarball *t, const char *key, size_t value_n)
{
	struct tarball body = {0}, value = {0};

	while (value.n < value_n)
		tar_bytes(&value, "v", 1);
	pax_record(&body, key, value.p, value.n);
	tar_pax(t, 'x', body.p, body.n);
	tar_file(t, "x", "");
	tar_free(&body);
	tar_free(&value);
}

static void
at_component(struct tarball *t, size_t n)
{
	one_record(t, "path", n);
}

static void
at_value(struct tarball *t, size_t n)
{
	one_record(t, "comment", n);
}

static void
at_xattr_bytes(struct tarball *t, size_t n)
{
	one_record(t, "SCHILY.xattr.trusted.x", n);
}

static void
at_header(struct tarball *t, size_t n)
{
	struct tarball body = {0}, value = {0};
	char key[32];

	tar_zeros(&value, 60000);
	for (int i = 0; body.n + 61000 < n; i++) {
		snprintf(key, sizeof(key), "K.%d", i);
		pax_record(&body, key, value.p, value.n);
	}
	size_t left = n - body.n;
	snprintf(key, sizeof(key), "%zu r=", left);
	tar_bytes(&body, key, strlen(key));
	tar_zeros(&body, left - strlen(key) - 1);
	tar_bytes(&body, "\n", 1);
	tar_pax(t, 'x', body.p, body.n);
	tar_file(t, "x", "");
	tar_free(&body);
	tar_free(&value);
}

static void
at_xattrs(struct tarball *t, size_t n)
{
	struct tarball body = {0};
	char key[64];

	for (size_t i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "SCHILY.xattr.trusted.%zu", i);
		pax_record(&body, key, "v", 1);
	}
	tar_pax(t, 'x', body.p, body.n);
	tar_free(&body);
	tar_file(t, "x", "");
}

static void
at_mtime(struct tarball *t, size_t n)
{
	char text[32];

	snprintf(text, sizeof(text), "%zu", n);
	tar_pax_records(t, "mtime", text, NULL);
	tar_file(t, "x", "");
}

static void
at_uid(struct tarball *t, size_t n)
{
	char text[32];

	snprintf(text, sizeof(text), "%zu", n);
	tar_pax_records(t, "uid", text, NULL);
	tar_file(t, "x", "");
}

static void
at_regions(struct tarball *t, size_t n)
{
	struct tarball map = {0};
	char text[64];

	snprintf(text, sizeof(text), "%zu\n", n);
	tar_bytes(&map, text, strlen(text));
	for (size_t i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "%zu\n1\n", 2 * i);
		tar_bytes(&map, text, strlen(text));
	}
	tar_pad(&map);
	tar_zeros(&map, n);
	tar_pax_records(t, "GNU.sparse.major", "1", "GNU.sparse.minor", "0",
	    "GNU.sparse.name", "s", "GNU.sparse.realsize", "1000000", NULL);
	tar_head(t, (struct tar_head){.name = "x", .type = '0', .size = map.n});
	tar_bytes(t, map.p, map.n);
	tar_pad(t);
	tar_free(&map);
}

static void
test_fixed_limits(void **state)
{
	static const struct {
		const char *name;
		void (*make)(struct tarball *t, size_t n);
		size_t n;
	} rows[] = {
	    {"depth", at_depth, LIMIT_PATH_DEPTH},
	    {"name", at_name, LIMIT_PATH},
	    {"component", at_component, LIMIT_COMPONENT},
	    {"pax value", at_value, LIMIT_PAX_VALUE},
	    {"pax header", at_header, LIMIT_PAX_HEADER},
	    {"xattrs", at_xattrs, LIMIT_XATTRS},
	    {"xattr bytes", at_xattr_bytes, LIMIT_XATTR_BYTES},
	    {"mtime", at_mtime, LIMIT_MTIME},
	    {"uid", at_uid, UINT32_MAX - 1},
	    {"sparse regions", at_regions, LIMIT_SPARSE_REGIONS},
	};

	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		struct tarball t = {0};
		struct layer l;
		rows[i / 2].make(&t, rows[i / 2].n + i % 2);
		layer_open(&l);
		int r = layer_untar(&l, &t, 1 << 20, NULL);
		if ((r < 0) != (i % 2) || (r < 0 && l.err.code != ERR_CONTENT))
			fail_msg("%s + %zu: %s", rows[i / 2].name, i % 2, l.err.text);
		tar_free(&t);
		layer_close(&l);
	}
}

/* 16,384 directories with names of 4,095 bytes and a NUL are the 64 MiB that fit. */
static void
test_directory_names(void **state)
{
	struct tarball t = {0};
	struct layer l;
	char name[4096];

	memset(name, 'n', sizeof(name));
	for (size_t i = 255; i < 4095; i += 256)
		name[i] = '/';
	for (int i = 0; i < 16385; i++) {
		snprintf(name + 4088, 8, "%07d", i);
		tar_long(&t, 'L', name, 4096);
		tar_dir(&t, "x");
	}
	layer_open(&l);
	assert_true(layer_untar(&l, &t, 1 << 20, NULL) < 0);
	assert_non_null(strstr(l.err.text, "64 MiB (entry 16385,"));
	assert_int_equal(l.result.entries, 16385);
	tar_free(&t);
	layer_close(&l);
}

static void
many_owners(struct tarball *t, unsigned n)
{
	char name[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%u", i);
		tar_head(
		    t, (struct tar_head){
			   .name = name, .type = '0', .uid = n - i, .gid = i * 7 % n});
	}
}

static void
test_owner_limit(void **state)
{
	for (unsigned n = LIMIT_OWNERS; n <= LIMIT_OWNERS + 1; n++) {
		struct tarball t = {0};
		struct layer l;
		many_owners(&t, n);
		layer_open(&l);
		int r = layer_untar(&l, &t, 1 << 20, NULL);
		assert_int_equal(r<0, n> LIMIT_OWNERS);
		for (uint32_t i = 0; r == 0 && i < l.result.uids.n; i++) {
			assert_int_equal(l.result.uids.ids[i], i + 1);
			assert_int_equal(l.result.gids.ids[i], i);
		}
		tar_free(&t);
		layer_close(&l);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_fixed_limits),
	    cmocka_unit_test(test_directory_names),
	    cmocka_unit_test(test_owner_limit),
	};

	if (geteuid() != 0) {
		printf("needs root: it makes trees with owners\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
