#include "policy/trust/policy.h"

#define KEY_SOURCES_SIGNED_BY "keyPath", "keyPaths", "keyData"
#define KEY_SOURCES_SIGSTORE "keyPath", "keyPaths", "keyData", "keyDatas", "fulcio", "pki"

static const char *const types[] = {[REQUIRE_REJECT] = "reject",
    [REQUIRE_NOTHING] = "insecureAcceptAnything",
    [REQUIRE_SIGNED_BY] = "signedBy",
    [REQUIRE_SIGSTORE] = "sigstoreSigned"};

const char *
requirement_name(enum requirement r)
{
	return types[r];
}

/* The type of an object in *type (one of `known`, NULL-terminated), by its index. */
static int
find_type(const struct jv *v, const char *const *known, size_t n, const char *what,
    size_t *out, struct err *e)
{
	const struct jv *type = jv_get(v, "type");
	char shown[80];

	if (jv_kind(v) != JV_OBJECT)
		return err_set(e, ERR_POLICY, "%s is not an object", what);
	if (jv_kind(type) != JV_TEXT)
		return err_set(e, ERR_POLICY, "%s has no type", what);
	for (size_t i = 0; i < n; i++) {
		if (!span_is(jv_text(type), known[i]))
			continue;
		*out = i;
		return 0;
	}
	return err_set(e, ERR_POLICY, "%s has the unknown type \"%s\"", what,
	    span_escape(jv_text(type), shown, sizeof(shown)));
}

/* Each present member is a non-empty text. */
static int
check_texts(const struct jv *v, const char *const *keys, const char *what, struct err *e)
{
	for (; *keys; keys++) {
		const struct jv *member = jv_get(v, *keys);
		if (!jv_has(v, *keys))
			continue;
		if (jv_kind(member) != JV_TEXT || !jv_text(member).n)
			return err_set(
			    e, ERR_POLICY, "%s: %s is not a text", what, *keys);
	}
	return 0;
}

/* Each present member is a non-empty array of non-empty texts. */
static int
check_lists(const struct jv *v, const char *const *keys, const char *what, struct err *e)
{
	for (; *keys; keys++) {
		const struct jv *list = jv_get(v, *keys);
		if (!jv_has(v, *keys))
			continue;
		if (jv_kind(list) != JV_ARRAY || !jv_count(list))
			return err_set(
			    e, ERR_POLICY, "%s: %s is not a list", what, *keys);
		for (size_t i = 0; i < jv_count(list); i++) {
			const struct jv *item = jv_at(list, i);
			if (jv_kind(item) != JV_TEXT || !jv_text(item).n)
				return err_set(e, ERR_POLICY, "%s: %s[%zu] is not a text",
				    what, *keys, i);
		}
	}
	return 0;
}

static int
exactly_one(const struct jv *v, const char *const *keys, const char *what, struct err *e)
{
	const char *first = *keys;
	unsigned n = 0;

	for (; *keys; keys++)
		n += jv_has(v, *keys);
	if (n == 1)
		return 0;
	return err_set(e, ERR_POLICY, "%s: %s of the sources of keys (%s ...), not one",
	    what, n ? "several" : "none", first);
}

static int
at_most_one(const struct jv *v, const char *const *keys, const char *what, struct err *e)
{
	unsigned n = 0;

	for (const char *const *k = keys; *k; k++)
		n += jv_has(v, *k);
	if (n <= 1)
		return 0;
	return err_set(e, ERR_POLICY, "%s: more than one of %s ...", what, keys[0]);
}

/* Every key of `must` is there as a text, and no other but "type". */
static int
check_identity(const struct jv *requirement, const char *what, struct err *e)
{
	static const char *const kinds[] = {"matchExact", "matchRepoDigestOrExact",
	    "matchRepository", "exactReference", "exactRepository", "remapIdentity"};
	static const char *const keys[][4] = {{"type"}, {"type"}, {"type"},
	    {"type", "dockerReference"}, {"type", "dockerRepository"},
	    {"type", "prefix", "signedPrefix"}};
	const struct jv *v = jv_get(requirement, "signedIdentity");
	size_t kind;

	if (!jv_has(requirement, "signedIdentity"))
		return 0;
	int r = find_type(v, kinds, ARRAY_LEN(kinds), what, &kind, e);
	if (!r)
		r = jv_check_only(v, keys[kind], what, e);
	for (size_t i = 0; !r && keys[kind][i]; i++) {
		if (!jv_has(v, keys[kind][i]))
			return err_set(e, ERR_POLICY, "%s: signedIdentity has no %s",
			    what, keys[kind][i]);
	}
	return r ? r : check_texts(v, keys[kind], what, e);
}

static int
check_signed_by(const struct jv *v, const char *what, struct err *e)
{
	static const char *const keys[] = {
	    "type", "keyType", KEY_SOURCES_SIGNED_BY, "signedIdentity", NULL};
	static const char *const sources[] = {KEY_SOURCES_SIGNED_BY, NULL};
	static const char *const texts[] = {"keyPath", "keyData", NULL};
	static const char *const lists[] = {"keyPaths", NULL};
	const struct jv *type = jv_get(v, "keyType");

	int r = jv_check_only(v, keys, what, e);
	if (!r)
		r = exactly_one(v, sources, what, e);
	if (!r)
		r = check_texts(v, texts, what, e);
	if (!r)
		r = check_lists(v, lists, what, e);
	if (!r && (jv_kind(type) != JV_TEXT || !span_is(jv_text(type), "GPGKeys")))
		r = err_set(e, ERR_POLICY, "%s: keyType is not \"GPGKeys\"", what);
	return r ? r : check_identity(v, what, e);
}

/* fulcio and pki: a known set of texts and lists. */
static int
check_authority(const struct jv *v, const char *name, const char *const *keys,
    const char *what, struct err *e)
{
	const struct jv *o = jv_get(v, name);
	struct jv_iter it = {.object = o};
	const struct jv *value;
	struct span key;

	if (!jv_has(v, name))
		return 0;
	if (jv_kind(o) != JV_OBJECT || !jv_count(o))
		return err_set(
		    e, ERR_POLICY, "%s: %s is not an object with members", what, name);
	while (jv_next(&it, &key, &value)) {
		if (jv_kind(value) != JV_TEXT || !jv_text(value).n)
			return err_set(e, ERR_POLICY, "%s: a member of %s is not a text",
			    what, name);
	}
	return jv_check_only(o, keys, what, e);
}

static int
check_sigstore(const struct jv *v, const char *what, struct err *e)
{
	static const char *const keys[] = {"type", KEY_SOURCES_SIGSTORE,
	    "rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData",
	    "rekorPublicKeyDatas", "signedIdentity", NULL};
	static const char *const sources[] = {KEY_SOURCES_SIGSTORE, NULL};
	static const char *const rekor[] = {"rekorPublicKeyPath", "rekorPublicKeyPaths",
	    "rekorPublicKeyData", "rekorPublicKeyDatas", NULL};
	static const char *const texts[] = {
	    "keyPath", "keyData", "rekorPublicKeyPath", "rekorPublicKeyData", NULL};
	static const char *const lists[] = {
	    "keyPaths", "keyDatas", "rekorPublicKeyPaths", "rekorPublicKeyDatas", NULL};
	static const char *const fulcio[] = {
	    "caPath", "caData", "oidcIssuer", "subjectEmail", NULL};
	static const char *const pki[] = {"caRootsPath", "caRootsData",
	    "caIntermediatesPath", "caIntermediatesData", "subjectEmail",
	    "subjectHostname", NULL};

	int r = jv_check_only(v, keys, what, e);
	if (!r)
		r = exactly_one(v, sources, what, e);
	if (!r)
		r = at_most_one(v, rekor, what, e);
	if (!r)
		r = check_texts(v, texts, what, e);
	if (!r)
		r = check_lists(v, lists, what, e);
	if (!r)
		r = check_authority(v, "fulcio", fulcio, what, e);
	if (!r)
		r = check_authority(v, "pki", pki, what, e);
	return r ? r : check_identity(v, what, e);
}

int
requirement_parse(
    const struct jv *v, const char *what, enum requirement *out, struct err *e)
{
	static const char *const type_only[] = {"type", NULL};
	size_t type = 0;

	int r = find_type(v, types, ARRAY_LEN(types), what, &type, e);
	if (r)
		return r;
	*out = (enum requirement)type;
	if (*out == REQUIRE_SIGNED_BY)
		return check_signed_by(v, what, e);
	if (*out == REQUIRE_SIGSTORE)
		return check_sigstore(v, what, e);
	return jv_check_only(v, type_only, what, e);
}
