#include "policy/trust/policy.h"

#include "common/ref/ref.h"

#include <stdio.h>

static const struct scope *
find(const struct policy *p, struct span name)
{
	for (size_t i = 0; i < p->nscopes; i++) {
		const struct scope *s = &p->scopes[i];
		if (span_is(s->transport, "docker") && span_eq(s->name, name))
			return s;
	}
	return NULL;
}

/* The repository, its parents, the host: what is left when the text is cut at each slash.
 */
static const struct scope *
find_prefix(const struct policy *p, struct span name)
{
	for (;;) {
		const struct scope *s = find(p, name);
		if (s)
			return s;
		while (name.n && name.p[name.n - 1] != '/')
			name.n--;
		if (!name.n)
			return NULL;
		name.n--;
	}
}

/* *.b.c, then *.c for the host a.b.c; the port plays no part. */
static const struct scope *
find_wildcard(const struct policy *p, const char *domain)
{
	size_t n = strcspn(domain, ":");
	char text[LIMIT_REPOSITORY + 3];

	for (size_t i = 0; i < n; i++) {
		if (domain[i] != '.')
			continue;
		int len = snprintf(text, sizeof(text), "*%.*s", (int)(n - i), domain + i);
		const struct scope *s = find(p, span_of(text, (size_t)len));
		if (s)
			return s;
	}
	return NULL;
}

/* NULL: only "default" is left. */
static const struct scope *
most_specific(const struct policy *p, struct span name, const struct ref *ref)
{
	char repository[REF_TEXT];

	const struct scope *s = find(p, name);
	if (!s)
		s = find_prefix(p, span_str(ref_print_repository(ref, repository)));
	if (!s)
		s = find_wildcard(p, ref->domain);
	return s ? s : find(p, span_str(""));
}

static void
describe(const struct policy *p, const struct scope *s, char *dst, size_t cap)
{
	char file[300], scope[300];

	span_escape(span_str(p->file), file, sizeof(file));
	if (!s) {
		snprintf(dst, cap, "%s: \"default\"", file);
		return;
	}
	span_escape(s->name, scope, sizeof(scope));
	snprintf(dst, cap, "%s: transports.docker.\"%s\"", file, scope);
}

static const char *
advice(enum requirement r)
{
	switch (r) {
	case REQUIRE_SIGNED_BY:
	case REQUIRE_SIGSTORE:
		return "this version cannot verify signatures, so it takes no image that "
		       "needs one";
	case REQUIRE_NOTHING:
	case REQUIRE_REJECT:
		break;
	}
	return "an entry for the name, its repository or its registry there would decide "
	       "otherwise";
}

/* The first requirement that does not accept; n when all do. */
static unsigned
first_refusal(const struct requirements *must)
{
	for (unsigned i = 0; i < must->n; i++) {
		if (must->list[i] != REQUIRE_NOTHING)
			return i;
	}
	return must->n;
}

void
policy_evaluate(const struct policy *p, struct span name,
    const uint8_t digest[DIGEST_BYTES], struct policy_verdict *out)
{
	char where[700], shown[300];
	struct ref ref;

	*out = (struct policy_verdict){.accept = false};
	span_escape(name, shown, sizeof(shown));
	if (!ref_is_canonical(name) || ref_parse(name, &ref, NULL)) {
		snprintf(out->text, sizeof(out->text),
		    "refused by the signature policy: \"%s\" is not a full name", shown);
		return;
	}
	const struct scope *s = most_specific(p, name, &ref);
	const struct requirements *must = s ? &s->must : &p->fallback;
	unsigned at = first_refusal(must);
	describe(p, s, where, sizeof(where));
	if (must->n && at == must->n) {
		out->accept = true;
		snprintf(out->text, sizeof(out->text),
		    "%s allows it (insecureAcceptAnything)", where);
		return;
	}
	enum requirement why = must->n ? must->list[at] : REQUIRE_REJECT;
	snprintf(out->text, sizeof(out->text),
	    "%.250s is refused by the signature policy: %.500s says %s: %s", shown, where,
	    requirement_name(why), advice(why));
}

char *
policy_explain(const struct policy *p, struct span name, char *dst, size_t cap)
{
	char where[700];
	struct ref ref;

	if (!ref_is_canonical(name) || ref_parse(name, &ref, NULL) < 0) {
		snprintf(dst, cap, "no full name: refused");
		return dst;
	}
	const struct scope *s = most_specific(p, name, &ref);
	const struct requirements *must = s ? &s->must : &p->fallback;
	describe(p, s, where, sizeof(where));
	size_t n = (size_t)snprintf(dst, cap, "%s: ", where);
	for (unsigned i = 0; i < must->n && n < cap; i++)
		n += (size_t)snprintf(dst + n, cap - n, "%s%s", i ? ", " : "",
		    requirement_name(must->list[i]));
	return dst;
}
