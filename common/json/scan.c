#include "common/json/scan.h"

#include "common/base/limits.h"

struct scan {
	struct span in;
	size_t at;
	size_t values;
	const char *what;
	struct err *e;
};

static int
refuse(struct scan *s, const char *why)
{
	size_t line = 1;

	for (size_t i = 0; i < s->at && i < s->in.n; i++)
		line += s->in.p[i] == '\n';
	return err_set(s->e, ERR_CONTENT,
	    "%s: not acceptable JSON: %s (byte %zu, line %zu)", s->what, why, s->at,
	    line);
}

static int
peek(const struct scan *s)
{
	return s->at < s->in.n ? s->in.p[s->at] : -1;
}

static void
skip_space(struct scan *s)
{
	for (int c = peek(s); c == ' ' || c == '\t' || c == '\n' || c == '\r';
	     c = peek(s))
		s->at++;
}

static bool
skip_digits(struct scan *s)
{
	size_t from = s->at;

	while (peek(s) >= '0' && peek(s) <= '9')
		s->at++;
	return s->at > from;
}

static int
scan_number(struct scan *s)
{
	bool minus = peek(s) == '-', integer = true;

	s->at += minus;
	size_t from = s->at;
	if (!skip_digits(s))
		return refuse(s, "a number has no digits");
	bool zero = s->in.p[from] == '0';
	if (zero && s->at > from + 1)
		return refuse(s, "a number starts with 0");
	if (peek(s) == '.') {
		integer = false;
		s->at++;
		if (!skip_digits(s))
			return refuse(s, "a number has no digits after the point");
	}
	if (peek(s) == 'e' || peek(s) == 'E') {
		integer = false;
		s->at++;
		s->at += peek(s) == '+' || peek(s) == '-';
		if (!skip_digits(s))
			return refuse(s, "a number has no digits in its exponent");
	}
	if (minus && zero && integer)
		return refuse(s, "-0");
	return 0;
}

/* The four hex digits after \u; -1 when there are not four. */
static int
scan_hex4(struct scan *s)
{
	int v = 0;

	for (int i = 0; i < 4; i++, s->at++) {
		int c = peek(s);
		if (c >= '0' && c <= '9')
			v = v << 4 | (c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			v = v << 4 | ((c | 32) - 'a' + 10);
		else
			return -1;
	}
	return v;
}

/* s->at is behind "\u". Adds the UTF-8 length of the code point to *n. */
static int
scan_unicode(struct scan *s, size_t *n)
{
	int v = scan_hex4(s);

	if (v < 0)
		return refuse(s, "\\u without four hex digits");
	if (v == 0)
		return refuse(s, "NUL in a string");
	if (v >= 0xd800 && v <= 0xdbff) {
		if (s->in.n - s->at < 6 || s->in.p[s->at] != '\\' ||
		    s->in.p[s->at + 1] != 'u')
			return refuse(s, "a lone surrogate");
		s->at += 2;
		int low = scan_hex4(s);
		if (low < 0xdc00 || low > 0xdfff)
			return refuse(s, "a lone surrogate");
		*n += 4;
		return 0;
	}
	if (v >= 0xdc00 && v <= 0xdfff)
		return refuse(s, "a lone surrogate");
	*n += v < 0x80 ? 1 : v < 0x800 ? 2 : 3;
	return 0;
}

/* s->at is at the opening quote. UTF-8 has been checked for the whole text. */
static int
scan_string(struct scan *s)
{
	size_t n = 0;

	s->at++;
	for (;;) {
		int c = peek(s);
		if (c < 0)
			return refuse(s, "a string has no end");
		if (c < 0x20)
			return refuse(s, "a control byte in a string");
		if (n > LIMIT_JSON_STRING)
			return refuse(s, "a string is too long");
		s->at++;
		if (c == '"')
			return 0;
		if (c != '\\') {
			n++;
			continue;
		}
		c = peek(s);
		s->at += c >= 0;
		if (c == 'u') {
			int r = scan_unicode(s, &n);
			if (r)
				return r;
		} else if (c > 0 && strchr("\"\\/bfnrt", c)) {
			n++;
		} else {
			return refuse(s, "an unknown escape in a string");
		}
	}
}

static int scan_value(struct scan *s, int depth);

/* `"key":` of one member. */
static int
scan_key(struct scan *s)
{
	if (peek(s) != '"')
		return refuse(s, "a key is not a string");
	int r = scan_string(s);
	if (r)
		return r;
	skip_space(s);
	if (peek(s) != ':')
		return refuse(s, "no colon after a key");
	s->at++;
	skip_space(s);
	return 0;
}

/* s->at is at '[' or '{'. */
static int
scan_container(struct scan *s, int depth)
{
	bool object = peek(s) == '{';
	int end = object ? '}' : ']';
	size_t keys = 0;

	if (depth >= LIMIT_JSON_DEPTH)
		return refuse(s, "nested too deep");
	s->at++;
	skip_space(s);
	if (peek(s) == end) {
		s->at++;
		return 0;
	}
	for (;;) {
		int r = 0;
		if (object && ++keys > LIMIT_JSON_KEYS)
			return refuse(s, "too many keys in one object");
		if (object)
			r = scan_key(s);
		if (!r)
			r = scan_value(s, depth + 1);
		if (r)
			return r;
		skip_space(s);
		int c = peek(s);
		if (c != ',' && c != end)
			return refuse(
			    s, object ? "an object has no end" : "an array has no end");
		s->at++;
		if (c == end)
			return 0;
		skip_space(s);
	}
}

static int
scan_word(struct scan *s, const char *word)
{
	if (!span_starts(span_from(s->in, s->at), word))
		return refuse(s, "an unknown word");
	s->at += strlen(word);
	return 0;
}

static int
scan_value(struct scan *s, int depth)
{
	int c = peek(s);

	if (++s->values > LIMIT_JSON_VALUES)
		return refuse(s, "too many values");
	if (c == '{' || c == '[')
		return scan_container(s, depth);
	if (c == '"')
		return scan_string(s);
	if (c == '-' || (c >= '0' && c <= '9'))
		return scan_number(s);
	if (c == 't')
		return scan_word(s, "true");
	if (c == 'f')
		return scan_word(s, "false");
	if (c == 'n')
		return scan_word(s, "null");
	return refuse(s, c < 0 ? "it ends where a value should be" : "no value here");
}

int
json_scan(struct span text, const char *what, struct err *e)
{
	struct scan s = {.in = text, .what = what, .e = e};

	if (span_starts(text, "\xef\xbb\xbf"))
		return refuse(&s, "a byte order mark");
	if (!span_is_text(text))
		return refuse(&s, "not UTF-8, or a NUL byte");
	skip_space(&s);
	int r = scan_value(&s, 0);
	if (r)
		return r;
	skip_space(&s);
	if (s.at != text.n)
		return refuse(&s, "something follows the value");
	return 0;
}
