#include "common/base/fd.h"
#include "common/ipc/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* The wire layout, said once more on purpose: a change of it must be meant. */
#define HEAD 0
#define STATUS 8
#define NAPS 64
#define LENGTH 128
#define TAIL 0
#define PAGE 4096

static const struct ring_geometry small = {64, 4};
static const struct ring_geometry one = {256, 1};

struct pair {
	struct ring ours, theirs; /* ours: the trusted side */
	int fds[RING_FDS];
};

static void
pair_open(struct pair *p, enum ring_role ours, struct ring_geometry g)
{
	enum ring_role theirs = ours == RING_PRODUCER ? RING_CONSUMER : RING_PRODUCER;

	assert_int_equal(ring_create(&p->ours, ours, g, p->fds), 0);
	assert_int_equal(ring_attach(&p->theirs, theirs, g, p->fds), 0);
}

static void
fds_close(int fds[RING_FDS])
{
	for (int i = 0; i < RING_FDS; i++)
		fd_close(&fds[i]);
}

static void
pair_close(struct pair *p)
{
	ring_close(&p->ours);
	ring_close(&p->theirs);
	fds_close(p->fds);
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
flow(enum ring_role ours)
{
	struct pair p;
	pair_open(&p, ours, small);
	struct ring *in = ours == RING_CONSUMER ? &p.ours : &p.theirs;
	struct ring *out = ours == RING_CONSUMER ? &p.theirs : &p.ours;
	struct span s;
	uint8_t *slot;

	assert_int_equal(ring_peek(in, &s), -EAGAIN);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 4; i++)
			put(out, "abcdef", 6);
		assert_int_equal(ring_reserve(out, &slot), -EAGAIN);
		for (int i = 0; i < 4; i++) {
			assert_int_equal(ring_peek(in, &s), 0);
			assert_true(span_is(s, "abcdef"));
			ring_consume(in, 4); /* in parts */
			assert_int_equal(ring_reserve(out, &slot), i ? 0 : -EAGAIN);
			assert_int_equal(ring_peek(in, &s), 0);
			assert_true(span_is(s, "ef"));
			ring_consume(in, 2);
		}
		assert_int_equal(ring_peek(in, &s), -EAGAIN);
	}
	put(out, "z", 1);
	ring_finish(out, RING_ENDED);
	ring_close(out); /* the death after an end is none */
	ring_disarm(in);
	assert_int_equal(ring_peek(in, &s), 0);
	ring_consume(in, 1);
	assert_int_equal(ring_peek(in, &s), RING_ENDED);
	assert_int_equal(ring_peek(in, &s), RING_ENDED);
	pair_close(&p);
}

static void
test_flow(void **state)
{
	int before = fd_count_open();

	flow(RING_PRODUCER);
	flow(RING_CONSUMER);
	assert_int_equal(fd_count_open(), before);
}

static void
test_abort_is_seen_at_once(void **state)
{
	struct pair p;
	struct span s;

	pair_open(&p, RING_PRODUCER, small);
	put(&p.ours, "x", 1);
	ring_finish(&p.ours, RING_ABORTED);
	assert_int_equal(ring_peek(&p.theirs, &s), RING_ABORTED);
	pair_close(&p);
}

static void
test_full_slots(void **state)
{
	struct pair p;
	struct span s;
	uint8_t *slot, bytes[64];

	memset(bytes, 7, sizeof(bytes));
	pair_open(&p, RING_CONSUMER, small);
	put(&p.theirs, bytes, 64);
	assert_int_equal(ring_reserve(&p.theirs, &slot), 0);
	memset(slot, 8, 64); /* not published: the one before is whole */
	assert_int_equal(ring_peek(&p.ours, &s), 0);
	assert_true(span_eq(s, span_of(bytes, 64)));
	pair_close(&p);
}

static void
test_geometry_limits(void **state)
{
	static const struct {
		struct ring_geometry g;
		int answer;
	} rows[] = {
	    {{1, 1}, 0},
	    {{1, RING_MAX_SLOTS}, 0},
	    {{1, RING_MAX_SLOTS + 1}, -EINVAL},
	    {{RING_MAX_SLOT_SIZE, 1}, 0},
	    {{RING_MAX_SLOT_SIZE + 1, 1}, -EINVAL},
	    {{0, 1}, -EINVAL},
	    {{1, 0}, -EINVAL},
	};
	int before = fd_count_open();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ring r;
		int fds[RING_FDS] = {-1, -1, -1};
		assert_int_equal(
		    ring_create(&r, RING_PRODUCER, rows[i].g, fds), rows[i].answer);
		ring_close(&r);
		fds_close(fds);
	}
	assert_int_equal(fd_count_open(), before);
}

static int
plain_memfd(size_t size, int seals)
{
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int
try_attach(enum ring_role role, struct ring_geometry g, int a, int b, int c)
{
	struct ring r;
	int fds[RING_FDS] = {a, b, c};
	int e = ring_attach(&r, role, g, fds);

	assert_true(e == 0 || (r.bell == -1 && !r.data && !r.index));
	ring_close(&r);
	return e;
}

static void
test_attach_refuses(void **state)
{
	int before = fd_count_open();
	struct ring r;
	int f[RING_FDS], pipes[2];
	int three = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;
	int all = three | F_SEAL_FUTURE_WRITE;

	assert_int_equal(ring_create(&r, RING_PRODUCER, small, f), 0);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	int dir = open("/", O_DIRECTORY | O_CLOEXEC);
	int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	int loose = plain_memfd(PAGE + 256, 0);
	int writable = plain_memfd(PAGE + 256, three);
	int shorter = plain_memfd(PAGE + 255, all);
	int longer = plain_memfd(PAGE + 257, all);

	assert_int_equal(try_attach(RING_CONSUMER, small, f[0], f[1], f[2]), 0);
	int bad[] = {loose, writable, shorter, longer, dir, zero, pipes[0], f[2], -1};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(
		    try_attach(RING_CONSUMER, small, bad[i], f[1], f[2]), -EPROTO);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(
		    try_attach(RING_CONSUMER, small, f[0], bad[i], f[2]), -EPROTO);
	int unbell[] = {loose, dir, zero, pipes[0], -1};
	for (size_t i = 0; i < ARRAY_LEN(unbell); i++)
		assert_int_equal(
		    try_attach(RING_CONSUMER, small, f[0], f[1], unbell[i]), -EPROTO);
	/* the wrong role: its own page would not be writable, or the other's not sealed
	 */
	assert_true(try_attach(RING_PRODUCER, small, f[0], f[1], f[2]) < 0);
	struct ring_geometry wider = {65, 4}, fewer = {64, 3};
	assert_int_equal(try_attach(RING_CONSUMER, wider, f[0], f[1], f[2]), -EPROTO);
	assert_int_equal(try_attach(RING_CONSUMER, fewer, f[0], f[1], f[2]), -EPROTO);

	int shut[] = {pipes[0], pipes[1], dir, zero, loose, writable, shorter, longer,
	    f[0], f[1], f[2]};
	for (size_t i = 0; i < ARRAY_LEN(shut); i++)
		close(shut[i]);
	ring_close(&r);
	assert_int_equal(fd_count_open(), before);
}

static void
expect_read_only(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(p == MAP_FAILED && errno == EPERM);
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(p != MAP_FAILED);
	assert_int_equal(mprotect(p, size, PROT_READ | PROT_WRITE), -1);
	munmap(p, size);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(
	    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), -1);
}

static void
expect_fixed(int fd, size_t size)
{
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, (off_t)size * 2), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
}

static void
test_seals_hold(void **state)
{
	struct pair p;
	size_t size = PAGE + 256;

	pair_open(&p, RING_PRODUCER, small);
	expect_read_only(p.fds[0], size);
	expect_fixed(p.fds[0], size);
	expect_fixed(p.fds[1], PAGE);
	assert_int_equal(pwrite(p.fds[1], "\0", 1, 0), 1);
	pair_close(&p);

	pair_open(&p, RING_CONSUMER, small);
	expect_read_only(p.fds[1], PAGE);
	expect_fixed(p.fds[0], size);
	expect_fixed(p.fds[1], PAGE);
	assert_int_equal(pwrite(p.fds[0], "\0", 1, 0), 1);
	pair_close(&p);
}

static void
poke(int fd, off_t at, uint64_t v, size_t n)
{
	assert_int_equal(pwrite(fd, &v, n, at), (ssize_t)n);
}

/* ours consumes; the producer's page is the neighbour's to write. */
static int
peek_after(off_t at, uint64_t v, size_t n)
{
	struct pair p;
	struct span s;

	pair_open(&p, RING_CONSUMER, small);
	for (int i = 0; i < 3; i++)
		put(&p.theirs, "hello", 5);
	assert_int_equal(ring_peek(&p.ours, &s), 0);
	ring_consume(&p.ours, 5);
	assert_int_equal(ring_peek(&p.ours, &s), 0);
	ring_consume(&p.ours, 5); /* head 3, tail 2 */
	poke(p.fds[0], at, v, n);
	int e = ring_peek(&p.ours, &s);
	if (e == -EPROTO) { /* for good */
		poke(p.fds[0], at, 3, n);
		assert_int_equal(ring_peek(&p.ours, &s), -EPROTO);
		assert_true(ring_ready(&p.ours));
	}
	pair_close(&p);
	return e;
}

static void
test_lying_producer(void **state)
{
	assert_int_equal(peek_after(HEAD, 3, 8), 0);
	assert_int_equal(peek_after(HEAD, 2, 8), -EPROTO); /* backwards */
	assert_int_equal(peek_after(HEAD, 0, 8), -EPROTO);
	assert_int_equal(peek_after(HEAD, 6, 8), 0);	   /* full: 2 + 4 */
	assert_int_equal(peek_after(HEAD, 7, 8), -EPROTO); /* one more than full */
	assert_int_equal(peek_after(HEAD, UINT64_MAX, 8), -EPROTO);
	assert_int_equal(peek_after(HEAD, UINT64_C(1) << 63, 8), -EPROTO);
	assert_int_equal(peek_after(LENGTH + 2 * 4, 0, 4), -EPROTO);
	assert_int_equal(peek_after(LENGTH + 2 * 4, 64, 4), 0);
	assert_int_equal(peek_after(LENGTH + 2 * 4, 65, 4), -EPROTO);
	assert_int_equal(peek_after(LENGTH + 2 * 4, UINT32_MAX, 4), -EPROTO);
	assert_int_equal(peek_after(STATUS, 3, 4), -EPROTO);
	assert_int_equal(peek_after(STATUS, UINT32_MAX, 4), -EPROTO);
	assert_int_equal(peek_after(STATUS, RING_ENDED, 4), 0);
	assert_int_equal(peek_after(STATUS, RING_ABORTED, 4), RING_ABORTED);
}

static void
test_length_is_read_once(void **state)
{
	struct pair p;
	struct span s;

	pair_open(&p, RING_CONSUMER, small);
	put(&p.theirs, "hello", 5);
	assert_int_equal(ring_peek(&p.ours, &s), 0);
	poke(p.fds[0], LENGTH, 64, 4);
	assert_int_equal(ring_peek(&p.ours, &s), 0);
	assert_int_equal(s.n, 5);
	pair_close(&p);
}

/* ours produces; head 3. */
static int
reserve_after(uint64_t first, uint64_t then)
{
	struct pair p;
	uint8_t *slot;

	pair_open(&p, RING_PRODUCER, (struct ring_geometry){64, 3});
	for (int i = 0; i < 3; i++)
		put(&p.ours, "hello", 5);
	poke(p.fds[1], TAIL, first, 8);
	int e = ring_reserve(&p.ours, &slot);
	if (e == 0) {
		for (uint64_t i = 0; i < first; i++) /* until it has to look again */
			put(&p.ours, "again", 5);
		poke(p.fds[1], TAIL, then, 8);
		e = ring_reserve(&p.ours, &slot);
	}
	if (e == -EPROTO) {
		poke(p.fds[1], TAIL, 3, 8);
		assert_int_equal(ring_reserve(&p.ours, &slot), -EPROTO);
	}
	pair_close(&p);
	return e;
}

static void
test_lying_consumer(void **state)
{
	assert_int_equal(reserve_after(0, 0), -EAGAIN);
	assert_int_equal(reserve_after(2, 3), 0);
	assert_int_equal(reserve_after(3, 6), 0);
	assert_int_equal(reserve_after(3, 7), -EPROTO);
	assert_int_equal(reserve_after(4, 0), -EPROTO); /* frees what was not sent */
	assert_int_equal(reserve_after(2, 1), -EPROTO); /* backwards */
	assert_int_equal(reserve_after(UINT64_MAX, 0), -EPROTO);
	assert_int_equal(reserve_after(UINT64_C(1) << 32, 0), -EPROTO);
}

static void
test_neighbour_dies(void **state)
{
	struct pair p;
	struct span s;
	uint8_t *slot;
	struct ring *wait;

	pair_open(&p, RING_CONSUMER, small);
	put(&p.theirs, "last", 4);
	ring_close(&p.theirs);
	fds_close(p.fds);
	wait = &p.ours;
	assert_int_equal(ring_peek(&p.ours, &s), 0); /* what was sent still counts */
	ring_consume(&p.ours, 4);
	assert_int_equal(ring_peek(&p.ours, &s), -EAGAIN);
	assert_int_equal(ring_wait(&wait, 1, NULL, 0, 10000), 0);
	assert_int_equal(ring_peek(&p.ours, &s), -EPIPE);
	pair_close(&p);

	pair_open(&p, RING_PRODUCER, one);
	put(&p.ours, "x", 1);
	ring_close(&p.theirs);
	fds_close(p.fds);
	wait = &p.ours;
	assert_int_equal(ring_reserve(&p.ours, &slot), -EAGAIN);
	assert_int_equal(ring_wait(&wait, 1, NULL, 0, 10000), 0);
	assert_int_equal(ring_reserve(&p.ours, &slot), -EPIPE);
	ring_finish(&p.ours, RING_ABORTED); /* no SIGPIPE */
	pair_close(&p);
}

static void
test_timeout(void **state)
{
	struct pair p;
	int pipes[2];

	pair_open(&p, RING_CONSUMER, small);
	struct ring *wait = &p.ours;
	assert_int_equal(ring_wait(&wait, 1, NULL, 0, 20), -ETIMEDOUT);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	struct pollfd extra = {.fd = pipes[0], .events = POLLIN, .revents = 9};
	assert_int_equal(ring_wait(&wait, 1, &extra, 1, 0), -ETIMEDOUT);
	assert_int_equal(extra.revents, 0);
	assert_int_equal(write(pipes[1], "x", 1), 1);
	assert_int_equal(ring_wait(&wait, 1, &extra, 1, -1), 0);
	assert_int_equal(extra.revents, POLLIN);
	close(pipes[0]);
	close(pipes[1]);
	pair_close(&p);
}

/* The neighbour never reads its bell, pretends a new nap each time, floods ours and sends
 * descriptors along: publishing never blocks, nothing leaks. */
static void
test_bell_abuse(void **state)
{
	int before = fd_count_open();
	struct pair p;
	struct span s;
	char junk[512];
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {junk, 1};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	pair_open(&p, RING_PRODUCER, small);
	for (uint32_t i = 0; i < 20000; i++) {
		poke(p.fds[1], NAPS, 2 * i + 1, 4);
		put(&p.ours, "x", 1);
		assert_int_equal(ring_peek(&p.theirs, &s), 0);
		ring_consume(&p.theirs, 1);
	}
	memset(junk, 1, sizeof(junk));
	while (send(p.fds[2], junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
	    .cmsg_level = SOL_SOCKET,
	    .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(c), &p.fds[0], sizeof(int));
	for (int i = 0; i < 100; i++) {
		ring_disarm(&p.ours);
		(void)!sendmsg(p.fds[2], &m, MSG_DONTWAIT);
	}
	for (int i = 0; i < 100000 && !p.ours.gone; i++)
		ring_disarm(&p.ours);
	assert_false(p.ours.gone);
	assert_int_equal(shutdown(p.fds[2], SHUT_WR), 0);
	ring_disarm(&p.ours);
	assert_true(p.ours.gone);
	pair_close(&p);
	assert_int_equal(fd_count_open(), before);
}

/* A neighbour that scribbles over all it may write while the victim works. */
static pid_t
scribbler(const int fds[RING_FDS], int which, size_t size, unsigned seed)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[which], 0);
	if (p == MAP_FAILED)
		_exit(1);
	static const uint64_t odd[] = {
	    0, 1, 2, 3, 4, 5, 63, 64, 65, UINT32_MAX, UINT64_MAX};
	for (uint64_t i = 0;; i++) {
		uint64_t v =
		    rand_r(&seed) % 4 ? odd[rand_r(&seed) % ARRAY_LEN(odd)] : i / 64;
		size_t at = (size_t)rand_r(&seed) % 24 * 8;
		memcpy(p + at, &v, 8);
		if (rand_r(&seed) % 8 == 0)
			(void)!send(fds[2], "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (rand_r(&seed) % 64 == 0)
			memset(p + size - 32, (int)i, 32);
	}
}

static void
victim(struct ring *r, unsigned seed)
{
	uint8_t *base = r->data + PAGE, *slot = NULL, copy[64];
	struct span s;

	for (int i = 0; i < 2000; i++) {
		int e =
		    r->role == RING_PRODUCER ? ring_reserve(r, &slot) : ring_peek(r, &s);
		if (r->role == RING_PRODUCER && e == 0) {
			assert_true(slot >= base && slot + 64 <= base + 256);
			memset(slot, i, 64);
			ring_publish(r, 1 + (size_t)rand_r(&seed) % 64);
		} else if (e == 0) {
			assert_true(s.n >= 1 && s.n <= 64 && s.p >= base);
			assert_true(s.p + s.n <= base + 256);
			memcpy(copy, s.p, s.n);
			ring_consume(r, 1 + (size_t)rand_r(&seed) % s.n);
		} else {
			assert_true(e == -EAGAIN || e == -EPROTO || e == RING_ENDED ||
				    e == RING_ABORTED);
			if (e == -EPROTO)
				return;
		}
		e = ring_wait(&r, 1, NULL, 0, 1);
		assert_true(e == 0 || e == -ETIMEDOUT);
	}
}

static void
test_hostile_mapper(void **state)
{
	for (unsigned seed = 0; seed < 120; seed++) {
		enum ring_role role = seed % 2 ? RING_PRODUCER : RING_CONSUMER;
		struct ring r;
		int fds[RING_FDS], status;

		assert_int_equal(ring_create(&r, role, small, fds), 0);
		bool data = role == RING_CONSUMER;
		pid_t pid = scribbler(fds, data ? 0 : 1, data ? PAGE + 256 : PAGE, seed);
		assert_true(pid > 0);
		victim(&r, seed);
		assert_int_equal(waitpid(pid, &status, WNOHANG), 0); /* it did run */
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		fds_close(fds);
		ring_close(&r);
	}
}

static void
stall(unsigned *seed)
{
	if (rand_r(seed) % 64 == 0)
		nanosleep(&(struct timespec){0, rand_r(seed) % 100000}, NULL);
	else if (rand_r(seed) % 16 == 0)
		sched_yield();
}

/* Sends the numbers 0..rounds-1, one a slot, or receives and checks them. 0 = all well.
 */
static int
run_end(struct ring *r, uint32_t rounds, unsigned seed)
{
	for (uint32_t i = 0; i < rounds; stall(&seed)) {
		uint8_t *slot;
		struct span s;
		int e =
		    r->role == RING_PRODUCER ? ring_reserve(r, &slot) : ring_peek(r, &s);
		if (e == -EAGAIN) {
			e = ring_wait(&r, 1, NULL, 0, 20000);
			if (e < 0)
				return 2;
			continue;
		}
		if (e != 0)
			return 3;
		if (r->role == RING_PRODUCER) {
			memcpy(slot, &i, sizeof(i));
			ring_publish(r, sizeof(i));
		} else {
			if (s.n != sizeof(i) || memcmp(s.p, &i, sizeof(i)) != 0)
				return 4;
			ring_consume(r, sizeof(i));
		}
		i++;
	}
	if (r->role == RING_PRODUCER)
		ring_finish(r, RING_ENDED);
	return 0;
}

static pid_t
child_end(enum ring_role role, const int fds[RING_FDS], uint32_t rounds, unsigned seed)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	struct ring r;
	if (ring_attach(&r, role, one, fds) < 0)
		_exit(9);
	_exit(run_end(&r, rounds, seed));
}

/* 10,000 rounds through two rings of one slot: a relay between two processes that stall.
 */
static void
relay(struct ring *in, struct ring *out)
{
	for (;;) {
		struct span s;
		uint8_t *slot;
		struct ring *wait = in;
		int e = ring_peek(in, &s);
		if (e == RING_ENDED)
			break;
		if (e == 0) {
			e = ring_reserve(out, &slot);
			wait = out;
		}
		if (e == -EAGAIN) {
			assert_int_equal(ring_wait(&wait, 1, NULL, 0, 20000), 0);
			continue;
		}
		assert_int_equal(e, 0);
		memcpy(slot, s.p, s.n);
		ring_publish(out, s.n);
		ring_consume(in, s.n);
	}
	ring_finish(out, RING_ENDED);
}

static void
test_one_slot_stalls(void **state)
{
	struct ring in, out;
	int infds[RING_FDS], outfds[RING_FDS], status;

	assert_int_equal(ring_create(&in, RING_CONSUMER, one, infds), 0);
	assert_int_equal(ring_create(&out, RING_PRODUCER, one, outfds), 0);
	pid_t from = child_end(RING_PRODUCER, infds, 10000, 1);
	pid_t to = child_end(RING_CONSUMER, outfds, 10000, 2);
	assert_true(from > 0 && to > 0);
	fds_close(infds);
	fds_close(outfds);
	relay(&in, &out);
	waitpid(from, &status, 0);
	assert_int_equal(status, 0);
	waitpid(to, &status, 0);
	assert_int_equal(status, 0);
	ring_close(&in);
	ring_close(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_flow),
	    cmocka_unit_test(test_abort_is_seen_at_once),
	    cmocka_unit_test(test_full_slots),
	    cmocka_unit_test(test_geometry_limits),
	    cmocka_unit_test(test_attach_refuses),
	    cmocka_unit_test(test_seals_hold),
	    cmocka_unit_test(test_lying_producer),
	    cmocka_unit_test(test_length_is_read_once),
	    cmocka_unit_test(test_lying_consumer),
	    cmocka_unit_test(test_neighbour_dies),
	    cmocka_unit_test(test_timeout),
	    cmocka_unit_test(test_bell_abuse),
	    cmocka_unit_test(test_hostile_mapper),
	    cmocka_unit_test(test_one_slot_stalls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
