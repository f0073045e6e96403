#include "common/ipc/ring.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL /* Linux 6.3 */
#define MFD_NOEXEC_SEAL 8U
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define PAGE 4096u
#define SPIN 200
#define BELL_TRIES 1000 /* a millisecond apart */
#define WAIT_MAX 16

enum { OPEN = 0 }; /* status; else RING_ENDED or RING_ABORTED */

/* The first page of [0]; only the producer writes it. A cache line for each thing that
 * the consumer looks at while the producer writes another. */
struct producer_page {
	alignas(64) _Atomic uint64_t head;
	_Atomic uint32_t status;
	alignas(64) _Atomic uint32_t naps;
	alignas(64) _Atomic uint32_t length[RING_MAX_SLOTS];
};

/* The whole of [1]; only the consumer writes it. */
struct consumer_page {
	alignas(64) _Atomic uint64_t tail;
	alignas(64) _Atomic uint32_t naps;
};

_Static_assert(sizeof(struct producer_page) <= PAGE, "one page");
_Static_assert(sizeof(struct consumer_page) <= PAGE, "one page");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock would lie in one process only");

static struct producer_page *
producer(const struct ring *r)
{
	return (struct producer_page *)r->data;
}

static struct consumer_page *
consumer(const struct ring *r)
{
	return (struct consumer_page *)r->index;
}

static size_t
data_size(struct ring_geometry g)
{
	return PAGE + (size_t)g.slot_size * g.slots;
}

static uint8_t *
slot_at(const struct ring *r, uint64_t i)
{
	return r->data + PAGE + (size_t)(i % r->geometry.slots) * r->geometry.slot_size;
}

static bool
geometry_ok(struct ring_geometry g)
{
	return g.slots >= 1 && g.slots <= RING_MAX_SLOTS && g.slot_size >= 1 &&
	       g.slot_size <= RING_MAX_SLOT_SIZE;
}

static int
memfd_of(const char *name, size_t size)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	FD_AUTO fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create(name, flags);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0)
		return -errno;
	return fd_steal(&fd);
}

static int
map(uint8_t **at, int fd, size_t size, bool writable)
{
	int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
	void *p = mmap(NULL, size, prot, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*at = p;
	return 0;
}

static int
map_both(struct ring *r, const int fds[RING_FDS])
{
	int e = map(&r->data, fds[0], data_size(r->geometry), r->role == RING_PRODUCER);
	if (e < 0)
		return e;
	return map(&r->index, fds[1], PAGE, r->role == RING_CONSUMER);
}

/* After the mappings: FUTURE_WRITE lets the one writable mapping live and refuses every
 * later one, mprotect included. */
static int
seal(int fd, bool ours)
{
	int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;

	if (ours)
		seals |= F_SEAL_FUTURE_WRITE;
	return fcntl(fd, F_ADD_SEALS, seals) < 0 ? -errno : 0;
}

static int
create_in(struct ring *r, int peer[RING_FDS])
{
	FD_AUTO data = memfd_of("ring", data_size(r->geometry));
	if (data < 0)
		return data;
	FD_AUTO index = memfd_of("ring-index", PAGE);
	if (index < 0)
		return index;
	int e = map_both(r, (int[RING_FDS]){data, index, -1});
	if (e < 0)
		return e;
	e = seal(data, r->role == RING_PRODUCER);
	if (e < 0)
		return e;
	e = seal(index, r->role == RING_CONSUMER);
	if (e < 0)
		return e;

	int bells[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, bells) < 0)
		return -errno;
	r->bell = bells[0];
	peer[0] = fd_steal(&data);
	peer[1] = fd_steal(&index);
	peer[2] = bells[1];
	return 0;
}

int
ring_create(
    struct ring *r, enum ring_role role, struct ring_geometry g, int peer[RING_FDS])
{
	*r = RING_CLOSED;
	if (!geometry_ok(g))
		return -EINVAL;
	r->role = role;
	r->geometry = g;
	int e = create_in(r, peer);
	if (e < 0)
		ring_close(r);
	return e;
}

static int
check_memfd(int fd, size_t size, bool foreign)
{
	int want = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (foreign)
		want |= F_SEAL_FUTURE_WRITE;
	if (seals < 0 || (seals & want) != want)
		return -EPROTO;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) && (uint64_t)st.st_size == size ? 0 : -EPROTO;
}

static int
attach_in(struct ring *r, const int fds[RING_FDS])
{
	int e = check_memfd(fds[0], data_size(r->geometry), r->role == RING_CONSUMER);
	if (e < 0)
		return e;
	e = check_memfd(fds[1], PAGE, r->role == RING_PRODUCER);
	if (e < 0)
		return e;
	struct stat st;
	if (fstat(fds[2], &st) < 0 || !S_ISSOCK(st.st_mode))
		return -EPROTO;
	r->bell = fcntl(fds[2], F_DUPFD_CLOEXEC, 3);
	if (r->bell < 0)
		return -errno;
	return map_both(r, fds);
}

int
ring_attach(
    struct ring *r, enum ring_role role, struct ring_geometry g, const int fds[RING_FDS])
{
	*r = RING_CLOSED;
	if (!geometry_ok(g))
		return -EINVAL;
	r->role = role;
	r->geometry = g;
	int e = attach_in(r, fds);
	if (e < 0)
		ring_close(r);
	return e;
}

void
ring_close(struct ring *r)
{
	if (r->data)
		munmap(r->data, data_size(r->geometry));
	if (r->index)
		munmap(r->index, PAGE);
	fd_close(&r->bell);
	*r = RING_CLOSED;
}

static _Atomic uint32_t *
own_naps(const struct ring *r)
{
	return r->role == RING_PRODUCER ? &producer(r)->naps : &consumer(r)->naps;
}

static uint32_t
peer_naps(const struct ring *r)
{
	_Atomic uint32_t *naps =
	    r->role == RING_PRODUCER ? &consumer(r)->naps : &producer(r)->naps;
	return atomic_load_explicit(naps, memory_order_relaxed);
}

/* A full or closed bell needs no more ringing. Where there is no memory for its one byte
 * it is rung again, since the neighbour sleeps until it hears it. */
static bool
ring_bell(const struct ring *r)
{
	for (unsigned tries = 0; tries < BELL_TRIES; tries++) {
		if (send(r->bell, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ||
		    (errno != ENOMEM && errno != ENOBUFS && errno != EINTR))
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

/* Rings once a nap. The fence pairs with the one in ring_arm: either the sleeper sees
 * what was just stored, or this side sees the nap. */
static void
wake(struct ring *r)
{
	atomic_thread_fence(memory_order_seq_cst);
	uint32_t naps = peer_naps(r);
	if (!(naps & 1) || naps == r->rung)
		return;
	r->rung = naps;
	if (!ring_bell(r))
		r->gone = true;
}

/* The neighbour's counter may only grow, and only so far that 0..slots slots are in use.
 */
static bool
see_tail(struct ring *r)
{
	uint64_t tail = atomic_load_explicit(&consumer(r)->tail, memory_order_acquire);

	if (tail - r->tail > r->head - r->tail)
		r->bad = true;
	else
		r->tail = tail;
	return !r->bad;
}

static bool
see_head(struct ring *r)
{
	uint64_t head = atomic_load_explicit(&producer(r)->head, memory_order_acquire);

	if (head - r->tail > r->geometry.slots || head - r->head > r->geometry.slots)
		r->bad = true;
	else
		r->head = head;
	return !r->bad;
}

int
ring_reserve(struct ring *r, uint8_t **slot)
{
	assert(r->role == RING_PRODUCER);
	if (r->bad)
		return -EPROTO;
	if (r->gone)
		return -EPIPE;
	if (r->head - r->tail == r->geometry.slots && !see_tail(r))
		return -EPROTO;
	if (r->head - r->tail == r->geometry.slots)
		return -EAGAIN;
	*slot = slot_at(r, r->head);
	return 0;
}

void
ring_publish(struct ring *r, size_t n)
{
	struct producer_page *p = producer(r);

	assert(r->role == RING_PRODUCER && n >= 1 && n <= r->geometry.slot_size);
	assert(r->head - r->tail < r->geometry.slots);
	atomic_store_explicit(
	    &p->length[r->head % r->geometry.slots], (uint32_t)n, memory_order_relaxed);
	atomic_store_explicit(&p->head, ++r->head, memory_order_release);
	wake(r);
}

void
ring_finish(struct ring *r, int how)
{
	assert(r->role == RING_PRODUCER && (how == RING_ENDED || how == RING_ABORTED));
	atomic_store_explicit(&producer(r)->status, (uint32_t)how, memory_order_release);
	wake(r);
}

/* No slot is in use. `gone` and the status were read before the head: a producer that
 * publishes, ends and dies in between loses nothing. */
static int
peek_empty(const struct ring *r, uint32_t status, bool gone)
{
	if (status == RING_ENDED)
		return RING_ENDED;
	return gone ? -EPIPE : -EAGAIN;
}

int
ring_peek(struct ring *r, struct span *bytes)
{
	struct producer_page *p = producer(r);

	assert(r->role == RING_CONSUMER);
	if (r->bad)
		return -EPROTO;
	bool gone = r->gone;
	uint32_t status = atomic_load_explicit(&p->status, memory_order_acquire);
	if (status == RING_ABORTED)
		return RING_ABORTED;
	if ((status != OPEN && status != RING_ENDED) || !see_head(r)) {
		r->bad = true;
		return -EPROTO;
	}
	if (r->head == r->tail)
		return peek_empty(r, status, gone);
	if (r->length == 0) { /* once: a second look could find another length */
		uint32_t n = atomic_load_explicit(
		    &p->length[r->tail % r->geometry.slots], memory_order_relaxed);
		if (n == 0 || n > r->geometry.slot_size) {
			r->bad = true;
			return -EPROTO;
		}
		r->length = n;
		r->taken = 0;
	}
	*bytes = span_of(slot_at(r, r->tail) + r->taken, r->length - r->taken);
	return 0;
}

void
ring_consume(struct ring *r, size_t n)
{
	assert(r->role == RING_CONSUMER && n <= r->length - r->taken);
	r->taken += (uint32_t)n;
	if (r->taken < r->length)
		return;
	r->length = 0;
	r->taken = 0;
	atomic_store_explicit(&consumer(r)->tail, ++r->tail, memory_order_release);
	wake(r);
}

bool
ring_ready(struct ring *r)
{
	uint8_t *slot;
	struct span bytes;

	if (r->role == RING_PRODUCER)
		return ring_reserve(r, &slot) != -EAGAIN;
	return ring_peek(r, &bytes) != -EAGAIN;
}

int
ring_poll_fd(const struct ring *r)
{
	return r->bell;
}

bool
ring_arm(struct ring *r)
{
	if (!(r->naps & 1))
		r->naps++;
	atomic_store_explicit(own_naps(r), r->naps, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	return !ring_ready(r);
}

void
ring_disarm(struct ring *r)
{
	uint8_t rings[64];

	if (r->naps & 1)
		r->naps++;
	atomic_store_explicit(own_naps(r), r->naps, memory_order_relaxed);
	ssize_t n = recv(r->bell, rings, sizeof(rings), MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		r->gone = true;
}

static void
relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static bool
any_ready(struct ring *const rings[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (ring_ready(rings[i]))
			return true;
	}
	return false;
}

/* false: one is ready, no sleep. Those armed before it are disarmed by the caller all the
 * same. */
static bool
arm_all(struct ring *const rings[], size_t n)
{
	bool sleep = true;

	for (size_t i = 0; i < n; i++)
		sleep = ring_arm(rings[i]) && sleep;
	return sleep;
}

int
ring_wait(struct ring *const rings[], size_t nrings, struct pollfd *extra, size_t nextra,
    int timeout_ms)
{
	struct pollfd fds[WAIT_MAX];

	assert(nrings + nextra <= WAIT_MAX);
	for (size_t i = 0; i < nextra; i++)
		extra[i].revents = 0;
	for (int i = 0; i < SPIN; i++) {
		if (any_ready(rings, nrings))
			return 0;
		relax();
	}
	for (size_t i = 0; i < nrings; i++)
		fds[i] = (struct pollfd){.fd = rings[i]->bell, .events = POLLIN};
	for (size_t i = 0; i < nextra; i++)
		fds[nrings + i] = extra[i];

	bool sleep = arm_all(rings, nrings);
	int n = poll(fds, nrings + nextra, sleep ? timeout_ms : 0);
	int e = n < 0 ? -errno : 0;
	for (size_t i = 0; i < nrings; i++)
		ring_disarm(rings[i]);
	if (e < 0)
		return e == -EINTR ? 0 : e;
	for (size_t i = 0; i < nextra; i++)
		extra[i].revents = fds[nrings + i].revents;
	return n == 0 && sleep ? -ETIMEDOUT : 0;
}
