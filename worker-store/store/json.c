#include "worker-store/store/json.h"

#include "common/base/limits.h"

#include <endian.h>
#include <errno.h>

struct cursor {
	const uint8_t *p, *end;
};

static void
skip_space(struct cursor *c)
{
	while (c->p < c->end &&
	       (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r'))
		c->p++;
}

static bool
take(struct cursor *c, uint8_t ch)
{
	if (c->p == c->end || *c->p != ch)
		return false;
	c->p++;
	return true;
}

static bool
is_digit(const struct cursor *c)
{
	return c->p < c->end && *c->p >= '0' && *c->p <= '9';
}

static bool
scan_digits(struct cursor *c)
{
	if (!is_digit(c))
		return false;
	while (is_digit(c))
		c->p++;
	return true;
}

static bool
scan_number(struct cursor *c)
{
	take(c, '-');
	if (!take(c, '0') && !scan_digits(c))
		return false;
	if (take(c, '.') && !scan_digits(c))
		return false;
	if (take(c, 'e') || take(c, 'E')) {
		if (!take(c, '+'))
			take(c, '-');
		return scan_digits(c);
	}
	return true;
}

static int
hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool
scan_escape(struct cursor *c)
{
	if (c->p == c->end)
		return false;
	uint8_t e = *c->p++;
	if (e != 'u')
		return e && strchr("\"\\/bfnrt", e) != NULL;
	for (int i = 0; i < 4; i++)
		if (c->p == c->end || hex_value(*c->p++) < 0)
			return false;
	return true;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Most of the store's text is inside strings, so they are walked eight bytes at once. In
 * the masks the top bit of a byte that is looked for is set; others above the lowest one
 * may be, too. */
static inline uint64_t
mask_of(uint64_t v, uint8_t byte)
{
	v ^= EACH(byte);
	return (v - EACH(1)) & ~v & EACH(0x80);
}

static inline uint64_t
mask_below(uint64_t v, uint8_t byte)
{
	return (v - EACH(byte)) & ~v & EACH(0x80);
}

/* To the next byte that ends a string, escapes, or (when they are looked for) is a
 * control character; at most to the end. */
static inline void
skip_plain(struct cursor *c)
{
	while (c->end - c->p >= 8) {
		uint64_t v;
		memcpy(&v, c->p, sizeof(v));
		v = le64toh(v);
		uint64_t m = mask_of(v, '"') | mask_of(v, '\\') | mask_below(v, 0x20);
		if (m) {
			c->p += __builtin_ctzll(m) / 8;
			return;
		}
		c->p += 8;
	}
	while (c->p < c->end && *c->p != '"' && *c->p != '\\' && *c->p >= 0x20)
		c->p++;
}

static bool
scan_string(struct cursor *c)
{
	if (!take(c, '"'))
		return false;
	for (;;) {
		skip_plain(c);
		if (c->p == c->end)
			return false;
		uint8_t b = *c->p++;
		if (b == '"')
			return true;
		if (b < 0x20 || (b == '\\' && !scan_escape(c)))
			return false;
	}
}

static bool
scan_word(struct cursor *c, const char *word)
{
	size_t n = strlen(word);
	if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n) != 0)
		return false;
	c->p += n;
	return true;
}

static bool scan_value(struct cursor *c, unsigned depth);

static bool
scan_container(struct cursor *c, bool object, unsigned depth)
{
	uint8_t close = object ? '}' : ']';

	if (depth == LIMIT_JSON_DEPTH)
		return false;
	c->p++;
	skip_space(c);
	if (take(c, close))
		return true;
	for (;;) {
		skip_space(c);
		if (object) {
			if (!scan_string(c))
				return false;
			skip_space(c);
			if (!take(c, ':'))
				return false;
			skip_space(c);
		}
		if (!scan_value(c, depth + 1))
			return false;
		skip_space(c);
		if (take(c, close))
			return true;
		if (!take(c, ','))
			return false;
	}
}

/* Depth is the number of containers around the value; recursion ends at the limit. */
static bool
scan_value(struct cursor *c, unsigned depth)
{
	if (c->p == c->end)
		return false;
	switch (*c->p) {
	case '{':
	case '[':
		return scan_container(c, *c->p == '{', depth);
	case '"':
		return scan_string(c);
	case 't':
		return scan_word(c, "true");
	case 'f':
		return scan_word(c, "false");
	case 'n':
		return scan_word(c, "null");
	default:
		return scan_number(c);
	}
}

int
json_check(struct span text, struct span *value)
{
	struct cursor c = {text.p, text.p + text.n};

	if (text.n == 0 || !span_is_text(text))
		return -EBADMSG;
	skip_space(&c);
	const uint8_t *start = c.p;
	if (!scan_value(&c, 0))
		return -EBADMSG;
	*value = span_of(start, (size_t)(c.p - start));
	skip_space(&c);
	return c.p == c.end ? 0 : -EBADMSG;
}

struct json_iter
json_iter(struct span container)
{
	enum json_type t = json_type(container);
	if (t != JSON_ARRAY && t != JSON_OBJECT)
		return (struct json_iter){span_of("", 0)};
	return (struct json_iter){span_from(container, 1)};
}

/* ---- walking what has been checked: only ends are looked for ---- */

/* A quote ends the string unless it is escaped: an odd number of backslashes before it.
 */
static void
pass_string(struct cursor *c)
{
	const uint8_t *start = c->p++, *quote;

	while ((quote = memchr(c->p, '"', (size_t)(c->end - c->p)))) {
		const uint8_t *p = quote;
		while (p[-1] == '\\' && p - 1 > start)
			p--;
		c->p = quote + 1;
		if ((quote - p) % 2 == 0)
			return;
	}
	c->p = c->end;
}

static void
pass_container(struct cursor *c)
{
	unsigned depth = 0;

	while (c->p < c->end) {
		switch (*c->p) {
		case '"':
			pass_string(c);
			continue;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			depth--;
			break;
		}
		c->p++;
		if (!depth)
			return;
	}
}

static void
pass_word(struct cursor *c)
{
	while (c->p<c->end && * c->p> ' ' && *c->p != ',' && *c->p != '}' && *c->p != ']')
		c->p++;
}

/* A bracket that closes is no value. */
static bool
next_value(struct cursor *c, struct span *value)
{
	skip_space(c);
	const uint8_t *start = c->p;
	if (start == c->end)
		return false;
	switch (*start) {
	case '}':
	case ']':
		return false;
	case '"':
		pass_string(c);
		break;
	case '{':
	case '[':
		pass_container(c);
		break;
	default:
		pass_word(c);
	}
	*value = span_of(start, (size_t)(c->p - start));
	return true;
}

bool
json_next(struct json_iter *it, struct span *value)
{
	struct cursor c = {it->rest.p, it->rest.p + it->rest.n};

	if (!next_value(&c, value))
		return false;
	skip_space(&c);
	take(&c, ',');
	it->rest = span_of(c.p, (size_t)(c.end - c.p));
	return true;
}

bool
json_enter(const struct json_iter *it, struct json_iter *object)
{
	struct cursor c = {it->rest.p, it->rest.p + it->rest.n};

	skip_space(&c);
	if (c.p == c.end || *c.p != '{')
		return false;
	*object = json_iter(span_of(c.p, (size_t)(c.end - c.p)));
	return true;
}

struct span
json_leave(struct json_iter *it, const struct json_iter *object)
{
	struct cursor c = {it->rest.p, it->rest.p + it->rest.n};
	struct cursor end = {object->rest.p, c.end};

	skip_space(&c);
	skip_space(&end);
	take(&end, '}');
	struct span raw = span_of(c.p, (size_t)(end.p - c.p));
	skip_space(&end);
	take(&end, ',');
	it->rest = span_of(end.p, (size_t)(end.end - end.p));
	return raw;
}

bool
json_next_member(struct json_iter *it, struct span *key, struct span *value)
{
	struct cursor c = {it->rest.p, it->rest.p + it->rest.n};

	if (!next_value(&c, key))
		return false;
	skip_space(&c);
	if (!take(&c, ':') || !next_value(&c, value))
		return false;
	skip_space(&c);
	take(&c, ',');
	it->rest = span_of(c.p, (size_t)(c.end - c.p));
	return true;
}

static uint32_t
hex4(const uint8_t *p)
{
	uint32_t v = 0;
	for (int i = 0; i < 4; i++)
		v = v << 4 | (uint32_t)hex_value(p[i]);
	return v;
}

static size_t
put_utf8(uint32_t u, uint8_t *dst)
{
	if (u < 0x80) {
		dst[0] = (uint8_t)u;
		return 1;
	}
	if (u < 0x800) {
		dst[0] = (uint8_t)(0xc0 | u >> 6);
		dst[1] = (uint8_t)(0x80 | (u & 0x3f));
		return 2;
	}
	if (u < 0x10000) {
		dst[0] = (uint8_t)(0xe0 | u >> 12);
		dst[1] = (uint8_t)(0x80 | (u >> 6 & 0x3f));
		dst[2] = (uint8_t)(0x80 | (u & 0x3f));
		return 3;
	}
	dst[0] = (uint8_t)(0xf0 | u >> 18);
	dst[1] = (uint8_t)(0x80 | (u >> 12 & 0x3f));
	dst[2] = (uint8_t)(0x80 | (u >> 6 & 0x3f));
	dst[3] = (uint8_t)(0x80 | (u & 0x3f));
	return 4;
}

/* *p stands behind "\u"; a surrogate pair consumes the second escape too. 0 = refused. */
static size_t
decode_unicode(const uint8_t **p, const uint8_t *end, uint8_t *dst)
{
	uint32_t u = hex4(*p);
	*p += 4;
	if (u == 0 || (u >= 0xdc00 && u <= 0xdfff))
		return 0;
	if (u >= 0xd800 && u <= 0xdbff) {
		if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
			return 0;
		uint32_t low = hex4(*p + 2);
		if (low < 0xdc00 || low > 0xdfff)
			return 0;
		*p += 6;
		u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
	}
	return put_utf8(u, dst);
}

/* The next character (1 to 4 bytes) at *p, inside the quotes. Its length, 0 = refused. */
static size_t
decode_char(const uint8_t **p, const uint8_t *end, uint8_t dst[4])
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";

	if (**p != '\\') {
		dst[0] = *(*p)++;
		return 1;
	}
	uint8_t e = (*p)[1];
	*p += 2;
	if (e == 'u')
		return decode_unicode(p, end, dst);
	const char *at = strchr(from, e);
	dst[0] = at ? (uint8_t)to[at - from] : e;
	return 1;
}

ssize_t
json_decode(struct span string, uint8_t *dst)
{
	if (json_type(string) != JSON_STRING)
		return -EBADMSG;
	const uint8_t *p = string.p + 1, *end = string.p + string.n - 1;
	size_t n = 0;
	while (p < end) {
		uint8_t ch[4];
		size_t k = decode_char(&p, end, ch);
		if (!k)
			return -EBADMSG;
		memcpy(dst + n, ch, k);
		n += k;
	}
	return (ssize_t)n;
}

bool
json_string_is(struct span string, struct span text)
{
	if (json_type(string) != JSON_STRING)
		return false;
	const uint8_t *p = string.p + 1, *end = string.p + string.n - 1;
	size_t n = 0;
	while (p < end) {
		uint8_t ch[4];
		size_t k = decode_char(&p, end, ch);
		if (!k || text.n - n < k || memcmp(text.p + n, ch, k) != 0)
			return false;
		n += k;
	}
	return n == text.n;
}

struct span
json_plain(struct span string)
{
	if (json_type(string) != JSON_STRING || memchr(string.p, '\\', string.n))
		return span_of("", 0);
	return span_of(string.p + 1, string.n - 2);
}

bool
json_int64(struct span number, int64_t *v)
{
	size_t i = 0;
	bool minus = number.n && number.p[0] == '-';
	int64_t sum = 0;

	for (i = minus; i < number.n; i++) {
		if (number.p[i] < '0' || number.p[i] > '9')
			return false;
		int digit = number.p[i] - '0';
		/* Built downwards, because INT64_MIN has no positive counterpart. */
		if (__builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_sub_overflow(sum, digit, &sum))
			return false;
	}
	if (i == minus || (!minus && sum == INT64_MIN))
		return false;
	*v = minus ? sum : -sum;
	return true;
}

static const struct json_edit *
edit_for(const struct json_edit *edits, size_t n, struct span key)
{
	for (size_t i = 0; i < n; i++)
		if (json_string_is(key, span_str(edits[i].key)))
			return &edits[i];
	return NULL;
}

static void
put_member(struct buf *out, size_t start, struct span key, struct span value)
{
	if (out->n > start)
		buf_str(out, ",");
	buf_add(out, key);
	buf_str(out, ":");
	buf_add(out, value);
}

void
json_edit_object(
    struct buf *out, struct span object, const struct json_edit *edits, size_t n)
{
	struct json_iter it = json_iter(object);
	struct span key, value;
	uint32_t used = 0;

	assert(n <= 16);
	buf_str(out, "{");
	size_t start = out->n;
	while (json_next_member(&it, &key, &value)) {
		const struct json_edit *e = edit_for(edits, n, key);
		if (e)
			used |= 1u << (e - edits);
		if (!e || e->value.n)
			put_member(out, start, key, e ? e->value : value);
	}
	for (size_t i = 0; i < n; i++) {
		if (used & 1u << i || !edits[i].value.n)
			continue;
		struct buf name = {0};
		buf_json(&name, span_str(edits[i].key));
		out->bad |= name.bad;
		put_member(out, start, buf_span(&name), edits[i].value);
		buf_free(&name);
	}
	buf_str(out, "}");
}
