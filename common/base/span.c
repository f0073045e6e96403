#include "common/base/span.h"

#include <stdio.h>

bool
span_to_str(struct span a, char *dst, size_t cap)
{
	dst[0] = 0;
	if (a.n >= cap || (a.n && memchr(a.p, 0, a.n)))
		return false;
	if (a.n)
		memcpy(dst, a.p, a.n);
	dst[a.n] = 0;
	return true;
}

/* Length of the well-formed sequence at p (1..4), 0 when there is none. */
static size_t
utf8_len(const uint8_t *p, size_t n)
{
	uint8_t c = p[0];
	if (c < 0x80)
		return c ? 1 : 0;
	size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	if (c < 0xc2 || c > 0xf4 || n < len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) ||
	    (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

/* Eight bytes of ASCII without NUL: the store's files have tens of megabytes of them. */
static bool
is_ascii8(const uint8_t *p)
{
	const uint64_t high = UINT64_C(0x8080808080808080);
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return !((v | ((v & ~high) - UINT64_C(0x0101010101010101))) & high);
}

char *
span_strdup(struct span a)
{
	return strndup(a.n ? (const char *)a.p : "", a.n);
}

bool
span_is_text(struct span a)
{
	for (size_t i = 0; i < a.n;) {
		if (a.n - i >= 8 && is_ascii8(a.p + i)) {
			i += 8;
			continue;
		}
		size_t len = utf8_len(a.p + i, a.n - i);
		if (!len)
			return false;
		i += len;
	}
	return true;
}

static int
hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* "\xNN", as span_escape writes it. */
static bool
is_escape(struct span a)
{
	return a.n >= 4 && a.p[0] == '\\' && a.p[1] == 'x' && hex_digit(a.p[2]) >= 0 &&
	       hex_digit(a.p[3]) >= 0;
}

char *
span_escape(struct span a, char *dst, size_t cap)
{
	size_t at = 0;

	for (size_t i = 0; i < a.n; i++) {
		uint8_t c = a.p[i];
		bool plain =
		    c >= 0x20 && c < 0x7f && (c != '\\' || is_escape(span_from(a, i)));
		if (at + 8 > cap) {
			if (at + 4 <= cap) {
				memcpy(dst + at, "...", 3);
				at += 3;
			}
			break;
		}
		if (plain)
			dst[at++] = (char)c;
		else
			at += (size_t)snprintf(dst + at, cap - at, "\\x%02x", c);
	}
	if (cap)
		dst[at < cap ? at : cap - 1] = 0;
	return dst;
}

char *
hex_encode(const uint8_t *p, size_t n, char *dst)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		dst[2 * i] = digits[p[i] >> 4];
		dst[2 * i + 1] = digits[p[i] & 15];
	}
	dst[2 * n] = 0;
	return dst;
}

bool
hex_decode(struct span hex, uint8_t *dst, size_t n)
{
	if (hex.n != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int hi = hex_digit(hex.p[2 * i]), lo = hex_digit(hex.p[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return false;
		dst[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}
