#include "common/base/base64.h"

#include <errno.h>

int
base64_digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The four digits at p into up to three bytes; how many, or -EINVAL. */
static int
decode_four(const uint8_t *p, bool last, uint8_t out[3])
{
	int pad = last ? (p[3] == '=') + (p[3] == '=' && p[2] == '=') : 0;
	uint32_t v = 0;

	for (int i = 0; i < 4; i++) {
		int d = i >= 4 - pad ? 0 : base64_digit(p[i]);
		if (d < 0)
			return -EINVAL;
		v = v << 6 | (uint32_t)d;
	}
	out[0] = (uint8_t)(v >> 16);
	out[1] = (uint8_t)(v >> 8);
	out[2] = (uint8_t)v;
	return 3 - pad;
}

ssize_t
base64_decode(struct span text, uint8_t *dst, size_t cap)
{
	size_t n = 0;

	if (text.n % 4 != 0)
		return -EINVAL;
	for (size_t i = 0; i < text.n; i += 4) {
		uint8_t out[3];
		int got = decode_four(text.p + i, i + 4 == text.n, out);
		if (got < 0 || n + (size_t)got > cap)
			return -EINVAL;
		memcpy(dst + n, out, (size_t)got);
		n += (size_t)got;
	}
	return (ssize_t)n;
}
