#include "common/base/fd.h"
#include "tests/hash/chain.h"
#include "worker-fetch/hash/digest.h"
#include "worker-fetch/hash/room.h"

#include <isa-l/igzip_lib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include <cmocka.h>

#ifdef BOXED
#include "tests/hash/box.h"
#endif

#define PLAIN_SIZE (9u << 20)

static struct sandbox_host *host; /* the same tests, once more in the real sandboxes */

static uint8_t *plain; /* PLAIN_SIZE bytes that compress to about a half */
static uint8_t diff_id[DIGEST_LEN];

static void
sha(const void *p, size_t n, uint8_t out[DIGEST_LEN])
{
	struct digest d;

	assert_int_equal(digest_init(&d), 0);
	assert_int_equal(digest_add(&d, span_of(p, n)), 0);
	assert_int_equal(digest_end(&d, out), 0);
	digest_release(&d);
}

static int
set_up(void **state)
{
	unsigned seed = 5;

#ifdef BOXED
	host = box_open();
	if (!host) {
		print_message("needs root: skipped\n");
		exit(77);
	}
#endif
	plain = malloc(PLAIN_SIZE);
	assert_non_null(plain);
	for (size_t i = 0; i < PLAIN_SIZE; i++)
		plain[i] = (uint8_t)(rand_r(&seed) % 16);
	sha(plain, PLAIN_SIZE, diff_id);
	return 0;
}

static int
tear_down(void **state)
{
#ifdef BOXED
	box_close();
#endif
	free(plain);
	return 0;
}

static size_t
squeeze(enum compression how, const uint8_t *p, size_t n, uint8_t *out, size_t cap)
{
	if (how == COMPRESSION_ZSTD)
		return ZSTD_compress(out, cap, p, n, 1);
	if (how == COMPRESSION_NONE) {
		memcpy(out, p, n);
		return n;
	}
	struct isal_zstream z;
	isal_deflate_init(&z);
	z.end_of_stream = 1;
	z.gzip_flag = IGZIP_GZIP;
	z.next_in = (uint8_t *)(uintptr_t)p;
	z.avail_in = (uint32_t)n;
	z.next_out = out;
	z.avail_out = (uint32_t)cap;
	assert_int_equal(isal_deflate(&z), COMP_OK);
	return cap - z.avail_out;
}

/* A blob of the bytes, cut to `keep` at most and with `tail` behind it. */
static struct chain_plan
plan_of(enum compression how, const uint8_t *p, size_t n, size_t keep, const char *tail,
    uint8_t digest[DIGEST_LEN])
{
	size_t cap = n + n / 4 + 4096;
	CLEANUP(free_ptr) uint8_t *out = malloc(cap);

	assert_non_null(out);
	size_t made = squeeze(how, p, n, out, cap);
	if (made > keep)
		made = keep;
	memcpy(out + made, tail, strlen(tail));
	made += strlen(tail);
	sha(out, made, digest);
	int fd = memfd_create("blob", MFD_CLOEXEC);
	assert_true(fd >= 0 && fd_write_all(fd, out, made) == 0);
	lseek(fd, 0, SEEK_SET);
	return (struct chain_plan){.host = host,
	    .compression = how,
	    .blob = fd,
	    .size = made,
	    .max_bytes = UINT64_C(1) << 34};
}

static const enum compression all[] = {
    COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZSTD};

static void
test_whole_layers(void **state)
{
	int before = fd_count_open();

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		for (size_t piece = 0; piece <= 1500; piece += 1500) {
			uint8_t digest[DIGEST_LEN];
			struct chain_result r;
			struct chain_plan p =
			    plan_of(all[i], plain, PLAIN_SIZE, SIZE_MAX, "", digest);
			p.piece = piece;
			chain_run(&p, &r);
			close(p.blob);
			assert_string_equal(r.text, "");
			assert_true(r.hashed && !r.failed);
			assert_int_equal(r.answer.size, p.size);
			assert_int_equal(r.answer.diff_size, PLAIN_SIZE);
			assert_memory_equal(r.answer.digest, digest, DIGEST_LEN);
			assert_memory_equal(r.answer.diff_id, diff_id, DIGEST_LEN);
			assert_int_equal(r.apply_bytes, PLAIN_SIZE);
			assert_int_equal(r.hash_status, 0);
			assert_int_equal(r.apply_status, 0);
			if (all[i] != COMPRESSION_NONE)
				assert_int_equal(r.inflate_status, 0);
		}
	}
	assert_int_equal(fd_count_open(), before);
}

/* The other end of apply's channel stays where it is: nobody will come for the tar. */
static void
test_hashed_only(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		uint8_t digest[DIGEST_LEN];
		struct chain_result r;
		struct chain_plan p =
		    plan_of(all[i], plain, PLAIN_SIZE, SIZE_MAX, "", digest);
		p.discard = true;
		chain_run(&p, &r);
		close(p.blob);
		assert_string_equal(r.text, "");
		assert_true(r.hashed && !r.failed);
		assert_int_equal(r.answer.diff_size, PLAIN_SIZE);
		assert_memory_equal(r.answer.digest, digest, DIGEST_LEN);
		assert_memory_equal(r.answer.diff_id, diff_id, DIGEST_LEN);
		assert_int_equal(r.hash_status, 0);
	}
}

/* An applier gives what it put together again. An applier that dies, or gives more than
 * was said, is no layer; neither can it come compressed. */
static void
test_again(void **state)
{
	uint8_t digest[DIGEST_LEN];
	struct chain_result r;
	struct chain_plan p =
	    plan_of(COMPRESSION_NONE, plain, PLAIN_SIZE, SIZE_MAX, "", digest);

	p.discard = p.again = true;
	chain_run(&p, &r);
	assert_string_equal(r.text, "");
	assert_true(r.hashed && !r.failed);
	assert_int_equal(r.answer.diff_size, PLAIN_SIZE);
	assert_memory_equal(r.answer.diff_id, diff_id, DIGEST_LEN);
	assert_int_equal(lseek(p.blob, 0, SEEK_SET), 0);
	p.size--;
	chain_run(&p, &r);
	assert_true(r.failed && r.code == ERR_CONTENT);
	assert_int_equal(lseek(p.blob, 0, SEEK_SET), 0);
	p.size++;
	p.fault = CHAIN_FETCH_DIES;
	chain_run(&p, &r);
	assert_true(r.failed && !r.hashed);
	assert_non_null(strstr(r.text, "apply"));
	p.fault = CHAIN_SOUND;
	p.discard = false;
	chain_run(&p, &r);
	assert_true(!r.failed && !r.hashed);
	assert_int_equal(WEXITSTATUS(r.hash_status), HASH_EXIT_PROTOCOL);
	close(p.blob);
}

static void
test_tiny_layers(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		for (size_t n = 0; n < 3; n++) {
			uint8_t digest[DIGEST_LEN];
			struct chain_result r;
			struct chain_plan p =
			    plan_of(all[i], plain, n, SIZE_MAX, "", digest);
			chain_run(&p, &r);
			close(p.blob);
			assert_true(r.hashed && !r.failed);
			assert_int_equal(r.answer.diff_size, n);
			assert_int_equal(r.apply_bytes, n);
		}
	}
}

struct refusal {
	enum compression how;
	size_t keep;
	const char *tail;
	int64_t size_off, max_off; /* from the truth */
	enum chain_fault fault;
	uint64_t code;
	const char *why;
};

static void
expect_refusal(const struct refusal *w)
{
	uint8_t digest[DIGEST_LEN];
	struct chain_result r;
	struct chain_plan p =
	    plan_of(w->how, plain, PLAIN_SIZE, w->keep, w->tail, digest);

	p.size = (uint64_t)((int64_t)p.size + w->size_off);
	p.max_bytes = w->max_off ? (uint64_t)(PLAIN_SIZE + w->max_off) : p.max_bytes;
	p.fault = w->fault;
	chain_run(&p, &r);
	close(p.blob);
	assert_true(r.failed && !r.hashed);
	if (!strstr(r.text, w->why))
		fail_msg("\"%s\" lacks \"%s\"", r.text, w->why);
	assert_int_equal(r.code, w->code);
	assert_int_equal(WEXITSTATUS(r.hash_status), HASH_EXIT_FAILED);
	if (w->fault != CHAIN_APPLY_DIES) /* never mistakes a part for a whole */
		assert_int_equal(r.apply_bytes, UINT64_MAX);
}

static void
test_refusals(void **state)
{
	static const struct refusal rows[] = {
	    {COMPRESSION_GZIP, SIZE_MAX, "junk", 0, 0, 0, 7, "behind its end"},
	    {COMPRESSION_ZSTD, SIZE_MAX, "junk", 0, 0, 0, 7, "behind its end"},
	    {COMPRESSION_GZIP, 1000000, "", 0, 0, 0, 7, "middle of a member"},
	    {COMPRESSION_ZSTD, 1000000, "", 0, 0, 0, 7, "middle of a frame"},
	    {COMPRESSION_GZIP, 0, "BZh91AY&SY", 0, 0, 0, 7, "bzip2"},
	    {COMPRESSION_GZIP, SIZE_MAX, "", -1, 0, 0, 7, "the manifest says"},
	    {COMPRESSION_NONE, SIZE_MAX, "", -1, 0, 0, 7, "the manifest says"},
	    {COMPRESSION_GZIP, SIZE_MAX, "", 0, -1, 0, 7, "the limit for one layer"},
	    {COMPRESSION_NONE, SIZE_MAX, "", 0, -1, 0, 7, "for one layer"},
	    {COMPRESSION_GZIP, SIZE_MAX, "", 0, 0, CHAIN_FETCH_LIES, 125,
		"broke the rules"},
	    {COMPRESSION_ZSTD, SIZE_MAX, "", 0, 0, CHAIN_INFLATE_DIES, 125, ""},
	    {COMPRESSION_ZSTD, SIZE_MAX, "", 0, 0, CHAIN_APPLY_DIES, 125,
		"apply room ended"},
	    {COMPRESSION_NONE, SIZE_MAX, "", 0, 0, CHAIN_APPLY_DIES, 125,
		"apply room ended"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		expect_refusal(&rows[i]);
}

/* A fetcher that ends may have a successor; here none comes. */
static void
test_stall(void **state)
{
	static const struct refusal rows[] = {
	    {COMPRESSION_GZIP, SIZE_MAX, "", 0, 0, CHAIN_FETCH_DIES, 8,
		"fetcher is stuck"},
	    {COMPRESSION_GZIP, SIZE_MAX, "", 0, 0, CHAIN_FETCH_ABORTS, 8,
		"fetcher is stuck"},
	    {COMPRESSION_NONE, SIZE_MAX, "", 0, 0, CHAIN_FETCH_DIES, 8,
		"fetcher is stuck"},
	    {COMPRESSION_GZIP, SIZE_MAX, "", 0, 0, CHAIN_FETCH_STALLS, 8,
		"fetcher is stuck"},
	    {COMPRESSION_NONE, SIZE_MAX, "", 0, 0, CHAIN_FETCH_STALLS, 8,
		"fetcher is stuck"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows) && !host; i++)
		expect_refusal(&rows[i]);
}

/* A blob of another size, or exactly at the limit, is the store's to judge: it passes
 * here. */
static void
test_at_the_limits(void **state)
{
	uint8_t digest[DIGEST_LEN];
	struct chain_result r;
	struct chain_plan p =
	    plan_of(COMPRESSION_GZIP, plain, PLAIN_SIZE, SIZE_MAX, "", digest);

	p.max_bytes = PLAIN_SIZE;
	p.size++;
	chain_run(&p, &r);
	close(p.blob);
	assert_true(r.hashed);
	assert_int_equal(r.answer.size, p.size - 1);
}

/* A store that grants in small steps, and one that stops. */
static void
test_grants(void **state)
{
	uint8_t digest[DIGEST_LEN];
	struct chain_result r;

	for (size_t i = 1; i < ARRAY_LEN(all); i++) {
		struct chain_plan p =
		    plan_of(all[i], plain, PLAIN_SIZE, SIZE_MAX, "", digest);
		p.granted = PLAIN_SIZE / 10 + 1;
		p.grants = UINT32_MAX;
		chain_run(&p, &r);
		assert_true(r.hashed);
		assert_int_equal(r.asked, 9);
		assert_memory_equal(r.answer.diff_id, diff_id, DIGEST_LEN);
		assert_int_equal(r.apply_bytes, PLAIN_SIZE);
		lseek(p.blob, 0, SEEK_SET);
		p.grants = 4;
		chain_run(&p, &r);
		close(p.blob);
		assert_false(r.hashed);
		assert_int_equal(r.asked, 5);
		assert_int_equal(r.apply_bytes, UINT64_MAX);
	}
}

/* A bomb of 1:1030 and one of 1:10^4 or so: refused at LIMIT_RATIO_FREE, not at
 * max_bytes. */
static void
test_bombs(void **state)
{
	size_t n = 300u << 20;
	uint8_t *zeros =
	    mmap(NULL, n, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_true(zeros != MAP_FAILED);
	for (int i = 1; i < 3; i++) {
		uint8_t digest[DIGEST_LEN];
		struct chain_result r;
		struct chain_plan p = plan_of(all[i], zeros, n, SIZE_MAX, "", digest);
		chain_run(&p, &r);
		close(p.blob);
		if (p.size >= n / LIMIT_RATIO) { /* this compressor does not reach it */
			assert_true(r.hashed);
			continue;
		}
		assert_true(r.failed);
		assert_int_equal(r.code, 7);
		assert_non_null(strstr(r.text, "decompression bomb"));
	}
	munmap(zeros, n);
}

static void
test_nobody_wants_it(void **state)
{
	static const enum chain_fault faults[] = {
	    CHAIN_STORE_DIES, CHAIN_SUPERVISOR_STOPS};

	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		uint8_t digest[DIGEST_LEN];
		struct chain_result r;
		struct chain_plan p =
		    plan_of(COMPRESSION_GZIP, plain, PLAIN_SIZE, SIZE_MAX, "", digest);
		p.fault = faults[i];
		chain_run(&p, &r);
		close(p.blob);
		assert_true(WIFEXITED(r.hash_status));
		assert_false(r.failed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole_layers),
	    cmocka_unit_test(test_hashed_only),
	    cmocka_unit_test(test_again),
	    cmocka_unit_test(test_tiny_layers),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_stall),
	    cmocka_unit_test(test_at_the_limits),
	    cmocka_unit_test(test_grants),
	    cmocka_unit_test(test_bombs),
	    cmocka_unit_test(test_nobody_wants_it),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
