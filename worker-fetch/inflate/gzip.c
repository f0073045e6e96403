#include "worker-fetch/inflate/decoder.h"

#include "worker-fetch/inflate/member.h"

#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <stdlib.h>
#include <sys/types.h>

enum where { BETWEEN, HEADER, BODY };

struct gzip {
	struct inflate_state state;
	struct member member;
	enum where where; /* BETWEEN: no byte of another member has come */
	bool complete;	  /* one member is */
};

void *
gzip_new(void)
{
	struct gzip *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	isal_inflate_init(&g->state);
	g->state.crc_flag =
	    ISAL_GZIP_NO_HDR_VER; /* CRC and length of the trailer are checked */
	return g;
}

void
gzip_free(void *s)
{
	free(s);
}

static int
explain(int r, struct err *e)
{
	if (r == ISAL_INCORRECT_CHECKSUM)
		return err_set(e, ERR_CONTENT,
		    "the gzip stream is damaged: its checksum does not match");
	return err_set(
	    e, ERR_CONTENT, "the gzip stream is damaged: invalid deflate data (%d)", r);
}

/* After a member only another member or the end: padding and junk are refused, because
 * tools differ in what they make of them. */
static int
header(struct gzip *g, struct span *in, struct err *e)
{
	const char *why;

	if (g->where == BETWEEN) {
		member_init(&g->member);
		g->where = HEADER;
	}
	int r = member_step(&g->member, in, &why);
	if (r < 0)
		return err_set(e, ERR_CONTENT, "the gzip stream has %s", why);
	if (r == 1) {
		isal_inflate_reset(&g->state);
		g->where = BODY;
	}
	return 0;
}

/* One call of the library: until the input or the room is used up or the member is
 * complete. */
static int
inflate_some(struct gzip *g, struct span *in, uint8_t *out, size_t cap, size_t *made,
    struct err *e)
{
	struct inflate_state *z = &g->state;
	size_t n = in->n < UINT32_MAX / 2 ? in->n : UINT32_MAX / 2;
	size_t room = cap < UINT32_MAX / 2 ? cap : UINT32_MAX / 2;

	z->next_in = (uint8_t *)(uintptr_t)in->p; /* read only, whatever its type says */
	z->avail_in = (uint32_t)n;
	z->next_out = out;
	z->avail_out = (uint32_t)room;
	int r = isal_inflate(z);
	if (r != ISAL_DECOMP_OK && r != ISAL_END_INPUT)
		return explain(r, e);
	/* On bad data it gives back bytes of an earlier piece, before the start of this
	 * one. */
	if (z->avail_in > n || z->avail_out > room)
		return explain(ISAL_INVALID_STATE, e);
	*in = span_from(*in, n - z->avail_in);
	*made = room - z->avail_out;
	if (z->block_state == ISAL_BLOCK_FINISH) {
		g->where = BETWEEN;
		g->complete = true;
	}
	return 0;
}

ssize_t
gzip_step(void *s, struct span *in, uint8_t *out, size_t cap, struct err *e)
{
	struct gzip *g = s;
	size_t made = 0;

	while (made < cap) {
		size_t before = in->n, n = 0;
		int r = 0;
		if (g->where != BODY && in->n > 0)
			r = header(g, in, e);
		else if (g->where == BODY)
			r = inflate_some(g, in, out + made, cap - made, &n, e);
		if (r < 0)
			return r;
		made += n;
		if (n == 0 && in->n == before)
			break;
	}
	return (ssize_t)made;
}

int
gzip_end(void *s, struct err *e)
{
	struct gzip *g = s;

	/* The library itself calls a truncated stream a success. */
	if (g->where != BETWEEN || !g->complete)
		return err_set(
		    e, ERR_CONTENT, "the gzip stream ends in the middle of a member");
	return 0;
}
