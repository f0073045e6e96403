/* Hostile and damaged layers: refused for the reason named, or kept faithfully, and never
 * a change outside the root. */
#include "tests/apply/layer.h"
#include "tests/apply/refusals.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void
test_refusals(void **state)
{
	static const size_t chunks[] = {1 << 20, 700};

	for (size_t i = 0; i < refusals_n * ARRAY_LEN(chunks); i++) {
		const struct refusal *f = &refusals[i / ARRAY_LEN(chunks)];
		struct tarball t = {0};
		struct layer l;
		tar_file(&t, "first", "accepted");
		f->make(&t);
		layer_open(&l);
		int r = layer_untar(&l, &t, chunks[i % ARRAY_LEN(chunks)], NULL);
		if (r >= 0 || l.err.code != ERR_CONTENT || !strstr(l.err.text, f->why))
			fail_msg("%s %s: %d %s, not \"%s\"", f->id, f->name, r,
			    l.err.text, f->why);
		tar_free(&t);
		layer_close(&l);
	}
}

/* Each byte of a good tar damaged: refused, or accepted and then faithful to the damaged
 * bytes. */
static void
test_damage(void **state)
{
	struct tarball t = {0};
	unsigned accepted = 0;

	tar_pax_records(&t, "path", "a", "SCHILY.xattr.user.k", "v", NULL);
	tar_file(&t, "x", "content");
	tar_node(&t, "l", '2', "a");
	tar_end(&t);
	for (size_t at = 0; at < t.n; at += at % 512 < 160 ? 1 : 13) {
		struct layer l;
		t.p[at] ^= 0x15;
		layer_open(&l);
		if (layer_untar(&l, &t, 4096, NULL) == 0) {
			accepted++;
			assert_true(layer_reassembles(&l, &t));
		}
		layer_close(&l);
		t.p[at] ^= 0x15;
	}
	assert_true(accepted > 0); /* payload, padding */
	tar_free(&t);
}

/* Names that only look bad: kept byte for byte. */
static void
test_odd_names(void **state)
{
	static const char *const names[] = {"new\nline", "\x1b[31m", "back\\slash",
	    "\xff\xfe", "._apple", "a b", "caf\xc3\xa9", "cafe\xcc\x81", "UP", "up",
	    "...", "..x", ".whx", "x.wh.", "-rf"};
	struct tarball t = {0};
	struct layer l;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		tar_file(&t, names[i], names[i]);
	tar_file(&t, "//lead//ing//", "");
	t.p[t.header + 156] = '5';
	tar_poke(&t, 156, "5", 1);
	layer_open(&l);
	if (layer_untar(&l, &t, 4096, NULL) < 0)
		fail_msg("%s", l.err.text);
	assert_true(layer_reassembles(&l, &t));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_string_equal(layer_cat(&l, names[i]), names[i]);
	assert_memory_equal(layer_stat(&l, "lead/ing"), "d 0644", 6);
	tar_free(&t);
	layer_close(&l);
}

/* 5,000 interleaved directories: the descriptors stay few. */
static void
test_many_directories(void **state)
{
	struct tarball t = {0};
	struct layer l;
	char name[64];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 5000; i++) {
			snprintf(name, sizeof(name), "d%d/sub/f%d", i, round);
			tar_file(&t, name, "");
		}
	}
	layer_open(&l);
	assert_int_equal(layer_untar(&l, &t, 1 << 20, NULL), 0);
	assert_int_equal(l.result.entries, 10000);
	tar_free(&t);
	layer_close(&l);
}

static ssize_t
broken_source(void *arg, const uint8_t **p)
{
	return -EPIPE;
}

static void
test_broken_source(void **state)
{
	struct apply_limits all = APPLY_LIMITS_DEFAULT;
	struct apply_source source = {broken_source, NULL};
	struct layer l;

	layer_open(&l);
	assert_int_equal(
	    apply_untar(l.root, l.side, &source, &all, &l.result, &l.err), -EPIPE);
	assert_int_equal(l.err.code, ERR_INTERNAL);
	layer_close(&l);
}

static void
test_full_disk(void **state)
{
	struct apply_limits all = APPLY_LIMITS_DEFAULT;
	struct layer l;
	struct tarball t = {0};

	for (int i = 0; i < 3000; i++) {
		char name[16];
		snprintf(name, sizeof(name), "%d", i);
		tar_file(&t, name, "x");
	}
	layer_open(&l);
	int side = l.side;
	l.side = open("/dev/full", O_RDWR);
	assert_true(layer_untar(&l, &t, 1 << 20, &all) < 0);
	assert_int_equal(l.err.code, ERR_NO_SPACE);
	close(l.side);
	l.side = side;
	tar_free(&t);
	layer_close(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_odd_names),
	    cmocka_unit_test(test_many_directories),
	    cmocka_unit_test(test_broken_source),
	    cmocka_unit_test(test_full_disk),
	};

	if (geteuid() != 0) {
		printf(
		    "needs root: a refusal is only one if the call could have worked\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
