#include "worker-fetch/hash/leg.h"

#include <errno.h>

/* Copied and hashed while in the first-level caches, rather than a whole slot twice. */
#define CHUNK (32u << 10)

int
leg_init(struct leg *l, struct ring *in, struct ring *out)
{
	*l = (struct leg){.in = in, .out = out, .from = "?", .to = "?"};
	return digest_init(&l->digest);
}

void
leg_release(struct leg *l)
{
	digest_release(&l->digest);
}

/* What a neighbour's failure means for a person. The neighbour that failed tells its own
 * reason elsewhere; this is only what is seen from here. */
static int
neighbour_failed(const char *who, int answer, struct err *e)
{
	switch (answer) {
	case RING_ABORTED:
		return err_set(e, ERR_INTERNAL, "the %s room gave up", who);
	case -EPIPE:
		return err_set(
		    e, ERR_INTERNAL, "the %s room ended before its stream did", who);
	case -EPROTO:
		return err_set(e, ERR_INTERNAL,
		    "the %s room broke the rules of shared memory; it was ended", who);
	default:
		return err_errno(e, -answer, "moving bytes of the %s room", who);
	}
}

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Fills the slot from what is there now. *n: bytes of the slot, copied and hashed.
 * Returns 0 or what the incoming ring answered last. */
static int
fill(struct leg *l, uint8_t *slot, size_t cap, size_t *n)
{
	struct span s;

	for (*n = 0; *n < cap;) {
		int r = ring_peek(l->in, &s);
		if (r != 0)
			return r;
		if (l->bytes + *n == l->limit)
			return -EOVERFLOW;
		size_t take = least(least(s.n, cap - *n), CHUNK);
		if (take > l->limit - l->bytes - *n)
			take = (size_t)(l->limit - l->bytes - *n);
		memcpy(slot + *n, s.p, take);
		r = digest_add(&l->digest, span_of(slot + *n, take));
		if (r < 0)
			return r;
		ring_consume(l->in, take);
		*n += take;
	}
	return 0;
}

static int
finish(struct leg *l)
{
	if (l->out)
		ring_finish(l->out, RING_ENDED);
	l->ended = true;
	return LEG_ENDED;
}

int
leg_step(struct leg *l, struct err *e)
{
	static uint8_t dropped[CHUNK];
	size_t n, cap = l->out ? l->out->geometry.slot_size : sizeof(dropped);
	uint8_t *slot = dropped;

	if (l->ended)
		return LEG_ENDED;
	int r = l->out ? ring_reserve(l->out, &slot) : 0;
	if (r == -EAGAIN)
		return LEG_IDLE;
	if (r < 0)
		return neighbour_failed(l->to, r, e);
	r = fill(l, slot, cap, &n);
	if (n > 0 && l->out)
		ring_publish(l->out, n);
	l->bytes += n;
	if (r == -EOVERFLOW)
		return LEG_OVER;
	if (n > 0 && (r == 0 || r == -EAGAIN))
		return LEG_MOVED;
	if (r == -EAGAIN)
		return LEG_IDLE;
	if (l->patient && (r == RING_ABORTED || r == -EPIPE))
		return LEG_LOST;
	return r == RING_ENDED ? finish(l) : neighbour_failed(l->from, r, e);
}

struct ring *
leg_waits(struct leg *l)
{
	uint8_t *slot;

	return l->out && ring_reserve(l->out, &slot) == -EAGAIN ? l->out : l->in;
}
