#include "common/base/fd.h"
#include "common/base/limits.h"
#include "worker-fetch/hash/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const struct ring_geometry tiny = {64, 2};
static const struct ring_geometry one = {256, 1};

/* The room's rings and the neighbours' ends of them, in one process. */
struct stage {
	struct hash_rings rings;
	struct ring fetch, inflate_in, inflate_out, apply;
	int fds[4][RING_FDS];
	struct hash hash;
};

static void
stage_open(struct stage *s, struct ring_geometry g, const struct hash_plan *plan)
{
	*s = (struct stage){0};
	assert_int_equal(ring_create(&s->rings.feed, RING_CONSUMER, g, s->fds[0]), 0);
	assert_int_equal(ring_create(&s->rings.squeezed, RING_PRODUCER, g, s->fds[1]), 0);
	assert_int_equal(ring_create(&s->rings.expanded, RING_CONSUMER, g, s->fds[2]), 0);
	assert_int_equal(ring_create(&s->rings.tar, RING_PRODUCER, g, s->fds[3]), 0);
	assert_int_equal(ring_attach(&s->fetch, RING_PRODUCER, g, s->fds[0]), 0);
	assert_int_equal(ring_attach(&s->inflate_in, RING_CONSUMER, g, s->fds[1]), 0);
	assert_int_equal(ring_attach(&s->inflate_out, RING_PRODUCER, g, s->fds[2]), 0);
	assert_int_equal(ring_attach(&s->apply, RING_CONSUMER, g, s->fds[3]), 0);
	assert_int_equal(hash_init(&s->hash, plan, &s->rings), 0);
}

static void
fds_close(int fds[RING_FDS])
{
	for (int i = 0; i < RING_FDS; i++)
		fd_close(&fds[i]);
}

static void
stage_close(struct stage *s)
{
	struct ring *all[] = {&s->rings.feed, &s->rings.squeezed, &s->rings.expanded,
	    &s->rings.tar, &s->fetch, &s->inflate_in, &s->inflate_out, &s->apply};

	hash_release(&s->hash);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		ring_close(all[i]);
	for (int i = 0; i < 4; i++)
		fds_close(s->fds[i]);
}

static void
put(struct ring *r, const void *p, size_t n)
{
	uint8_t *slot;

	assert_int_equal(ring_reserve(r, &slot), 0);
	memcpy(slot, p, n);
	ring_publish(r, n);
}

static void
expect_bytes(struct ring *r, const char *want)
{
	struct span s;

	assert_int_equal(ring_peek(r, &s), 0);
	if (!span_is(s, want))
		fail_msg("%.*s", (int)s.n, (const char *)s.p);
	ring_consume(r, s.n);
}

static void
expect_end(struct ring *r, int how)
{
	struct span s;

	assert_int_equal(ring_peek(r, &s), how);
}

static void
expect_hex(const uint8_t digest[DIGEST_LEN], const char *want)
{
	char hex[2 * DIGEST_LEN + 1];

	assert_string_equal(hex_encode(digest, DIGEST_LEN, hex), want);
}

#define SHA_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SHA_HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define SHA_NONE "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static int
step(struct stage *s)
{
	struct err e = {0};
	int r = hash_step(&s->hash, &e);

	if (r < 0)
		print_error("%s\n", e.text);
	return r;
}

static void
expect_failure(struct stage *s, enum err_class code, const char *why)
{
	struct err e = {0};

	assert_true(hash_step(&s->hash, &e) < 0);
	assert_int_equal(e.code, code);
	if (!strstr(e.text, why))
		fail_msg("\"%s\" lacks \"%s\"", e.text, why);
}

static void
test_compressed(void **state)
{
	struct hash_plan plan = {true, 3, 100, false};
	struct stage s;
	struct hash_result out;
	struct ring *waits[2];

	stage_open(&s, tiny, &plan);
	assert_int_equal(step(&s), HASH_IDLE);
	assert_int_equal(hash_waits(&s.hash, waits), 2);
	assert_ptr_equal(waits[0], &s.rings.feed);
	assert_ptr_equal(waits[1], &s.rings.expanded);
	put(&s.fetch, "a", 1);
	put(&s.fetch, "bc", 2);
	assert_int_equal(step(&s), HASH_MOVED);
	expect_bytes(&s.inflate_in, "abc"); /* what is there goes into one slot */
	put(&s.inflate_out, "hello", 5);
	ring_finish(&s.fetch, RING_ENDED);
	assert_int_equal(step(&s), HASH_MOVED);
	expect_bytes(&s.apply, "hello");
	expect_end(&s.inflate_in, RING_ENDED);
	expect_end(&s.apply, -EAGAIN);
	assert_int_equal(step(&s), HASH_IDLE);
	assert_int_equal(hash_waits(&s.hash, waits), 1);
	ring_finish(&s.inflate_out, RING_ENDED);
	assert_int_equal(step(&s), HASH_DONE);
	assert_int_equal(step(&s), HASH_DONE);
	expect_end(&s.apply, RING_ENDED);
	assert_int_equal(hash_end(&s.hash, &out), 0);
	assert_int_equal(out.size, 3);
	assert_int_equal(out.diff_size, 5);
	expect_hex(out.digest, SHA_ABC);
	expect_hex(out.diff_id, SHA_HELLO);
	stage_close(&s);
}

static void
test_uncompressed(void **state)
{
	struct hash_plan plan = {false, 5, 100, false};
	struct stage s;
	struct hash_result out;
	struct ring *waits[2];

	stage_open(&s, tiny, &plan);
	put(&s.fetch, "hello", 5);
	ring_finish(&s.fetch, RING_ENDED);
	assert_int_equal(step(&s), HASH_DONE);
	assert_int_equal(hash_waits(&s.hash, waits), 0);
	expect_bytes(&s.apply, "hello");
	expect_end(&s.apply, RING_ENDED);
	expect_end(&s.inflate_in, -EAGAIN);
	assert_int_equal(hash_end(&s.hash, &out), 0);
	assert_int_equal(out.size, 5);
	assert_int_equal(out.diff_size, 5);
	expect_hex(out.digest, SHA_HELLO);
	expect_hex(out.diff_id, SHA_HELLO);
	stage_close(&s);
}

/* A layer that is there already: hashed as ever, and nothing comes out. */
static void
test_discard(void **state)
{
	for (int compressed = 0; compressed < 2; compressed++) {
		struct hash_plan plan = {compressed, compressed ? 3 : 5, 100, true};
		struct stage s;
		struct hash_result out;
		struct ring *waits[2];

		stage_open(&s, tiny, &plan);
		assert_int_equal(step(&s), HASH_IDLE);
		assert_int_equal(hash_waits(&s.hash, waits), 1 + compressed);
		put(&s.fetch, compressed ? "abc" : "hello", compressed ? 3 : 5);
		ring_finish(&s.fetch, RING_ENDED);
		if (compressed) {
			assert_int_equal(step(&s), HASH_IDLE);
			expect_bytes(&s.inflate_in, "abc");
			put(&s.inflate_out, "hello", 5);
			ring_finish(&s.inflate_out, RING_ENDED);
		}
		assert_int_equal(step(&s), HASH_DONE);
		hash_abort(&s.hash);
		expect_end(&s.apply, -EAGAIN);
		assert_int_equal(hash_end(&s.hash, &out), 0);
		assert_int_equal(out.diff_size, 5);
		expect_hex(out.digest, compressed ? SHA_ABC : SHA_HELLO);
		expect_hex(out.diff_id, SHA_HELLO);
		stage_close(&s);
	}
}

/* Its limits are the same. */
static void
test_discard_over(void **state)
{
	struct hash_plan plan = {true, 100, 3, true}, flat = {false, 4, 100, true};
	struct stage s;

	stage_open(&s, tiny, &plan);
	hash_grant(&s.hash, 3);
	put(&s.fetch, "x", 1);
	put(&s.inflate_out, "hello", 5);
	expect_failure(&s, ERR_CONTENT, "more than 3 bytes");
	stage_close(&s);
	stage_open(&s, tiny, &flat);
	put(&s.fetch, "hello", 5);
	expect_failure(&s, ERR_CONTENT, "more than the 4 bytes");
	stage_close(&s);
}

static void
test_empty(void **state)
{
	struct hash_plan plan = {false, 0, 100, false};
	struct stage s;
	struct hash_result out;

	stage_open(&s, tiny, &plan);
	ring_finish(&s.fetch, RING_ENDED);
	assert_int_equal(step(&s), HASH_DONE);
	expect_end(&s.apply, RING_ENDED);
	assert_int_equal(hash_end(&s.hash, &out), 0);
	assert_int_equal(out.size, 0);
	expect_hex(out.diff_id, SHA_NONE);
	stage_close(&s);
}

/* A full apply ring does not keep compressed bytes from moving, nor the other way round.
 */
static void
test_legs_move_alone(void **state)
{
	struct hash_plan plan = {true, 1000, 1000, false};
	struct stage s;
	struct ring *waits[2];

	stage_open(&s, one, &plan);
	put(&s.inflate_out, "1", 1);
	assert_int_equal(step(&s), HASH_MOVED);
	put(&s.inflate_out, "2", 1);
	assert_int_equal(step(&s), HASH_IDLE); /* apply is stuck */
	hash_waits(&s.hash, waits);
	assert_ptr_equal(waits[1], &s.rings.tar);
	put(&s.fetch, "a", 1);
	assert_int_equal(step(&s), HASH_MOVED);
	put(&s.fetch, "b", 1);
	assert_int_equal(step(&s), HASH_IDLE); /* inflate is stuck too */
	hash_waits(&s.hash, waits);
	assert_ptr_equal(waits[0], &s.rings.squeezed);
	expect_bytes(&s.apply, "1");
	assert_int_equal(step(&s), HASH_MOVED);
	expect_bytes(&s.apply, "2");
	expect_bytes(&s.inflate_in, "a");
	assert_int_equal(step(&s), HASH_MOVED);
	expect_bytes(&s.inflate_in, "b");
	stage_close(&s);
}

static void
test_blob_size(void **state)
{
	for (int compressed = 0; compressed < 2; compressed++) {
		struct hash_plan plan = {compressed, 3, 100, false};
		struct stage s;
		stage_open(&s, tiny, &plan);
		put(&s.fetch, "abc", 3);
		assert_int_equal(step(&s), HASH_MOVED);
		put(&s.fetch, "d", 1);
		expect_failure(
		    &s, ERR_CONTENT, "more than the 3 bytes that the manifest says");
		hash_abort(&s.hash);
		expect_end(&s.apply, RING_ABORTED);
		expect_end(&s.inflate_in, compressed ? RING_ABORTED : -EAGAIN);
		stage_close(&s);
	}
}

static void
test_max_bytes(void **state)
{
	struct hash_plan plan = {true, 100, 3, false};
	struct stage s;

	stage_open(&s, tiny, &plan);
	put(&s.inflate_out, "abc", 3);
	assert_int_equal(step(&s), HASH_MOVED);
	put(&s.inflate_out, "d", 1);
	expect_failure(&s, ERR_CONTENT, "more than 3 bytes");
	expect_bytes(&s.apply, "abc"); /* and nothing of the 4th */
	expect_end(&s.apply, -EAGAIN);
	stage_close(&s);

	struct hash_plan flat = {false, 4, 3, false};
	stage_open(&s, tiny, &flat);
	put(&s.fetch, "abcd", 4);
	expect_failure(&s, ERR_CONTENT, "more than the limit of 3");
	stage_close(&s);
}

static void
test_ratio(void **state)
{
	struct hash_plan plan = {true, LIMIT_LAYER_HARD, LIMIT_LAYER_HARD, false};

	assert_int_equal(hash_allowed(&plan, 0), LIMIT_RATIO_FREE);
	assert_int_equal(
	    hash_allowed(&plan, LIMIT_RATIO_FREE / LIMIT_RATIO), LIMIT_RATIO_FREE);
	assert_int_equal(hash_allowed(&plan, 268436), 268436000);
	assert_int_equal(hash_allowed(&plan, UINT64_MAX), LIMIT_LAYER_HARD);
	plan.max_bytes = 10;
	assert_int_equal(hash_allowed(&plan, 1 << 20), 10);
	assert_int_equal(hash_allowed(&plan, 0), 10);

	struct stage s;
	plan = (struct hash_plan){true, 1000, LIMIT_LAYER_HARD, false};
	stage_open(&s, tiny, &plan);
	put(&s.fetch, "12345", 5);
	assert_int_equal(step(&s), HASH_MOVED);
	s.hash.tree.bytes = LIMIT_RATIO_FREE - 2; /* as if so much had come already */
	put(&s.inflate_out, "ab", 2);
	assert_int_equal(step(&s), HASH_MOVED);
	put(&s.inflate_out, "c", 1);
	expect_failure(
	    &s, ERR_CONTENT, "decompression bomb: 5 bytes unpack to more than");
	stage_close(&s);
}

static void
test_neighbours_fail(void **state)
{
	struct hash_plan plan = {true, 100, 100, false};
	struct stage s;

	stage_open(&s, tiny, &plan);
	ring_finish(&s.inflate_out, RING_ABORTED);
	expect_failure(&s, ERR_INTERNAL, "the inflate room gave up");
	stage_close(&s);

	stage_open(&s, tiny, &plan);
	put(&s.inflate_out, "early", 5);
	ring_finish(&s.inflate_out, RING_ENDED); /* before its input ended */
	expect_failure(&s, ERR_INTERNAL, "before it had all of it");
	stage_close(&s);

	stage_open(&s, tiny, &plan);
	ring_close(&s.apply);
	fds_close(s.fds[3]);
	ring_disarm(&s.rings.tar);
	expect_failure(&s, ERR_INTERNAL, "the apply room ended");
	stage_close(&s);

	stage_open(&s, tiny, &plan);
	uint64_t head = 99;
	assert_int_equal(pwrite(s.fds[0][0], &head, 8, 0), 8);
	expect_failure(&s, ERR_INTERNAL, "the fetch room broke the rules");
	stage_close(&s);
}

/* Another fetcher takes a ring of its own and goes on behind what came. */
static void
feed_again(struct stage *s, struct ring_geometry g)
{
	ring_close(&s->rings.feed);
	ring_close(&s->fetch);
	fds_close(s->fds[0]);
	assert_int_equal(ring_create(&s->rings.feed, RING_CONSUMER, g, s->fds[0]), 0);
	assert_int_equal(ring_attach(&s->fetch, RING_PRODUCER, g, s->fds[0]), 0);
	s->hash.lost = false;
}

/* One gives up, one dies; the layer is whole in the end. */
static void
test_feeds_are_lost(void **state)
{
	struct hash_plan plan = {true, 3, 100, false};
	struct stage s;
	struct hash_result out;
	struct ring *waits[2];

	stage_open(&s, tiny, &plan);
	put(&s.fetch, "a", 1);
	assert_int_equal(step(&s), HASH_MOVED);
	put(&s.fetch, "x", 1); /* given up with the one that gave it */
	ring_finish(&s.fetch, RING_ABORTED);
	put(&s.inflate_out, "he", 2);
	assert_int_equal(step(&s), HASH_MOVED); /* the others go on */
	assert_true(s.hash.lost);
	assert_int_equal(step(&s), HASH_IDLE);
	assert_int_equal(hash_waits(&s.hash, waits), 1);
	assert_ptr_equal(waits[0], &s.rings.expanded);
	assert_int_equal(s.hash.blob.bytes, 1);
	expect_bytes(&s.inflate_in, "a");

	feed_again(&s, tiny);
	put(&s.fetch, "b", 1);
	assert_int_equal(step(&s), HASH_MOVED);
	expect_bytes(&s.inflate_in, "b");
	ring_close(&s.fetch);
	fds_close(s.fds[0]);
	ring_disarm(&s.rings.feed);
	assert_int_equal(step(&s), HASH_IDLE);
	assert_true(s.hash.lost);
	assert_int_equal(s.hash.blob.bytes, 2);

	feed_again(&s, tiny);
	put(&s.fetch, "c", 1);
	ring_finish(&s.fetch, RING_ENDED);
	put(&s.inflate_out, "llo", 3);
	assert_int_equal(step(&s), HASH_MOVED);
	expect_bytes(&s.apply, "he");
	expect_bytes(&s.apply, "llo");
	ring_finish(&s.inflate_out, RING_ENDED);
	assert_int_equal(step(&s), HASH_DONE);
	assert_int_equal(hash_end(&s.hash, &out), 0);
	expect_hex(out.digest, SHA_ABC);
	expect_hex(out.diff_id, SHA_HELLO);
	stage_close(&s);
}

/* An uncompressed layer without its feed has nothing to sleep on but its neighbours'
 * ends. */
static void
test_feed_is_lost_alone(void **state)
{
	struct hash_plan plan = {false, 3, 100, false};
	struct stage s;
	struct ring *waits[2];

	stage_open(&s, tiny, &plan);
	ring_finish(&s.fetch, RING_ABORTED);
	assert_int_equal(step(&s), HASH_IDLE);
	assert_int_equal(hash_waits(&s.hash, waits), 0);
	feed_again(&s, tiny);
	put(&s.fetch, "abc", 3);
	ring_finish(&s.fetch, RING_ENDED);
	assert_int_equal(step(&s), HASH_DONE);
	stage_close(&s);
}

/* What is hashed is what apply gets, though fetch keeps rewriting the slot meanwhile. */
static void
test_rewritten_while_read(void **state)
{
	struct ring_geometry g = {1 << 20, 1};
	struct hash_plan plan = {false, 1 << 20, 1 << 20, false};
	struct stage s;
	struct span got;
	struct hash_result out;
	uint8_t *slot, mine[DIGEST_LEN];
	int status;

	stage_open(&s, g, &plan);
	assert_int_equal(ring_reserve(&s.fetch, &slot), 0);
	memset(slot, 0, 1 << 20);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (unsigned i = 1;; i++)
			memset(slot, (int)i, 1 << 20);
	}
	while (*(volatile uint8_t *)slot == 0)
		sched_yield();
	ring_publish(&s.fetch, 1 << 20);
	ring_finish(&s.fetch, RING_ENDED);
	int r = step(&s);
	while (r == HASH_MOVED)
		r = step(&s);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	assert_true(r == HASH_IDLE || r == HASH_DONE);
	assert_int_equal(ring_peek(&s.apply, &got), 0);
	struct digest d;
	assert_int_equal(digest_init(&d), 0);
	assert_int_equal(digest_add(&d, got), 0);
	assert_int_equal(digest_end(&d, mine), 0);
	digest_release(&d);
	ring_consume(&s.apply, got.n);
	assert_int_equal(step(&s), HASH_DONE);
	assert_int_equal(hash_end(&s.hash, &out), 0);
	assert_memory_equal(out.digest, mine, DIGEST_LEN);
	stage_close(&s);
}

static void
stall(unsigned *seed)
{
	if (rand_r(seed) % 64 == 0)
		nanosleep(&(struct timespec){0, rand_r(seed) % 100000}, NULL);
	else if (rand_r(seed) % 16 == 0)
		sched_yield();
}

/* Waits until the ring is ready; false after 20 s or at an end. */
static bool
await(struct ring *r)
{
	return ring_ready(r) || ring_wait(&r, 1, NULL, 0, 20000) == 0;
}

/* Neighbours of the stall test, each a process. fetch sends rounds slots; inflate sends
 * each one on twice; apply counts. */
static int
play_fetch(const int fds[RING_FDS], int rounds)
{
	struct ring r;
	uint8_t *slot;
	unsigned seed = 1;

	if (ring_attach(&r, RING_PRODUCER, one, fds) < 0)
		return 1;
	for (int i = 0; i < rounds; stall(&seed)) {
		int e = ring_reserve(&r, &slot);
		if (e == -EAGAIN && await(&r))
			continue;
		if (e < 0)
			return 2;
		memset(slot, i++, 16);
		ring_publish(&r, 16);
	}
	ring_finish(&r, RING_ENDED);
	return 0;
}

static int
play_inflate(const int in_fds[RING_FDS], const int out_fds[RING_FDS])
{
	struct ring in, out;
	struct span s;
	uint8_t *slot;
	unsigned seed = 2, twice = 0;

	if (ring_attach(&in, RING_CONSUMER, one, in_fds) < 0 ||
	    ring_attach(&out, RING_PRODUCER, one, out_fds) < 0)
		return 1;
	for (int e; (e = ring_peek(&in, &s)) != RING_ENDED; stall(&seed)) {
		if (e == 0)
			e = ring_reserve(&out, &slot);
		if (e == -EAGAIN && (ring_ready(&in) ? await(&out) : await(&in)))
			continue;
		if (e < 0)
			return 2;
		memcpy(slot, s.p, s.n);
		ring_publish(&out, s.n);
		if (twice++ % 2)
			ring_consume(&in, s.n);
	}
	ring_finish(&out, RING_ENDED);
	return 0;
}

static int
play_apply(const int fds[RING_FDS], uint64_t want)
{
	struct ring r;
	struct span s;
	uint64_t bytes = 0;
	unsigned seed = 3;

	if (ring_attach(&r, RING_CONSUMER, one, fds) < 0)
		return 1;
	for (int e; (e = ring_peek(&r, &s)) != RING_ENDED; stall(&seed)) {
		if (e == -EAGAIN && await(&r))
			continue;
		if (e != 0)
			return 2;
		bytes += s.n;
		ring_consume(&r, s.n);
	}
	return bytes == want ? 0 : 3;
}

static void
run_hash(struct stage *s)
{
	for (int r; (r = step(s)) != HASH_DONE;) {
		struct ring *waits[2];
		assert_true(r >= 0);
		if (r == HASH_IDLE)
			assert_int_equal(
			    ring_wait(waits, hash_waits(&s->hash, waits), NULL, 0, 20000),
			    0);
	}
}

/* Rings of one slot and neighbours that stall at random: nobody locks up for 10,000
 * rounds. */
static void
test_one_slot_stalls(void **state)
{
	const int rounds = 10000;
	struct hash_plan plan = {true, 16 * rounds, 32 * rounds, false};
	struct stage s;
	struct hash_result out;
	pid_t pids[3];

	stage_open(&s, one, &plan);
	for (int i = 0; i < 3; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0 && i == 0)
			_exit(play_fetch(s.fds[0], rounds));
		if (pids[i] == 0 && i == 1)
			_exit(play_inflate(s.fds[1], s.fds[2]));
		if (pids[i] == 0)
			_exit(play_apply(s.fds[3], 32 * rounds));
	}
	run_hash(&s);
	for (int i = 0; i < 3; i++) {
		int status;
		waitpid(pids[i], &status, 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(hash_end(&s.hash, &out), 0);
	assert_int_equal(out.size, 16 * rounds);
	assert_int_equal(out.diff_size, 32 * rounds);
	stage_close(&s);
}

/* Not a byte more than is granted goes to the applier, and the other leg moves on; what
 * is granted later goes at once. */
static void
test_grant(void **state)
{
	struct hash_plan plan = {true, 4, 100, false};
	struct stage s;
	struct ring *waits[2];

	stage_open(&s, tiny, &plan);
	hash_grant(&s.hash, 16);
	put(&s.inflate_out, "0123456789abcde", 15);
	assert_int_equal(step(&s), HASH_MOVED);
	expect_bytes(&s.apply, "0123456789abcde");
	put(&s.inflate_out, "fXY", 3);
	put(&s.fetch, "blob", 4);
	assert_int_equal(step(&s), HASH_MOVED);
	assert_true(s.hash.dry);
	expect_bytes(&s.apply, "f");
	expect_bytes(&s.inflate_in, "blob");
	assert_int_equal(step(&s), HASH_IDLE);
	assert_int_equal(hash_waits(&s.hash, waits), 1);
	assert_ptr_equal(waits[0], &s.rings.feed);
	hash_grant(&s.hash, 17);
	assert_int_equal(step(&s), HASH_MOVED);
	expect_bytes(&s.apply, "X");
	hash_grant(&s.hash, 100);
	assert_int_equal(step(&s), HASH_MOVED);
	expect_bytes(&s.apply, "Y");
	assert_false(s.hash.dry);
	stage_close(&s);
}

/* A layer that ends where its grant does needs no other. */
static void
test_grant_to_the_end(void **state)
{
	struct hash_plan plan = {true, 1, 100, false};
	struct stage s;

	stage_open(&s, tiny, &plan);
	hash_grant(&s.hash, 3);
	put(&s.fetch, "x", 1);
	ring_finish(&s.fetch, RING_ENDED);
	put(&s.inflate_out, "abc", 3);
	while (!s.hash.blob.ended)
		assert_int_equal(step(&s), HASH_MOVED);
	ring_finish(&s.inflate_out, RING_ENDED);
	assert_int_equal(step(&s), HASH_DONE);
	assert_false(s.hash.dry);
	expect_bytes(&s.apply, "abc");
	expect_end(&s.apply, RING_ENDED);
	stage_close(&s);
}

static void
test_no_leak(void **state)
{
	int before = fd_count_open();
	struct hash_plan plan = {true, 1, 1, false};
	struct stage s;

	stage_open(&s, tiny, &plan);
	stage_close(&s);
	assert_int_equal(fd_count_open(), before);
	assert_int_equal(digest_warm_up(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_compressed),
	    cmocka_unit_test(test_uncompressed),
	    cmocka_unit_test(test_discard),
	    cmocka_unit_test(test_discard_over),
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_legs_move_alone),
	    cmocka_unit_test(test_blob_size),
	    cmocka_unit_test(test_max_bytes),
	    cmocka_unit_test(test_ratio),
	    cmocka_unit_test(test_neighbours_fail),
	    cmocka_unit_test(test_feeds_are_lost),
	    cmocka_unit_test(test_feed_is_lost_alone),
	    cmocka_unit_test(test_rewritten_while_read),
	    cmocka_unit_test(test_one_slot_stalls),
	    cmocka_unit_test(test_grant),
	    cmocka_unit_test(test_grant_to_the_end),
	    cmocka_unit_test(test_no_leak),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
