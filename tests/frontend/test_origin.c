/* Which registry a name means, who is insecure, who may be sent a secret. */
#include "frontend/origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void
registries(void **state)
{
	static const struct {
		const char *name, *insecure, *origin, *repository;
		bool plain;
	} rows[] = {
	    {"alpine", "", "https://registry-1.docker.io", "library/alpine", false},
	    {"quay.io/a/b:c", "", "https://quay.io", "a/b", false},
	    {"quay.io:8443/a/b", "", "https://quay.io:8443", "a/b", false},
	    {"127.0.0.1:5000/x", "", "https://127.0.0.1:5000", "x", true},
	    {"127.9.8.7/x", "", "https://127.9.8.7", "x", true},
	    {"128.0.0.1/x", "", "https://128.0.0.1", "x", false},
	    {"localhost/x", "", "https://localhost", "x", true},
	    {"localhost.example.com/x", "", "https://localhost.example.com", "x", false},
	    {"[::1]:5000/x", "", "https://[::1]:5000", "x", true},
	    {"10.1.2.3/x", "10.0.0.0/8\n", "https://10.1.2.3", "x", true},
	    {"11.1.2.3/x", "10.0.0.0/8\n", "https://11.1.2.3", "x", false},
	    {"10.1.2.3:5000/x", "other\n10.1.2.0/24\n", "https://10.1.2.3:5000", "x",
		true},
	    {"reg.lan:5000/x", "reg.lan:5000\n", "https://reg.lan:5000", "x", true},
	    {"reg.lan:5001/x", "reg.lan:5000\n", "https://reg.lan:5001", "x", false},
	    {"reg.lan:5001/x", "reg.lan\n", "https://reg.lan:5001", "x", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ref ref;
		struct registry reg;
		struct err e = {0};
		char origin[URL_TEXT_MAX];
		assert_int_equal(ref_parse(span_str(rows[i].name), &ref, &e), 0);
		if (registry_of(&ref, span_str(rows[i].insecure), &reg, &e) < 0)
			fail_msg("%s: %s", rows[i].name, e.text);
		assert_string_equal(
		    url_origin(&reg.url, origin, sizeof(origin)), rows[i].origin);
		assert_string_equal(reg.repository, rows[i].repository);
		if (reg.insecure != rows[i].plain)
			fail_msg("%s: insecure is %d", rows[i].name, reg.insecure);
	}
}

static void
realms(void **state)
{
	static const struct {
		const char *registry, *realm;
		bool may;
	} rows[] = {
	    {"https://registry-1.docker.io", "https://auth.docker.io/token", true},
	    {"https://quay.io", "https://quay.io/v2/auth", true},
	    {"https://quay.io", "https://quay.io:8443/v2/auth", true},
	    {"https://quay.io", "http://quay.io/v2/auth", false},
	    {"https://quay.io", "https://evil.io/token", false},
	    {"https://quay.io", "https://notquay.io/token", false},
	    {"https://a.example.com", "https://b.example.com/t", true},
	    {"https://a.example.com", "https://example.com.evil.net/t", false},
	    {"https://10.0.0.1", "https://10.0.0.1:8444/t", true},
	    {"https://10.0.0.1", "https://10.0.0.1:444/t", false},
	    {"https://10.0.0.1", "https://11.0.0.1/t", false},
	    {"http://127.0.0.1:5000", "http://127.0.0.1:5001/t", true},
	    {"http://127.0.0.1:5000", "http://localhost:5001/t", true},
	    {"https://quay.io", "https://127.0.0.1/t", false},
	    {"https://quay.io", "https://169.254.169.254/t", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct url a, b;
		struct err e = {0};
		assert_int_equal(url_parse(span_str(rows[i].registry), &a, &e), 0);
		assert_int_equal(url_parse(span_str(rows[i].realm), &b, &e), 0);
		bool may = url_may_see_secret(&a, &b, &e) == 0;
		if (may != rows[i].may)
			fail_msg("%s -> %s: %d %s", rows[i].registry, rows[i].realm, may,
			    e.text);
		assert_true(may || *e.text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(registries),
	    cmocka_unit_test(realms),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
