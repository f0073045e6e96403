#include "worker-fetch/fetch/json.h"

#include "common/base/limits.h"

uint8_t
json_peek(struct json *j)
{
	while (j->p < j->end &&
	       (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r'))
		j->p++;
	return j->p < j->end ? *j->p : 0;
}

bool
json_take(struct json *j, char c)
{
	if (json_peek(j) != (uint8_t)c)
		return false;
	j->p++;
	return true;
}

bool
json_end(struct json *j)
{
	json_peek(j);
	return j->p == j->end;
}

static bool
hex4(struct json *j, uint32_t *v)
{
	*v = 0;
	if (j->end - j->p < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		uint8_t c = *j->p++;
		uint8_t low = c | 0x20;
		if (c >= '0' && c <= '9')
			*v = *v << 4 | (uint32_t)(c - '0');
		else if (low >= 'a' && low <= 'f')
			*v = *v << 4 | (uint32_t)(low - 'a' + 10);
		else
			return false;
	}
	return true;
}

/* \uXXXX after the 'u', surrogate pairs joined, as UTF-8. 0 = refused. */
static size_t
unicode_escape(struct json *j, uint8_t out[4])
{
	uint32_t v, low;

	if (!hex4(j, &v) || v == 0 || (v >= 0xdc00 && v <= 0xdfff))
		return 0;
	if (v >= 0xd800 && v <= 0xdbff) {
		if (j->end - j->p < 6 || j->p[0] != '\\' || j->p[1] != 'u')
			return 0;
		j->p += 2;
		if (!hex4(j, &low) || low < 0xdc00 || low > 0xdfff)
			return 0;
		v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
	}
	size_t n = v < 0x80 ? 1 : v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;
	static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	for (size_t i = n; i-- > 1; v >>= 6)
		out[i] = (uint8_t)(0x80 | (v & 0x3f));
	out[0] = (uint8_t)(lead[n] | v);
	return n;
}

static size_t
escape(struct json *j, uint8_t out[4])
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

	if (j->p == j->end)
		return 0;
	uint8_t c = *j->p++;
	if (c == 'u')
		return unicode_escape(j, out);
	const char *at = c ? strchr(from, c) : NULL;
	if (!at)
		return 0;
	out[0] = (uint8_t)to[at - from];
	return 1;
}

bool
json_string(struct json *j, char *dst, size_t cap, bool *fits)
{
	size_t n = 0;

	*fits = true;
	if (!json_take(j, '"'))
		return false;
	const uint8_t *start = j->p;
	while (j->p < j->end && *j->p != '"') {
		uint8_t out[4];
		size_t len = 1;
		out[0] = *j->p++;
		if (out[0] < 0x20 || (out[0] == '\\' && !(len = escape(j, out))))
			return false;
		*fits = *fits && n + len < cap;
		if (*fits) {
			memcpy(dst + n, out, len);
			n += len;
		}
	}
	if (cap)
		dst[n] = 0;
	if (j->p == j->end)
		return false;
	j->p++;
	return span_is_text(span_of(start, (size_t)(j->p - start)));
}

static size_t
digits(struct json *j)
{
	const uint8_t *from = j->p;

	while (j->p < j->end && *j->p >= '0' && *j->p <= '9')
		j->p++;
	return (size_t)(j->p - from);
}

/* Steps over a number; *whole tells whether it is an integer. */
static bool
number(struct json *j, bool *whole)
{
	*whole = true;
	if (j->p < j->end && *j->p == '-')
		j->p++;
	const uint8_t *from = j->p;
	size_t n = digits(j);
	if (!n || (n > 1 && *from == '0'))
		return false;
	if (j->p < j->end && *j->p == '.') {
		*whole = false;
		j->p++;
		if (!digits(j))
			return false;
	}
	if (j->p < j->end && (*j->p | 0x20) == 'e') {
		*whole = false;
		j->p++;
		if (j->p < j->end && (*j->p == '+' || *j->p == '-'))
			j->p++;
		return digits(j) > 0;
	}
	return true;
}

bool
json_integer(struct json *j, int64_t *v)
{
	bool whole;

	json_peek(j);
	const uint8_t *p = j->p;
	if (!number(j, &whole) || !whole || j->p - p > 18)
		return false;
	bool minus = *p == '-';
	int64_t sum = 0;
	for (p += minus; p < j->p; p++)
		sum = sum * 10 + (*p - '0');
	*v = minus ? -sum : sum;
	return true;
}

static bool
word(struct json *j, const char *text)
{
	size_t n = strlen(text);

	if ((size_t)(j->end - j->p) < n || memcmp(j->p, text, n) != 0)
		return false;
	j->p += n;
	return true;
}

static bool
scalar(struct json *j)
{
	bool ignored;

	switch (json_peek(j)) {
	case '"':
		return json_string(j, NULL, 0, &ignored);
	case 't':
		return word(j, "true");
	case 'f':
		return word(j, "false");
	case 'n':
		return word(j, "null");
	default:
		return number(j, &ignored);
	}
}

/* Key and colon, when the value to come is a member of an object. */
static bool
key(struct json *j)
{
	bool ignored;

	return json_string(j, NULL, 0, &ignored) && json_take(j, ':');
}

bool
json_skip(struct json *j)
{
	char close[LIMIT_JSON_DEPTH];
	size_t depth = 0;

	for (;;) {
		uint8_t c = json_peek(j);
		if (c == '{' || c == '[') {
			if (depth == ARRAY_LEN(close))
				return false;
			close[depth++] = c == '{' ? '}' : ']';
			j->p++;
			if (json_take(j, close[depth - 1]))
				depth--;
			else if (c == '{' && !key(j))
				return false;
			else
				continue;
		} else if (!scalar(j)) {
			return false;
		}
		while (depth && json_take(j, close[depth - 1]))
			depth--;
		if (!depth)
			return true;
		if (!json_take(j, ',') || (close[depth - 1] == '}' && !key(j)))
			return false;
	}
}

bool
json_member(struct json *j, bool *first, char *dst, size_t cap, bool *ok)
{
	bool fits;

	*ok = false;
	if (*first ? !json_take(j, '{') : !json_take(j, ',')) {
		*ok = !*first && json_take(j, '}');
		return false;
	}
	if (*first && json_take(j, '}')) {
		*ok = true;
		return false;
	}
	*first = false;
	if (!json_string(j, dst, cap, &fits) || !json_take(j, ':'))
		return false;
	if (!fits && cap)
		dst[0] = 0;
	return true;
}
