#include "common/ref/pins.h"
#include "tests/rows.h"

static const struct {
	const char *patterns, *name;
	bool match;
} pin_rows[] = {
    {"", "a.test/x:1", false}, {"a.test/x:1", "a.test/x:1", true},
    {"a.test/x:1", "a.test/x:11", false}, {"a.test/x:1", "b.a.test/x:1", false},
    {"a.test/x", "a.test/x:latest", true}, {"a.test/x", "a.test/x:1", false},
    {"busybox", "docker.io/library/busybox:latest", true},
    {"docker.io/busybox:1", "docker.io/library/busybox:1", true},
    {"A.test/X:1", "a.test/x:1", true},
    {"a.test/x@sha256:" HEX_A, "a.test/x@sha256:" HEX_A, true},
    {"a.test/x@sha256:" HEX_A, "a.test/x@sha256:" HEX_B, false},
    {"a.test/*", "a.test/x:1", true}, {"a.test/*", "b.test/a.test/x:1", false},
    {"A.TEST/*", "a.test/x:1", true}, {"busy*", "docker.io/library/busybox:1", true},
    {"docker.io/library/busy*", "docker.io/library/busybox:1", true},
    {"busy*", "a.test/busybox:1", false}, {"*pause*", "registry.k8s.io/pause:3.10", true},
    {"*PAUSE*", "registry.k8s.io/pause:3.10", true},
    {"*pause*", "registry.k8s.io/paus:3.10", false},
    {"*.*", "a.test/x:1", true}, /* a dot is a dot */
    {"*te.t*", "a.test/x:1", false}, {"*", "a.test/x:1", true},
    {"**", "a.test/x:1", true}, {"b.test/x:1\n\na.test/x:1\n", "a.test/x:1", true},
    {"x[\na.test/x:1", "a.test/x:1", true}, /* what is no name stays what it is */
};

static void
test_matches(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(pin_rows); i++) {
		struct pins pins;
		struct ref ref;
		struct err e = {0};
		assert_int_equal(
		    pins_parse(span_str(pin_rows[i].patterns), &pins, &e), 0);
		assert_int_equal(e.code, 0);
		assert_int_equal(ref_parse(span_str(pin_rows[i].name), &ref, &e), 0);
		if (pins_match(&pins, &ref) != pin_rows[i].match)
			fail_msg("%s and %s", pin_rows[i].patterns, pin_rows[i].name);
		pins_free(&pins);
		pins_free(&pins);
	}
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {"a*b", "*a", "a*b*", "*a*b*", "***"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct pins pins;
		struct err e = {0};
		assert_int_equal(pins_parse(span_str(bad[i]), &pins, &e), 0);
		assert_int_equal(e.code, ERR_USAGE);
		assert_non_null(strstr(e.text, bad[i]));
		assert_int_equal(pins.n, 0);
		pins_free(&pins);
	}
}

static void
test_limits(void **state)
{
	struct build b = {0};
	struct pins pins;

	for (int over = 0; over <= 1; over++) {
		struct err e = {0};
		b.n = 0;
		for (unsigned i = 0; i < LIMIT_PINS + (unsigned)over; i++)
			build_add(&b, "a.test/x:%u\n", i);
		assert_int_equal(pins_parse(span_str(b.p), &pins, &e), 0);
		assert_int_equal(pins.n, LIMIT_PINS);
		assert_int_equal(e.code, over ? ERR_USAGE : 0);
		pins_free(&pins);
	}
	for (int over = 0; over <= 1; over++) {
		struct err e = {0};
		b.n = 0;
		build_repeat(&b, "x", REF_TEXT - 1 + (size_t)over);
		assert_int_equal(pins_parse(span_str(b.p), &pins, &e), 0);
		assert_int_equal(pins.n, !over);
		pins_free(&pins);
	}
	build_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_matches),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
