/* Which registry a name means, who is insecure, who may be sent a secret. */
#include "frontend/insecure.h"
#include "frontend/origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void
registries(void **state)
{
	static const struct {
		const char *name, *origin, *repository;
	} rows[] = {
	    {"alpine", "https://registry-1.docker.io", "library/alpine"},
	    {"quay.io/a/b:c", "https://quay.io", "a/b"},
	    {"quay.io:8443/a/b", "https://quay.io:8443", "a/b"},
	    {"127.0.0.1:5000/x", "https://127.0.0.1:5000", "x"},
	    {"[::1]:5000/x", "https://[::1]:5000", "x"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ref ref;
		struct registry reg;
		struct err e = {0};
		char origin[URL_TEXT_MAX];
		assert_int_equal(ref_parse(span_str(rows[i].name), &ref, &e), 0);
		if (registry_of(&ref, &reg, &e) < 0)
			fail_msg("%s: %s", rows[i].name, e.text);
		assert_string_equal(
		    url_origin(&reg.url, origin, sizeof(origin)), rows[i].origin);
		assert_string_equal(reg.repository, rows[i].repository);
	}
}

/* Rules: a range is about addresses as they are written, a host about all of its ports.
 */
static void
insecure_registries(void **state)
{
	static const struct {
		const char *domain, *rule;
		bool matches;
	} rows[] = {
	    {"reg.lan:5000", "reg.lan:5000", true},
	    {"reg.lan:5001", "reg.lan:5000", false},
	    {"reg.lan", "reg.lan:5000", false},
	    {"reg.lan:5001", "reg.lan", true},
	    {"reg.lan", "reg.lan", true},
	    {"a.reg.lan", "reg.lan", false},
	    {"Reg.lan", "reg.lan", false},
	    {"10.1.2.3", "10.0.0.0/8", true},
	    {"10.1.2.3:5000", "10.0.0.0/8", true},
	    {"10.1.2.3:5000", "10.1.2.0/24", true},
	    {"11.1.2.3", "10.0.0.0/8", false},
	    {"9.255.255.255", "10.0.0.0/8", false},
	    {"10.1.2.4", "10.1.2.3/32", false},
	    {"10.1.2.3", "10.1.2.3/32", true},
	    {"10.1.2.129", "10.1.2.128/25", true},
	    {"10.1.2.127", "10.1.2.128/25", false},
	    {"8.8.8.8", "0.0.0.0/0", true},
	    {"[2001:db8::1]:5000", "2001:db8::/32", true},
	    {"[2001:db9::1]", "2001:db8::/32", false},
	    {"[::ffff:a01:203]", "10.0.0.0/8", true},
	    {"10.1.2.3", "::/0", false},
	    {"[2001:db8::1]", "0.0.0.0/0", false},
	    {"[2001:db8::1]", "::/0", true},
	    /* a name, whatever it resolves to */
	    {"localhost", "127.0.0.0/8", false},
	    {"ten.example", "10.0.0.0/8", false},
	    {"ten.example", "0.0.0.0/0", false},
	    {"10.0.0.1.example", "10.0.0.0/8", false},
	    {"0x0a000001", "10.0.0.0/8", false},
	    {"10.1", "10.0.0.0/8", false},
	    /* no rule at all */
	    {"10.1.2.3", "10.0.0.0/", false},
	    {"10.1.2.3", "10.0.0.0/33", false},
	    {"10.1.2.3", "10.0.0.0", false},
	    {"10.1.2.3", "/8", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool matches = insecure_matches(span_str(rows[i].rule), rows[i].domain);
		if (matches != rows[i].matches)
			fail_msg("%s by %s: %d", rows[i].domain, rows[i].rule, matches);
	}
	assert_true(host_is_loopback("127.0.0.1") && host_is_loopback("127.9.8.7"));
	assert_true(host_is_loopback("::1") && host_is_loopback("localhost"));
	assert_false(host_is_loopback("128.0.0.1") || host_is_loopback("::2"));
	assert_false(host_is_loopback("localhost.example.com"));
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
	    cmocka_unit_test(insecure_registries),
	    cmocka_unit_test(realms),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
