#include "worker-fetch/fetch/challenge.h"

#include <stdio.h>
#include <strings.h>

enum scheme { SCHEME_OTHER, SCHEME_BASIC, SCHEME_BEARER };

struct cursor {
	const uint8_t *p, *end;
};

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* RFC 9110 5.6.2 */
static bool
is_token(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static void
skip(struct cursor *c, bool commas)
{
	while (c->p < c->end && (is_space(*c->p) || (commas && *c->p == ',')))
		c->p++;
}

static struct span
take_token(struct cursor *c)
{
	const uint8_t *from = c->p;

	while (c->p < c->end && is_token(*c->p))
		c->p++;
	return span_of(from, (size_t)(c->p - from));
}

static bool
name_is(struct span name, const char *text)
{
	return name.n == strlen(text) &&
	       strncasecmp((const char *)name.p, text, name.n) == 0;
}

static int
bad(struct err *e, const char *why)
{
	return err_set(
	    e, ERR_NETWORK, "the registry's WWW-Authenticate is refused: %s", why);
}

/* A quoted string after its opening quote, unescaped into dst. */
static int
take_quoted(struct cursor *c, char *dst, size_t cap, struct err *e)
{
	size_t n = 0;

	while (c->p < c->end && *c->p != '"') {
		if (*c->p == '\\' && ++c->p == c->end)
			break;
		if (n + 1 >= cap)
			return bad(e, "a value is too long");
		dst[n++] = (char)*c->p++;
	}
	if (c->p == c->end)
		return bad(e, "a quote is not closed");
	c->p++;
	dst[n] = 0;
	return 0;
}

static int
take_value(struct cursor *c, char *dst, size_t cap, struct err *e)
{
	skip(c, false);
	if (c->p < c->end && *c->p == '"') {
		c->p++;
		return take_quoted(c, dst, cap, e);
	}
	/* Unquoted URLs occur (realm=https://...): everything up to a comma or a space.
	 */
	const uint8_t *from = c->p;
	while (c->p < c->end && *c->p != ',' && *c->p != '"' && !is_space(*c->p))
		c->p++;
	if (c->p == from)
		return bad(e, "a parameter has no value");
	if (!span_to_str(span_of(from, (size_t)(c->p - from)), dst, cap))
		return bad(e, "a value is too long");
	return 0;
}

static int
take_param(struct challenge *out, enum scheme scheme, unsigned *seen, struct span name,
    struct cursor *c, struct err *e)
{
	static const char *const names[] = {"realm", "service", "scope"};
	char *dst[] = {out->realm, out->service, out->scope};
	const size_t cap[] = {
	    sizeof(out->realm), sizeof(out->service), sizeof(out->scope)};
	char ignored[LIMIT_URL + 1];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!name_is(name, names[i]))
			continue;
		if (*seen & (1u << i))
			return bad(e, "a parameter is given twice");
		*seen |= 1u << i;
		if (scheme == SCHEME_BEARER)
			return take_value(c, dst[i], cap[i], e);
	}
	return take_value(c, ignored, sizeof(ignored), e);
}

static int
take_scheme(struct challenge *out, struct span name, enum scheme *scheme, struct err *e)
{
	if (name_is(name, "bearer")) {
		if (out->bearer)
			return bad(e, "it asks for two bearer tokens");
		*scheme = SCHEME_BEARER;
		out->bearer = true;
	} else if (name_is(name, "basic")) {
		*scheme = SCHEME_BASIC;
		out->basic = true;
	} else {
		*scheme = SCHEME_OTHER;
		span_escape(name, out->other, sizeof(out->other));
	}
	return 0;
}

/* After a scheme comes "token68", "name = value", or nothing; only '=' tells the next
 * scheme's name from a parameter's (RFC 9110 11.6.1), and "==" ends a token68, which we
 * do not use. */
static bool
is_param(struct cursor c)
{
	skip(&c, false);
	if (c.p == c.end || *c.p != '=')
		return false;
	do
		c.p++;
	while (c.p < c.end && *c.p == '=');
	bool more = c.p[-1] != '=' || c.p[-2] != '=';
	skip(&c, false);
	return more && c.p < c.end && *c.p != ',';
}

/* The slash is no token character but one of token68's: jump over the rest of such a
 * word. */
static void
skip_token68(struct cursor *c)
{
	while (c->p < c->end && (is_token(*c->p) || *c->p == '/' || *c->p == '='))
		c->p++;
}

int
challenge_add(struct challenge *out, struct span value, struct err *e)
{
	struct cursor c = {value.p, value.p + value.n};
	enum scheme scheme = SCHEME_OTHER;
	unsigned seen = 0;
	bool any = false, after_scheme = false;

	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] != '\t' && (value.p[i] < 0x20 || value.p[i] > 0x7e))
			return bad(e, "it holds a byte outside printable ASCII");
	}
	for (skip(&c, true); c.p < c.end; skip(&c, true)) {
		struct span name = take_token(&c);
		int r = 0;
		if (!name.n && !(after_scheme && *c.p == '/'))
			return bad(e, "its form is none of RFC 9110's");
		if (is_param(c)) {
			if (!any)
				return bad(e, "a parameter comes before any scheme");
			skip(&c, false);
			c.p++;
			r = take_param(out, scheme, &seen, name, &c, e);
			after_scheme = false;
		} else if (after_scheme && (c.p == c.end || !is_space(*c.p))) {
			skip_token68(&c);
			after_scheme = false;
		} else {
			r = take_scheme(out, name, &scheme, e);
			after_scheme = c.p < c.end && is_space(*c.p);
			seen = 0;
			any = true;
		}
		if (r < 0)
			return r;
	}
	return any ? 0 : bad(e, "it is empty");
}

bool
challenge_scope(const char *repository, char *dst, size_t cap)
{
	int n = snprintf(dst, cap, "repository:%s:pull", repository);
	return n > 0 && (size_t)n < cap;
}
