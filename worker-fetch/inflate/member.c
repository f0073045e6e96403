#include "worker-fetch/inflate/member.h"

#include <errno.h>
#include <isa-l/crc.h>

enum { FHCRC = 2, FEXTRA = 4, FNAME = 8, FCOMMENT = 16, RESERVED = 0xe0 };
enum { FIXED, EXTRA_LENGTH, EXTRA, NAME, COMMENT, CHECKSUM, DONE };
enum { FIXED_LEN = 10 };

void
member_init(struct member *m)
{
	*m = (struct member){.part = FIXED, .want = FIXED_LEN};
}

static int
refuse(const char **why, const char *text)
{
	*why = text;
	return -EPROTO;
}

/* The part that follows: the flags of parts that are over were cleared. */
static void
next_part(struct member *m)
{
	m->value = 0;
	m->want = 2;
	if (m->flags & FEXTRA)
		m->part = EXTRA_LENGTH;
	else if (m->flags & FNAME)
		m->part = NAME;
	else if (m->flags & FCOMMENT)
		m->part = COMMENT;
	else
		m->part = m->flags & FHCRC ? CHECKSUM : DONE;
}

static void
part_over(struct member *m, uint8_t flag)
{
	m->flags &= (uint8_t)~flag;
	next_part(m);
}

static int
fixed_byte(struct member *m, uint8_t b, const char **why)
{
	unsigned at = FIXED_LEN - m->want--;

	if (at < 2 && b != (at == 0 ? 0x1f : 0x8b))
		return refuse(why, "bytes behind its end that are no other member");
	if (at == 2 && b != 8)
		return refuse(why, "a compression method that is not deflate");
	if (at == 3 && (b & RESERVED))
		return refuse(why, "reserved header flags");
	if (at == 3)
		m->flags = b;
	if (m->want == 0)
		next_part(m);
	return 0;
}

/* A little-endian number of two bytes. */
static bool
number_byte(struct member *m, uint8_t b)
{
	m->value = m->value >> 8 | (uint32_t)b << 8;
	return --m->want == 0;
}

static int
header_byte(struct member *m, uint8_t b, const char **why)
{
	switch (m->part) {
	case FIXED:
		return fixed_byte(m, b, why);
	case EXTRA_LENGTH:
		if (!number_byte(m, b))
			return 0;
		m->want = m->value;
		m->part = EXTRA;
		if (m->want == 0)
			part_over(m, FEXTRA);
		return 0;
	case EXTRA:
		if (--m->want == 0)
			part_over(m, FEXTRA);
		return 0;
	case NAME:
	case COMMENT:
		if (b == 0)
			part_over(m, m->part == NAME ? FNAME : FCOMMENT);
		return 0;
	default: /* CHECKSUM */
		if (!number_byte(m, b))
			return 0;
		m->part = DONE;
		if (m->value != (m->crc & 0xffff))
			return refuse(why, "a header whose checksum does not match");
		return 0;
	}
}

int
member_step(struct member *m, struct span *in, const char **why)
{
	while (m->part != DONE) {
		if (in->n == 0)
			return 0;
		uint8_t b = in->p[0];
		if (m->part != CHECKSUM)
			m->crc = crc32_gzip_refl(m->crc, &b, 1);
		int r = header_byte(m, b, why);
		if (r < 0)
			return r;
		*in = span_from(*in, 1);
	}
	return 1;
}
