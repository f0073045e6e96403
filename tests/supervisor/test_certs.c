/* Certificates for one host as sealed memory: what is taken, and how much of it. What TLS
 * makes of it: tests/e2e/test_certs.py. */
#include "supervisor/certs.h"

#include "common/base/fd.h"
#include "common/base/limits.h"
#include "common/base/pairs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char etc[64], own[80];

static void
make_file(const char *name, char fill, size_t n)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", etc, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	for (size_t i = 0; i < n; i++)
		fputc(fill, f);
	assert_int_equal(fclose(f), 0);
}

static void
make_directory(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", etc, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void
check_bytes(int fd, const char *wanted, size_t n)
{
	CLEANUP(free_ptr) uint8_t *p = NULL;
	size_t got = 0;

	assert_int_equal(fd_check_sealed(fd, MiB(8), &got), 0);
	assert_int_equal(got, n);
	assert_int_equal(fd_read_whole(fd, MiB(8), &p, &got), 0);
	assert_memory_equal(p, wanted, n);
}

static void
opens(const char *cert_dir, const char *cas)
{
	CLEANUP(certs_close) struct certs c = {-1, -1};
	struct err e = {0};

	if (certs_open(etc, cert_dir, "h:1", &c, &e) < 0)
		fail_msg("%s", e.text);
	check_bytes(c.cas, cas, strlen(cas));
}

static void
refuses(const char *cert_dir, const char *host, const char *why)
{
	struct certs c = {-1, -1};
	struct err e = {0};

	assert_true(certs_open(etc, cert_dir, host, &c, &e) < 0);
	assert_true(c.cas < 0 && c.clients < 0);
	assert_int_not_equal(e.code, ERR_OK);
	if (!strstr(e.text, why))
		fail_msg("\"%s\" is not in: %s", why, e.text);
}

static void
the_first_directory_of_a_host_is_taken(void **state)
{
	opens("", "");
	make_file("ssl/certs/ca-certificates.crt", 's', 2);
	make_file("docker/certs.d/h:1/ca.crt", 'd', 3);
	opens("", "ss\nddd\n");
	make_directory("containers/certs.d/h:1");
	opens("", "ss\n");
	make_file("containers/certs.d/h:1/ca.crt", 'c', 1);
	make_file("containers/certs.d/h:1/ca.pem", 'p', 1);
	make_file("containers/certs.d/h/ca.crt", 'x', 1);
	opens("", "ss\nc\n");
}

static void
a_cert_dir_takes_their_place(void **state)
{
	opens(own, "ss\n");
	make_file("own/b.crt", 'b', 1);
	make_file("own/a.pem", 'a', 1);
	make_file("own/c.cert", 'x', 1);
	make_file("own/k.key", 'x', 1);
	make_file("own/h:1/z.pem", 'z', 1);
	opens(own, "ss\na\nb\nz\n");
	opens("/nowhere/certs", "ss\n");
}

static void
a_host_is_one_name(void **state)
{
	refuses("", "../h:1", "no such host name");
	refuses("", "..", "no such host name");
	refuses("", "", "no such host name");
	refuses(own, "h:1/../../containers/certs.d/h:1", "no such host name");
}

static void
authorities_have_a_limit(void **state)
{
	CLEANUP(certs_close) struct certs c = {-1, -1};
	struct err e = {0};
	size_t size = 0;

	/* Full to the last byte: what follows is refused, not counted from below zero. */
	make_file("own/h:1/z.pem", 'z', LIMIT_CAS - 8);
	assert_int_equal(certs_open(etc, own, "h:1", &c, &e), 0);
	assert_int_equal(fd_check_sealed(c.cas, LIMIT_CAS, &size), 0);
	assert_int_equal(size, LIMIT_CAS);
	make_file("own/h:1/z.pem", 'z', LIMIT_CAS - 7);
	refuses(own, "h:1", "z.pem");
	make_file("own/b.crt", 'b', LIMIT_CAS);
	refuses(own, "h:1", "b.crt");
}

static void
clients_are_pairs_in_the_order_of_their_names(void **state)
{
	CLEANUP(certs_close) struct certs c = {-1, -1};
	static const char *const wanted[][2] = {{"/containers/certs.d/h:2/a.cert", "A"},
	    {"/containers/certs.d/h:2/a.key", "a"},
	    {"/containers/certs.d/h:2/b.cert", "B"},
	    {"/containers/certs.d/h:2/b.key", "b"}};
	CLEANUP(free_ptr) uint8_t *p = NULL;
	struct span rest = {0}, key, value;
	struct err e = {0};
	size_t n = 0;

	make_file("containers/certs.d/h:2/b.key", 'b', 1);
	make_file("containers/certs.d/h:2/b.cert", 'B', 1);
	make_file("containers/certs.d/h:2/a.cert", 'A', 1);
	make_file("containers/certs.d/h:2/a.key", 'a', 1);
	assert_int_equal(certs_open(etc, "", "h:2", &c, &e), 0);
	assert_int_equal(fd_read_whole(c.clients, MiB(1), &p, &n), 0);
	rest = span_of(p, n);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		assert_true(pairs_next(&rest, &key, &value));
		assert_true(span_starts(key, etc));
		assert_true(span_is(span_from(key, strlen(etc)), wanted[i][0]));
		assert_true(span_is(value, wanted[i][1]));
	}
	assert_int_equal(rest.n, 0);
}

static void
clients_have_a_limit(void **state)
{
	CLEANUP(certs_close) struct certs c = {-1, -1};
	struct err e = {0};
	/* Four lengths and two paths come with a pair. */
	size_t frame = 16 + 2 * strlen(etc) + strlen("/containers/certs.d/h:3/c.cert") +
		       strlen("/containers/certs.d/h:3/c.key");

	make_file("containers/certs.d/h:3/c.cert", 'C', 100);
	make_file("containers/certs.d/h:3/c.key", 'c', LIMIT_CLIENT_CERTS - 100 - frame);
	assert_int_equal(certs_open(etc, "", "h:3", &c, &e), 0);
	make_file(
	    "containers/certs.d/h:3/c.key", 'c', LIMIT_CLIENT_CERTS - 100 - frame + 1);
	refuses("", "h:3", "c.key");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_first_directory_of_a_host_is_taken),
	    cmocka_unit_test(a_cert_dir_takes_their_place),
	    cmocka_unit_test(a_host_is_one_name),
	    cmocka_unit_test(authorities_have_a_limit),
	    cmocka_unit_test(clients_are_pairs_in_the_order_of_their_names),
	    cmocka_unit_test(clients_have_a_limit),
	};
	char make[512], remove[128];

	if (geteuid() != 0)
		return 77; /* the files have to be root's */
	umask(022);
	snprintf(etc, sizeof(etc), "/tmp/bulkhead-test-certs-%ld", (long)getpid());
	snprintf(own, sizeof(own), "%s/own", etc);
	snprintf(make, sizeof(make),
	    "mkdir -p %s/ssl/certs %s/docker/certs.d/h:1 %s/own/h:1 && cd %s && mkdir -p "
	    "containers/certs.d/h:2 containers/certs.d/h:3 "
	    "containers/certs.d/h",
	    etc, etc, etc, etc);
	if (system(make) != 0)
		return 1;
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(remove, sizeof(remove), "rm -rf %s", etc);
	return system(remove) != 0 || r != 0;
}
