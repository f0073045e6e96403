#include "common/ipc/cursor.h"

void
cursor_fail(struct cursor *c, const char *why)
{
	if (!c->why)
		c->why = why;
	c->left.n = 0;
}

static uint8_t
take_byte(struct cursor *c)
{
	if (!c->left.n) {
		cursor_fail(c, "ends early");
		return 0xc1; /* never used in msgpack: no caller takes it for a value */
	}
	uint8_t b = c->left.p[0];
	c->left = span_from(c->left, 1);
	return b;
}

static uint64_t
take_be(struct cursor *c, unsigned bytes)
{
	if (c->left.n < bytes) {
		cursor_fail(c, "ends early");
		return 0;
	}
	uint64_t v = 0;
	for (unsigned i = 0; i < bytes; i++)
		v = v << 8 | c->left.p[i];
	c->left = span_from(c->left, bytes);
	return v;
}

/* An integer in `bytes` bytes that did not fit a shorter form, whose largest value is
 * below. */
static uint64_t
take_shortest(struct cursor *c, unsigned bytes, uint64_t shorter_max)
{
	uint64_t v = take_be(c, bytes);
	if (!c->why && v <= shorter_max) {
		cursor_fail(c, "not in shortest form");
		return 0;
	}
	return v;
}

static uint64_t
take_uint(struct cursor *c, uint8_t tag)
{
	if (tag < 0x80)
		return tag;
	switch (tag) {
	case 0xcc:
		return take_shortest(c, 1, 0x7f);
	case 0xcd:
		return take_shortest(c, 2, 0xff);
	case 0xce:
		return take_shortest(c, 4, 0xffff);
	case 0xcf:
		return take_shortest(c, 8, 0xffffffff);
	default:
		cursor_fail(c, "not an unsigned integer");
		return 0;
	}
}

uint64_t
cursor_uint(struct cursor *c)
{
	return take_uint(c, take_byte(c));
}

/* A negative integer in `bytes` bytes, below the shorter form's smallest. */
static int64_t
take_negative(struct cursor *c, unsigned bytes, int64_t shorter_min)
{
	uint64_t raw = take_be(c, bytes);
	unsigned shift = 64 - 8 * bytes;
	int64_t v = (int64_t)(raw << shift) >> shift;
	if (!c->why && v >= shorter_min) {
		cursor_fail(c, "not in shortest form");
		return 0;
	}
	return v;
}

int64_t
cursor_int(struct cursor *c)
{
	uint8_t tag = take_byte(c);
	if (tag >= 0xe0)
		return (int8_t)tag;
	switch (tag) {
	case 0xd0:
		return take_negative(c, 1, -32);
	case 0xd1:
		return take_negative(c, 2, INT8_MIN);
	case 0xd2:
		return take_negative(c, 4, INT16_MIN);
	case 0xd3:
		return take_negative(c, 8, INT32_MIN);
	}
	uint64_t v = take_uint(c, tag);
	if (v > INT64_MAX) {
		cursor_fail(c, "integer too large");
		return 0;
	}
	return (int64_t)v;
}

static struct span
take_bytes(struct cursor *c, uint64_t n)
{
	if (c->why || n > c->left.n) {
		cursor_fail(c, "ends early");
		return (struct span){0};
	}
	struct span s = {c->left.p, (size_t)n};
	c->left = span_from(c->left, (size_t)n);
	return s;
}

struct span
cursor_bin(struct cursor *c)
{
	uint64_t n = 0;

	switch (take_byte(c)) {
	case 0xc4:
		n = take_be(c, 1);
		break;
	case 0xc5:
		n = take_shortest(c, 2, 0xff);
		break;
	case 0xc6:
		n = take_shortest(c, 4, 0xffff);
		break;
	default:
		cursor_fail(c, "not binary");
	}
	return take_bytes(c, n);
}

struct span
cursor_str(struct cursor *c)
{
	uint8_t tag = take_byte(c);
	uint64_t n = 0;

	if ((tag & 0xe0) == 0xa0)
		n = tag & 0x1f;
	else if (tag == 0xd9)
		n = take_shortest(c, 1, 31);
	else if (tag == 0xda)
		n = take_shortest(c, 2, 0xff);
	else if (tag == 0xdb)
		n = take_shortest(c, 4, 0xffff);
	else
		cursor_fail(c, "not text");
	return take_bytes(c, n);
}

/* Counts of arrays and maps: fix form, then 16 and 32 bits. */
static uint32_t
take_count(struct cursor *c, uint8_t fix, uint8_t tag16, const char *what)
{
	uint8_t tag = take_byte(c);
	if ((tag & 0xf0) == fix)
		return tag & 0x0f;
	if (tag == tag16)
		return (uint32_t)take_shortest(c, 2, 15);
	if (tag == tag16 + 1)
		return (uint32_t)take_shortest(c, 4, 0xffff);
	cursor_fail(c, what);
	return 0;
}

uint32_t
cursor_array(struct cursor *c)
{
	return take_count(c, 0x90, 0xdc, "not an array");
}

uint32_t
cursor_map(struct cursor *c)
{
	return take_count(c, 0x80, 0xde, "not a map");
}
