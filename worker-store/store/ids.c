#include "worker-store/store/ids.h"

#include "worker-store/store/hash.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

/* Without a branch a byte: a store's files are full of digests. */
static bool
is_hex(struct span s)
{
	unsigned bad = 0;

	for (size_t i = 0; i < s.n; i++)
		bad |= ((unsigned)s.p[i] - '0' > 9) & ((unsigned)s.p[i] - 'a' > 5);
	return !bad;
}

bool
id_is(struct span text)
{
	return text.n == ID_HEX && is_hex(text);
}

bool
digest_well_formed(struct span text)
{
	if (span_starts(text, "sha256:"))
		return text.n == 7 + 64 && is_hex(span_from(text, 7));
	if (span_starts(text, "sha384:"))
		return text.n == 7 + 96 && is_hex(span_from(text, 7));
	if (span_starts(text, "sha512:"))
		return text.n == 7 + 128 && is_hex(span_from(text, 7));
	return false;
}

int
layer_id(const char *parent, const uint8_t diff_id[32], char *dst)
{
	char text[ID_HEX + 1 + ID_HEX + 1];
	uint8_t hash[32];

	if (!parent) {
		hex_encode(diff_id, 32, dst);
		return 0;
	}
	assert(strlen(parent) == ID_HEX);
	memcpy(text, parent, ID_HEX);
	text[ID_HEX] = '+';
	hex_encode(diff_id, 32, text + ID_HEX + 1);
	int r = sha256(span_of(text, sizeof(text) - 1), hash);
	if (r == 0)
		hex_encode(hash, 32, dst);
	return r;
}

static int
random_bytes(uint8_t *p, size_t n)
{
	while (n) {
		ssize_t k = getrandom(p, n, 0);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

int
link_id_new(char dst[LINK_LEN + 1])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint8_t bytes[LINK_LEN];

	int r = random_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; r == 0 && i < LINK_LEN; i++)
		dst[i] = alphabet[bytes[i] & 31];
	dst[LINK_LEN] = 0;
	return r;
}

bool
link_id_is(struct span text)
{
	for (size_t i = 0; i < text.n; i++)
		if (!((text.p[i] >= 'A' && text.p[i] <= 'Z') ||
			(text.p[i] >= '2' && text.p[i] <= '7')))
			return false;
	return text.n == LINK_LEN;
}

int
random_hex(char *dst, size_t n)
{
	uint8_t bytes[64];

	assert(n <= sizeof(bytes));
	int r = random_bytes(bytes, n);
	if (r == 0)
		hex_encode(bytes, n, dst);
	return r;
}

static size_t
base64(struct span s, char *dst)
{
	static const char digit[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = 0;

	for (size_t i = 0; i < s.n; i += 3) {
		uint32_t v = (uint32_t)s.p[i] << 16;
		v |= i + 1 < s.n ? (uint32_t)s.p[i + 1] << 8 : 0;
		v |= i + 2 < s.n ? s.p[i + 2] : 0;
		dst[n++] = digit[v >> 18];
		dst[n++] = digit[v >> 12 & 63];
		dst[n++] = i + 1 < s.n ? digit[v >> 6 & 63] : '=';
		dst[n++] = i + 2 < s.n ? digit[v & 63] : '=';
	}
	return n;
}

bool
item_file(struct span key, char *dst, size_t cap)
{
	bool plain = key.n > 0;

	for (size_t i = 0; i < key.n; i++) {
		uint8_t c = key.p[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '.'))
			plain = false;
	}
	if (plain)
		return !span_is(key, ".") && !span_is(key, "..") &&
		       span_to_str(key, dst, cap);
	size_t n = 1 + (key.n + 2) / 3 * 4;
	if (key.n == 0 || n + 1 > cap)
		return false;
	dst[0] = '=';
	dst[1 + base64(key, dst + 1)] = 0;
	return strchr(dst, '/') == NULL;
}

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar, and back (the
 * algorithms count years from March). gmtime(3) would do, but the first call opens files.
 */
static int64_t
days_of(int64_t y, unsigned m, unsigned d)
{
	y -= m <= 2;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (m + (m > 2 ? -3u : 9u)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void
date_of(int64_t days, int *y, unsigned *m, unsigned *d)
{
	int64_t z = days + 719468;
	int64_t era = z / 146097, doe = z % 146097; /* days >= 0 here */
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*d = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
	*m = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
	*y = (int)(yoe + era * 400 + (*m <= 2));
}

char *
stamp_print(struct stamp t, char dst[31])
{
	const int64_t last = INT64_C(253402300799); /* 9999-12-31T23:59:59 */
	unsigned m, d;
	int y;

	if (t.s < 0)
		t = (struct stamp){0, 0};
	if (t.s > last)
		t = (struct stamp){last, 0};
	if (t.ns > 999999999)
		t.ns = 999999999;
	date_of(t.s / 86400, &y, &m, &d);
	int sec = (int)(t.s % 86400);
	int n = snprintf(dst, 31, "%04d-%02u-%02uT%02d:%02d:%02d.%09u", y, m, d,
	    sec / 3600, sec / 60 % 60, sec % 60, t.ns);
	while (
	    dst[n - 1] == '0') /* as Go's RFC3339Nano: no trailing zeros, no bare point */
		n--;
	if (dst[n - 1] == '.')
		n--;
	dst[n] = 'Z';
	dst[n + 1] = 0;
	return dst;
}

/* Exactly n digits; moves *s on. */
static bool
digits(struct span *s, size_t n, unsigned *v)
{
	if (s->n < n)
		return false;
	*v = 0;
	for (size_t i = 0; i < n; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return false;
		*v = *v * 10 + (unsigned)(s->p[i] - '0');
	}
	*s = span_from(*s, n);
	return true;
}

static bool
expect(struct span *s, const char *any)
{
	if (!s->n || !strchr(any, s->p[0]) || !s->p[0])
		return false;
	*s = span_from(*s, 1);
	return true;
}

static bool
parse_fraction(struct span *s, uint32_t *ns)
{
	unsigned d, n = 0, scale = 100000000;

	*ns = 0;
	if (!expect(s, "."))
		return true;
	for (; s->n && digits(s, 1, &d); n++, scale /= 10)
		*ns += d * scale; /* digits past the ninth count nothing */
	return n > 0;
}

static bool
parse_offset(struct span *s, int64_t *seconds)
{
	unsigned h, m;
	bool minus = s->n && s->p[0] == '-';

	*seconds = 0;
	if (expect(s, "Zz"))
		return s->n == 0;
	if (!expect(s, "+-") || !digits(s, 2, &h) || !expect(s, ":") || !digits(s, 2, &m))
		return false;
	*seconds = (int64_t)(h * 60 + m) * (minus ? -60 : 60);
	return s->n == 0 && h < 24 && m < 60;
}

bool
stamp_parse(struct span s, struct stamp *t)
{
	unsigned y, mo, d, h, mi, sec;
	int64_t offset;

	if (!digits(&s, 4, &y) || !expect(&s, "-") || !digits(&s, 2, &mo) ||
	    !expect(&s, "-") || !digits(&s, 2, &d) || !expect(&s, "Tt") ||
	    !digits(&s, 2, &h) || !expect(&s, ":") || !digits(&s, 2, &mi) ||
	    !expect(&s, ":") || !digits(&s, 2, &sec))
		return false;
	if (!parse_fraction(&s, &t->ns) || !parse_offset(&s, &offset))
		return false;
	if (mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || sec > 59)
		return false;
	t->s = days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec - offset;
	return true;
}

struct stamp
stamp_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (struct stamp){ts.tv_sec, (uint32_t)ts.tv_nsec};
}
