/* containers-registries.conf(5) as the node has it: which places a name may be had from.
 * Pure: rows in, answers out.
 *
 * A table [[registry]] is chosen by the longest prefix of the name as it is recorded
 * (host/path:tag, or host/path@digest); the rest of the name goes behind the location of
 * the table, or of a mirror. The name itself stays: it is what is recorded and what the
 * signature policy is asked about. */
#ifndef BULKHEAD_FRONTEND_REGISTRIES_H
#define BULKHEAD_FRONTEND_REGISTRIES_H

#include "common/ipc/values.h"
#include "common/ref/ref.h"

struct registry_table;
struct registry_rule;

struct registry_alias {
	char *name, *value; /* value "": taken away */
	const char *file;
};

/* One configuration: built by rows, then never changed. Pulls keep the one they began
 * with. */
struct registries {
	unsigned refs;
	char **files; /* those that were read, in their order */
	struct registry_table *tables;
	struct registry_alias *aliases;
	struct registry_rule *rules;
	unsigned n_files, n_tables, n_aliases, n_rules, n_search;
	char search[LIMIT_SEARCH][LIMIT_REPOSITORY + 1]; /* host[:port] */
	const char *search_file, *mode_file;		 /* who said so; NULL: nobody */
	enum short_name_mode mode;
};

/* With one reference and without a row; NULL when memory is short. */
struct registries *registries_new(void);
struct registries *registries_ref(struct registries *r);
void registries_unref(struct registries *r); /* NULL will do */

/* The next row (enum registry_row). What a later file says of a prefix, an alias or a
 * list replaces what an earlier one said. 0; -EPROTO for a row that cannot be, or
 * -ENOMEM. */
int registries_add(struct registries *r, enum registry_row kind, unsigned flags,
    struct span name, struct span value) MUST_CHECK;

/* A place where a name can be had. */
struct endpoint {
	struct ref ref; /* what is asked for there: a reference of that registry */
	bool mirror;
	/* The table that decided, alive as long as the configuration; NULL: no table has
	 * to do with the name. */
	const char *file, *prefix;
	/* What it may be asked by (enum insecure_flag), and by whose word: the table's
	 * when rule is NULL. */
	unsigned insecure;
	const char *rule, *rule_key;
};

/* "KEY: RULE", or the file and the table. Returns dst. */
char *endpoint_insecure_print(const struct endpoint *at, char *dst, size_t cap);

/* The places of a name in the order to be tried: mirrors that take such names, then the
 * location itself. r NULL: none is configured. How many; negative with *e: blocked
 * (ERR_BLOCKED), or a location that makes no reference of the name (ERR_USAGE). ref has a
 * tag or a digest. */
int registries_endpoints(const struct registries *r, const struct ref *ref,
    struct endpoint out[LIMIT_ENDPOINTS], struct err *e) MUST_CHECK;

/* ---- short names (short_names.c) ---- */

/* The images that a name may mean, whole and with a tag or a digest. */
struct candidates {
	unsigned n;
	struct ref ref[LIMIT_SEARCH];
	/* What made them of a short name: an alias or the search list of this file. Both
	 * NULL: the name was whole. */
	const char *alias_file, *search_file;
};

/* A whole name is its only candidate. A short one is looked up among the aliases, then
 * each host of unqualified-search-registries makes one. 0, or negative with *e
 * (ERR_USAGE): no reference, nothing to make a whole name with, or, with short-name-mode
 * "enforcing", more than one. r may be NULL. */
int registries_candidates(const struct registries *r, struct span name,
    struct candidates *out, struct err *e) MUST_CHECK;

/* The same without a refusal for several: all that an image which is here may be called
 * by. */
int registries_local(
    const struct registries *r, struct span name, struct candidates *out) MUST_CHECK;

/* What a short name may stand for when images of the store are asked for, a whole name a
 * line, in the order in which they are looked for, as podman has it: its alias, what was
 * built here (localhost/), each host of unqualified-search-registries, docker.io. dst ""
 * for a whole name, a whole ID or none. Returns dst. r may be NULL. */
char *registries_meanings(
    const struct registries *r, struct span name, char dst[LIMIT_MEANINGS_TEXT + 1]);

/* The alias of a short name without tag and digest; NULL: none, or one taken away. */
const struct registry_alias *registries_alias(
    const struct registries *r, struct span name);

#endif
