/* The account of what pulls may still take. */
#include "worker-store/store/space.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HUGE (UINT64_C(1) << 50)

static const struct space_free plenty = {HUGE, HUGE, 4096};

/* A pull of n compressed layers of that size. */
static struct space_pull
pull_of(size_t n, uint64_t size)
{
	struct space_pull p = {.n = n};

	for (size_t i = 0; i < n; i++)
		p.of[i] = (struct space_claim){.size = size, .most = LIMIT_LAYER_DEFAULT};
	return p;
}

static void
refused(int r, const struct err *e, const char *a, const char *b)
{
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(e->code, ERR_NO_SPACE);
	if (!strstr(e->text, a) || !strstr(e->text, b))
		fail_msg("%s", e->text);
}

/* Three times the compressed size and an inode for each 8 KiB of that. */
static void
begins(void **state)
{
	struct space s = {0};
	struct space_pull p = pull_of(2, MiB(8));

	p.of[1].most = p.of[1].size; /* one that is not compressed */
	assert_int_equal(space_begin(&s, &plenty, &p, NULL), 0);
	assert_int_equal(p.of[0].bytes, MiB(24));
	assert_int_equal(p.of[0].inodes, SPACE_INODES + MiB(24) / KiB(8));
	assert_int_equal(p.of[1].bytes, MiB(8));
	assert_int_equal(s.bytes, MiB(32));
	assert_int_equal(s.inodes, 2 * SPACE_INODES + MiB(32) / KiB(8));
	space_return(&s, &p);
	assert_int_equal(s.bytes, 0);
	assert_int_equal(s.inodes, 0);
}

static void
begins_within_limits(void **state)
{
	struct space s = {0};
	struct space_pull p = pull_of(1, LIMIT_LAYER_HARD);

	p.of[0].most = LIMIT_LAYER_HARD;
	assert_int_equal(space_begin(&s, &plenty, &p, NULL), 0);
	assert_int_equal(p.of[0].bytes, LIMIT_LAYER_HARD);
	assert_int_equal(p.of[0].inodes, LIMIT_LAYER_ENTRIES);
	assert_int_equal(space_more_bytes(&s, &plenty, &p, 0, NULL), -EPROTO);
	assert_int_equal(space_more_inodes(&s, &plenty, &p, 0, NULL), -EPROTO);
}

/* The compressed sizes have to fit, at N and not at N + 1; a layer that is there counts
 * for nothing. */
static void
begins_with_what_is_there(void **state)
{
	struct space s = {.bytes = MiB(10), .inodes = 1000}; /* of others */
	struct space_pull p = pull_of(3, MiB(5));
	struct space_free f = {MiB(20), 1000 + 2 * SPACE_INODES, 4096};
	struct err e = {0};

	p.of[2] = (struct space_claim){.done = true, .most = MiB(1)};
	assert_int_equal(space_begin(&s, &f, &p, &e), 0);
	assert_int_equal(p.of[0].bytes + p.of[1].bytes, MiB(10));
	assert_int_equal(p.of[0].inodes, SPACE_INODES);
	assert_int_equal(p.of[2].bytes + p.of[2].inodes, 0);
	space_return(&s, &p);
	assert_int_equal(s.bytes, MiB(10));

	p = pull_of(2, MiB(5));
	f.bytes--;
	refused(space_begin(&s, &f, &p, &e), &e, "10.0 MiB are needed",
	    "other pulls have reserved 10.0 MiB");
	assert_int_equal(s.bytes, MiB(10));
	f.bytes++;
	f.inodes--;
	e = (struct err){0};
	refused(space_begin(&s, &f, &p, &e), &e, "32 inodes are needed",
	    "1031 free, of which other pulls have reserved 1000");
	assert_int_equal(s.inodes, 1000);
}

/* What is not sure to be needed takes no more than half of what is left. */
static void
leaves_half(void **state)
{
	struct space s = {0};
	struct space_pull large = pull_of(2, MiB(100)), small = pull_of(1, MiB(1));
	struct space_free f = {MiB(500), HUGE, 4096};

	assert_int_equal(space_begin(&s, &f, &large, NULL), 0);
	assert_int_equal(s.bytes, MiB(250));
	assert_int_equal(large.of[0].bytes, large.of[1].bytes);
	assert_int_equal(space_begin(&s, &f, &small, NULL), 0);
	assert_int_equal(small.of[0].bytes, MiB(3));
}

static void
one_that_grows_leaves_others_room(void **state)
{
	struct space s = {0};
	struct space_pull large = pull_of(1, MiB(10)), small = pull_of(1, MiB(1));
	struct space_free f = {MiB(1000), HUGE, 4096};
	struct err e = {0};
	unsigned steps = 0;

	assert_int_equal(space_begin(&s, &f, &large, NULL), 0);
	/* It uses all it has, which the file system has less of then. */
	while (f.bytes > MiB(30)) {
		uint64_t used = large.of[0].bytes - large.of[0].bytes_used;
		f.bytes -= used;
		space_used(&s, &large.of[0], large.of[0].bytes);
		assert_int_equal(s.bytes, 0);
		assert_int_equal(space_more_bytes(&s, &f, &large, 0, &e), 0);
		assert_true(s.bytes <= f.bytes / 2);
		assert_true(++steps < 100);
	}
	assert_true(steps < 20);
	assert_int_equal(space_begin(&s, &f, &small, &e), 0);
	assert_int_equal(small.of[0].bytes, MiB(3));
}

static void
grows_to_the_last_byte(void **state)
{
	struct space s = {0};
	struct space_pull p = pull_of(1, MiB(10)), other = pull_of(1, MiB(1));
	struct space_free f = {MiB(60), HUGE, 4096};
	struct err e = {0};

	assert_int_equal(space_begin(&s, &f, &p, NULL), 0);
	assert_int_equal(space_begin(&s, &f, &other, NULL), 0);
	space_used(&s, &p.of[0], MiB(30));
	assert_int_equal(s.bytes, MiB(3));
	f = (struct space_free){MiB(4) - 1, HUGE, 4096}; /* others wrote much */
	refused(space_more_bytes(&s, &f, &p, 0, &e), &e,
	    "31.0 MiB are needed so far and 30.0 MiB of them are reserved",
	    "other pulls have reserved 3.0 MiB");
	assert_int_equal(p.of[0].bytes, MiB(30));
	f.bytes++;
	assert_int_equal(space_more_bytes(&s, &f, &p, 0, &e), 0);
	assert_int_equal(p.of[0].bytes, MiB(31));
	space_return(&s, &other);
	p.of[0].most = MiB(31) + 1;
	assert_int_equal(space_more_bytes(&s, &f, &p, 0, &e), 0);
	assert_int_equal(p.of[0].bytes, MiB(31) + 1);
	assert_int_equal(space_more_bytes(&s, &f, &p, 0, &e), -EPROTO);
}

/* An inode more than was thought brings a block; and there are never more of them than
 * the bytes can hold. */
static void
more_inodes(void **state)
{
	struct space s = {0};
	struct space_pull p = pull_of(1, KiB(100));
	struct err e = {0};

	assert_int_equal(space_begin(&s, &plenty, &p, NULL), 0);
	uint64_t had = p.of[0].inodes, bytes = s.bytes;
	assert_int_equal(space_more_inodes(&s, &plenty, &p, 0, &e), 0);
	uint64_t more = p.of[0].inodes - had;
	assert_int_equal(more, had / 2);
	assert_int_equal(s.inodes, more);
	assert_int_equal(s.bytes, bytes + more * 4096);
	while (p.of[0].inodes < p.of[0].bytes / SPACE_ENTRY)
		assert_int_equal(space_more_inodes(&s, &plenty, &p, 0, &e), 0);
	assert_int_equal(p.of[0].inodes, p.of[0].bytes / SPACE_ENTRY);
	assert_int_equal(space_more_inodes(&s, &plenty, &p, 0, &e), -EPROTO);
	space_done(&s, &p.of[0], KiB(200), 77);
	assert_int_equal(s.bytes, 0);
	assert_int_equal(s.inodes, 0);
	assert_int_equal(p.of[0].inodes, 77);
}

static void
no_more_inodes(void **state)
{
	struct space s = {0};
	struct space_pull p = pull_of(1, MiB(1));
	struct space_free f = plenty;
	struct err e = {0};

	assert_int_equal(space_begin(&s, &f, &p, NULL), 0);
	uint64_t had = p.of[0].inodes;
	f.inodes = had + SPACE_INODES - 1; /* its own are not used before it says so */
	refused(space_more_inodes(&s, &f, &p, 0, &e), &e, "inodes are needed", " free");
	f.inodes++;
	assert_int_equal(space_more_inodes(&s, &f, &p, 0, NULL), 0);
	assert_int_equal(p.of[0].inodes, had + SPACE_INODES);
	f = (struct space_free){s.bytes + SPACE_INODES * 4096 - 1, HUGE, 4096};
	e = (struct err){0};
	refused(space_more_inodes(&s, &f, &p, 0, &e), &e, "MiB are needed", " free");
}

/* What the hash room says can be late, or a lie; the sums stay whole. */
static void
used_only_grows(void **state)
{
	struct space s = {0};
	struct space_pull p = pull_of(1, MiB(1));

	assert_int_equal(space_begin(&s, &plenty, &p, NULL), 0);
	space_used(&s, &p.of[0], MiB(2));
	space_used(&s, &p.of[0], MiB(1));
	assert_int_equal(s.bytes, MiB(1));
	space_used(&s, &p.of[0], UINT64_MAX);
	assert_int_equal(s.bytes, 0);
	space_done(&s, &p.of[0], UINT64_MAX, UINT64_MAX);
	space_used(&s, &p.of[0], MiB(1));
	assert_int_equal(s.bytes + s.inodes, 0);
	space_return(&s, &p);
	assert_int_equal(s.bytes + s.inodes, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(begins),
	    cmocka_unit_test(begins_within_limits),
	    cmocka_unit_test(begins_with_what_is_there),
	    cmocka_unit_test(leaves_half),
	    cmocka_unit_test(one_that_grows_leaves_others_room),
	    cmocka_unit_test(grows_to_the_last_byte),
	    cmocka_unit_test(more_inodes),
	    cmocka_unit_test(no_more_inodes),
	    cmocka_unit_test(used_only_grows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
