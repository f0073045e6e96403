/* What a name without a registry means: containers-registries.conf(5). */
#include "frontend/registries.h"

#include <errno.h>
#include <stdio.h>

/* The name as aliases have it: without tag and digest. It names no registry, so that its
 * first colon begins the tag. */
static struct span
name_alone(struct span name)
{
	size_t n = 0;

	while (n < name.n && name.p[n] != ':' && name.p[n] != '@')
		n++;
	return span_of(name.p, n);
}

/* "before/name", with what the person wrote behind it. */
static int
candidate_add(struct candidates *out, const char *before, struct span rest, struct err *e)
{
	char text[2 * LIMIT_NAME + 2];

	int n = snprintf(
	    text, sizeof(text), "%s%.*s", before, (int)rest.n, (const char *)rest.p);
	struct ref *ref = &out->ref[out->n];
	int r = ref_parse(span_of(text, (size_t)n), ref, e);
	if (r < 0)
		return r;
	ref_default_tag(ref);
	out->n++;
	return 0;
}

static int
by_search(
    const struct registries *r, struct span name, struct candidates *out, struct err *e)
{
	char before[LIMIT_REPOSITORY + 2];

	for (unsigned i = 0; r && i < r->n_search; i++) {
		snprintf(before, sizeof(before), "%s/", r->search[i]);
		int rc = candidate_add(out, before, name, e);
		if (rc < 0)
			return rc;
	}
	out->search_file = r && out->n ? r->search_file : NULL;
	return 0;
}

int
registries_local(const struct registries *r, struct span name, struct candidates *out)
{
	struct err ignored = {0};

	*out = (struct candidates){0};
	if (name.n > LIMIT_NAME)
		return -EINVAL;
	if (ref_names_domain(name))
		return candidate_add(out, "", name, &ignored);
	struct span alone = name_alone(name);
	const struct registry_alias *a = registries_alias(r, alone);
	if (!a)
		return by_search(r, name, out, &ignored);
	out->alias_file = a->file;
	return candidate_add(out, a->value, span_from(name, alone.n), &ignored);
}

/* ---- images that are here ---- */

/* A line more, unless it is there. What makes no name is no meaning. */
static void
meaning_add(char *dst, const char *before, struct span rest)
{
	struct candidates one = {0};
	char name[REF_TEXT + 2];

	if (candidate_add(&one, before, rest, NULL) < 0 ||
	    !ref_print_record(&one.ref[0], name))
		return;
	size_t n = strlen(dst), more = strlen(name);
	name[more++] = '\n';
	name[more] = 0;
	for (const char *at = dst; (at = strstr(at, name)); at++) {
		if (at == dst || at[-1] == '\n')
			return;
	}
	if (n + more <= LIMIT_MEANINGS_TEXT)
		memcpy(dst + n, name, more + 1);
}

char *
registries_meanings(
    const struct registries *r, struct span name, char dst[LIMIT_MEANINGS_TEXT + 1])
{
	char host[LIMIT_REPOSITORY + 2];
	struct id_prefix id;

	*dst = 0;
	if (!name.n || name.n > LIMIT_NAME || ref_names_domain(name) ||
	    (id_prefix_parse(name, &id) && id.n == ID_HEX))
		return dst;
	struct span alone = name_alone(name);
	const struct registry_alias *a = registries_alias(r, alone);
	if (a)
		meaning_add(dst, a->value, span_from(name, alone.n));
	meaning_add(dst, "localhost/", name);
	for (unsigned i = 0; r && i < r->n_search; i++) {
		snprintf(host, sizeof(host), "%s/", r->search[i]);
		meaning_add(dst, host, name);
	}
	meaning_add(dst, "docker.io/", name);
	return dst;
}

/* ---- refusals ---- */

/* "a/x:1, b/x:1": as many as find room. */
static void
candidates_print(const struct candidates *c, char *dst, size_t cap)
{
	char text[REF_TEXT];
	size_t n = 0;

	for (unsigned i = 0; i < c->n; i++) {
		const char *one = ref_print(&c->ref[i], text);
		if (n + strlen(one) + 32 > cap) {
			snprintf(dst + n, cap - n, " and %u more", c->n - i);
			return;
		}
		n += (size_t)snprintf(dst + n, cap - n, "%s%s", i ? ", " : "", one);
	}
}

static int
refuse_ambiguous(struct span name, const struct candidates *c, struct err *e)
{
	char list[500], repository[REF_TEXT], shown[200];
	struct span alone = name_alone(name);

	candidates_print(c, list, sizeof(list));
	return err_set(e, ERR_USAGE,
	    "%s may be any of %s, and short-name-mode is \"enforcing\": write the whole "
	    "name, or add a line such as \"%.*s\" = \"%s\" to [aliases] in %.300s",
	    span_escape(name, shown, sizeof(shown)), list, (int)alone.n,
	    (const char *)alone.p, ref_print_repository(&c->ref[0], repository),
	    c->search_file);
}

static int
refuse_unknown(const struct registries *r, struct span name, struct err *e)
{
	char shown[200];
	struct span alone = name_alone(name);
	const char *file = r && r->search_file ? r->search_file
			   : r && r->n_files   ? r->files[0]
					       : NULL;

	return err_set(e, ERR_USAGE,
	    "%s names no registry, has no alias, and %.300s%s: write the whole name, as "
	    "in "
	    "docker.io/library/%.*s, or add an alias to [aliases] there",
	    span_escape(name, shown, sizeof(shown)),
	    file ? file : "there is no registries.conf",
	    file ? " lists no unqualified-search-registries" : "", (int)alone.n,
	    (const char *)alone.p);
}

int
registries_candidates(
    const struct registries *r, struct span name, struct candidates *out, struct err *e)
{
	struct ref ref;

	/* What it is by itself: the reason of a refusal is about what the person wrote.
	 */
	int rc = ref_parse(name, &ref, e);
	if (rc < 0)
		return rc;
	rc = registries_local(r, name, out);
	if (rc < 0)
		return err_set(e, ERR_USAGE,
		    "the name is too long with the registry that %s gives it",
		    out->alias_file ? out->alias_file : r->search_file);
	if (out->n == 0)
		return refuse_unknown(r, name, e);
	if (out->n > 1 && r->mode == SHORT_NAMES_ENFORCING)
		return refuse_ambiguous(name, out, e);
	return 0;
}
