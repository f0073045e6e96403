#include "policy/trust/policy.h"

#include "common/base/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const top_keys[] = {"default", "transports", NULL};

void
policy_free(struct policy **pp)
{
	struct policy *p = ptr_steal(pp);

	if (!p)
		return;
	jv_free(&p->root);
	free(p->scopes);
	free(p->file);
	free(p);
}

size_t
policy_scopes(const struct policy *p)
{
	return p->nscopes;
}

static int
parse_requirements(
    const struct jv *v, const char *what, struct requirements *out, struct err *e)
{
	if (jv_kind(v) != JV_ARRAY)
		return err_set(e, ERR_POLICY, "%s is not an array of requirements", what);
	if (!jv_count(v))
		return err_set(e, ERR_POLICY,
		    "%s is empty; say \"insecureAcceptAnything\" or \"reject\"", what);
	if (jv_count(v) > REQUIREMENTS)
		return err_set(e, ERR_POLICY, "%s has more than %d requirements", what,
		    REQUIREMENTS);
	for (size_t i = 0; i < jv_count(v); i++) {
		int r = requirement_parse(jv_at(v, i), what, &out->list[i], e);
		if (r)
			return r;
	}
	out->n = (unsigned)jv_count(v);
	return 0;
}

/* `*` only as the whole first label of a host: elsewhere it would never match, and the
 * reader of the file would think it does. */
static bool
scope_ok(struct span name)
{
	if (span_starts(name, "*."))
		return name.n > 2 && !memchr(name.p + 1, '*', name.n - 1) &&
		       !memchr(name.p, '/', name.n) && !memchr(name.p, ':', name.n);
	return !name.n || !memchr(name.p, '*', name.n);
}

static int
parse_scope(struct policy *p, struct span transport, struct span name, const struct jv *v,
    struct err *e)
{
	struct scope *s = &p->scopes[p->nscopes];
	char what[256], shown[150], where[64];

	snprintf(what, sizeof(what), "transports.%s.\"%s\"",
	    span_escape(transport, where, sizeof(where)),
	    span_escape(name, shown, sizeof(shown)));
	if (p->nscopes == LIMIT_POLICY_SCOPES)
		return err_set(e, ERR_POLICY, "more than %d scopes", LIMIT_POLICY_SCOPES);
	if (span_is(transport, "docker") && !scope_ok(name))
		return err_set(e, ERR_POLICY,
		    "%s can match no image: a * stands only for the first labels of a "
		    "host, as in "
		    "*.example.com, and such a scope has no port and no path",
		    what);
	s->transport = transport;
	s->name = name;
	p->nscopes++;
	return parse_requirements(v, what, &s->must, e);
}

static int
parse_transports(struct policy *p, struct err *e)
{
	struct jv_iter transports = {.object = jv_get(p->root, "transports")};
	const struct jv *v, *requirements;
	struct span transport, name;
	char shown[80];

	if (!jv_has(p->root, "transports"))
		return 0;
	if (jv_kind(transports.object) != JV_OBJECT)
		return err_set(e, ERR_POLICY, "\"transports\" is not an object");
	while (jv_next(&transports, &transport, &v)) {
		struct jv_iter scopes = {.object = v};
		if (jv_kind(v) != JV_OBJECT)
			return err_set(e, ERR_POLICY, "transports.%s is not an object",
			    span_escape(transport, shown, sizeof(shown)));
		while (jv_next(&scopes, &name, &requirements)) {
			int r = parse_scope(p, transport, name, requirements, e);
			if (r)
				return r;
		}
	}
	return 0;
}

static int
fill(struct policy *p, struct span bytes, struct err *e)
{
	if (bytes.n > LIMIT_POLICY)
		return err_set(e, ERR_POLICY, "more than %llu bytes",
		    (unsigned long long)LIMIT_POLICY);
	int r = jv_parse(bytes, "the file", &p->root, e);
	if (r)
		return r;
	if (jv_kind(p->root) != JV_OBJECT)
		return err_set(e, ERR_POLICY, "not a JSON object");
	r = jv_check_only(p->root, top_keys, "the file", e);
	if (r)
		return r;
	if (!jv_has(p->root, "default"))
		return err_set(e, ERR_POLICY, "no \"default\"");
	r = parse_requirements(
	    jv_get(p->root, "default"), "\"default\"", &p->fallback, e);
	return r ? r : parse_transports(p, e);
}

static struct policy *
policy_new(const char *file)
{
	struct policy *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->file = strdup(file);
	p->scopes = calloc(LIMIT_POLICY_SCOPES, sizeof(*p->scopes));
	if (!p->file || !p->scopes)
		policy_free(&p);
	return p;
}

int
policy_parse(struct span bytes, const char *file, struct policy **out, struct err *e)
{
	struct policy *p = policy_new(file);
	struct err why = {0};
	char shown[512];

	*out = NULL;
	int r = p ? fill(p, bytes, &why) : -ENOMEM;
	if (r == 0) {
		*out = p;
		return 0;
	}
	policy_free(&p);
	if (r == -ENOMEM)
		return err_errno(e, ENOMEM, "signature policy");
	return err_set(e, ERR_POLICY, "signature policy %s: %.400s",
	    span_escape(span_str(file), shown, sizeof(shown)), why.text);
}
