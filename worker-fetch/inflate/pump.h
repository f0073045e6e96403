/* Ring to ring through a decoder. */
#ifndef BULKHEAD_INFLATE_PUMP_H
#define BULKHEAD_INFLATE_PUMP_H

#include "common/ipc/ring.h"
#include "worker-fetch/inflate/inflate.h"

struct pump {
	struct ring *in, *out;
	struct inflate *inflate;
	uint8_t *slot; /* being filled, or NULL */
	size_t fill;   /* bytes in it */
};

enum { PUMP_IDLE = 0, PUMP_MOVED = 1, PUMP_DONE = 2 };

/* Decodes at most one slot of either ring, without waiting. PUMP_MOVED; PUMP_IDLE: see
 * pump_waits; PUMP_DONE: the stream was whole and its end is passed on; -EPIPE: a
 * neighbour is gone, broke the rules or gave up; or negative with *e: the stream is not
 * what it should be. */
int pump_step(struct pump *p, struct err *e) MUST_CHECK;

/* The ring that an idle pump waits for. */
struct ring *pump_waits(struct pump *p);

#endif
