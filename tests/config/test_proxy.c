/* Which origins have which proxy. */
#include "supervisor/config/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void
urls_of_proxies(void **state)
{
	static const struct {
		const char *text, *host;
		unsigned port;		  /* 0: no proxy */
		const char *plain, *with; /* user:password, when it may be there */
	} rows[] = {
	    {"http://proxy", "proxy", 80, NULL, NULL},
	    {"http://proxy:3128/", "proxy", 3128, NULL, NULL},
	    {"proxy.example:8080", "proxy.example", 8080, NULL, NULL},
	    {"http://[2001:db8::1]:3128", "2001:db8::1", 3128, NULL, NULL},
	    {"http://10.0.0.1", "10.0.0.1", 80, NULL, NULL},
	    {"http://u:p@proxy", "proxy", 80, "no", "u:p"},
	    {"http://u:%40%3a@proxy:1", "proxy", 1, "no", "u:@:"},
	    {"https://proxy", NULL, 0, NULL, NULL},
	    {"socks5://proxy:1080", NULL, 0, NULL, NULL},
	    {"http://proxy:0", NULL, 0, NULL, NULL},
	    {"http://proxy:65536", NULL, 0, NULL, NULL},
	    {"http://proxy:", NULL, 0, NULL, NULL},
	    {"http://", NULL, 0, NULL, NULL},
	    {"", NULL, 0, NULL, NULL},
	    {"http://proxy/path", NULL, 0, NULL, NULL},
	    {"http://pro xy", NULL, 0, NULL, NULL},
	    {"http://[2001:db8::1", NULL, 0, NULL, NULL},
	};
	char both[64];
	struct proxy p;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool ok = proxy_parse(span_str(rows[i].text), true, &p);
		if (ok != (rows[i].port != 0))
			fail_msg("%s", rows[i].text);
		if (!ok)
			continue;
		assert_string_equal(p.host, rows[i].host);
		assert_int_equal(p.port, rows[i].port);
		size_t n = proxy_userinfo(p.userinfo, both, sizeof(both));
		assert_true(span_is(span_of(both, n), rows[i].with ? rows[i].with : ""));
		assert_int_equal(proxy_parse(span_str(rows[i].text), false, &p),
		    rows[i].plain == NULL);
	}
	assert_int_equal(proxy_userinfo(span_str("nocolon"), both, sizeof(both)), 0);
	assert_int_equal(proxy_userinfo(span_str("a:%4"), both, sizeof(both)), 0);
	assert_int_equal(proxy_userinfo(span_str("a:%zz"), both, sizeof(both)), 0);
	assert_int_equal(proxy_userinfo(span_str("a:%0a"), both, sizeof(both)), 0);
	assert_int_equal(proxy_userinfo(span_str("a:bc"), both, 3), 0);
	assert_int_equal(proxy_userinfo(span_str("a:bc"), both, 4), 4);
}

static void
words_of_the_configuration(void **state)
{
	static const char *const rules[] = {"r.example=http://p", "r.example:5000=p:3128",
	    "*.corp.example=direct", "[::1]:5000=http://p", "127.0.0.1:5000=p"};
	static const char *const no_rules[] = {"r.example", "=http://p", "r=https://p",
	    "r=", "*=p", "r r=p", "r=http://u:p@p", "r:x=p"};
	static const char *const direct[] = {"*", "a.example", ".a.example",
	    "*.a.example", "a.example:5000", "10.0.0.0/8", "fd00::/8", "10.1.2.3",
	    "[fd00::1]:5000"};
	static const char *const not_direct[] = {
	    "", "10.0.0.0/33", "fd00::/129", "a/b", "a b", "a:0", "10.0.0.0/", "x/8"};

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		assert_true(proxy_rule_ok(span_str(rules[i])));
	for (size_t i = 0; i < ARRAY_LEN(no_rules); i++)
		if (proxy_rule_ok(span_str(no_rules[i])))
			fail_msg("%s", no_rules[i]);
	for (size_t i = 0; i < ARRAY_LEN(direct); i++)
		assert_true(no_proxy_ok(span_str(direct[i])));
	for (size_t i = 0; i < ARRAY_LEN(not_direct); i++)
		if (no_proxy_ok(span_str(not_direct[i])))
			fail_msg("%s", not_direct[i]);
}

static void
who_has_which(void **state)
{
	static const struct proxy_rules r = {
	    .registry = "r.example=http://own\n*.r.example=below\nlocal:5000=direct\n"
			"127.0.0.1:5000=loop\n*.deep.r.example=direct\n",
	    .http = "http://plain:1",
	    .https = "http://all:2",
	    .none = "corp.example, .below.example,*.star.example 10.0.0.0/8\n"
		    "192.0.2.1:5000\tport.example:8443,fd00::/8",
	};
	static const struct {
		const char *host;
		unsigned port;
		bool tls;
		const char *proxy; /* NULL: none */
	} rows[] = {
	    {"r.example", 443, true, "own"},
	    {"R.EXAMPLE", 443, true, "own"},
	    {"a.r.example", 443, true, "below"},
	    {"a.deep.r.example", 443, true, NULL},
	    {"xr.example", 443, true, "all"},
	    {"local", 5000, true, NULL},
	    {"local", 5001, true, "all"},
	    {"other", 80, false, "plain"},
	    {"corp.example", 443, true, NULL},
	    {"a.corp.example", 443, true, NULL},
	    {"acorp.example", 443, true, "all"},
	    {"below.example", 443, true, "all"},
	    {"a.below.example", 443, true, NULL},
	    {"star.example", 443, true, "all"},
	    {"a.star.example", 443, true, NULL},
	    {"10.9.8.7", 443, true, NULL},
	    {"11.9.8.7", 443, true, "all"},
	    {"::ffff:10.9.8.7", 443, true, NULL},
	    {"fd00::1", 443, true, NULL},
	    {"fe00::1", 443, true, "all"},
	    {"192.0.2.1", 5000, true, NULL},
	    {"192.0.2.1", 443, true, "all"},
	    {"port.example", 8443, true, NULL},
	    {"port.example", 443, true, "all"},
	    {"localhost", 5000, true, NULL},
	    {"127.0.0.1", 443, true, NULL},
	    {"127.0.0.1", 5000, true, "loop"},
	    {"127.1.2.3", 80, false, NULL},
	    {"::1", 443, true, NULL},
	};
	struct proxy_rules all = r;
	struct proxy p;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool got =
		    proxy_for(&r, rows[i].host, (uint16_t)rows[i].port, rows[i].tls, &p);
		if (got != (rows[i].proxy != NULL) ||
		    (got && strcmp(p.host, rows[i].proxy)))
			fail_msg("%s:%u: %s", rows[i].host, rows[i].port,
			    got ? p.host : "none");
	}
	all.none = "a.example,*";
	assert_false(proxy_for(&all, "other", 443, true, &p));
	all.https = "";
	assert_false(proxy_for(&all, "x.example", 443, true, &p));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(urls_of_proxies),
	    cmocka_unit_test(words_of_the_configuration),
	    cmocka_unit_test(who_has_which),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
