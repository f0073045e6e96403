/* The rules of containers-registries.conf(5) and containers-registries.conf.d(5) about
 * where a name is had: each a row of files, a name, and the places in their order. */
#include "tests/frontend/registry_files.h"
#include "tests/rows.h"

#include <errno.h>

#define R "[[registry]]\n"
#define M "[[registry.mirror]]\n"
#define AT "@sha256:" HEX_A

/* places: "~" before a mirror, "!" behind what may be insecure; or a part of the refusal
 * behind "?". */
struct rule {
	const char *rule, *file, *dropin, *name, *places;
};

static const struct rule rules[] = {
    {"no table: the name says itself where it is", "", NULL, "q.io/a/b:c", "q.io/a/b:c"},
    {"no table: docker.io is written out", "", NULL, "docker.io/alpine",
	"docker.io/library/alpine:latest"},

    /* ---- which table ---- */
    {"prefix is host", R "location = \"q.io\"\ninsecure = true", NULL, "q.io/a:1",
	"q.io/a:1!"},
    {"prefix is host:port", R "location = \"q.io:5000\"\ninsecure = true", NULL,
	"q.io:5000/a:1", "q.io:5000/a:1!"},
    {"prefix is host/namespace", R "location = \"q.io/n\"\ninsecure = true", NULL,
	"q.io/n/a:1", "q.io/n/a:1!"},
    {"prefix is host/namespace/repo", R "location = \"q.io/n/a\"\ninsecure = true", NULL,
	"q.io/n/a:1", "q.io/n/a:1!"},
    {"prefix is host/repo:tag", R "location = \"q.io/a:1\"\ninsecure = true", NULL,
	"q.io/a:1", "q.io/a:1!"},
    {"prefix is host/repo:tag, another tag", R "location = \"q.io/a:1\"\ninsecure = true",
	NULL, "q.io/a:2", "q.io/a:2"},
    {"prefix is host/repo@digest", R "location = \"q.io/a" AT "\"\ninsecure = true", NULL,
	"q.io/a" AT, "q.io/a" AT "!"},
    {"the prefix ends at a separator: another host",
	R "location = \"q.io\"\ninsecure = true", NULL, "q.io.net/a:1", "q.io.net/a:1"},
    {"the prefix ends at a separator: another namespace",
	R "location = \"q.io/n\"\ninsecure = true", NULL, "q.io/nn/a:1", "q.io/nn/a:1"},
    {"the prefix ends at a separator: a tag",
	R "location = \"q.io/a:1\"\ninsecure = true", NULL, "q.io/a:12", "q.io/a:12"},
    {"the prefix is compared with case", R "location = \"Q.io\"\ninsecure = true", NULL,
	"q.io/a:1", "q.io/a:1"},
    {"a host without port is a beginning of one with a port, as elsewhere",
	R "location = \"q.io\"\ninsecure = true", NULL, "q.io:5000/a:1",
	"q.io:5000/a:1!"},
    {"only the longest match is used",
	R "location = \"q.io\"\ninsecure = true\n" R "location = \"q.io/n/a\"\n" R
	  "prefix = \"q.io/n\"\nlocation = \"r.io\"",
	NULL, "q.io/n/b:1", "r.io/b:1"},
    {"the longest match, in whatever order",
	R "prefix = \"q.io/n\"\nlocation = \"r.io\"\n" R
	  "prefix = \"q.io\"\nlocation = \"s.io\"",
	NULL, "q.io/n/b:1", "r.io/b:1"},
    {"a missing prefix is the location", R "location = \"q.io/n\"\nblocked = true", NULL,
	"q.io/n/a:1", "?is blocked"},
    {"*.host: one subdomain", R "prefix = \"*.q.io\"\ninsecure = true", NULL,
	"a.q.io/x:1", "a.q.io/x:1!"},
    {"*.host: any number of subdomains", R "prefix = \"*.q.io\"\ninsecure = true", NULL,
	"a.b.c.q.io/x:1", "a.b.c.q.io/x:1!"},
    {"*.host: with a port", R "prefix = \"*.q.io\"\ninsecure = true", NULL,
	"a.q.io:5000/x:1", "a.q.io:5000/x:1!"},
    {"*.host: not the host itself", R "prefix = \"*.q.io\"\ninsecure = true", NULL,
	"q.io/x:1", "q.io/x:1"},
    {"*.host: not in the middle", R "prefix = \"*.q.io\"\ninsecure = true", NULL,
	"a.q.io.net/x:1", "a.q.io.net/x:1"},
    {"*.host: not in the path", R "prefix = \"*.q.io\"\ninsecure = true", NULL,
	"r.io/a.q.io/x:1", "r.io/a.q.io/x:1"},
    {"*.host: not a part of a label", R "prefix = \"*.q.io\"\ninsecure = true", NULL,
	"aq.io/x:1", "aq.io/x:1"},
    {"*.host: the same twice", R "prefix = \"*.q.io\"\ninsecure = true", NULL,
	"a.q.io.q.io/x:1", "a.q.io.q.io/x:1!"},
    {"a star elsewhere matches nothing", R "prefix = \"a.*.io\"\nlocation = \"r.io\"",
	NULL, "a.q.io/x:1", "a.q.io/x:1"},
    {"*.host with a location is rewritten",
	R "prefix = \"*.q.io\"\nlocation = \"r.io/q\"", NULL, "a.q.io/x:1", "r.io/q/x:1"},
    {"*.host and a host of the same length: the first by its bytes",
	R "prefix = \"a.q.io\"\nlocation = \"r.io\"\n" R
	  "prefix = \"*.q.io\"\nlocation = \"s.io\"",
	NULL, "a.q.io/x:1", "s.io/x:1"},
    {"a longer host comes before *.host",
	R "prefix = \"ab.q.io\"\nlocation = \"r.io\"\n" R
	  "prefix = \"*.q.io\"\nlocation = \"s.io\"",
	NULL, "ab.q.io/x:1", "r.io/x:1"},
    {"two tables with one prefix: the first counts",
	R "prefix = \"q.io\"\nlocation = \"r.io\"\n" R
	  "prefix = \"q.io\"\nlocation = \"s.io\"",
	NULL, "q.io/x:1", "r.io/x:1"},

    /* ---- what is asked for ---- */
    {"location takes the place of prefix",
	R "prefix = \"e.com/foo\"\nlocation = \"i.net/bar\"", NULL,
	"e.com/foo/myimage:latest", "i.net/bar/myimage:latest"},
    {"location takes the place of a whole name",
	R "prefix = \"e.com/foo:1\"\nlocation = \"i.net/bar:2\"", NULL, "e.com/foo:1",
	"i.net/bar:2"},
    {"a digest is kept", R "prefix = \"e.com\"\nlocation = \"i.net/e\"", NULL,
	"e.com/foo" AT, "i.net/e/foo" AT},
    {"with tag and digest the tag is left out",
	R "prefix = \"e.com\"\nlocation = \"i.net/e\"", NULL, "e.com/foo:1" AT,
	"i.net/e/foo" AT},
    {"another digest is another image",
	R "prefix = \"e.com/a" AT "\"\nlocation = \"i.net/a@sha256:" HEX_B "\"", NULL,
	"e.com/a" AT, "?changes the digest of e.com/a" AT},
    {"docker.io/library is written out in prefixes",
	R "prefix = \"docker.io/library/alpine\"\nlocation = \"i.net/alpine\"", NULL,
	"docker.io/alpine:3", "i.net/alpine:3"},
    {"docker.io/alpine is a namespace",
	R "prefix = \"docker.io/alpine\"\nlocation = \"i.net\"", NULL,
	"docker.io/alpine:3", "docker.io/library/alpine:3"},
    {"docker.io/alpine is a namespace: what lies in it",
	R "prefix = \"docker.io/alpine\"\nlocation = \"i.net\"", NULL,
	"docker.io/alpine/git:3", "i.net/git:3"},
    {"a location that makes no whole name",
	R "prefix = \"q.io\"\nlocation = \"docker.io\"", NULL, "q.io/x:1",
	"?/etc/r.conf: [[registry]] \"q.io\": the location"},
    {"a location without a registry", R "prefix = \"q.io\"\nlocation = \"mirror\"", NULL,
	"q.io/x:1", "?which is no whole reference"},
    {"a location that makes a name too long",
	R "prefix = \"q.io\"\nlocation = \"i.net/" HEX_A HEX_A HEX_A HEX_A "\"", NULL,
	"q.io/x:1", "?which is no whole reference"},

    /* ---- blocked, insecure ---- */
    {"blocked", R "location = \"q.io\"\nblocked = true", NULL, "q.io/x:1",
	"?q.io/x:1 is blocked: /etc/r.conf has a [[registry]] with prefix \"q.io\""},
    {"blocked, but a longer prefix is not",
	R "location = \"q.io\"\nblocked = true\n" R "location = \"q.io/ok\"", NULL,
	"q.io/ok/x:1", "q.io/ok/x:1"},
    {"blocked by prefix, whatever the location",
	R "prefix = \"q.io\"\nlocation = \"r.io\"\nblocked = true", NULL, "q.io/x:1",
	"?is blocked"},
    {"a blocked location does not block who is rewritten to it",
	R "location = \"r.io\"\nblocked = true\n" R
	  "prefix = \"q.io\"\nlocation = \"r.io/q\"",
	NULL, "q.io/x:1", "r.io/q/x:1"},
    {"a blocked table's mirrors are not asked",
	R "location = \"q.io\"\nblocked = true\n" M "location = \"m.io\"", NULL,
	"q.io/x:1", "?is blocked"},
    {"insecure is each place's own",
	R "location = \"q.io\"\n" M "location = \"m.io\"\ninsecure = true", NULL,
	"q.io/x:1", "~m.io/x:1! q.io/x:1"},
    {"insecure of the table is not its mirrors'",
	R "location = \"q.io\"\ninsecure = true\n" M "location = \"m.io\"", NULL,
	"q.io/x:1", "~m.io/x:1 q.io/x:1!"},

    /* ---- mirrors ---- */
    {"mirrors in their order, the location last",
	R "prefix = \"e.com/foo\"\nlocation = \"i.net/bar\"\n" M
	  "location = \"m0.local/mirror-for-foo\"\n" M
	  "location = \"m1.local/mirrors/foo\"\ninsecure = true",
	NULL, "e.com/foo/image:latest",
	"~m0.local/mirror-for-foo/image:latest ~m1.local/mirrors/foo/image:latest! "
	"i.net/bar/image:latest"},
    {"mirrors are of their own table",
	R "location = \"q.io\"\n" M "location = \"m.io\"\n" R "location = \"r.io\"\n" M
	  "location = \"n.io\"",
	NULL, "r.io/x:1", "~n.io/x:1 r.io/x:1"},
    {"mirrors of *.host", R "prefix = \"*.q.io\"\n" M "location = \"m.io\"", NULL,
	"a.q.io/x:1", "~m.io/x:1 a.q.io/x:1"},
    {"mirror-by-digest-only: a tag",
	R "location = \"q.io\"\nmirror-by-digest-only = true\n" M "location = \"m.io\"",
	NULL, "q.io/x:1", "q.io/x:1"},
    {"mirror-by-digest-only: a digest",
	R "location = \"q.io\"\nmirror-by-digest-only = true\n" M "location = \"m.io\"",
	NULL, "q.io/x" AT, "~m.io/x" AT " q.io/x" AT},
    {"pull-from-mirror: a tag",
	R "location = \"q.io\"\n" M "location = \"m.io\"\npull-from-mirror = \"all\"\n" M
	  "location = \"n.io\"\npull-from-mirror = \"digest-only\"\n" M
	  "location = \"o.io\"\npull-from-mirror = \"tag-only\"",
	NULL, "q.io/x:1", "~m.io/x:1 ~o.io/x:1 q.io/x:1"},
    {"pull-from-mirror: a digest",
	R "location = \"q.io\"\n" M "location = \"m.io\"\npull-from-mirror = \"all\"\n" M
	  "location = \"n.io\"\npull-from-mirror = \"digest-only\"\n" M
	  "location = \"o.io\"\npull-from-mirror = \"tag-only\"",
	NULL, "q.io/x" AT, "~m.io/x" AT " ~n.io/x" AT " q.io/x" AT},

    /* ---- drop-ins ---- */
    {"a drop-in's table replaces one with its prefix, whole",
	R "location = \"q.io\"\ninsecure = true\n" M "location = \"m.io\"",
	R "prefix = \"q.io\"\nlocation = \"r.io\"", "q.io/x:1", "r.io/x:1"},
    {"a drop-in's table with its mirrors",
	R "location = \"q.io\"\n" M "location = \"m.io\"\n" R "location = \"s.io\"",
	R "prefix = \"q.io\"\nlocation = \"r.io\"\n" M "location = \"n.io\"", "q.io/x:1",
	"~n.io/x:1 r.io/x:1"},
    {"other tables stay", R "location = \"q.io\"\n" M "location = \"m.io\"",
	R "location = \"r.io\"\nblocked = true", "q.io/x:1", "~m.io/x:1 q.io/x:1"},
    {"a drop-in takes a block away", R "location = \"q.io\"\nblocked = true",
	R "location = \"q.io\"", "q.io/x:1", "q.io/x:1"},
    {"a drop-in blocks, and is named", R "location = \"q.io\"",
	R "location = \"q.io\"\nblocked = true", "q.io/x:1", "?/etc/r.conf.d/a.conf has"},
    {"over the first version", "[registries.block]\nregistries = ['q.io']",
	R "location = \"q.io\"\ninsecure = true", "q.io/x:1", "q.io/x:1!"},

    /* ---- version 1 ---- */
    {"v1: insecure", "[registries.insecure]\nregistries = ['q.io']", NULL, "q.io/x:1",
	"q.io/x:1!"},
    {"v1: block", "[registries.block]\nregistries = ['q.io']", NULL, "q.io/x:1",
	"?is blocked"},
    {"v1: search says nothing of a whole name",
	"[registries.search]\nregistries = ['r.io']", NULL, "q.io/x:1", "q.io/x:1"},
};

static struct registries *
read_files(const char *file, const char *dropin)
{
	struct registries *r = registries_new();
	struct err e = {0};

	assert_non_null(r);
	if (registry_files_read(r, CONFIG_REGISTRIES, "/etc/r.conf", span_str(file), &e) <
	    0)
		fail_msg("%s", e.text);
	if (dropin && registry_files_read(r, CONFIG_REGISTRIES_DROPIN,
			  "/etc/r.conf.d/a.conf", span_str(dropin), &e) < 0)
		fail_msg("%s", e.text);
	return r;
}

static void
check_rule(const struct rule *c)
{
	struct registries *r = read_files(c->file, c->dropin);
	struct endpoint at[LIMIT_ENDPOINTS];
	struct build said = {0};
	struct err e = {0};
	struct ref ref;
	char text[REF_TEXT];

	assert_int_equal(ref_parse(span_str(c->name), &ref, &e), 0);
	ref_default_tag(&ref);
	int n = registries_endpoints(r, &ref, at, &e);
	for (int i = 0; i < n; i++) {
		assert_non_null(ref_print_record(&at[i].ref, text));
		build_add(&said, "%s%s%s%s", i ? " " : "", at[i].mirror ? "~" : "", text,
		    at[i].insecure ? "!" : "");
	}
	if (n < 0)
		build_add(&said, "?%s", e.text);
	bool right = *c->places == '?' ? n < 0 && strstr(said.p, c->places + 1) != NULL
				       : strcmp(said.p, c->places) == 0;
	if (!right)
		fail_msg("%s: %s", c->rule, said.p);
	build_free(&said);
	registries_unref(r);
}

static void
test_rules(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		check_rule(&rules[i]);
}

static void
test_without(void **state)
{
	struct endpoint at[LIMIT_ENDPOINTS];
	struct ref ref;

	assert_int_equal(ref_parse(span_str("q.io/x:1"), &ref, NULL), 0);
	assert_int_equal(registries_endpoints(NULL, &ref, at, NULL), 1);
	assert_true(ref_eq(&at[0].ref, &ref));
	assert_null(at[0].file);
}

/* ---- rules of bulkhead.toml ---- */

static void
test_insecure(void **state)
{
	static const struct {
		const char *name;
		unsigned flags;
		const char *why;
	} rows[] = {
	    {"q.io/x:1", 0, ""},
	    {"both.io/x:1", INSECURE_HTTP | INSECURE_TLS, "insecure_registries: both.io"},
	    {"plain.io/x:1", INSECURE_HTTP, "plain_http_registries: plain.io"},
	    {"tls.io/x:1", INSECURE_TLS, "unverified_tls_registries: tls.io"},
	    /* two rules add up; the last one that adds is named */
	    {"10.1.2.3:5000/x:1", INSECURE_HTTP | INSECURE_TLS,
		"unverified_tls_registries: 10.0.0.0/8"},
	    {"127.0.0.1:5000/x:1", INSECURE_HTTP | INSECURE_TLS, "always: 127.0.0.0/8"},
	    {"[::1]:5000/x:1", INSECURE_HTTP | INSECURE_TLS, "always: ::1"},
	    {"localhost:5000/x:1", INSECURE_HTTP | INSECURE_TLS, "always: localhost"},
	    {"table.io/x:1", INSECURE_HTTP | INSECURE_TLS,
		"/etc/r.conf: [[registry]] \"table.io\""},
	};
	static const struct {
		const char *name, *key;
		unsigned flags;
	} rules_[] = {
	    {"both.io", "insecure_registries", INSECURE_HTTP | INSECURE_TLS},
	    {"plain.io", "plain_http_registries", INSECURE_HTTP},
	    {"10.0.0.0/8", "plain_http_registries", INSECURE_HTTP},
	    {"tls.io", "unverified_tls_registries", INSECURE_TLS},
	    {"10.0.0.0/8", "unverified_tls_registries", INSECURE_TLS},
	    {"table.io", "plain_http_registries", INSECURE_HTTP},
	};
	struct registries *r =
	    read_files(R "location = \"table.io\"\ninsecure = true\n", NULL);

	for (size_t i = 0; i < ARRAY_LEN(rules_); i++)
		assert_int_equal(registries_add(r, REGISTRY_RULE, rules_[i].flags,
				     span_str(rules_[i].name), span_str(rules_[i].key)),
		    0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct endpoint at[LIMIT_ENDPOINTS];
		struct ref ref;
		char why[200];
		assert_int_equal(ref_parse(span_str(rows[i].name), &ref, NULL), 0);
		assert_int_equal(registries_endpoints(r, &ref, at, NULL), 1);
		assert_int_equal(at[0].insecure, rows[i].flags);
		if (rows[i].flags)
			assert_string_equal(
			    endpoint_insecure_print(at, why, sizeof(why)), rows[i].why);
	}
	registries_unref(r);
}

static void
test_who_decided(void **state)
{
	struct registries *r =
	    read_files(R "location = \"q.io\"", R "prefix = \"*.q.io\"");
	struct endpoint at[LIMIT_ENDPOINTS];
	struct ref ref;

	assert_int_equal(ref_parse(span_str("a.q.io/x:1"), &ref, NULL), 0);
	assert_int_equal(registries_endpoints(r, &ref, at, NULL), 1);
	assert_string_equal(at[0].file, "/etc/r.conf.d/a.conf");
	assert_string_equal(at[0].prefix, "*.q.io");
	registries_unref(r);
}

/* Rows that no reader of files sends. */
static void
test_rows(void **state)
{
	struct registries *r = registries_new();
	struct span none = span_str("");

	assert_int_equal(registries_add(r, REGISTRY_TABLE, 0, none, none), -EPROTO);
	assert_int_equal(registries_add(r, REGISTRY_FILE, 0, span_str("/f"), none), 0);
	assert_int_equal(registries_add(r, REGISTRY_MIRROR, 0, none, none), -EPROTO);
	assert_int_equal(registries_add(r, REGISTRY_MODE, 3, none, none), -EPROTO);
	assert_int_equal(registries_add(r, 7, 0, none, none), -EPROTO);
	assert_int_equal(registries_add(r, REGISTRY_TABLE, 0, span_str("a"), none), 0);
	for (unsigned i = 0; i <= LIMIT_MIRRORS; i++)
		assert_int_equal(
		    registries_add(r, REGISTRY_MIRROR, 0, none, span_str("m")),
		    i < LIMIT_MIRRORS ? 0 : -EPROTO);
	assert_int_equal(registries_add(r, REGISTRY_SEARCH, 0, none, none), 0);
	for (unsigned i = 0; i <= LIMIT_SEARCH; i++)
		assert_int_equal(
		    registries_add(r, REGISTRY_SEARCH, 0, none, span_str("s.io")),
		    i < LIMIT_SEARCH ? 0 : -EPROTO);
	registries_unref(registries_ref(r));
	registries_unref(r);
	registries_unref(NULL);
}

/* ---- short names ---- */

#define S "unqualified-search-registries = "
#define FEW S "[\"a.io\", \"docker.io\", \"localhost:5000\"]\n"

/* means: the candidates, or a part of the refusal behind "?". */
struct short_rule {
	const char *rule, *file, *dropin, *aliases, *name, *means;
};

static const struct short_rule short_rules[] = {
    {"a whole name means itself", FEW, NULL, NULL, "q.io/x:1", "q.io/x:1"},
    {"a whole name without tag means latest", FEW, NULL, NULL, "q.io/x", "q.io/x:latest"},
    {"localhost is a registry", FEW, NULL, NULL, "localhost/x", "localhost/x:latest"},
    {"a port makes a registry", FEW, NULL, NULL, "q:5000/x", "q:5000/x:latest"},
    {"docker.io is written out", FEW, NULL, NULL, "docker.io/x",
	"docker.io/library/x:latest"},

    {"registries in their order", FEW, NULL, NULL, "x:1",
	"a.io/x:1 docker.io/library/x:1 localhost:5000/x:1"},
    {"a path", FEW, NULL, NULL, "n/x",
	"a.io/n/x:latest docker.io/n/x:latest localhost:5000/n/x:latest"},
    {"a digest", S "[\"a.io\"]", NULL, NULL, "x" AT, "a.io/x" AT},
    {"tag and digest", S "[\"a.io\"]", NULL, NULL, "x:1" AT, "a.io/x:1" AT},
    {"no registry", S "[]", NULL, NULL, "x",
	"?x names no registry, has no alias, and /etc/r.conf lists no"},
    {"nothing said", "", NULL, NULL, "x", "?lists no unqualified-search-registries"},
    {"a drop-in's list replaces the list", FEW, S "[\"b.io\"]", NULL, "x",
	"b.io/x:latest"},
    {"a drop-in's empty list empties it", FEW, S "[]", NULL, "x",
	"?/etc/r.conf.d/a.conf lists no"},
    {"v1", "[registries.search]\nregistries = ['a.io', 'b.io']", NULL, NULL, "x",
	"a.io/x:latest b.io/x:latest"},

    {"an alias comes before the registries", FEW "[aliases]\nx = \"q.io/y\"", NULL, NULL,
	"x", "q.io/y:latest"},
    {"tag and digest are of no concern to it", FEW "[aliases]\nx = \"q.io/y\"", NULL,
	NULL, "x:1" AT, "q.io/y:1" AT},
    {"an alias of a path", "[aliases]\n\"n/x\" = \"q.io/y\"", NULL, NULL, "n/x:1",
	"q.io/y:1"},
    {"the whole short name is compared", FEW "[aliases]\nx = \"q.io/y\"", NULL, NULL,
	"n/x:1", "a.io/n/x:1 docker.io/n/x:1 localhost:5000/n/x:1"},
    {"library/x is another short name than x", "[aliases]\nx = \"q.io/y\"", NULL, NULL,
	"library/x", "?names no registry"},
    {"no alias for a whole name", "[aliases]\nx = \"q.io/y\"", NULL, NULL, "docker.io/x",
	"docker.io/library/x:latest"},
    {"a drop-in's alias replaces one", "[aliases]\nx = \"q.io/y\"",
	"[aliases]\nx = \"r.io/y\"", NULL, "x", "r.io/y:latest"},
    {"a drop-in's alias joins the others", "[aliases]\nx = \"q.io/y\"",
	"[aliases]\nz = \"r.io/y\"", NULL, "x", "q.io/y:latest"},
    {"a drop-in takes an alias away", S "[\"a.io\"]\n[aliases]\nx = \"q.io/y\"",
	"[aliases]\nx = \"\"", NULL, "x", "a.io/x:latest"},
    {"the written aliases come first", "[aliases]\nx = \"q.io/y\"",
	"[aliases]\nx = \"r.io/y\"", "[aliases]\nx = \"s.io/y\"", "x", "s.io/y:latest"},
    {"the written aliases take one away", S "[\"a.io\"]\n[aliases]\nx = \"q.io/y\"", NULL,
	"[aliases]\nx = \"\"", "x", "a.io/x:latest"},

    {"enforcing: one registry", S "[\"a.io\"]\nshort-name-mode = \"enforcing\"", NULL,
	NULL, "x", "a.io/x:latest"},
    {"enforcing: several", FEW "short-name-mode = \"enforcing\"", NULL, NULL, "x:1",
	"?x:1 may be any of a.io/x:1, docker.io/library/x:1, localhost:5000/x:1, and "
	"short-name-mode is \"enforcing\": write the whole name, or add a line such as "
	"\"x\" = \"a.io/x\" to [aliases] in /etc/r.conf"},
    {"enforcing: an alias",
	FEW "short-name-mode = \"enforcing\"\n[aliases]\nx = "
	    "\"q.io/x\"",
	NULL, NULL, "x", "q.io/x:latest"},
    {"enforcing: a whole name", FEW "short-name-mode = \"enforcing\"", NULL, NULL,
	"q.io/x", "q.io/x:latest"},
    {"permissive: several", FEW "short-name-mode = \"permissive\"", NULL, NULL, "x",
	"a.io/x:latest docker.io/library/x:latest localhost:5000/x:latest"},
    {"disabled: several", FEW "short-name-mode = \"disabled\"", NULL, NULL, "x",
	"a.io/x:latest docker.io/library/x:latest localhost:5000/x:latest"},
    {"a drop-in's mode", FEW "short-name-mode = \"permissive\"",
	"short-name-mode = \"enforcing\"", NULL, "x", "?\"enforcing\""},
    {"a drop-in without a mode", FEW "short-name-mode = \"enforcing\"", S "[\"b.io\"]",
	NULL, "x", "b.io/x:latest"},

    {"no reference", FEW, NULL, NULL, "X", "?"},
    {"no reference, with a registry", FEW, NULL, NULL, "q.io/X", "?"},
    {"too long with the registry", S "[\"" HEX_A ".io\"]", NULL, NULL,
	"x/" HEX_A "/" HEX_A "/" HEX_A ":1",
	"?too long with the registry that /etc/r.conf gives it"},
};

static void
check_short(const struct short_rule *c)
{
	struct registries *r = read_files(c->file, c->dropin);
	struct candidates all;
	struct build said = {0};
	struct err e = {0};
	char text[REF_TEXT];

	if (c->aliases && registry_files_read(r, CONFIG_ALIASES, "/var/aliases",
			      span_str(c->aliases), &e) < 0)
		fail_msg("%s", e.text);
	int rc = registries_candidates(r, span_str(c->name), &all, &e);
	for (unsigned i = 0; rc == 0 && i < all.n; i++)
		build_add(&said, "%s%s", i ? " " : "", ref_print(&all.ref[i], text));
	if (rc < 0)
		build_add(&said, "?%s", e.text);
	bool right = *c->means == '?' ? rc < 0 && strstr(said.p, c->means + 1) != NULL
				      : strcmp(said.p, c->means) == 0;
	if (!right)
		fail_msg("%s: %s", c->rule, said.p);
	assert_true(rc == 0 || e.code == ERR_USAGE);
	build_free(&said);
	registries_unref(r);
}

static void
test_short_rules(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(short_rules); i++)
		check_short(&short_rules[i]);
}

static void
test_short_without(void **state)
{
	struct candidates all;
	struct err e = {0};

	assert_int_equal(registries_candidates(NULL, span_str("q.io/x"), &all, &e), 0);
	assert_int_equal(all.n, 1);
	assert_true(registries_candidates(NULL, span_str("x"), &all, &e) < 0);
	assert_non_null(strstr(e.text, "and there is no registries.conf: write"));
}

/* As many registries as there may be, each as long as it may be. */
static void
test_short_long(void **state)
{
	struct build text = {0};
	struct candidates all;
	struct err e = {0};

	build_add(&text, S "[");
	for (int i = 0; i < LIMIT_SEARCH; i++)
		build_add(&text, "\"h%02d-" HEX_A "." HEX_A "." HEX_A ".io\",", i);
	build_add(&text, "]\nshort-name-mode = \"enforcing\"");
	struct registries *r = read_files(text.p, NULL);
	assert_true(registries_candidates(r, span_str("x"), &all, &e) < 0);
	assert_int_equal(all.n, LIMIT_SEARCH);
	assert_non_null(strstr(e.text, " and 14 more, and short-name-mode"));
	assert_non_null(strstr(e.text, "to [aliases] in /etc/r.conf"));
	build_free(&text);
	registries_unref(r);
}

/* ---- what a short name may stand for in the store ---- */

static const struct {
	const char *rule, *file, *name, *means;
} meanings[] = {
    {"built here, the registries in their order, docker.io", S "[\"b.io\", \"a.io\"]",
	"x:1", "localhost/x:1 b.io/x:1 a.io/x:1 docker.io/library/x:1"},
    {"its alias comes first, and is not all", FEW "[aliases]\nx = \"q.io/y\"", "x:1",
	"q.io/y:1 localhost/x:1 a.io/x:1 docker.io/library/x:1 localhost:5000/x:1"},
    {"what the mode is does not matter", FEW "short-name-mode = \"enforcing\"", "n/x",
	"localhost/n/x:latest a.io/n/x:latest docker.io/n/x:latest "
	"localhost:5000/n/x:latest"},
    {"nothing twice", S "[\"a.io\"]\n[aliases]\nx = \"docker.io/x\"", "x",
	"docker.io/library/x:latest localhost/x:latest a.io/x:latest"},
    {"the end of a name is another", S "[\"a.io\"]\n[aliases]\nx = \"ba.io/x\"", "x",
	"ba.io/x:latest localhost/x:latest a.io/x:latest docker.io/library/x:latest"},
    {"a digest", "", "x" AT, "localhost/x" AT " docker.io/library/x" AT},
    {"of tag and digest the digest is recorded", "", "x:1" AT,
	"localhost/x" AT " docker.io/library/x" AT},
    {"the first digits of an ID may be a name", "", "cafe",
	"localhost/cafe:latest docker.io/library/cafe:latest"},
    {"a whole ID is none", FEW, HEX_A, ""},
    {"a whole name means itself", FEW, "q.io/x", ""},
    {"localhost is a registry", FEW, "localhost/x", ""},
    {"no reference", FEW, "X", ""},
    {"nothing", FEW, "", ""},
};

static void
test_meanings(void **state)
{
	char text[LIMIT_MEANINGS_TEXT + 1];

	for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
		struct registries *r = read_files(meanings[i].file, NULL);
		registries_meanings(r, span_str(meanings[i].name), text);
		for (char *at = text; (at = strchr(at, '\n')); at++)
			*at = at[1] ? ' ' : 0;
		if (strcmp(text, meanings[i].means) != 0)
			fail_msg("%s: %s", meanings[i].rule, text);
		registries_unref(r);
	}
	assert_string_equal(registries_meanings(NULL, span_str("x"), text),
	    "localhost/x:latest\ndocker.io/library/x:latest\n");
}

/* As many as there may be, each as long as it may be: all find room. */
static void
test_meanings_long(void **state)
{
	char text[LIMIT_MEANINGS_TEXT + 1], name[LIMIT_NAME + 1], host[300];
	struct registries *r = registries_new();
	struct span none = span_str("");
	unsigned lines = 0;

	assert_int_equal(registries_add(r, REGISTRY_FILE, 0, span_str("/f"), none), 0);
	for (unsigned i = 0; i < LIMIT_SEARCH; i++) {
		snprintf(host, sizeof(host), "h%02u-%s.%s.io", i, HEX_A, HEX_A);
		assert_int_equal(
		    registries_add(r, REGISTRY_SEARCH, 0, none, span_str(host)), 0);
	}
	snprintf(name, sizeof(name), "%s:%s%s", "x", HEX_A, HEX_A);
	snprintf(host, sizeof(host), "q.io/%s/%s/%s", HEX_A, HEX_A, "y");
	assert_int_equal(
	    registries_add(r, REGISTRY_ALIAS, 0, span_str("x"), span_str(host)), 0);
	registries_meanings(r, span_str(name), text);
	for (const char *at = text; *at; at++)
		lines += *at == '\n';
	assert_int_equal(lines, LIMIT_MEANINGS);
	registries_unref(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rules),
	    cmocka_unit_test(test_without),
	    cmocka_unit_test(test_insecure),
	    cmocka_unit_test(test_who_decided),
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_short_rules),
	    cmocka_unit_test(test_short_without),
	    cmocka_unit_test(test_short_long),
	    cmocka_unit_test(test_meanings),
	    cmocka_unit_test(test_meanings_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
