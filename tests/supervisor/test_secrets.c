/* Which secret of the auth file belongs to which repository, and what is recorded of it.
 */
#include "supervisor/secrets.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void
add(struct secrets *s, const char *scope, const char *secret)
{
	assert_int_equal(
	    secrets_add(s, span_str(scope), SECRET_BASIC, span_str(secret)), 0);
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
		const struct secret *got =
		    secrets_find(&s, rows[i].host, rows[i].repository);
		if (!got != !rows[i].secret)
			fail_msg("%s/%s", rows[i].host, rows[i].repository);
		if (got)
			assert_true(span_is(span_of(got->bytes, got->n), rows[i].secret));
	}
	assert_int_equal(
	    secrets_add(&s, span_str(""), SECRET_BASIC, span_str("x")), -EINVAL);
	secrets_release(&s);
	assert_null(secrets_find(&s, "quay.io", "a"));
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
	    cmocka_unit_test(secrets_are_limited),
	    cmocka_unit_test(proofs_tell_origin_user_and_password_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
