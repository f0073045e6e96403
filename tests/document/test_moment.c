#include "tests/document/check.h"

#include "worker-store/document/moment.h"

#include <time.h>

static void
test_values(void **state)
{
	static const struct {
		const char *text;
		int64_t sec;
		uint32_t nsec;
		const char *again;
	} rows[] = {
	    {"1970-01-01T00:00:00Z", 0, 0, "1970-01-01T00:00:00Z"},
	    {"2024-02-29T23:59:59.5Z", 1709251199, 500000000, "2024-02-29T23:59:59.5Z"},
	    {"2026-11-23T18:38:17.39591960Z", 1795459097, 395919600,
		"2026-11-23T18:38:17.3959196Z"},
	    {"2020-01-01T00:00:00.000Z", 1577836800, 0, "2020-01-01T00:00:00Z"},
	    {"2020-01-01T01:30:00+01:30", 1577836800, 0, "2020-01-01T01:30:00+01:30"},
	    {"2019-12-31T22:00:00-02:00", 1577836800, 0, "2019-12-31T22:00:00-02:00"},
	    {"2020-01-01T00:00:00+00:00", 1577836800, 0, "2020-01-01T00:00:00Z"},
	    {"2020-01-01T00:00:00.1234567899Z", 1577836800, 123456789,
		"2020-01-01T00:00:00.123456789Z"},
	    {"0001-01-01T00:00:00Z", -62135596800, 0, "0001-01-01T00:00:00Z"},
	    {"0000-01-01T00:00:00Z", -62167219200, 0, "0000-01-01T00:00:00Z"},
	    {"9999-12-31T23:59:59Z", MOMENT_MAX, 0, "9999-12-31T23:59:59Z"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct moment m;
		char again[72];
		assert_int_equal(moment_parse(span_str(rows[i].text), &m), 0);
		if (m.sec != rows[i].sec || m.nsec != rows[i].nsec)
			fail_msg("%s: %lld.%u", rows[i].text, (long long)m.sec, m.nsec);
		assert_string_equal(
		    moment_normalise(span_str(rows[i].text), again), rows[i].again);
	}
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {"", "2020", "2020-01-01", "2020-01-01T00:00:00",
	    "2020-01-01t00:00:00Z", "2020-01-01T00:00:00z", "2020-01-01 00:00:00Z",
	    "2020-13-01T00:00:00Z", "2020-00-01T00:00:00Z", "2020-01-32T00:00:00Z",
	    "2020-01-00T00:00:00Z", "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
	    "2020-04-31T00:00:00Z", "2020-01-01T24:00:00Z", "2020-01-01T00:60:00Z",
	    "2020-01-01T00:00:60Z", "2020-01-01T00:00:00.Z", "2020-01-01T00:00:00,5Z",
	    "2020-01-01T00:00:00+24:00", "2020-01-01T00:00:00+01:60",
	    "2020-01-01T00:00:00+0100", "2020-01-01T00:00:00ZZ",
	    "1000000-01-01T00:00:00Z", "-001-01-01T00:00:00Z", " 2020-01-01T00:00:00Z",
	    "2020-01-01T00:00:00Z ", "+020-01-01T00:00:00Z",
	    ("2020-01-01T00:00:00."
	     "0000000000000000000000000000000000000000000000000000000000000000Z")};
	struct moment m;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (!moment_parse(span_str(bad[i]), &m))
			fail_msg("%s: taken", bad[i]);
	}
}

static void
test_clamp(void **state)
{
	struct moment m;

	assert_int_equal(moment_parse(span_str("9999-12-31T23:59:59.5-01:00"), &m), 0);
	m = moment_clamp(m);
	assert_true(m.sec == MOMENT_MAX && m.nsec == 0);
	m = moment_clamp((struct moment){-1, 999});
	assert_true(m.sec == 0 && m.nsec == 0);
	m = moment_clamp((struct moment){5, 6});
	assert_true(m.sec == 5 && m.nsec == 6);
}

/* Against the C library, a day of every month of 1,100 years. */
static void
test_calendar(void **state)
{
	for (int year = 1900; year < 3000; year++) {
		for (int month = 1; month <= 12; month++) {
			struct tm tm = {
			    .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = 28};
			struct moment m;
			char text[32];
			snprintf(
			    text, sizeof(text), "%04d-%02d-28T00:00:00Z", year, month);
			assert_int_equal(moment_parse(span_str(text), &m), 0);
			assert_int_equal(m.sec, timegm(&tm));
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_clamp),
	    cmocka_unit_test(test_calendar),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
