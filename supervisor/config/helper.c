/* What a credential helper wrote: docker-credential-helpers' protocol of `get`. */
#include "supervisor/config/read.h"

#include "common/base/limits.h"
#include "common/json/tree.h"

#include <errno.h>
#include <stdio.h>

static const char *const keys[] = {"ServerURL", "Username", "Secret", NULL};

/* The user's name that says the secret is an identity token. */
#define TOKEN_USER "<token>"

/* It knows nobody there: what the helpers' own library says then. */
static const char *const unknown[] = {
    "credentials not found in native keychain", "credentials not found"};

static struct span
trimmed(struct span text)
{
	while (text.n && text.p[0] <= 0x20)
		text = span_from(text, 1);
	while (text.n && text.p[text.n - 1] <= 0x20)
		text.n--;
	return text;
}

/* On its way to people it is escaped more than once: nothing is left of it that would
 * grow. */
static const char *
plain(struct span text, char *dst, size_t cap)
{
	size_t n = text.n < cap - 1 ? text.n : cap - 1;

	for (size_t i = 0; i < n; i++) {
		uint8_t c = text.p[i];
		dst[i] = c < 0x20 || c > 0x7e || c == '\\' ? '?' : (char)c;
	}
	dst[n] = 0;
	return dst;
}

static int
give_basic(struct reading *r, struct span user, struct span password)
{
	uint8_t both[LIMIT_SECRET];

	if (memchr(user.p, ':', user.n))
		return reading_refuse(r, 0, "its Username holds a colon");
	if (user.n + 1 + password.n > sizeof(both))
		return reading_refuse(r, 0, "its Secret is too long");
	memcpy(both, user.p, user.n);
	both[user.n] = ':';
	if (password.n)
		memcpy(both + user.n + 1, password.p, password.n);
	int ret = r->sink->secret(r->sink->arg, span_str("helper"), SECRET_BASIC,
	    span_of(both, user.n + 1 + password.n));
	explicit_bzero(both, sizeof(both));
	return ret;
}

static int
give(struct reading *r, struct span user, struct span secret)
{
	if (!span_is(user, TOKEN_USER))
		return user.n ? give_basic(r, user, secret) : 0;
	if (!secret.n || secret.n > LIMIT_SECRET)
		return reading_refuse(r, 0, "its Secret is empty or too long");
	return r->sink->secret(r->sink->arg, span_str("helper"), SECRET_IDENTITY, secret);
}

int
helper_read(struct reading *r, struct span bytes)
{
	CLEANUP(jv_free) struct jv *root = NULL;
	struct err why = {0};

	int ret = jv_parse(bytes, "its answer", &root, &why);
	if (ret == -ENOMEM)
		return ret;
	/* Not the parser's words: they quote, and what they quote may be the secret. */
	if (ret || jv_kind(root) != JV_OBJECT ||
	    jv_check_case(root, keys, "answer", &why))
		return reading_refuse(
		    r, 0, "its answer is not the JSON object it should be");
	const struct jv *user = jv_get(root, "Username"),
			*secret = jv_get(root, "Secret");
	if (jv_kind(user) != JV_TEXT || jv_kind(secret) != JV_TEXT)
		return reading_refuse(r, 0, "its answer lacks Username or Secret");
	return give(r, jv_text(user), jv_text(secret));
}

int
helper_error_read(struct reading *r, struct span bytes)
{
	struct span text = trimmed(bytes);
	char shown[300];

	for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
		if (span_is(text, unknown[i]))
			return 0;
	}
	const uint8_t *end = text.n ? memchr(text.p, '\n', text.n) : NULL;
	if (end)
		text.n = (size_t)(end - text.p);
	/* A helper may fail after it has written what it should. */
	if (!text.n || memchr(text.p, '{', text.n))
		return reading_refuse(r, 0, "it failed and does not say why");
	return reading_refuse(r, 0, "it failed: %s", plain(text, shown, sizeof(shown)));
}
