#include "worker-fetch/inflate/pump.h"

#include <errno.h>

static void
flush(struct pump *p)
{
	if (p->fill == 0)
		return;
	ring_publish(p->out, p->fill);
	p->slot = NULL;
	p->fill = 0;
}

/* Decodes from *in until it is empty or the slot full. */
static ssize_t
decode(struct pump *p, struct span *in, struct err *e)
{
	size_t room = p->out->geometry.slot_size - p->fill;
	ssize_t n = inflate_step(p->inflate, in, p->slot + p->fill, room, e);

	if (n > 0)
		p->fill += (size_t)n;
	return n;
}

static int
finish(struct pump *p, struct err *e)
{
	struct span none = span_str("");
	ssize_t n = decode(p, &none, e);

	if (n < 0)
		return (int)n;
	if (p->fill ==
	    p->out->geometry.slot_size) { /* there may be more in the decoder */
		flush(p);
		return PUMP_MOVED;
	}
	int r = inflate_end(p->inflate, e);
	if (r < 0)
		return r;
	flush(p);
	ring_finish(p->out, RING_ENDED);
	return PUMP_DONE;
}

int
pump_step(struct pump *p, struct err *e)
{
	struct span in;

	if (!p->slot) {
		int r = ring_reserve(p->out, &p->slot);
		if (r < 0)
			p->slot = NULL;
		if (r < 0)
			return r == -EAGAIN ? PUMP_IDLE : -EPIPE;
	}
	int r = ring_peek(p->in, &in);
	if (r == -EAGAIN) { /* let apply work meanwhile */
		flush(p);
		return PUMP_IDLE;
	}
	if (r == RING_ENDED)
		return finish(p, e);
	if (r != 0)
		return -EPIPE;
	size_t before = in.n;
	ssize_t n = decode(p, &in, e);
	if (n < 0)
		return (int)n;
	ring_consume(p->in, before - in.n);
	if (p->fill == p->out->geometry.slot_size)
		flush(p);
	return PUMP_MOVED;
}

struct ring *
pump_waits(struct pump *p)
{
	uint8_t *slot;

	return ring_reserve(p->out, &slot) == -EAGAIN ? p->out : p->in;
}
