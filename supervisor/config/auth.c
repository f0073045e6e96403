#include "common/base/base64.h"
#include "supervisor/config/read.h"

#include "common/base/limits.h"
#include "common/json/tree.h"

#include <errno.h>
#include <stdio.h>

static const char *const top_keys[] = {"auths", "credHelpers", "credsStore", NULL};
static const char *const entry_keys[] = {"auth", "identitytoken", NULL};

static int
give_ignored(struct reading *r, struct span scope, const char *why)
{
	char text[400], shown[200];

	snprintf(text, sizeof(text), "auths.\"%s\": %s",
	    span_escape(scope, shown, sizeof(shown)), why);
	return r->sink->row(r->sink->arg, "ignored", span_str(text));
}

/* Printable and without blanks: it is compared with hosts and repositories only. */
static bool
scope_ok(struct span scope)
{
	for (size_t i = 0; i < scope.n; i++) {
		if (scope.p[i] <= 0x20 || scope.p[i] >= 0x7f)
			return false;
	}
	return scope.n >= 1 && scope.n <= CONFIG_SCOPE;
}

/* base64 of "user:password"; old programs left NULs after the password. */
static int
give_basic(struct reading *r, struct span scope, struct span text)
{
	uint8_t secret[LIMIT_SECRET];

	ssize_t n = base64_decode(text, secret, sizeof(secret));
	while (n > 0 && secret[n - 1] == 0)
		n--;
	const uint8_t *colon = n > 0 ? memchr(secret, ':', (size_t)n) : NULL;
	int ret;
	if (n < 0)
		ret = give_ignored(r, scope, "auth is not base64, or too long");
	else if (!colon || colon == secret)
		ret = give_ignored(r, scope, "auth is not user:password");
	else
		ret = r->sink->secret(
		    r->sink->arg, scope, SECRET_BASIC, span_of(secret, (size_t)n));
	explicit_bzero(secret, sizeof(secret));
	return ret;
}

static int
read_entry(struct reading *r, struct span scope, const struct jv *entry)
{
	const struct jv *basic = jv_get(entry, "auth"),
			*token = jv_get(entry, "identitytoken");
	struct err why = {0};

	if (jv_kind(entry) != JV_OBJECT)
		return give_ignored(r, scope, "not an object");
	if (jv_check_case(entry, entry_keys, "entry", &why))
		return give_ignored(r, scope, why.text);
	if (!scope_ok(scope))
		return give_ignored(r, scope, "not host[:port][/path]");
	if (jv_kind(token) == JV_TEXT && jv_text(token).n) {
		if (jv_text(token).n > LIMIT_SECRET)
			return give_ignored(r, scope, "identitytoken is too long");
		return r->sink->secret(
		    r->sink->arg, scope, SECRET_IDENTITY, jv_text(token));
	}
	if (jv_kind(basic) == JV_TEXT && jv_text(basic).n)
		return give_basic(r, scope, jv_text(basic));
	/* `{}` is what a credential helper leaves behind. */
	if ((basic && jv_kind(basic) != JV_TEXT) || (token && jv_kind(token) != JV_TEXT))
		return give_ignored(r, scope, "neither auth nor identitytoken is a text");
	return 0;
}

static int
read_auths(struct reading *r, const struct jv *auths)
{
	struct jv_iter it = {.object = auths};
	const struct jv *entry;
	struct span scope;

	if (jv_kind(auths) != JV_OBJECT && auths)
		return reading_refuse(r, 0, "auths is not an object");
	while (jv_next(&it, &scope, &entry)) {
		int ret = read_entry(r, scope, entry);
		if (ret)
			return ret;
	}
	return 0;
}

static int
read_helpers(struct reading *r, const struct jv *helpers)
{
	struct jv_iter it = {.object = helpers};
	const struct jv *name;
	struct span scope;
	char text[CONFIG_SCOPE + 80];

	if (jv_kind(helpers) != JV_OBJECT && helpers)
		return reading_refuse(r, 0, "credHelpers is not an object");
	while (jv_next(&it, &scope, &name)) {
		if (jv_kind(name) != JV_TEXT || jv_text(name).n > 64 ||
		    !scope_ok(scope) || !scope_ok(jv_text(name)))
			return reading_refuse(
			    r, 0, "an entry of credHelpers is not a name");
		int n = snprintf(text, sizeof(text), "%.*s\t%.*s", (int)scope.n,
		    (const char *)scope.p, (int)jv_text(name).n,
		    (const char *)jv_text(name).p);
		int ret =
		    r->sink->row(r->sink->arg, "cred_helper", span_of(text, (size_t)n));
		if (ret)
			return ret;
	}
	return 0;
}

static int
read_store(struct reading *r, const struct jv *store)
{
	if (!store)
		return 0;
	if (jv_kind(store) != JV_TEXT || jv_text(store).n > 64)
		return reading_refuse(r, 0, "credsStore is not a name");
	if (!jv_text(store).n)
		return 0;
	if (!scope_ok(jv_text(store)))
		return reading_refuse(r, 0, "credsStore is not a name");
	return r->sink->row(r->sink->arg, "creds_store", jv_text(store));
}

static int
read_object(struct reading *r, struct span bytes, struct jv **root)
{
	struct err why = {0};

	int ret = jv_parse(bytes, "credentials", root, &why);
	if (!ret && jv_kind(*root) != JV_OBJECT)
		return reading_refuse(r, 0, "not a JSON object");
	return ret && ret != -ENOMEM ? reading_refuse(r, 0, "%.700s", why.text) : ret;
}

int
dockercfg_read(struct reading *r, struct span bytes)
{
	CLEANUP(jv_free) struct jv *root = NULL;
	int ret = read_object(r, bytes, &root);

	return ret ? ret : read_auths(r, root);
}

int
auth_read(struct reading *r, struct span bytes)
{
	CLEANUP(jv_free) struct jv *root = NULL;
	struct err why = {0};

	int ret = read_object(r, bytes, &root);
	if (ret)
		return ret;
	if (jv_check_case(root, top_keys, "credentials", &why))
		return reading_refuse(r, 0, "%.700s", why.text);
	ret = read_auths(r, jv_get(root, "auths"));
	if (!ret)
		ret = read_helpers(r, jv_get(root, "credHelpers"));
	return ret ? ret : read_store(r, jv_get(root, "credsStore"));
}
