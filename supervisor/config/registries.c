#include "supervisor/config/read.h"

#include "common/ref/ref.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define NOTES 8 /* of one file: a file of nothing but mistakes is not worth more */

struct place {
	char text[LIMIT_NAME + 1]; /* "" = not given */
	unsigned flags;
};

/* Every table of the file so far, for what two of them may not say of one place. */
struct seen {
	char *prefix, *location;
	unsigned flags;
};

struct state {
	struct reading *r;
	enum config_kind kind;
	bool first, second; /* keys of version 1, of version 2 were there */
	unsigned notes;
	/* The [[registry]] that is being read. */
	bool open, digests; /* digests: mirror-by-digest-only */
	unsigned line;
	struct place prefix, location;
	unsigned n_mirrors;
	struct place mirrors[LIMIT_MIRRORS];
	struct seen seen[LIMIT_REGISTRIES];
	unsigned n_seen, n_search, n_aliases;
};

/* ---- one value ---- */

/* Printable, as every name is: nothing else can be the beginning of one. */
static bool
printable(struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] <= 0x20 || text.p[i] >= 0x7f)
			return false;
	}
	return text.n <= LIMIT_NAME;
}

static int
take_place(struct state *s, const struct toml_row *row, struct place *out)
{
	struct span text = span_of(row->text, row->n);
	char shown[200];

	while (text.n && text.p[text.n - 1] == '/')
		text.n--;
	span_escape(text, shown, sizeof(shown));
	if (span_starts(text, "http://") || span_starts(text, "https://"))
		return reading_refuse(s->r, row->line,
		    "%s = \"%s\": no scheme stands before the host here (insecure = true "
		    "allows plain HTTP)",
		    row->key, shown);
	if (!printable(text) || !span_to_str(text, out->text, sizeof(out->text)))
		return reading_refuse(s->r, row->line,
		    "%s = \"%s\" is not host[:port][/path] of at most %d characters",
		    row->key, shown, LIMIT_NAME);
	return 0;
}

/* host[:port] that no reference could take for the first part of a path. */
static bool
domain_ok(struct span text, struct ref *out)
{
	char buf[LIMIT_REPOSITORY + 3];

	if (!span_to_str(text, buf, LIMIT_REPOSITORY) || memchr(text.p, '/', text.n))
		return false;
	memcpy(buf + text.n, "/x", sizeof("/x"));
	return ref_names_domain(span_str(buf)) &&
	       ref_parse(span_str(buf), out, NULL) == 0;
}

static int
give(struct state *s, enum registry_row kind, unsigned flags, const char *name,
    const char *value)
{
	return s->r->sink->registry(
	    s->r->sink->arg, kind, flags, span_str(name), span_str(value));
}

static int
note(struct state *s, const struct toml_row *row, const char *why)
{
	char text[400], shown[200];

	if (++s->notes > NOTES)
		return 0;
	snprintf(text, sizeof(text), "line %u: %s: %s", row->line,
	    span_escape(span_str(row->key), shown, sizeof(shown)), why);
	return s->r->sink->row(s->r->sink->arg, "ignored", span_str(text));
}

/* ---- [[registry]] ---- */

/* Other programs refuse these: one place cannot be both. */
static int
table_compare(struct state *s, const char *location, unsigned flags)
{
	char shown[200];

	for (unsigned i = 0; i < s->n_seen; i++) {
		const struct seen *o = &s->seen[i];
		if (strcmp(o->location, location) || o->flags == flags)
			continue;
		return reading_refuse(s->r, s->line,
		    "two [[registry]] tables lead to \"%s\", one with %s = true and one "
		    "without",
		    span_escape(span_str(location), shown, sizeof(shown)),
		    (o->flags ^ flags) & REGISTRY_BLOCKED ? "blocked" : "insecure");
	}
	return 0;
}

/* Whether the prefix is new: of two tables the first one counts. */
static int
table_remember(struct state *s, const char *prefix, const char *location, unsigned flags)
{
	bool again = false;

	for (unsigned i = 0; i < s->n_seen && !again; i++)
		again = strcmp(s->seen[i].prefix, prefix) == 0;
	if (s->n_seen == LIMIT_REGISTRIES)
		return reading_refuse(
		    s->r, s->line, "more than %d [[registry]] tables", LIMIT_REGISTRIES);
	struct seen *n = &s->seen[s->n_seen++];
	*n = (struct seen){strdup(prefix), strdup(location), flags};
	return !n->prefix || !n->location ? -ENOMEM : !again;
}

static int
table_check(struct state *s)
{
	const char *prefix = s->prefix.text, *location = s->location.text;
	bool wild = strncmp(prefix, "*.", 2) == 0;

	if (!*prefix && !*location)
		return reading_refuse(
		    s->r, s->line, "a [[registry]] has neither prefix nor location");
	if (wild && strpbrk(prefix, "/@:"))
		return reading_refuse(s->r, s->line,
		    "prefix = \"%s\": only *.host may begin with a star", prefix);
	if (!wild && !*location)
		return reading_refuse(s->r, s->line,
		    "prefix = \"%s\" has no location: add location = \"%s\" if nothing "
		    "is to be rewritten",
		    prefix, prefix);
	for (unsigned i = 0; i < s->n_mirrors; i++) {
		const struct place *m = &s->mirrors[i];
		if (!*m->text)
			return reading_refuse(s->r, s->line,
			    "a mirror of \"%s\" has no location",
			    *prefix ? prefix : location);
		if (s->digests && m->flags & ~(unsigned)REGISTRY_INSECURE)
			return reading_refuse(s->r, s->line,
			    "\"%s\" has mirror-by-digest-only, its mirror \"%s\" has "
			    "pull-from-mirror: only one of the two may be set",
			    *prefix ? prefix : location, m->text);
	}
	return 0;
}

static int
table_give(struct state *s, const char *prefix)
{
	unsigned more = s->digests ? REGISTRY_DIGEST_ONLY : 0;
	unsigned both = REGISTRY_DIGEST_ONLY | REGISTRY_TAG_ONLY;
	int r = give(s, REGISTRY_TABLE, s->location.flags, prefix, s->location.text);

	for (unsigned i = 0; i < s->n_mirrors && !r; i++) {
		unsigned flags = s->mirrors[i].flags | more;
		if ((flags & both) == both) /* "all", said in words */
			flags &= ~both;
		r = give(s, REGISTRY_MIRROR, flags, "", s->mirrors[i].text);
	}
	return r;
}

/* The table that was read is whole. */
static int
table_close(struct state *s)
{
	const char *prefix = *s->prefix.text ? s->prefix.text : s->location.text;
	const char *location = *s->location.text ? s->location.text : s->prefix.text;

	if (!s->open)
		return 0;
	s->open = false;
	int r = table_check(s);
	if (!r)
		r = table_compare(s, location, s->location.flags);
	if (!r)
		r = table_remember(s, prefix, location, s->location.flags);
	if (r == 0) {
		struct toml_row row = {.key = prefix, .line = s->line};
		return note(s, &row, "a table with this prefix came before and counts");
	}
	return r < 0 ? r : table_give(s, prefix);
}

static int
on_registry(struct state *s, const struct toml_row *row)
{
	if (!row->item)
		return 0;
	int r = table_close(s);
	s->open = true;
	s->digests = false;
	s->line = row->line;
	s->prefix = s->location = (struct place){0};
	s->n_mirrors = 0;
	return r;
}

static int
on_mirror(struct state *s, const struct toml_row *row)
{
	if (!row->item)
		return 0;
	if (s->n_mirrors == LIMIT_MIRRORS)
		return reading_refuse(s->r, row->line,
		    "more than %d mirrors of one [[registry]]", LIMIT_MIRRORS);
	s->mirrors[s->n_mirrors++] = (struct place){0};
	return 0;
}

static int
on_prefix(struct state *s, const struct toml_row *row)
{
	return take_place(s, row, &s->prefix);
}

static int
on_location(struct state *s, const struct toml_row *row)
{
	return take_place(s, row, &s->location);
}

static int
on_mirror_location(struct state *s, const struct toml_row *row)
{
	return take_place(s, row, &s->mirrors[s->n_mirrors - 1]);
}

static int
on_insecure(struct state *s, const struct toml_row *row)
{
	s->location.flags |= row->number ? REGISTRY_INSECURE : 0;
	return 0;
}

static int
on_blocked(struct state *s, const struct toml_row *row)
{
	s->location.flags |= row->number ? REGISTRY_BLOCKED : 0;
	return 0;
}

static int
on_digest_only(struct state *s, const struct toml_row *row)
{
	s->digests = row->number;
	return 0;
}

static int
on_mirror_insecure(struct state *s, const struct toml_row *row)
{
	s->mirrors[s->n_mirrors - 1].flags |= row->number ? REGISTRY_INSECURE : 0;
	return 0;
}

static int
on_pull_from(struct state *s, const struct toml_row *row)
{
	static const struct {
		const char *word;
		unsigned flags;
	} words[] = {{"", 0}, {"digest-only", REGISTRY_DIGEST_ONLY},
	    {"tag-only", REGISTRY_TAG_ONLY},
	    /* Both for now: with mirror-by-digest-only it is as wrong as the others. */
	    {"all", REGISTRY_DIGEST_ONLY | REGISTRY_TAG_ONLY}};
	char shown[100];

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!span_is(span_of(row->text, row->n), words[i].word))
			continue;
		s->mirrors[s->n_mirrors - 1].flags |= words[i].flags;
		return 0;
	}
	return reading_refuse(s->r, row->line,
	    "%s = \"%s\" is none of all, digest-only, tag-only", row->key,
	    span_escape(span_of(row->text, row->n), shown, sizeof(shown)));
}

static int
on_pull_from_primary(struct state *s, const struct toml_row *row)
{
	if (!row->n)
		return 0;
	return reading_refuse(s->r, row->line,
	    "pull-from-mirror belongs into a [[registry.mirror]], not into [[registry]]");
}

/* ---- short names ---- */

static int
on_search(struct state *s, const struct toml_row *row)
{
	struct place place = {0};
	struct ref ref;

	if (!row->item)
		return give(s, REGISTRY_SEARCH, 0, "", "");
	if (++s->n_search > LIMIT_SEARCH)
		return reading_refuse(s->r, row->line,
		    "more than %d unqualified-search-registries", LIMIT_SEARCH);
	int r = take_place(s, row, &place);
	if (r)
		return r;
	if (!domain_ok(span_str(place.text), &ref))
		return reading_refuse(s->r, row->line, "%s: \"%s\" is not host[:port]",
		    row->key, place.text);
	return give(s, REGISTRY_SEARCH, 0, "", ref.domain);
}

static int
on_mode(struct state *s, const struct toml_row *row)
{
	static const char *const words[] = {[SHORT_NAMES_PERMISSIVE] = "permissive",
	    [SHORT_NAMES_ENFORCING] = "enforcing",
	    [SHORT_NAMES_DISABLED] = "disabled"};
	char shown[100];

	if (!row->n)
		return 0;
	for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
		if (span_is(span_of(row->text, row->n), words[i]))
			return give(s, REGISTRY_MODE, i, "", "");
	}
	return reading_refuse(s->r, row->line,
	    "%s = \"%s\" is none of enforcing, permissive, disabled", row->key,
	    span_escape(span_of(row->text, row->n), shown, sizeof(shown)));
}

static int
on_helper(struct state *s, const struct toml_row *row)
{
	struct span text = span_of(row->text, row->item ? row->n : 0);
	char shown[100];

	if (row->item && (!text.n || text.n > 64 || !printable(text)))
		return reading_refuse(s->r, row->line, "%s: \"%s\" is not a name",
		    row->key, span_escape(text, shown, sizeof(shown)));
	return s->r->sink->row(s->r->sink->arg, "credential-helpers", text);
}

static bool
short_name_ok(const char *name)
{
	struct ref ref;

	return !ref_names_domain(span_str(name)) &&
	       ref_parse(span_str(name), &ref, NULL) == 0 && !*ref.tag && !ref.has_digest;
}

static int
on_alias(struct state *s, const struct toml_row *row)
{
	struct span text = span_of(row->text, row->n);
	char name[200], shown[200], value[REF_TEXT] = "";
	struct ref ref;

	span_escape(span_str(row->name), name, sizeof(name));
	span_escape(text, shown, sizeof(shown));
	if (row->kind != TOML_TEXT)
		return reading_refuse(
		    s->r, row->line, "the alias \"%s\" is not a string", name);
	if (++s->n_aliases > LIMIT_ALIASES)
		return reading_refuse(
		    s->r, row->line, "more than %d aliases", LIMIT_ALIASES);
	if (!short_name_ok(row->name))
		return reading_refuse(s->r, row->line,
		    "\"%s\" = \"%s\": the left side is no short name (a name without "
		    "registry, tag and digest)",
		    name, shown);
	if (text.n) {
		if (!ref_names_domain(text) || ref_parse(text, &ref, NULL) < 0 ||
		    *ref.tag || ref.has_digest)
			return reading_refuse(s->r, row->line,
			    "\"%s\" = \"%s\": the right side is not "
			    "host[:port]/repository, without tag and digest",
			    name, shown);
		ref_print_repository(&ref, value);
	}
	return give(s, REGISTRY_ALIAS, 0, row->name, value);
}

/* ---- version 1: lists of hosts ---- */

static int
on_first_search(struct state *s, const struct toml_row *row)
{
	return on_search(s, row);
}

/* One table a place; a place may stand in both lists. */
static int
first_flag(struct state *s, const struct toml_row *row, unsigned flag)
{
	struct place place = {0};

	if (!row->item)
		return 0;
	int r = take_place(s, row, &place);
	if (r)
		return r;
	for (unsigned i = 0; i < s->n_seen; i++) {
		if (strcmp(s->seen[i].prefix, place.text) == 0) {
			s->seen[i].flags |= flag;
			return 0;
		}
	}
	s->line = row->line;
	r = *place.text ? table_remember(s, place.text, place.text, flag) : 0;
	return r < 0 ? r : 0;
}

static int
on_first_block(struct state *s, const struct toml_row *row)
{
	return first_flag(s, row, REGISTRY_BLOCKED);
}

static int
on_first_insecure(struct state *s, const struct toml_row *row)
{
	return first_flag(s, row, REGISTRY_INSECURE);
}

static int
first_close(struct state *s)
{
	int r = 0;

	for (unsigned i = 0; i < s->n_seen && s->first && !r; i++) {
		const struct seen *t = &s->seen[i];
		r = give(s, REGISTRY_TABLE, t->flags, t->prefix, t->location);
	}
	return r;
}

/* ---- all of it ---- */

enum { NEITHER, FIRST, SECOND };

static const struct key {
	const char *key;
	enum toml_kind kind; /* of a list: TOML_LIST itself, and ... */
	enum toml_kind item; /* ... this for its items */
	int version;
	int (*take)(struct state *s, const struct toml_row *row);
} keys[] = {
    {"registry", TOML_LIST, TOML_TABLE, SECOND, on_registry},
    {"registry.prefix", TOML_TEXT, TOML_TEXT, SECOND, on_prefix},
    {"registry.location", TOML_TEXT, TOML_TEXT, SECOND, on_location},
    {"registry.insecure", TOML_BOOL, TOML_BOOL, SECOND, on_insecure},
    {"registry.blocked", TOML_BOOL, TOML_BOOL, SECOND, on_blocked},
    {"registry.mirror-by-digest-only", TOML_BOOL, TOML_BOOL, SECOND, on_digest_only},
    {"registry.pull-from-mirror", TOML_TEXT, TOML_TEXT, SECOND, on_pull_from_primary},
    {"registry.mirror", TOML_LIST, TOML_TABLE, SECOND, on_mirror},
    {"registry.mirror.location", TOML_TEXT, TOML_TEXT, SECOND, on_mirror_location},
    {"registry.mirror.insecure", TOML_BOOL, TOML_BOOL, SECOND, on_mirror_insecure},
    {"registry.mirror.pull-from-mirror", TOML_TEXT, TOML_TEXT, SECOND, on_pull_from},
    {"unqualified-search-registries", TOML_LIST, TOML_TEXT, SECOND, on_search},
    {"short-name-mode", TOML_TEXT, TOML_TEXT, SECOND, on_mode},
    {"credential-helpers", TOML_LIST, TOML_TEXT, SECOND, on_helper},
    {"aliases", TOML_TABLE, TOML_TABLE, SECOND, NULL},
    {"registries", TOML_TABLE, TOML_TABLE, NEITHER, NULL},
    {"registries.search", TOML_TABLE, TOML_TABLE, NEITHER, NULL},
    {"registries.insecure", TOML_TABLE, TOML_TABLE, NEITHER, NULL},
    {"registries.block", TOML_TABLE, TOML_TABLE, NEITHER, NULL},
    {"registries.search.registries", TOML_LIST, TOML_TEXT, FIRST, on_first_search},
    {"registries.insecure.registries", TOML_LIST, TOML_TEXT, FIRST, on_first_insecure},
    {"registries.block.registries", TOML_LIST, TOML_TEXT, FIRST, on_first_block},
};

static const char *
kind_text(enum toml_kind kind)
{
	return kind == TOML_LIST    ? "a list"
	       : kind == TOML_TABLE ? "a table"
	       : kind == TOML_BOOL  ? "true or false"
				    : "a string";
}

static int
take(struct state *s, const struct key *k, const struct toml_row *row)
{
	enum toml_kind kind = row->item ? k->item : k->kind;

	if (row->kind != kind || (row->item && k->kind != TOML_LIST))
		return reading_refuse(
		    s->r, row->line, "%s is not %s", row->key, kind_text(kind));
	s->first |= k->version == FIRST;
	s->second |= k->version == SECOND;
	if (s->first && s->kind == CONFIG_REGISTRIES_DROPIN)
		return reading_refuse(s->r, row->line,
		    "%s is of version 1 of this file's format: drop-ins are read in "
		    "version 2 only",
		    row->key);
	if (s->first && s->second)
		return reading_refuse(s->r, row->line,
		    "%s: keys of version 1 ([registries.search] ...) and of version 2 "
		    "([[registry]] ...) in one file",
		    row->key);
	return k->take ? k->take(s, row) : 0;
}

/* Keys are taken as the other programs take them: without regard to case. */
static int
on_row(void *arg, const struct toml_row *row)
{
	struct state *s = arg;

	if (!strncasecmp(row->key, "aliases.", strlen("aliases.")))
		return on_alias(s, row);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const struct key *k = &keys[i];
		if (strcasecmp(row->key, k->key) != 0)
			continue;
		if (s->kind == CONFIG_ALIASES && strcmp(k->key, "aliases") != 0)
			return row->item
				   ? 0
				   : note(s, row, "only [aliases] counts in this file");
		return take(s, k, row);
	}
	return row->item ? 0 : note(s, row, "no key that bulkhead knows");
}

int
registries_read(struct reading *r, enum config_kind kind, struct span bytes)
{
	struct state *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->r = r;
	s->kind = kind;
	int ret = reading_toml(r, bytes, on_row, s);
	if (!ret)
		ret = s->first ? first_close(s) : table_close(s);
	for (unsigned i = 0; i < s->n_seen; i++) {
		free(s->seen[i].prefix);
		free(s->seen[i].location);
	}
	free(s);
	return ret;
}
