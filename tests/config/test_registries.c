/* containers-registries.conf(5): what the reader takes, what it makes of it, what it
 * refuses. What the rows then mean for a name: tests/frontend/test_registries.c. */
#include "tests/config/collect.h"

#define R "[[registry]]\n"
#define M "[[registry.mirror]]\n"
#define Q "location = \"q.io\"\n"

static const struct said files[] = {
    {"", "", false},
    {"# nothing\n", "", false},
    /* [[registry]] */
    {R "location = \"q.io\"", "table 0 q.io q.io\n", false},
    {R "prefix = \"q.io/a\"\nlocation = \"r.io:5000/b\"", "table 0 q.io/a r.io:5000/b\n",
	false},
    {R "prefix = \"q.io/a//\"\nlocation = \"r.io/b/\"", "table 0 q.io/a r.io/b\n", false},
    {R "prefix = \"\"\nlocation = \"r.io/b\"", "table 0 r.io/b r.io/b\n", false},
    {R "prefix = \"*.q.io\"", "table 0 *.q.io \n", false},
    {R "prefix = \"*.q.io\"\nlocation = \"r.io/q\"", "table 0 *.q.io r.io/q\n", false},
    {R Q "insecure = true", "table 1 q.io q.io\n", false},
    {R Q "blocked = true", "table 2 q.io q.io\n", false},
    {R Q "insecure = false\nblocked = false", "table 0 q.io q.io\n", false},
    {R Q "Blocked = true", "table 2 q.io q.io\n", false},
    {R Q M "location = \"m1\"\n" M "location = \"m2/x\"\ninsecure = true\n",
	"table 0 q.io q.io\nmirror 0  m1\nmirror 1  m2/x\n", false},
    {R Q M "location = \"m\"\npull-from-mirror = \"all\"\n" M
	   "location = \"n\"\npull-from-mirror = \"digest-only\"\n" M
	   "location = \"o\"\npull-from-mirror = \"tag-only\"\n" M
	   "location = \"p\"\npull-from-mirror = \"\"\n",
	"table 0 q.io q.io\nmirror 0  m\nmirror 4  n\nmirror 8  o\nmirror 0  p\n", false},
    {R Q "mirror-by-digest-only = true\n" M "location = \"m\"\n" M
	 "location = \"n\"\ninsecure = true",
	"table 0 q.io q.io\nmirror 4  m\nmirror 5  n\n", false},
    {R Q "mirror = [{location = \"m\"}, {location = \"n\", insecure = true}]",
	"table 0 q.io q.io\nmirror 0  m\nmirror 1  n\n", false},
    /* the second of two with one prefix has no effect */
    {R Q R "prefix = \"q.io\"\nlocation = \"r.io\"\n" R "location = \"s.io\"",
	"table 0 q.io q.io\nignored=line 3: q.io: a table with this prefix came before "
	"and counts\ntable 0 s.io s.io\n",
	false},
    /* short names */
    {"unqualified-search-registries = []", "search 0  \n", false},
    {"unqualified-search-registries = [\"q.io\", \"localhost:5000\", \"docker.io\"]",
	"search 0  \nsearch 0  q.io\nsearch 0  localhost:5000\nsearch 0  docker.io\n",
	false},
    {"short-name-mode = \"enforcing\"", "mode 1  \n", false},
    {"short-name-mode = \"permissive\"", "mode 0  \n", false},
    {"short-name-mode = \"disabled\"", "mode 2  \n", false},
    {"short-name-mode = \"\"", "", false},
    {"[aliases]\nfoo = \"q.io/foo\"\n\"a/b\" = \"r.io:5000/x/y\"",
	"alias 0 a/b r.io:5000/x/y\nalias 0 foo q.io/foo\n", false},
    {"[aliases]\nalpine = \"docker.io/alpine\"",
	"alias 0 alpine docker.io/library/alpine\n", false},
    {"[aliases]\nfoo = \"\"", "alias 0 foo \n", false},
    /* the rest */
    {"credential-helpers = [\"containers-auth.json\", \"pass\"]",
	"credential-helpers=\ncredential-helpers=containers-auth.json\n"
	"credential-helpers=pass\n",
	false},
    {"nonsense = 1\n" R Q "insecur = true",
	"ignored=line 1: nonsense: no key that bulkhead knows\n"
	"ignored=line 4: registry.insecur: no key that bulkhead knows\n"
	"table 0 q.io q.io\n",
	false},
    /* version 1 */
    {"[registries.search]\nregistries = [\"q.io\", \"r.io\"]\n"
     "[registries.insecure]\nregistries = [\"s.io\", \"t.io:5000\"]\n"
     "[registries.block]\nregistries = [\"u.io\", \"s.io\"]\n",
	"search 0  \nsearch 0  q.io\nsearch 0  r.io\ntable 2 u.io u.io\n"
	"table 3 s.io s.io\ntable 1 t.io:5000 t.io:5000\n",
	false},
    {"[registries.search]\nregistries = []", "search 0  \n", false},

    {R, ":1: a [[registry]] has neither prefix nor location", true},
    {"registry = 1", "registry is not a list", true},
    {"registry = [1]", "registry is not a table", true},
    {"[registry]\nlocation = \"q.io\"", "registry is not a list", true},
    {R "prefix = \"q.io\"", ":1: prefix = \"q.io\" has no location", true},
    {R "prefix = \"*.q.io/x\"", "only *.host may begin with a star", true},
    {R "prefix = \"*.q.io:5000\"", "only *.host may begin with a star", true},
    {R "location = \"https://q.io\"",
	":2: registry.location = \"https://q.io\": no scheme", true},
    {R "prefix = \"http://q.io\"", "no scheme stands before the host", true},
    {R "location = \"q io\"", "is not host[:port][/path]", true},
    {R "location = \"q\\u0007io\"", "\"q\\x07io\" is not host[:port][/path]", true},
    {R "location = 1", "registry.location is not a string", true},
    {R Q "insecure = \"true\"", "registry.insecure is not true or false", true},
    {R Q "blocked = 1", "registry.blocked is not true or false", true},
    {R Q "mirror = \"m\"", "registry.mirror is not a list", true},
    {R Q M "insecure = true", "a mirror of \"q.io\" has no location", true},
    {R Q M "location = \"m\"\npull-from-mirror = \"never\"",
	"\"never\" is none of all, digest-only, tag-only", true},
    {R Q "pull-from-mirror = \"all\"", "belongs into a [[registry.mirror]]", true},
    {R Q "mirror-by-digest-only = true\n" M
	 "location = \"m\"\npull-from-mirror = \"all\"",
	"only one of the two may be set", true},
    {R Q R "prefix = \"x.io\"\nlocation = \"q.io\"\ninsecure = true",
	"two [[registry]] tables lead to \"q.io\", one with insecure = true", true},
    {R Q "blocked = true\n" R "prefix = \"x.io\"\nlocation = \"q.io\"",
	"one with blocked = true and one without", true},
    {"unqualified-search-registries = \"q.io\"", "is not a list", true},
    {"unqualified-search-registries = [1]", "is not a string", true},
    {"unqualified-search-registries = [\"\"]", "\"\" is not host[:port]", true},
    {"unqualified-search-registries = [\"q.io/x\"]", "\"q.io/x\" is not host[:port]",
	true},
    /* other programs take it and then ask docker.io/registry/... */
    {"unqualified-search-registries = [\"registry\"]", "\"registry\" is not host[:port]",
	true},
    {"unqualified-search-registries = [\"https://q.io\"]", "no scheme", true},
    {"short-name-mode = \"prompt\"", "none of enforcing, permissive, disabled", true},
    {"short-name-mode = 1", "is not a string", true},
    {"aliases = 1", "aliases is not a table", true},
    {"[aliases]\nfoo = 1", "the alias \"foo\" is not a string", true},
    {"[aliases.foo]\nbar = \"q.io/x\"", "the alias \"foo\" is not a string", true},
    {"[aliases]\n\"q.io/foo\" = \"q.io/x\"", "the left side is no short name", true},
    {"[aliases]\n\"localhost/foo\" = \"q.io/x\"", "the left side is no short name", true},
    {"[aliases]\n\"foo:1\" = \"q.io/x\"", "the left side is no short name", true},
    {"[aliases]\n\"\" = \"q.io/x\"", "the left side is no short name", true},
    {"[aliases]\nfoo = \"bar\"", "the right side is not host[:port]/repository", true},
    {"[aliases]\nfoo = \"q.io/x:1\"", "without tag and digest", true},
    {"[aliases]\nfoo = \"q.io/x@sha256:"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
	"without tag and digest", true},
    {"[registries.search]\nregistries = [\"q.io\"]\n" R Q, "keys of version 1", true},
    {"[registries.search]\nregistries = \"q.io\"", "is not a list", true},
    {"[registry\n", "no TOML", true},
};

static void
test_files(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		check_said(CONFIG_REGISTRIES, &files[i]);
}

static void
test_dropins(void **state)
{
	static const struct said rows[] = {
	    {R Q, "table 0 q.io q.io\n", false},
	    {"[registries.search]\nregistries = [\"q.io\"]\n",
		":2: registries.search.registries is of version 1", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_said(CONFIG_REGISTRIES_DROPIN, &rows[i]);
}

static void
test_aliases(void **state)
{
	static const struct said rows[] = {
	    {"", "", false},
	    {"[aliases]\n  \"fedora\" = \"registry.fedoraproject.org/fedora\"\n",
		"alias 0 fedora registry.fedoraproject.org/fedora\n", false},
	    {"unqualified-search-registries = [\"q.io\"]\n",
		"ignored=line 1: unqualified-search-registries: only [aliases] counts in "
		"this file\n",
		false},
	    {"[aliases]\nfoo = \"bar\"", "the right side", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_said(CONFIG_ALIASES, &rows[i]);
}

/* ---- limits, at N and at N + 1 ---- */

static void
add_tables(struct build *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		build_add(b, "[[registry]]\nlocation = \"r%u.io\"\n", i);
}

static void
add_mirrors(struct build *b, unsigned n)
{
	build_add(b, R Q);
	for (unsigned i = 0; i < n; i++)
		build_add(b, "[[registry.mirror]]\nlocation = \"m%u\"\n", i);
}

static void
add_search(struct build *b, unsigned n)
{
	build_add(b, "unqualified-search-registries = [");
	for (unsigned i = 0; i < n; i++)
		build_add(b, "\"r%u.io\",", i);
	build_add(b, "]\n");
}

static void
add_aliases(struct build *b, unsigned n)
{
	build_add(b, "[aliases]\n");
	for (unsigned i = 0; i < n; i++)
		build_add(b, "a%u = \"q.io/x\"\n", i);
}

static void
add_length(struct build *b, unsigned n)
{
	build_add(b, R "location = \"q.io/");
	build_repeat(b, "a", n - strlen("q.io/"));
	build_add(b, "\"\n");
}

static void
test_limits(void **state)
{
	static const struct {
		void (*add)(struct build *, unsigned);
		unsigned most;
		const char *why;
	} rows[] = {{add_tables, LIMIT_REGISTRIES, "more than 1024 [[registry]] tables"},
	    {add_mirrors, LIMIT_MIRRORS, "more than 16 mirrors"},
	    {add_search, LIMIT_SEARCH, "more than 16 unqualified-search-registries"},
	    {add_aliases, LIMIT_ALIASES, "more than 4096 aliases"},
	    {add_length, LIMIT_NAME, "of at most 512 characters"}};

	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		struct build text = {0}, said = {0};
		struct err e = {0};
		rows[i / 2].add(&text, rows[i / 2].most + (i & 1));
		int r = collect(CONFIG_REGISTRIES, text.p, strlen(text.p), &said, &e);
		assert_int_equal(r, i & 1 ? -EINVAL : 0);
		if ((i & 1) && !strstr(e.text, rows[i / 2].why))
			fail_msg("refused, but with: %s", e.text);
		build_free(&text);
		build_free(&said);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_dropins),
	    cmocka_unit_test(test_aliases),
	    cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
