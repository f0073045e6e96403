#include "worker-fetch/fetch/body.h"

#include "worker-fetch/fetch/json.h"

#define EXPIRES_LEAST 60
#define EXPIRES_MOST 86400

bool
header_safe(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < 0x21 || s.p[i] > 0x7e)
			return false;
	}
	return s.n > 0;
}

static int
bad_token(struct err *e, const char *why)
{
	return err_set(e, ERR_AUTH, "the token server's answer is refused: %s", why);
}

/* One of the two members that may carry the token; null and "" count as absent. */
static int
take_token(struct json *j, struct token_answer *t, struct err *e)
{
	char text[LIMIT_SECRET + 1];
	bool fits;

	if (json_peek(j) == 'n')
		return json_skip(j) ? 0 : bad_token(e, "it is not JSON");
	if (!json_string(j, text, sizeof(text), &fits))
		return bad_token(e, "the token is not a string");
	if (!fits)
		return bad_token(e, "the token is longer than 16 KiB");
	if (!*text)
		return 0;
	if (!header_safe(span_str(text)))
		return bad_token(e, "the token holds bytes that a header must not");
	if (*t->token && strcmp(t->token, text) != 0)
		return bad_token(e, "token and access_token disagree");
	memcpy(t->token, text, strlen(text) + 1);
	return 0;
}

static int
take_expires(struct json *j, struct token_answer *t, struct err *e)
{
	int64_t v;
	struct json at = *j;

	if (!json_integer(&at, &v))
		return json_skip(j) ? 0 : bad_token(e, "it is not JSON");
	*j = at;
	if (v > EXPIRES_MOST)
		v = EXPIRES_MOST;
	t->expires = v < EXPIRES_LEAST ? EXPIRES_LEAST : (unsigned)v;
	return 0;
}

int
token_scan(struct span body, struct token_answer *t, struct err *e)
{
	static const char *const known[] = {"token", "access_token", "expires_in"};
	struct json j = json_of(body);
	bool first = true, ok;
	unsigned seen = 0;
	char key[32];

	memset(t, 0, sizeof(*t));
	t->expires = EXPIRES_LEAST;
	if (body.n > LIMIT_TOKEN_BODY)
		return bad_token(e, "it is longer than 1 MiB");
	while (json_member(&j, &first, key, sizeof(key), &ok)) {
		size_t i = 0;
		while (i < ARRAY_LEN(known) && strcmp(key, known[i]) != 0)
			i++;
		if (i < ARRAY_LEN(known) && (seen & (1u << i)))
			return bad_token(e, "a member is given twice");
		seen |= 1u << i;
		int r = 0;
		if (i < 2)
			r = take_token(&j, t, e);
		else if (i == 2)
			r = take_expires(&j, t, e);
		else if (!json_skip(&j))
			r = bad_token(e, "it is not JSON");
		if (r < 0)
			return r;
	}
	if (!ok || !json_end(&j))
		return bad_token(e, "it is not one JSON object");
	return *t->token ? 0 : bad_token(e, "it holds no token");
}

/* errors[0] with the cursor at its '{'. */
static void
scan_first_error(struct json *j, struct error_answer *out)
{
	char key[16], text[512];
	bool first = true, ok, fits;

	while (json_member(j, &first, key, sizeof(key), &ok)) {
		bool code = strcmp(key, "code") == 0;
		if (!code && strcmp(key, "message") != 0) {
			if (!json_skip(j))
				return;
			continue;
		}
		if (json_peek(j) != '"' || !json_string(j, text, sizeof(text), &fits))
			return;
		if (code)
			span_escape(span_str(text), out->code, sizeof(out->code));
		else
			span_escape(span_str(text), out->message, sizeof(out->message));
	}
}

static void
scan_errors(struct span body, struct error_answer *out)
{
	struct json j = json_of(body);
	char key[16];
	bool first = true, ok;

	while (json_member(&j, &first, key, sizeof(key), &ok)) {
		if (strcmp(key, "errors") == 0) {
			if (json_take(&j, '[') && json_peek(&j) == '{')
				scan_first_error(&j, out);
			return;
		}
		if (!json_skip(&j))
			return;
	}
}

void
error_scan(struct span body, struct error_answer *out)
{
	memset(out, 0, sizeof(*out));
	scan_errors(body, out);
	if (*out->code || *out->message)
		return;
	/* Proxies and plain servers answer text; pages of HTML tell a person nothing. */
	size_t n = 0;
	while (n < body.n && n < 200 && body.p[n] != '\n' && body.p[n] != '\r')
		n++;
	if (n && body.p[0] != '<' && body.p[0] != '{' && body.p[0] != '[')
		span_escape(span_of(body.p, n), out->message, sizeof(out->message));
}

size_t
base64_encode(struct span s, char *dst)
{
	static const char digit[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t out = 0;

	for (size_t i = 0; i < s.n; i += 3) {
		size_t left = s.n - i;
		uint32_t v = (uint32_t)s.p[i] << 16;
		v |= left > 1 ? (uint32_t)s.p[i + 1] << 8 : 0;
		v |= left > 2 ? s.p[i + 2] : 0;
		dst[out++] = digit[v >> 18];
		dst[out++] = digit[v >> 12 & 63];
		dst[out++] = left > 1 ? digit[v >> 6 & 63] : '=';
		dst[out++] = left > 2 ? digit[v & 63] : '=';
	}
	dst[out] = 0;
	return out;
}

bool
basic_authorization(struct span user_password, char *dst, size_t cap)
{
	for (size_t i = 0; i < user_password.n; i++) {
		/* RFC 7617 2: no control characters. */
		if (user_password.p[i] < 0x20 || user_password.p[i] == 0x7f)
			return false;
	}
	if (!user_password.n || cap < 6 + 4 * ((user_password.n + 2) / 3) + 1 ||
	    !memchr(user_password.p, ':', user_password.n))
		return false;
	memcpy(dst, "Basic ", 6);
	base64_encode(user_password, dst + 6);
	return true;
}
