#include "worker-store/store/space.h"

#include <errno.h>

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
most_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t
less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t
inodes_left(const struct space_claim *c)
{
	return c->done ? 0 : c->inodes - c->inodes_used;
}

static uint64_t
bytes_left(const struct space_claim *c)
{
	return c->done ? 0 : c->bytes - c->bytes_used + inodes_left(c) * c->block;
}

/* What a change of the claim does to the sums. */
static void
change(struct space *s, struct space_claim *c, struct space_claim to)
{
	s->bytes = s->bytes - bytes_left(c) + bytes_left(&to);
	s->inodes = s->inodes - inodes_left(c) + inodes_left(&to);
	*c = to;
}

/* ---- refusals ---- */

struct sums {
	uint64_t bytes, inodes; /* granted */
	struct space open;	/* of that, not used yet */
};

static struct sums
sums_of(const struct space_pull *p)
{
	struct sums r = {0};

	for (size_t i = 0; i < p->n; i++) {
		r.bytes += p->of[i].bytes;
		r.inodes += p->of[i].inodes;
		r.open.bytes += bytes_left(&p->of[i]);
		r.open.inodes += inodes_left(&p->of[i]);
	}
	return r;
}

static double
mib(uint64_t bytes)
{
	return (double)bytes / (double)MiB(1);
}

static int
refuse_bytes(const struct space *s, const struct space_free *f,
    const struct space_pull *p, uint64_t more, struct err *e)
{
	struct sums own = sums_of(p);

	err_set(e, ERR_NO_SPACE,
	    "no space: at least %.1f MiB are needed so far and %.1f MiB of them are "
	    "reserved; the graph root's file system has %.1f MiB free, of which other "
	    "pulls have reserved %.1f MiB: remove images, or try again when those pulls "
	    "are over",
	    mib(own.bytes + more), mib(own.bytes), mib(f->bytes),
	    mib(s->bytes - own.open.bytes));
	return -ENOSPC;
}

static int
refuse_inodes(const struct space *s, const struct space_free *f,
    const struct space_pull *p, uint64_t more, struct err *e)
{
	struct sums own = sums_of(p);

	err_set(e, ERR_NO_SPACE,
	    "no space: at least %llu inodes are needed so far and %llu of them are "
	    "reserved; the graph root's file system has %llu free, of which other pulls "
	    "have reserved %llu: remove images, or try again when those pulls are over",
	    (unsigned long long)(own.inodes + more), (unsigned long long)own.inodes,
	    (unsigned long long)f->inodes,
	    (unsigned long long)(s->inodes - own.open.inodes));
	return -ENOSPC;
}

/* ---- the beginning ---- */

static uint64_t
wish(const struct space_claim *c)
{
	return least(most_of(c->size * SPACE_FACTOR, SPACE_LEAST), c->most);
}

static uint64_t
inodes_extra(uint64_t bytes)
{
	return least(bytes / SPACE_AN_INODE, LIMIT_LAYER_ENTRIES - SPACE_INODES);
}

/* The part of `extra` that goes to one whose wish beyond its least is `own` of `all`. */
static uint64_t
part(uint64_t extra, uint64_t own, uint64_t all)
{
	return extra >= all ? own : (uint64_t)((unsigned __int128)extra * own / all);
}

int
space_begin(
    struct space *s, const struct space_free *f, struct space_pull *p, struct err *e)
{
	uint64_t bytes = 0, wished = 0, free = less(f->bytes, s->bytes);
	uint64_t nodes = 0, nodes_free = less(f->inodes, s->inodes);

	for (size_t i = 0; i < p->n; i++) {
		if (p->of[i].done)
			continue;
		bytes += p->of[i].size;
		wished += wish(&p->of[i]);
		nodes += SPACE_INODES;
	}
	if (bytes > free)
		return refuse_bytes(s, f, p, bytes, e);
	if (nodes > nodes_free)
		return refuse_inodes(s, f, p, nodes, e);
	uint64_t extra = less(least(wished, free / 2), bytes);
	uint64_t nodes_extra = less(nodes_free / 2, nodes);
	for (size_t i = 0; i < p->n; i++) {
		struct space_claim c = p->of[i];
		if (c.done)
			continue;
		c.bytes = c.size + part(extra, wish(&c) - c.size, wished - bytes);
		c.inodes = SPACE_INODES + least(inodes_extra(c.bytes), nodes_extra);
		nodes_extra -= c.inodes - SPACE_INODES;
		change(s, &p->of[i], c);
	}
	return 0;
}

/* ---- later ---- */

/* Half as much again, within bounds; not more than half of what is left, but for the
 * least. */
static uint64_t
step(uint64_t has, uint64_t fewest, uint64_t top, uint64_t room, uint64_t free)
{
	uint64_t want = least(most_of(has / 2, fewest), top);

	return least(most_of(least(want, free / 2), fewest), room);
}

int
space_more_bytes(struct space *s, const struct space_free *f, struct space_pull *p,
    size_t i, struct err *e)
{
	struct space_claim c = p->of[i];
	uint64_t free = less(f->bytes, s->bytes);
	uint64_t n =
	    step(c.bytes, SPACE_STEP_LEAST, SPACE_STEP, less(c.most, c.bytes), free);

	if (n == 0)
		return -EPROTO;
	if (n > free)
		return refuse_bytes(s, f, p, n, e);
	c.bytes += n;
	change(s, &p->of[i], c);
	return 0;
}

int
space_more_inodes(struct space *s, const struct space_free *f, struct space_pull *p,
    size_t i, struct err *e)
{
	struct space_claim c = p->of[i];
	uint64_t free = less(f->inodes, s->inodes), bytes = less(f->bytes, s->bytes);
	uint64_t most = least(c.bytes / SPACE_ENTRY, LIMIT_LAYER_ENTRIES);
	uint64_t n = step(c.inodes, SPACE_INODES, SPACE_INODES_STEP, less(most, c.inodes),
	    least(free, f->block ? bytes / f->block : free));

	if (n == 0)
		return -EPROTO;
	if (n > free)
		return refuse_inodes(s, f, p, n, e);
	if (n * f->block > bytes)
		return refuse_bytes(s, f, p, n * f->block, e);
	c.inodes_used = c.inodes;
	c.inodes += n;
	c.block = f->block;
	change(s, &p->of[i], c);
	return 0;
}

void
space_used(struct space *s, struct space_claim *c, uint64_t bytes)
{
	struct space_claim to = *c;

	to.bytes_used = most_of(c->bytes_used, least(bytes, c->bytes));
	change(s, c, to);
}

void
space_done(struct space *s, struct space_claim *c, uint64_t bytes, uint64_t inodes)
{
	struct space_claim to = *c;

	to.done = true;
	to.bytes = to.bytes_used = bytes;
	to.inodes = to.inodes_used = inodes;
	change(s, c, to);
}

void
space_return(struct space *s, struct space_pull *p)
{
	for (size_t i = 0; i < p->n; i++)
		change(s, &p->of[i], (struct space_claim){0});
	p->n = 0;
}
