#include "frontend/registries.h"

#include "frontend/insecure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct registry_mirror {
	char *location;
	unsigned flags;
};

struct registry_table {
	char *prefix, *location; /* location "": only with a star, nothing is rewritten */
	unsigned flags;
	const char *file;
	struct registry_mirror *mirrors;
	unsigned n_mirrors;
};

struct registry_rule {
	char *name, *key;
	unsigned flags;
};

struct registries *
registries_new(void)
{
	struct registries *r = calloc(1, sizeof(*r));

	if (r)
		r->refs = 1;
	return r;
}

struct registries *
registries_ref(struct registries *r)
{
	r->refs++;
	return r;
}

static void
table_release(struct registry_table *t)
{
	for (unsigned i = 0; i < t->n_mirrors; i++)
		free(t->mirrors[i].location);
	free(t->mirrors);
	free(t->prefix);
	free(t->location);
}

void
registries_unref(struct registries *r)
{
	if (!r || --r->refs > 0)
		return;
	for (unsigned i = 0; i < r->n_tables; i++)
		table_release(&r->tables[i]);
	for (unsigned i = 0; i < r->n_aliases; i++) {
		free(r->aliases[i].name);
		free(r->aliases[i].value);
	}
	for (unsigned i = 0; i < r->n_rules; i++) {
		free(r->rules[i].name);
		free(r->rules[i].key);
	}
	for (unsigned i = 0; i < r->n_files; i++)
		free(r->files[i]);
	free(r->rules);
	free(r->tables);
	free(r->aliases);
	free(r->files);
	free(r);
}

/* ---- rows ---- */

/* Room for one more of `size` bytes behind n of them; NULL when memory is short. Grown in
 * steps of powers of two. */
static void *
grown(void *items, unsigned n, size_t size)
{
	if (n & (n - 1))
		return items;
	return realloc(items, (n ? 2 * (size_t)n : 1) * size);
}

static int
add_file(struct registries *r, struct span path)
{
	char **files = grown(r->files, r->n_files, sizeof(*files));

	if (!files)
		return -ENOMEM;
	r->files = files;
	files[r->n_files] = span_strdup(path);
	return files[r->n_files] ? (int)(r->n_files++, 0) : -ENOMEM;
}

static const char *
this_file(const struct registries *r)
{
	return r->files[r->n_files - 1];
}

/* The mirrors that follow belong to the last table: one whose prefix was there before
 * makes way for it. */
static int
add_table(struct registries *r, unsigned flags, struct span prefix, struct span location)
{
	struct registry_table new = {.flags = flags, .file = this_file(r)};

	for (unsigned i = 0; i < r->n_tables; i++) {
		if (!span_is(prefix, r->tables[i].prefix))
			continue;
		table_release(&r->tables[i]);
		r->n_tables--;
		memmove(&r->tables[i], &r->tables[i + 1],
		    (r->n_tables - i) * sizeof(*r->tables));
		break;
	}
	struct registry_table *tables = grown(r->tables, r->n_tables, sizeof(*tables));
	if (!tables)
		return -ENOMEM;
	r->tables = tables;
	new.prefix = span_strdup(prefix);
	new.location = span_strdup(location);
	tables[r->n_tables++] = new;
	return new.prefix &&new.location ? 0 : -ENOMEM;
}

static int
add_mirror(struct registries *r, unsigned flags, struct span location)
{
	struct registry_table *t = r->n_tables ? &r->tables[r->n_tables - 1] : NULL;

	if (!t || t->n_mirrors == LIMIT_MIRRORS)
		return -EPROTO;
	struct registry_mirror *mirrors =
	    grown(t->mirrors, t->n_mirrors, sizeof(*mirrors));
	if (!mirrors)
		return -ENOMEM;
	t->mirrors = mirrors;
	mirrors[t->n_mirrors] = (struct registry_mirror){span_strdup(location), flags};
	return mirrors[t->n_mirrors++].location ? 0 : -ENOMEM;
}

static int
add_search(struct registries *r, struct span host)
{
	r->search_file = this_file(r);
	if (!host.n) {
		r->n_search = 0;
		return 0;
	}
	if (r->n_search == LIMIT_SEARCH ||
	    !span_to_str(host, r->search[r->n_search], sizeof(r->search[0])))
		return -EPROTO;
	r->n_search++;
	return 0;
}

static struct registry_alias *
alias_find(const struct registries *r, struct span name)
{
	for (unsigned i = 0; i < r->n_aliases; i++) {
		if (span_is(name, r->aliases[i].name))
			return &r->aliases[i];
	}
	return NULL;
}

const struct registry_alias *
registries_alias(const struct registries *r, struct span name)
{
	const struct registry_alias *a = r ? alias_find(r, name) : NULL;

	return a && *a->value ? a : NULL;
}

static int
add_alias(struct registries *r, struct span name, struct span value)
{
	struct registry_alias *a = alias_find(r, name);
	char *copy = span_strdup(value);

	if (!copy)
		return -ENOMEM;
	if (!a) {
		a = grown(r->aliases, r->n_aliases, sizeof(*a));
		if (a)
			r->aliases = a;
		char *key = a ? span_strdup(name) : NULL;
		if (!key) {
			free(copy);
			return -ENOMEM;
		}
		a += r->n_aliases++;
		*a = (struct registry_alias){.name = key};
	}
	free(a->value);
	a->value = copy;
	a->file = this_file(r);
	return 0;
}

static int
add_rule(struct registries *r, unsigned flags, struct span name, struct span key)
{
	struct registry_rule *rules = grown(r->rules, r->n_rules, sizeof(*rules));

	if (!rules)
		return -ENOMEM;
	r->rules = rules;
	rules += r->n_rules++;
	*rules = (struct registry_rule){span_strdup(name), span_strdup(key), flags};
	return rules->name && rules->key ? 0 : -ENOMEM;
}

int
registries_add(struct registries *r, enum registry_row kind, unsigned flags,
    struct span name, struct span value)
{
	if (kind == REGISTRY_FILE)
		return add_file(r, name);
	if (kind == REGISTRY_RULE)
		return add_rule(r, flags, name, value);
	if (!r->n_files)
		return -EPROTO;
	switch (kind) {
	case REGISTRY_TABLE:
		return add_table(r, flags, name, value);
	case REGISTRY_MIRROR:
		return add_mirror(r, flags, value);
	case REGISTRY_SEARCH:
		return add_search(r, value);
	case REGISTRY_ALIAS:
		return add_alias(r, name, value);
	case REGISTRY_MODE:
		if (flags > SHORT_NAMES_DISABLED)
			return -EPROTO;
		r->mode = (enum short_name_mode)flags;
		r->mode_file = this_file(r);
		return 0;
	default:
		return -EPROTO;
	}
}

/* ---- where a name can be had ---- */

/* "*.example.com": the bytes of the name up to the end of its host, if that ends so. */
static size_t
wild_matches(const char *prefix, const char *name)
{
	size_t host = strcspn(name, ":/@"), tail = strlen(prefix) - 1;

	return host > tail && memcmp(name + host - tail, prefix + 1, tail) == 0 ? host
										: 0;
}

/* How many bytes of the name a prefix stands for; 0: it is not about it. */
static size_t
prefix_matches(const char *prefix, const char *name)
{
	size_t n = strlen(prefix);

	if (strncmp(prefix, "*.", 2) == 0)
		return wild_matches(prefix, name);
	if (strncmp(prefix, name, n) != 0)
		return 0;
	return name[n] == 0 || strchr(":/@", name[n]) ? n : 0;
}

/* The longest prefix; of two equally long ones the first in the order of their bytes, as
 * the other programs on the node have it. */
static const struct registry_table *
table_find(const struct registries *r, const char *name)
{
	const struct registry_table *best = NULL;

	for (unsigned i = 0; i < r->n_tables; i++) {
		const struct registry_table *t = &r->tables[i];
		if (!prefix_matches(t->prefix, name))
			continue;
		size_t n = strlen(t->prefix), most = best ? strlen(best->prefix) : 0;
		if (!best || n > most ||
		    (n == most && strcmp(t->prefix, best->prefix) < 0))
			best = t;
	}
	return best;
}

/* The name with the location in place of the prefix. What comes out has to be a whole
 * name by itself: a location "docker.io" is none for an image of one component, because
 * that lies in docker.io/library. */
static int
rewrite(const struct registry_table *t, const char *location, const struct ref *ref,
    struct ref *out, struct err *e)
{
	char name[REF_TEXT], text[LIMIT_NAME + REF_TEXT], back[REF_TEXT];
	struct err why = {0};

	if (!ref_print_record(ref, name))
		return err_set(e, ERR_USAGE, "the reference has neither tag nor digest");
	if (*location)
		snprintf(text, sizeof(text), "%s%s", location,
		    name + prefix_matches(t->prefix, name));
	else
		snprintf(text, sizeof(text), "%s", name);
	if (ref_parse(span_str(text), out, &why) < 0 || !ref_print_record(out, back) ||
	    strcmp(text, back) != 0)
		return err_set(e, ERR_USAGE,
		    "%s: [[registry]] \"%s\": the location \"%s\" makes \"%s\" of %s, "
		    "which is no whole reference%s%s",
		    t->file, t->prefix, location, text, name, *why.text ? ": " : "",
		    why.text);
	if (out->has_digest != ref->has_digest ||
	    (ref->has_digest &&
		memcmp(out->digest, ref->digest, sizeof(ref->digest)) != 0))
		return err_set(e, ERR_USAGE,
		    "%s: [[registry]] \"%s\": the location \"%s\" changes the digest of "
		    "%s: another digest is another image",
		    t->file, t->prefix, location, name);
	return 0;
}

static bool
mirror_takes(const struct registry_mirror *m, const struct ref *ref)
{
	return !(m->flags & (ref->has_digest ? REGISTRY_TAG_ONLY : REGISTRY_DIGEST_ONLY));
}

static int
endpoint_add(const struct registry_table *t, const char *location, unsigned flags,
    bool mirror, const struct ref *ref, struct endpoint *out, struct err *e)
{
	*out = (struct endpoint){.mirror = mirror,
	    .insecure = flags & REGISTRY_INSECURE ? INSECURE_HTTP | INSECURE_TLS : 0,
	    .file = t->file,
	    .prefix = t->prefix};
	return rewrite(t, location, ref, &out->ref, e);
}

/* By the rules of bulkhead.toml, which add up, and what is always so. */
static void
endpoint_rules(const struct registries *r, struct endpoint *at)
{
	struct ref_host host;

	if (ref_host_parse(span_str(at->ref.domain), &host, NULL) == 0 &&
	    host_is_loopback(host.host)) {
		at->insecure = INSECURE_HTTP | INSECURE_TLS;
		at->rule = host.host[0] == 'l' ? "localhost"
			   : host.ipv6	       ? "::1"
					       : "127.0.0.0/8";
		at->rule_key = "always";
	}
	for (unsigned i = 0; r && i < r->n_rules; i++) {
		const struct registry_rule *rule = &r->rules[i];
		if (!(rule->flags & ~at->insecure) ||
		    !insecure_matches(span_str(rule->name), at->ref.domain))
			continue;
		at->insecure |= rule->flags;
		at->rule = rule->name;
		at->rule_key = rule->key;
	}
}

char *
endpoint_insecure_print(const struct endpoint *at, char *dst, size_t cap)
{
	if (at->rule)
		snprintf(dst, cap, "%s: %s", at->rule_key, at->rule);
	else
		snprintf(dst, cap, "%s: [[registry]] \"%s\"", at->file ? at->file : "",
		    at->prefix ? at->prefix : "");
	return dst;
}

static int
endpoints_by_tables(const struct registries *r, const struct ref *ref,
    struct endpoint out[LIMIT_ENDPOINTS], struct err *e)
{
	char name[REF_TEXT];
	const struct registry_table *t =
	    r && ref_print_record(ref, name) ? table_find(r, name) : NULL;
	int n = 0, rc = 0;

	if (!t) {
		out[0] = (struct endpoint){.ref = *ref};
		return 1;
	}
	if (t->flags & REGISTRY_BLOCKED)
		return err_set(e, ERR_BLOCKED,
		    "%s is blocked: %s has a [[registry]] with prefix \"%s\" and blocked "
		    "= true",
		    name, t->file, t->prefix);
	for (unsigned i = 0; i < t->n_mirrors && rc == 0; i++) {
		const struct registry_mirror *m = &t->mirrors[i];
		if (mirror_takes(m, ref))
			rc = endpoint_add(
			    t, m->location, m->flags, true, ref, &out[n++], e);
	}
	if (rc == 0)
		rc = endpoint_add(t, t->location, t->flags, false, ref, &out[n++], e);
	return rc < 0 ? rc : n;
}

int
registries_endpoints(const struct registries *r, const struct ref *ref,
    struct endpoint out[LIMIT_ENDPOINTS], struct err *e)
{
	int n = endpoints_by_tables(r, ref, out, e);

	for (int i = 0; i < n; i++)
		endpoint_rules(r, &out[i]);
	return n;
}
