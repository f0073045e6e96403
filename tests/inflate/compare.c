#include "tests/inflate/compare.h"

#include <stdlib.h>

#define MOST (1u << 20) /* of output: a bomb is enough of a bomb then */

struct outcome {
	uint8_t *bytes;
	size_t n;
	int verdict; /* 0 whole, 1 cut off at MOST, -1 refused */
};

static int
run(struct inflate *s, struct span in, size_t in_piece, size_t out_piece,
    struct outcome *o)
{
	struct err e = {0};

	while (o->n < MOST) {
		size_t take = in.n < in_piece ? in.n : in_piece;
		size_t room = MOST - o->n < out_piece ? MOST - o->n : out_piece;
		struct span piece = span_of(in.p, take);
		ssize_t n = inflate_step(s, &piece, o->bytes + o->n, room, &e);
		if (n < 0)
			return -1;
		assert((size_t)n <= room && piece.n <= take);
		if (n == 0 && piece.n == take && in.n == 0)
			return inflate_end(s, &e) < 0 ? -1 : 0;
		assert(n > 0 || piece.n < take);
		o->n += (size_t)n;
		in = span_from(in, take - piece.n);
	}
	return 1;
}

static void
once(enum inflate_format f, struct span in, size_t in_piece, size_t out_piece,
    struct outcome *o)
{
	struct inflate *s = NULL;

	*o = (struct outcome){.bytes = malloc(MOST)};
	if (!o->bytes || inflate_new(&s, f) < 0)
		abort();
	o->verdict = run(s, in, in_piece, out_piece, o);
	inflate_free(s);
}

void
compare_pieces(enum inflate_format format, const uint8_t *data, size_t size)
{
	struct outcome whole, pieces;

	if (size == 0)
		return;
	struct span in = span_of(data + 1, size - 1);
	once(format, in, SIZE_MAX, MOST, &whole);
	once(format, in, 1 + (data[0] & 15), 1 + (size_t)(data[0] >> 4) * 777, &pieces);
	assert(whole.verdict == pieces.verdict);
	if (whole.verdict == 0) {
		assert(whole.n == pieces.n);
		assert(memcmp(whole.bytes, pieces.bytes, whole.n) == 0);
	}
	free(whole.bytes);
	free(pieces.bytes);
}
