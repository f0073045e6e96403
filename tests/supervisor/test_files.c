/* The policy file as sealed memory. */
#include "supervisor/files.h"

#include "common/base/fd.h"
#include "common/base/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];

static const char *
make_file(const char *name, size_t n)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	for (size_t i = 0; i < n; i++)
		fputc('p', f);
	assert_int_equal(fclose(f), 0);
	return path;
}

static void
a_policy_is_sealed_and_hashed(void **state)
{
	static const uint8_t sha_of_p[] = {0x14, 0x8d, 0xe9, 0xc5};
	struct policy_file p;
	size_t size;

	files_open_policy(make_file("policy", 1), &p);
	FD_AUTO fd = p.fd;
	assert_true(fd >= 0);
	assert_int_equal(p.problem.code, ERR_OK);
	assert_int_equal(fd_check_sealed(fd, 10, &size), 0);
	assert_int_equal(size, 1);
	assert_memory_equal(p.sha256, sha_of_p, sizeof(sha_of_p));
	assert_int_equal(write(fd, "x", 1), -1);
}

static void
a_missing_policy_says_where_it_was_looked_for(void **state)
{
	struct policy_file p;

	files_open_policy("/nowhere/policy.json", &p);
	assert_int_equal(p.fd, -1);
	assert_int_equal(p.problem.code, ERR_POLICY);
	assert_non_null(strstr(p.problem.text, "/nowhere/policy.json"));
	assert_string_equal(p.path, "/nowhere/policy.json");
	for (size_t i = 0; i < sizeof(p.sha256); i++)
		assert_int_equal(p.sha256[i], 0);
}

static void
a_policy_has_a_limit(void **state)
{
	struct policy_file p;

	files_open_policy(make_file("full", LIMIT_POLICY), &p);
	FD_AUTO fd = p.fd;
	assert_true(fd >= 0);
	files_open_policy(make_file("over", LIMIT_POLICY + 1), &p);
	assert_true(p.fd < 0);
	assert_non_null(strstr(p.problem.text, "over"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_policy_is_sealed_and_hashed),
	    cmocka_unit_test(a_missing_policy_says_where_it_was_looked_for),
	    cmocka_unit_test(a_policy_has_a_limit),
	};
	char remove[128];

	snprintf(dir, sizeof(dir), "/tmp/bulkhead-test-files-%ld", (long)getpid());
	if (mkdir(dir, 0700) < 0)
		return 1;
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(remove, sizeof(remove), "rm -rf %s", dir);
	return system(remove) != 0 || r != 0;
}
