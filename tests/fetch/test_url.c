#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/ref/url.h"

static int
parse(const char *text, struct url *u)
{
	struct err e = {0};
	int r = url_parse(span_str(text), u, &e);
	assert_int_equal(r < 0, e.code != ERR_OK);
	return r;
}

static void
accepted(void **state)
{
	static const struct {
		const char *text, *origin, *target;
	} rows[] = {
	    {"https://registry.example/v2/", "https://registry.example", "/v2/"},
	    {"HTTPS://Registry.Example:443", "https://registry.example", "/"},
	    {"http://a:80/x?y=1", "http://a", "/x?y=1"},
	    {"http://a:443/", "http://a:443", "/"},
	    {"http://localhost:5000?q", "http://localhost:5000", "/?q"},
	    {"https://10.0.0.1/%2f%00", "https://10.0.0.1", "/%2f%00"},
	    {"https://[2001:DB8::1]:8443/", "https://[2001:db8::1]:8443", "/"},
	    {"https://[::ffff:1.2.3.4]/", "https://[::ffff:1.2.3.4]", "/"},
	    {"https://my_bucket.s3.example/a//b/../c", "https://my_bucket.s3.example",
		"/a//b/../c"},
	    {"https://xn--bcher-kva.example/", "https://xn--bcher-kva.example", "/"},
	    {"https://a.b:65535/", "https://a.b:65535", "/"},
	    {"https://1password.com/", "https://1password.com", "/"},
	};
	char text[URL_TEXT_MAX];
	struct url u, again;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(parse(rows[i].text, &u), 0);
		assert_string_equal(url_origin(&u, text, sizeof(text)), rows[i].origin);
		assert_string_equal(u.target, rows[i].target);
		url_format(&u, text, sizeof(text));
		assert_int_equal(parse(text, &again), 0);
		assert_memory_equal(&u, &again, sizeof(u));
	}
}

static void
refused(void **state)
{
	static const char *const rows[] = {
	    "",
	    "http",
	    "http:",
	    "http:/",
	    "http://",
	    "https:///path",
	    "//host/",
	    "/path",
	    "file:///etc/passwd",
	    "gopher://a/",
	    "ftp://a/",
	    "dict://a/",
	    "httpsx://a/",
	    "https:a",
	    "https://user@a/",
	    "https://user:pw@a/",
	    "https://a@b:80/",
	    "https://@a/",
	    "https://a/#fragment",
	    "https://a#",
	    "https://a\\b/",
	    "https://a/\\b",
	    "https://a /",
	    "https://a/ b",
	    "https://a\r\n/",
	    "https://a/\r\nX: y",
	    "https://a/\t",
	    "https://\xc3\xbc.example/",
	    "https://a/\xff",
	    "https://a/\x7f",
	    "https://a/\"",
	    "https://a/<b>",
	    /* what inet_aton would take for an address */
	    "http://0x7f.1/",
	    "http://127.1/",
	    "http://2130706433/",
	    "http://0x7f000001/",
	    "http://0177.0.0.1/",
	    "http://127.0.0.0x1/",
	    "http://127.0.0.1.5/",
	    "http://256.0.0.1/",
	    "http://1.2.3/",
	    "http://a.0x1f/",
	    "http://a.1/",
	    "http://127.0.0.01/",
	    /* names */
	    "https://localhost./",
	    "https://a..b/",
	    "https://.a/",
	    "https://-a/",
	    "https://a-/",
	    "https://a.-b/",
	    "https://a-.b/",
	    "https://a%41/",
	    "https://a*b/",
	    "https://a,b/",
	    "https://a$/",
	    "https://a:b:80/",
	    /* addresses */
	    "https://[::1/",
	    "https://::1/",
	    "https://[::1]x/",
	    "https://[fe80::1%25eth0]/",
	    "https://[fe80::1%eth0]/",
	    "https://[]/",
	    "https://[1.2.3.4]/",
	    "https://[::g]/",
	    /* ports */
	    "https://a:/",
	    "https://a:0/",
	    "https://a:00/",
	    "https://a:080/",
	    "https://a:65536/",
	    "https://a:99999999999999999999/",
	    "https://a:-1/",
	    "https://a:8 0/",
	    "https://a:+80/",
	    "https://a:0x50/",
	};
	struct url u;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (parse(rows[i], &u) == 0)
			fail_msg("accepted: %s", rows[i]);
	}
	struct err e = {0};
	assert_true(url_parse(span_of("https://a/\0b", 12), &u, &e) < 0);
}

static void
lengths(void **state)
{
	char text[LIMIT_URL + 8];
	struct url u;

	memset(text, 'a', sizeof(text));
	memcpy(text, "https://h/", 10);
	text[LIMIT_URL] = 0;
	assert_int_equal(parse(text, &u), 0);
	text[LIMIT_URL] = 'a';
	text[LIMIT_URL + 1] = 0;
	assert_true(parse(text, &u) < 0);

	/* host: 253 bytes, labels of 63 */
	char host[LIMIT_HOST + 16] = "https://";
	for (size_t i = 0; i < LIMIT_HOST + 1; i++)
		host[8 + i] = i % 64 == 63 ? '.' : 'a';
	host[8 + LIMIT_HOST] = 0;
	assert_int_equal(parse(host, &u), 0);
	host[8 + LIMIT_HOST] = 'a';
	host[8 + LIMIT_HOST + 1] = 0;
	assert_true(parse(host, &u) < 0);
	host[8 + 63] = 'a'; /* a label of more than 63 */
	host[8 + 100] = 0;
	assert_true(parse(host, &u) < 0);
}

static void
authority(void **state)
{
	struct err e = {0};
	struct url u;

	assert_int_equal(url_parse_authority(span_str("Reg.example"), true, &u, &e), 0);
	assert_string_equal(u.host, "reg.example");
	assert_int_equal(u.port, 443);
	assert_string_equal(u.target, "/");
	assert_int_equal(url_parse_authority(span_str("[::1]:5000"), false, &u, &e), 0);
	assert_true(u.ipv6 && u.literal && u.port == 5000 && !u.tls);
	static const char *const bad[] = {
	    "", "a/b", "a?b", "a@b", "[::1", "a:70000", "0x7f.1"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		e.code = ERR_OK;
		assert_true(url_parse_authority(span_str(bad[i]), true, &u, &e) < 0);
		assert_int_equal(e.code, ERR_NETWORK);
	}
}

static void
locations(void **state)
{
	static const struct {
		const char *location, *result; /* NULL: refused */
	} rows[] = {
	    {"https://b.example/x", "https://b.example/x"},
	    {"http://b.example:81/", "http://b.example:81/"},
	    {"//b.example/y?z", "https://b.example/y?z"},
	    {"/root", "https://a.example:8443/root"},
	    {"?q=2", "https://a.example:8443/dir/sub/file?q=2"},
	    {"name", "https://a.example:8443/dir/sub/name"},
	    {"name?x=/../y", "https://a.example:8443/dir/sub/name?x=/../y"},
	    {"../up", "https://a.example:8443/dir/up"},
	    {"../../../../up", "https://a.example:8443/up"},
	    {"./.", "https://a.example:8443/dir/sub/"},
	    {"..", "https://a.example:8443/dir/"},
	    {"a/./b/../c", "https://a.example:8443/dir/sub/a/c"},
	    {"", NULL},
	    {"//", NULL},
	    {"///x", NULL},
	    {"//user@b/", NULL},
	    {"file:///etc/passwd", NULL},
	    {"javascript:x", NULL},
	    {"https:/b", NULL},
	    {"https:b", NULL},
	    {"/x#frag", NULL},
	    {"/x y", NULL},
	    {"/x\r\nA: b", NULL},
	    {"\\\\evil", NULL},
	    {"/\\evil", NULL},
	    {"//0x7f.1/", NULL},
	};
	struct url base, u;
	char text[URL_TEXT_MAX];

	assert_int_equal(parse("https://a.example:8443/dir/sub/file?q=1", &base), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = {0};
		int r = url_resolve(&base, span_str(rows[i].location), &u, &e);
		if (!rows[i].result) {
			if (r == 0)
				fail_msg("accepted: %s", rows[i].location);
			continue;
		}
		assert_int_equal(r, 0);
		assert_string_equal(url_format(&u, text, sizeof(text)), rows[i].result);
	}
}

static void
leading(void **state)
{
	static const struct {
		const char *from, *to;
		bool ok;
	} rows[] = {
	    {"https://a/", "https://b/", true},
	    {"http://a/", "https://a/", true},
	    {"http://a/", "http://b/", true},
	    {"https://a/", "http://a/", false},
	    {"https://a/", "http://a:443/", false},
	    {"https://a/", "https://a:25/", false},
	    {"https://a/", "https://a:8443/", true},
	    {"https://a:25/", "https://a:25/x", true},
	    {"https://a:465/", "https://b:465", true},
	    {"http://a:5000/", "http://b:22/", false},
	    {"http://a/", "http://a:1023/", false},
	    {"http://a/", "http://a:1024/", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct url a, b;
		struct err e = {0};
		assert_int_equal(parse(rows[i].from, &a), 0);
		assert_int_equal(parse(rows[i].to, &b), 0);
		assert_int_equal(url_may_lead(&a, &b, &e) == 0, rows[i].ok);
		assert_int_equal(e.code, rows[i].ok ? ERR_OK : ERR_NETWORK);
	}
}

static void
origins(void **state)
{
	static const char *const rows[] = {"https://a/", "http://a:443/",
	    "https://a:444/", "https://b/", "https://a.b/", "https://[::1]/",
	    "http://[::1]:443/"};
	struct url a, b;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
			assert_int_equal(parse(rows[i], &a), 0);
			assert_int_equal(parse(rows[k], &b), 0);
			assert_int_equal(url_same_origin(&a, &b), i == k);
		}
	}
	assert_int_equal(parse("https://A:443/x", &a), 0);
	assert_int_equal(parse("https://a/y", &b), 0);
	assert_true(url_same_origin(&a, &b));
}

static void
queries(void **state)
{
	struct err e = {0};
	struct url u;

	assert_int_equal(parse("https://a/token", &u), 0);
	assert_int_equal(
	    url_add_query(&u, "service", span_str("a b&c=d#/\xc3\xbc"), &e), 0);
	assert_int_equal(
	    url_add_query(&u, "scope", span_str("repository:x/y:pull"), &e), 0);
	assert_string_equal(u.target,
	    "/token?service=a%20b%26c%3Dd%23%2F%C3%BC&scope=repository%3Ax%2Fy%3Apull");
	char big[LIMIT_URL];
	memset(big, 'x', sizeof(big));
	char before[LIMIT_URL + 1];
	snprintf(before, sizeof(before), "%s", u.target);
	assert_true(url_add_query(&u, "q", span_of(big, sizeof(big)), &e) < 0);
	assert_string_equal(u.target, before);

	/* exactly full, and one more */
	assert_int_equal(parse("https://a/", &u), 0);
	assert_int_equal(url_add_query(&u, "q", span_of(big, LIMIT_URL - 4), &e), 0);
	assert_int_equal(strlen(u.target), LIMIT_URL);
	assert_int_equal(parse("https://a/", &u), 0);
	e.code = ERR_OK;
	assert_true(url_add_query(&u, "q", span_of(big, LIMIT_URL - 3), &e) < 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(accepted),
	    cmocka_unit_test(refused),
	    cmocka_unit_test(lengths),
	    cmocka_unit_test(authority),
	    cmocka_unit_test(locations),
	    cmocka_unit_test(leading),
	    cmocka_unit_test(origins),
	    cmocka_unit_test(queries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
