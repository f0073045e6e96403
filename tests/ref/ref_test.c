#include "common/ref/ref.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define H64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define D "sha256:" H64
#define R16(s) s s s s s s s s s s s s s s s s
#define A16 "aaaaaaaaaaaaaaaa"
#define A32 A16 A16
#define A64 A32 A32
#define A128 A64 A64

struct row {
	const char *in, *canonical, *familiar;
};

// clang-format off
static const struct row good[] = {
	/* docker.io by default, library/ for one component */
	{"ubuntu", "docker.io/library/ubuntu", "ubuntu"},
	{"ubuntu:22.04", "docker.io/library/ubuntu:22.04", "ubuntu:22.04"},
	{"ubuntu@" D, "docker.io/library/ubuntu@" D, "ubuntu@" D},
	{"ubuntu:22.04@" D, "docker.io/library/ubuntu:22.04@" D, "ubuntu:22.04@" D},
	{"docker.io/ubuntu", "docker.io/library/ubuntu", "ubuntu"},
	{"docker.io/ubuntu:x", "docker.io/library/ubuntu:x", "ubuntu:x"},
	{"docker.io/ubuntu@" D, "docker.io/library/ubuntu@" D, "ubuntu@" D},
	{"docker.io/library/ubuntu", "docker.io/library/ubuntu", "ubuntu"},
	{"index.docker.io/ubuntu", "docker.io/library/ubuntu", "ubuntu"},
	{"index.docker.io/library/ubuntu:1", "docker.io/library/ubuntu:1", "ubuntu:1"},
	{"index.docker.io/org/app", "docker.io/org/app", "org/app"},
	{"library/ubuntu", "docker.io/library/ubuntu", "ubuntu"},
	{"org/app", "docker.io/org/app", "org/app"},
	{"org/app:v1", "docker.io/org/app:v1", "org/app:v1"},
	{"org/team/app", "docker.io/org/team/app", "org/team/app"},
	{"library/a/b", "docker.io/library/a/b", "library/a/b"},
	{"docker.io/org/team/app", "docker.io/org/team/app", "org/team/app"},
	{"registry-1.docker.io/library/x", "registry-1.docker.io/library/x",
		"registry-1.docker.io/library/x"},
	{"registry-1.docker.io/x", "registry-1.docker.io/x", "registry-1.docker.io/x"},
	/* the first component as a domain */
	{"quay.io/app", "quay.io/app", "quay.io/app"},
	{"quay.io/org/app:1", "quay.io/org/app:1", "quay.io/org/app:1"},
	{"localhost/app", "localhost/app", "localhost/app"},
	{"localhost/app:1", "localhost/app:1", "localhost/app:1"},
	{"localhost:5000/app", "localhost:5000/app", "localhost:5000/app"},
	{"localhost:5000/app:1@" D, "localhost:5000/app:1@" D, "localhost:5000/app:1@" D},
	{"localhosts/app", "docker.io/localhosts/app", "localhosts/app"},
	{"registry/app", "docker.io/registry/app", "registry/app"},
	{"registry:5000/app", "registry:5000/app", "registry:5000/app"},
	{"registry:5000/app:5000", "registry:5000/app:5000", "registry:5000/app:5000"},
	{"127.0.0.1/app", "127.0.0.1/app", "127.0.0.1/app"},
	{"127.0.0.1:5000/app", "127.0.0.1:5000/app", "127.0.0.1:5000/app"},
	{"a.b/c", "a.b/c", "a.b/c"},
	{"a.b:80/c/d/e", "a.b:80/c/d/e", "a.b:80/c/d/e"},
	{"xn--n3h.com/app", "xn--n3h.com/app", "xn--n3h.com/app"},
	{"xn--7o8h.com:443/app:v", "xn--7o8h.com:443/app:v", "xn--7o8h.com:443/app:v"},
	{"1.2.3.4.5/x", "1.2.3.4.5/x", "1.2.3.4.5/x"},
	{"a-b.c-d/x", "a-b.c-d/x", "a-b.c-d/x"},
	{"a--b.c/x", "a--b.c/x", "a--b.c/x"},
	{"0.0/x", "0.0/x", "0.0/x"},
	{"host:0/x", "host:0/x", "host:0/x"},
	{"host:999999999/x", "host:999999999/x", "host:999999999/x"},
	/* upper case makes a domain, and stays */
	{"Registry/app", "Registry/app", "Registry/app"},
	{"REGISTRY.example.COM/app", "REGISTRY.example.COM/app", "REGISTRY.example.COM/app"},
	{"Docker.io/app", "Docker.io/app", "Docker.io/app"},
	{"Localhost/app", "Localhost/app", "Localhost/app"},
	/* IPv6 */
	{"[::1]/app", "[::1]/app", "[::1]/app"},
	{"[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"},
	{"[::1]:5000/app:1", "[::1]:5000/app:1", "[::1]:5000/app:1"},
	{"[2001:db8::1]/o/a:1@" D, "[2001:db8::1]/o/a:1@" D, "[2001:db8::1]/o/a:1@" D},
	{"[2001:db8:1:2:3:4:5:6]:443/a", "[2001:db8:1:2:3:4:5:6]:443/a",
		"[2001:db8:1:2:3:4:5:6]:443/a"},
	{"[FE80::1]/a", "[FE80::1]/a", "[FE80::1]/a"},
	{"[:::::]/a", "[:::::]/a", "[:::::]/a"},
	/* a name without slash is never a domain */
	{"localhost", "docker.io/library/localhost", "localhost"},
	{"localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"},
	{"example.com", "docker.io/library/example.com", "example.com"},
	{"example.com:80", "docker.io/library/example.com:80", "example.com:80"},
	{"docker.io", "docker.io/library/docker.io", "docker.io"},
	{"index.docker.io", "docker.io/library/index.docker.io", "index.docker.io"},
	/* no short form where it would mean something else */
	{"docker.io/localhost/app", "docker.io/localhost/app", "docker.io/localhost/app"},
	{"docker.io/a.b/app", "docker.io/a.b/app", "docker.io/a.b/app"},
	{"docker.io/quay.io/app:1", "docker.io/quay.io/app:1", "docker.io/quay.io/app:1"},
	{"docker.io/" H64, "docker.io/library/" H64, "docker.io/library/" H64},
	{"docker.io/library/sha256:" H64, "docker.io/library/sha256:" H64,
		"docker.io/library/sha256:" H64},
	/* components */
	{"a", "docker.io/library/a", "a"},
	{"0", "docker.io/library/0", "0"},
	{"a/b/c/d/e/f", "docker.io/a/b/c/d/e/f", "a/b/c/d/e/f"},
	{"a.b", "docker.io/library/a.b", "a.b"},
	{"a_b", "docker.io/library/a_b", "a_b"},
	{"a__b", "docker.io/library/a__b", "a__b"},
	{"a-b", "docker.io/library/a-b", "a-b"},
	{"a--b", "docker.io/library/a--b", "a--b"},
	{"a------b", "docker.io/library/a------b", "a------b"},
	{"a.b_c-d__e--f", "docker.io/library/a.b_c-d__e--f", "a.b_c-d__e--f"},
	{"x/a.b.c", "docker.io/x/a.b.c", "x/a.b.c"},
	{"foo/foo_bar.com:8080", "docker.io/foo/foo_bar.com:8080", "foo/foo_bar.com:8080"},
	/* tags */
	{"a:latest", "docker.io/library/a:latest", "a:latest"},
	{"a:A", "docker.io/library/a:A", "a:A"},
	{"a:_", "docker.io/library/a:_", "a:_"},
	{"a:_x", "docker.io/library/a:_x", "a:_x"},
	{"a:1", "docker.io/library/a:1", "a:1"},
	{"a:v1.2.3-rc.1", "docker.io/library/a:v1.2.3-rc.1", "a:v1.2.3-rc.1"},
	{"a:x..--__", "docker.io/library/a:x..--__", "a:x..--__"},
	{"a:" A128, "docker.io/library/a:" A128, "a:" A128},
	{"a:" H64, "docker.io/library/a:" H64, "a:" H64},
	{"a/b:5000", "docker.io/a/b:5000", "a/b:5000"},
	/* hex that is no whole ID */
	{"cafe", "docker.io/library/cafe", "cafe"},
	{"0123456789ab", "docker.io/library/0123456789ab", "0123456789ab"},
	{A32 A16 A16 "b/x", "docker.io/" A32 A16 A16 "b/x", A32 A16 A16 "b/x"},
	{H64 "0", "docker.io/library/" H64 "0", H64 "0"},
	{H64 ":1", "docker.io/library/" H64 ":1", H64 ":1"},
	{"x/" H64, "docker.io/x/" H64, "x/" H64},
	{"sha256:abc", "docker.io/library/sha256:abc", "sha256:abc"},
	{"sha256/x", "docker.io/sha256/x", "sha256/x"},
};

static const char *const bad[] = {
	"", " ", "/", "//", ":", "@", ":tag", "@" D, "a ", " a", "a b", "a\n", "a:1\n", "a\t",
	H64, D, "sha256:" A64,
	/* upper case */
	"A", "Ubuntu", "aB", "org/App", "quay.io/Org/app", "UBUNTU:1", "localhost/A",
	"docker.io/X", "a/B:x", "Foo/Bar",
	/* components */
	"-a", "a-", "_a", "a_", ".a", "a.", "a..b", "a___b", "a._b", "a_.b", "a-_b", "a-.b",
	"a.-b", "a_-b", "a_-_b", "a/", "/a", "a//b", "a/b/", "quay.io//a", "quay.io/",
	"quay.io/a//b", "localhost/", "localhost/-a", "a/-b", "a/b-", "a/.b", "a/..", "../a",
	"./a", "a/./b", "a/../b", "quay.io/../a", "quay.io/a/..", "a+b", "a%41", "a\\b", "a?b",
	"a#b", "a&b", "a=b", "a~b", "a*b", "a,b", "a;b", "a|b", "a$b", "a'b", "a\"b", "a(b)",
	"https://a/b", "docker://a", "http://quay.io/a", "oci:a/b:/", "user@host/a",
	"u:p@host/a",
	/* domains */
	"-a.b/x", "a-.b/x", "a.-b/x", "a.b-/x", ".a/x", "a./x", "a..b/x", "a:/x", "a:b/x",
	"a:80:80/x", "a:-1/x", "a: 80/x", "a.b:8a/x", "A_B/x", "a_b.c/x", ":80/x", "a.b:/x",
	"[::1/x", "::1]/x", "::1/x", "::1:5000/x", "[]/x", "[]:80/x", "[::1]x/y", "[::1]:/x",
	"[::1]:x/y", "[fe80::1%eth0]/x", "[fe80::1%25eth0]/x", "[::ffff:1.2.3.4]/x", "[g::]/x",
	"[::1]", "[::1]:5000", "[a]/x", "[[::1]]/x", "a.b[::1]/x", "2001:db8::1/x",
	"xn--\xe2\x82\xac.com/x", "\xe2\x82\xac.com/x", "foo_bar.com/x", "aa/asdf$$^/aa",
	/* tags */
	"a:", "a:.x", "a:-x", "a:x y", "a:x/y", "a:x:y", "a::x", "a:+x", "a:x+y", "a:\xc3\xa9",
	"a:" A128 "a", "a:x@", "a:@" D, "quay.io/a:", "a:x!",
	/* digests */
	"a@", "a@sha256", "a@sha256:", "a@sha256:" A32, "a@sha256:" A64 "a",
	"a@sha256:" A32 A16 A16 "A", "a@SHA256:" "x", "a@" D "@" D, "a@" D ":x", "a@" D "/x",
	"a@" D " ", "a@:" A64, "a@sha256:g" A64, "a@sha256" A64, "a@sha256:" A32 A16 "AAAAAAAAAAAAAAAA",
	"a@9sha:" A64, "a@sha--1:" A64, "a@-:" A64, "a@md5:" A16, "@", "a@@" D,
};

/* Well-formed digests of other algorithms get an answer of their own. */
static const char *const other_algorithm[] = {
	"a@sha512:" A64 A64, "a@sha384:" A64 A32, "a@SHA256:" A64, "a@md5:" A32,
	"a@sha256+b64:" A64, "a@x.y_z-w:" A32, "a:1@sha1:" A32 "aaaaaaaa",
};
// clang-format on

static void
test_good(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		const struct row *row = &good[i];
		struct ref r, back;
		struct err e = {0};
		char text[REF_TEXT];

		int rc = ref_parse(span_str(row->in), &r, &e);
		if (rc != 0)
			fail_msg("%s: %s", row->in, e.text);
		assert_string_equal(ref_print(&r, text), row->canonical);
		assert_int_equal(ref_parse(span_str(text), &back, NULL), 0);
		assert_true(ref_eq(&r, &back));
		assert_string_equal(ref_print_familiar(&r, text), row->familiar);
		assert_int_equal(ref_parse(span_str(text), &back, NULL), 0);
		assert_true(ref_eq(&r, &back));
	}
}

static void
test_bad(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct ref r;
		struct err e = {0};

		memset(&r, 0xee, sizeof(r));
		if (ref_parse(span_str(bad[i]), &r, &e) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
		assert_int_equal(e.code, ERR_USAGE);
		assert_true(e.text[0] == '"');
		assert_int_equal((uint8_t)r.domain[0], 0xee);
		assert_int_equal(ref_parse(span_str(bad[i]), &r, NULL), -EINVAL);
	}
	assert_true(ARRAY_LEN(good) + ARRAY_LEN(bad) > 250);
}

static void
test_other_algorithm(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(other_algorithm); i++) {
		struct ref r;
		struct err e = {0};

		assert_int_equal(
		    ref_parse(span_str(other_algorithm[i]), &r, &e), -EINVAL);
		assert_non_null(strstr(e.text, "only sha256"));
	}
}

/* A NUL inside, and bytes that a terminal would obey. */
static void
test_bytes(void **state)
{
	struct ref r;
	struct err e = {0};

	assert_int_equal(ref_parse(span_of("a\0b", 3), &r, NULL), -EINVAL);
	assert_int_equal(ref_parse(span_of("a\0", 2), &r, NULL), -EINVAL);
	assert_int_equal(ref_parse(span_of("a:1\0", 4), &r, NULL), -EINVAL);
	assert_int_equal(ref_parse(span_str("a\x1b[2J"), &r, &e), -EINVAL);
	assert_null(strchr(e.text, 0x1b));
	for (int c = 1; c < 256; c++) {
		char name[] = {'a', (char)c, 'b', 0};
		bool want = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			    (c && strchr("._-:/", c));
		int rc = ref_parse(span_str(name), &r, NULL);
		assert_int_equal(rc, want ? 0 : -EINVAL);
	}
}

/* Parses `domain` + "/" + a path of n characters, or a lone path with domain NULL. */
static int
parse_long(const char *domain, size_t n, struct ref *r)
{
	char name[1024];
	size_t at = 0;

	if (domain)
		at = (size_t)snprintf(name, sizeof(name), "%s/", domain);
	memset(name + at, 'a', n);
	name[at + n] = 0;
	return ref_parse(span_str(name), r, NULL);
}

static void
test_limits(void **state)
{
	struct ref r;
	struct err e = {0};
	char text[REF_TEXT];

	assert_int_equal(parse_long("quay.io", 255 - 8, &r), 0);
	assert_int_equal(parse_long("quay.io", 255 - 7, &r), -EINVAL);
	assert_int_equal(parse_long(NULL, 255 - 18, &r), 0);
	assert_int_equal(parse_long(NULL, 255 - 17, &r), -EINVAL);

	char longest[2048];
	memset(longest, 'd', 253);
	longest[251] = '.';
	longest[253] = 0;
	assert_int_equal(parse_long(longest, 1, &r), 0);
	assert_int_equal(parse_long(longest, 2, &r), -EINVAL);

	/* The longest reference there is fits the buffer. */
	snprintf(longest, sizeof(longest), "quay.io/%.*s:%s@%s", 247, R16(A16), A128, D);
	assert_int_equal(ref_parse(span_str(longest), &r, &e), 0);
	assert_string_equal(ref_print(&r, text), longest);
	assert_int_equal(strlen(text), REF_TEXT - 1);

	/* A megabyte of junk is refused with a short reason. */
	static char junk[1 << 20];
	memset(junk, 'a', sizeof(junk));
	assert_int_equal(ref_parse(span_of(junk, sizeof(junk)), &r, &e), -EINVAL);
	assert_true(strlen(e.text) < 300);
}

static void
test_default_tag(void **state)
{
	struct ref r;
	char text[REF_TEXT];

	assert_int_equal(ref_parse(span_str("busybox"), &r, NULL), 0);
	assert_null(ref_print_record(&r, text));
	ref_default_tag(&r);
	assert_string_equal(ref_print(&r, text), "docker.io/library/busybox:latest");
	assert_string_equal(
	    ref_print_record(&r, text), "docker.io/library/busybox:latest");
	ref_default_tag(&r);
	assert_string_equal(r.tag, "latest");

	assert_int_equal(ref_parse(span_str("busybox@" D), &r, NULL), 0);
	ref_default_tag(&r);
	assert_string_equal(r.tag, "");
	assert_int_equal(ref_parse(span_str("q.io/b:1@" D), &r, NULL), 0);
	ref_default_tag(&r);
	assert_string_equal(r.tag, "1");
	assert_string_equal(ref_print_record(&r, text), "q.io/b@" D);
	assert_string_equal(ref_print_repository(&r, text), "q.io/b");
}

static void
test_canonical(void **state)
{
	static const char *const yes[] = {"docker.io/library/a:1",
	    "docker.io/library/a@" D, "quay.io/o/a:x", "localhost/a:latest",
	    "[::1]:5000/a:1", "docker.io/o/a/b@" D};
	static const char *const no[] = {"a", "a:1", "docker.io/a:1", "o/a:1",
	    "quay.io/a", "docker.io/library/a", "quay.io/a:1@" D,
	    "index.docker.io/library/a:1", "", "quay.io/A:1", "quay.io/a@sha512:" A64 A64,
	    "quay.io/a:1 ", H64, D};

	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		assert_true(ref_is_canonical(span_str(yes[i])));
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		assert_false(ref_is_canonical(span_str(no[i])));
}

static void
test_eq(void **state)
{
	static const char *const names[] = {
	    "a", "b", "a:1", "a:2", "a@" D, "a@sha256:" A64, "a:1@" D, "q.io/library/a"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		for (size_t j = 0; j < ARRAY_LEN(names); j++) {
			struct ref a, b;
			assert_int_equal(ref_parse(span_str(names[i]), &a, NULL), 0);
			assert_int_equal(ref_parse(span_str(names[j]), &b, NULL), 0);
			assert_int_equal(ref_eq(&a, &b), i == j);
		}
	}
}

static void
test_digest(void **state)
{
	uint8_t d[DIGEST_BYTES];
	char text[DIGEST_TEXT + 1];

	assert_int_equal(digest_parse(span_str(D), d), 0);
	assert_int_equal(d[0], 0x01);
	assert_int_equal(d[31], 0xef);
	assert_string_equal(digest_print(d, text), D);
	assert_int_equal(digest_parse(span_str("sha256:" A64 "a"), d), -EINVAL);
	assert_int_equal(
	    digest_parse(span_str("sha256:" A32 A16 "aaaaaaaaaaaaaaa"), d), -EINVAL);
	assert_int_equal(digest_parse(span_str(H64), d), -EINVAL);
	assert_int_equal(digest_parse(span_str(""), d), -EINVAL);
	assert_int_equal(digest_parse(span_str(":"), d), -EINVAL);
	assert_int_equal(digest_parse(span_str("sha256"), d), -EINVAL);
	assert_int_equal(digest_parse(span_str("sha512:" A64 A64), d), -ENOTSUP);
	assert_int_equal(digest_parse(span_str("sha512:" A16), d), -EINVAL);
	assert_int_equal(digest_parse(span_str("sha512:" A64 "\n"), d), -EINVAL);
}

static void
test_id(void **state)
{
	struct id_prefix id;

	assert_true(id_prefix_parse(span_str("abc"), &id));
	assert_string_equal(id.hex, "abc");
	assert_int_equal(id.n, 3);
	assert_true(id_prefix_parse(span_str(D), &id));
	assert_int_equal(id.n, ID_HEX);
	assert_string_equal(id.hex, H64);
	assert_true(id_prefix_parse(span_str("sha256:0ab"), &id));
	assert_string_equal(id.hex, "0ab");
	static const char *const no[] = {"", "a", "ab", "sha256:", "sha256:ab", "abg",
	    "ABC", "aBc", H64 "0", "sha256:" H64 "0", "sha256:sha256:abc", "abc ",
	    "sha512:abc", "a:b"};
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		assert_false(id_prefix_parse(span_str(no[i]), &id));
}

static void
test_host(void **state)
{
	struct ref_host h;
	struct err e = {0};

	assert_int_equal(ref_host_parse(span_str("quay.io"), &h, &e), 0);
	assert_string_equal(h.host, "quay.io");
	assert_int_equal(h.port, 0);
	assert_false(h.ipv6);
	assert_int_equal(ref_host_parse(span_str("[2001:db8::1]:65535"), &h, &e), 0);
	assert_string_equal(h.host, "2001:db8::1");
	assert_int_equal(h.port, 65535);
	assert_true(h.ipv6);
	assert_int_equal(ref_host_parse(span_str("a:1"), &h, &e), 0);
	assert_int_equal(h.port, 1);
	static const char *const no[] = {"", "a:0", "a:65536", "a:4294967297", "[:::]",
	    "[::1", "[1.2.3.4]", "a:", "a b", "[::1]a", "-a", "a:99999999999999999999",
	    "[12345::]"};
	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		e = (struct err){0};
		assert_int_equal(ref_host_parse(span_str(no[i]), &h, &e), -EINVAL);
		assert_int_equal(e.code, ERR_USAGE);
	}
	char longest[LIMIT_HOST + 2];
	memset(longest, 'a', LIMIT_HOST + 1);
	longest[LIMIT_HOST + 1] = 0;
	assert_int_equal(ref_host_parse(span_str(longest), &h, &e), -EINVAL);
	assert_int_equal(ref_host_parse(span_of(longest, LIMIT_HOST), &h, &e), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_other_algorithm),
	    cmocka_unit_test(test_bytes),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_default_tag),
	    cmocka_unit_test(test_canonical),
	    cmocka_unit_test(test_eq),
	    cmocka_unit_test(test_digest),
	    cmocka_unit_test(test_id),
	    cmocka_unit_test(test_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
