/* A stream of bytes between two processes through shared memory: one producer, one
 * consumer, slots of one size, no system call while both keep up.
 *
 * A ring is RING_FDS descriptors:
 *   [0] data memfd:  the producer's page (count of published slots, their lengths, the
 * end), then the slots; written by the producer alone [1] index memfd: the consumer's
 * page (count of freed slots); written by the consumer alone [2] bell: one end of a
 * socket pair. A byte wakes the side that sleeps in poll; the end of file says that the
 * neighbour is gone. The trusted side creates the ring. Both memfds are sealed
 * SHRINK|GROW|SEAL, and what the trusted side writes also FUTURE_WRITE before a
 * descriptor leaves it: the neighbour can map that only for reading, for ever. Every
 * index and length that the neighbour writes is read once and checked; the contents of a
 * slot that the neighbour writes may change under the reader: copy, then use.
 *
 * The bell is a socket and not a pair of eventfds, because an eventfd is one open file
 * for both sides: the neighbour could clear its O_NONBLOCK, fill or empty it, and so
 * block the trusted side for good; and it says nothing when the neighbour dies.
 *
 * Nothing here blocks but ring_wait. Not thread-safe. */
#ifndef BULKHEAD_IPC_RING_H
#define BULKHEAD_IPC_RING_H

#include "common/base/compiler.h"
#include "common/base/span.h"

#include <poll.h>

#define RING_FDS 3
#define RING_MAX_SLOTS 64
#define RING_MAX_SLOT_SIZE (16u << 20)

/* The two geometries of a layer: compressed bytes (fetch -> hash -> inflate) and tar
 * bytes (inflate -> hash -> apply). With an uncompressed layer, fetch -> hash has
 * RING_BLOB and hash -> apply RING_TAR all the same. */
struct ring_geometry {
	uint32_t slot_size; /* bytes */
	uint32_t slots;
};
#define RING_BLOB ((struct ring_geometry){256u << 10, 2})
#define RING_TAR ((struct ring_geometry){1u << 20, 2})

enum ring_role { RING_PRODUCER, RING_CONSUMER };

/* What ring_peek answers when no byte is left or will ever come. */
enum { RING_ENDED = 1, RING_ABORTED = 2 };

/* One side of a ring; fields are private. Starts as RING_CLOSED. */
struct ring {
	enum ring_role role;
	struct ring_geometry geometry;
	uint8_t *data;	/* mapping of [0] */
	uint8_t *index; /* mapping of [1] */
	int bell;
	bool gone;	 /* the neighbour closed its bell */
	bool bad;	 /* the neighbour broke the protocol */
	uint64_t head;	 /* slots published, as last seen or written */
	uint64_t tail;	 /* slots freed, as last seen or written */
	uint32_t length; /* consumer: of the slot at tail, 0 = not read yet */
	uint32_t taken;	 /* consumer: bytes of that slot already consumed */
	uint32_t naps;	 /* own sleep counter, odd while asleep */
	uint32_t rung;	 /* the neighbour's nap that was ended by a bell last */
};
#define RING_CLOSED ((struct ring){.bell = -1})

/* Makes a ring and takes `role` in it (the trusted side). peer[] receives the RING_FDS
 * descriptors for the neighbour, owned by the caller: send them, then close them (or the
 * neighbour's death is not seen). 0, or -errno; on failure nothing is left open. */
int ring_create(struct ring *r, enum ring_role role, struct ring_geometry g,
    int peer[RING_FDS]) MUST_CHECK;

/* Takes `role` in a ring that the neighbour created. Checks kind, size and seals of the
 * descriptors. The descriptors stay the caller's and may be closed at once.
 * 0; -EPROTO: not such a ring; or -errno. */
int ring_attach(struct ring *r, enum ring_role role, struct ring_geometry g,
    const int fds[RING_FDS]) MUST_CHECK;

/* Unmaps and closes. Without ring_finish the neighbour reads that as a death (-EPIPE).
 * CLEANUP(ring_close) works. */
void ring_close(struct ring *r);

/* Producer: a free slot of geometry.slot_size bytes; the same one until ring_publish.
 * 0; -EAGAIN: none free; -EPIPE: the consumer is gone; -EPROTO: its index is impossible.
 */
int ring_reserve(struct ring *r, uint8_t **slot) MUST_CHECK;

/* Producer: hands over the reserved slot with its first n bytes (1..slot_size). */
void ring_publish(struct ring *r, size_t n);

/* Producer: nothing follows. RING_ENDED is seen after the last slot, RING_ABORTED at
 * once. */
void ring_finish(struct ring *r, int how);

/* Consumer: the unconsumed bytes of the oldest slot.
 * 0; -EAGAIN: none yet; RING_ENDED; RING_ABORTED; -EPIPE: the producer is gone without an
 * end; -EPROTO: an index or length is impossible. */
int ring_peek(struct ring *r, struct span *bytes) MUST_CHECK;

/* Consumer: n more bytes of the peeked slot are done; the slot is freed with its last
 * byte. */
void ring_consume(struct ring *r, size_t n);

/* Whether ring_reserve or ring_peek would answer something else than -EAGAIN. */
bool ring_ready(struct ring *r);

/* Sleeps until one of the rings is ready (usually; spurious returns happen, so look
 * again), one of extra[] has events, or timeout_ms (-1: none) is over. Spins shortly
 * first. Pass only rings that the caller waits for. extra[].revents is always set. nrings
 * + nextra <= 16. 0; -ETIMEDOUT; or -errno. */
int ring_wait(struct ring *const rings[], size_t nrings, struct pollfd *extra,
    size_t nextra, int timeout_ms) MUST_CHECK;

/* The parts of ring_wait, for a loop of one's own: poll ring_poll_fd() for POLLIN only
 * while ring_arm() said true (false: the ring is ready, do not sleep); call ring_disarm()
 * after the sleep, and also after a ring_arm() whose sleep did not happen. */
int ring_poll_fd(const struct ring *r);
bool ring_arm(struct ring *r);
void ring_disarm(struct ring *r);

#endif
