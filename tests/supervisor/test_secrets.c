/* Which secret of the auth file belongs to which repository, and what is recorded of it.
 */
#include "supervisor/secrets.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void
add(struct secrets *s, const char *scope, const char *secret)
{
	assert_int_equal(
	    secrets_add(s, span_str(scope), SECRET_BASIC, span_str(secret)), 0);
}

/* The only place, or the first of several; a helper as "helper NAME SERVER". */
static const char *
find(const struct secrets *s, const char *host, const char *repository)
{
	static char text[800];
	struct candidate c;
	unsigned cursor = 0;

	if (!secrets_next(s, host, repository, &cursor, &c))
		return NULL;
	if (c.secret)
		snprintf(text, sizeof(text), "%.*s", (int)c.secret->n,
		    (const char *)c.secret->bytes);
	else
		snprintf(text, sizeof(text), "helper %s %s", c.helper, c.server);
	return text;
}

static void
the_longest_scope_wins_and_strangers_get_nothing(void **state)
{
	struct secrets s = {0};
	static const struct {
		const char *host, *repository, *secret;
	} rows[] = {
	    {"quay.io", "a/b", "u:ab"},
	    {"quay.io", "a/b/c", "u:ab"},
	    {"quay.io", "a/bc", "u:a"},
	    {"quay.io", "a", "u:a"},
	    {"quay.io", "x", "u:quay"},
	    {"quay.io:8443", "a/b", NULL},
	    {"quay.iox", "a/b", NULL},
	    {"xquay.io", "a/b", NULL},
	    {"docker.io", "library/alpine", "u:hub"},
	    {"reg:5000", "x", "u:reg"},
	    {"reg", "x", NULL},
	    {"r.example", "v2/x", "u:r"},
	};

	add(&s, "quay.io", "u:quay");
	add(&s, "quay.io/a", "u:a");
	add(&s, "quay.io/a/b", "u:ab");
	add(&s, "https://index.docker.io/v1/", "u:hub");
	add(&s, "http://reg:5000", "u:reg");
	add(&s, "https://r.example/v2/", "u:r");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *got = find(&s, rows[i].host, rows[i].repository);
		if (!got != !rows[i].secret || (got && strcmp(got, rows[i].secret) != 0))
			fail_msg("%s/%s: %s", rows[i].host, rows[i].repository,
			    got ? got : "nothing");
	}
	assert_int_equal(
	    secrets_add(&s, span_str(""), SECRET_BASIC, span_str("x")), -EINVAL);
	secrets_release(&s);
	assert_null(find(&s, "quay.io", "a"));
}

static void
add_helper(struct secrets *s, const char *scope, const char *name)
{
	assert_int_equal(secrets_add_helper(s, span_str(scope), span_str(name)), 0);
}

/* All places for a registry's repository "a/b", in their order. */
static void
places(const struct secrets *s, const char *host, const char *wanted)
{
	char text[2048] = "";
	struct candidate c;
	unsigned cursor = 0;

	while (secrets_next(s, host, "a/b", &cursor, &c)) {
		size_t n = strlen(text);
		if (c.secret)
			snprintf(text + n, sizeof(text) - n, "%.*s;", (int)c.secret->n,
			    (const char *)c.secret->bytes);
		else
			snprintf(
			    text + n, sizeof(text) - n, "%s(%s);", c.helper, c.server);
	}
	assert_string_equal(text, wanted);
}

static void
one_file_after_another(void **state)
{
	struct secrets s = {0};

	add(&s, "r.example", "u:first");
	add_helper(&s, "h.example", "one");
	add(&s, "h.example/a", "u:unused"); /* a registry's helper comes instead */
	secrets_file(&s);
	secrets_file(&s); /* the second one is not there */
	add(&s, "r.example/a/b", "u:third");
	add_helper(&s, "", "all");
	add_helper(&s, "https://index.docker.io/v1/", "hub");
	add(&s, "docker.io", "u:unused");
	places(&s, "r.example", "u:first;u:third;");
	places(&s, "h.example", "one(h.example);all(h.example);");
	places(&s, "other", "all(other);");
	places(&s, "docker.io", "hub(https://index.docker.io/v1/);");
	secrets_file(&s);
	add(&s, "other", "u:dropped");
	add_helper(&s, "other.example", "dropped");
	secrets_file_drop(&s);
	places(&s, "other", "all(other);");
	places(&s, "other.example", "all(other.example);");
	secrets_release(&s);
	places(&s, "r.example", "");
}

static void
the_hub_in_a_helper_of_all(void **state)
{
	struct secrets s = {0};

	add_helper(&s, "", "all");
	places(&s, "docker.io", "all(https://index.docker.io/v1/);");
	secrets_release(&s);
}

static void
registries_conf_orders_helpers(void **state)
{
	static const char *const rows[] = {
	    "old", "", "first", "containers-auth.json", "last"};
	struct secrets s = {0};

	add(&s, "r", "u:file");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(secrets_add_order(&s, span_str(rows[i])), 0);
	places(&s, "r", "first(r);u:file;last(r);");
	places(&s, "x", "first(x);last(x);");
	secrets_release(&s);
}

static void
helpers_have_names_of_their_kind(void **state)
{
	static const char *const bad[] = {"", "A", "a/b", "..", "a b", "a.b", "a_b",
	    "\x80", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	struct secrets s = {0};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(
		    secrets_add_helper(&s, span_str("r"), span_str(bad[i])), -EINVAL);
		if (*bad[i])
			assert_int_equal(
			    secrets_add_order(&s, span_str(bad[i])), -EINVAL);
	}
	add_helper(
	    &s, "r", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	while (secrets_add_order(&s, span_str("a-0")) == 0)
		;
	assert_int_equal(secrets_add_order(&s, span_str("a-0")), -E2BIG);
	secrets_release(&s);
}

static void
secrets_are_limited(void **state)
{
	struct secrets s = {0};
	uint8_t *big = calloc(1, LIMIT_SECRET + 1);

	assert_non_null(big);
	assert_int_equal(
	    secrets_add(&s, span_str("h"), SECRET_BASIC, span_of(big, LIMIT_SECRET)), 0);
	assert_int_equal(
	    secrets_add(&s, span_str("h"), SECRET_BASIC, span_of(big, LIMIT_SECRET + 1)),
	    -EINVAL);
	free(big);
	secrets_release(&s);
}

static void
proofs_tell_origin_user_and_password_apart(void **state)
{
	static const uint8_t key[32] = {1}, other_key[32] = {2};
	static const struct {
		const uint8_t *key;
		const char *origin, *secret;
	} rows[] = {
	    {key, "h:443", "user:pass"},
	    {other_key, "h:443", "user:pass"},
	    {key, "h:444", "user:pass"},
	    {key, "h:443", "use:rpass"},
	    {key, "h:443", "user:passx"},
	    {key, "h:443", "userpass"},
	};
	uint8_t proof[ARRAY_LEN(rows)][16], again[16];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(secret_proof(rows[i].key, rows[i].origin,
				     span_str(rows[i].secret), proof[i]),
		    0);
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(proof[i], proof[k], 16);
	}
	assert_int_equal(secret_proof(key, "h:443", span_str("user:pass"), again), 0);
	assert_memory_equal(proof[0], again, 16);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_longest_scope_wins_and_strangers_get_nothing),
	    cmocka_unit_test(one_file_after_another),
	    cmocka_unit_test(the_hub_in_a_helper_of_all),
	    cmocka_unit_test(registries_conf_orders_helpers),
	    cmocka_unit_test(helpers_have_names_of_their_kind),
	    cmocka_unit_test(secrets_are_limited),
	    cmocka_unit_test(proofs_tell_origin_user_and_password_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
