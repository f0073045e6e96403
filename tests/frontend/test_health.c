/* What is remembered of origins: who is passed over, who is left alone, and until when.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/base/jitter.h"
#include "frontend/health.h"

static struct health h;

static struct url
origin(unsigned n)
{
	struct url u;
	char text[64];

	snprintf(text, sizeof(text), "https://r%u.example:%u/x", n, 1000 + n);
	assert_int_equal(url_parse(span_str(text), &u, NULL), 0);
	return u;
}

static void
failures_cost_more_each_time(void **state)
{
	struct url u = origin(1), other = origin(2);
	uint64_t now = 1000, ms = HEALTH_FIRST_MS;

	h = (struct health){0};
	assert_false(health_is_bad(&h, &u, now));
	for (unsigned i = 0; i < 40; i++) {
		health_failed(&h, &u, now);
		health_failed(
		    &h, &u, now + 1); /* those that failed together count once */
		assert_true(health_is_bad(&h, &u, now + ms - 1));
		assert_false(health_is_bad(&h, &u, now + ms));
		assert_false(health_is_bad(&h, &other, now));
		now += ms;
		ms = ms * 2 < HEALTH_MOST_MS ? ms * 2 : HEALTH_MOST_MS;
	}
	health_failed(&h, &u, now);
	health_good(&h, &u);
	assert_false(health_is_bad(&h, &u, now));
	health_failed(&h, &u, now);
	assert_false(health_is_bad(&h, &u, now + HEALTH_FIRST_MS));
	health_wrong(&h, &other, now);
	assert_true(health_is_bad(&h, &other, now + HEALTH_WRONG_MS - 1));
	assert_false(health_is_bad(&h, &other, now + HEALTH_WRONG_MS));
}

static void
pauses_last_as_long_as_the_longest(void **state)
{
	struct url u = origin(1), plain = u;

	h = (struct health){0};
	plain.tls = false;
	health_pause(&h, &u, 500, 1000);
	health_pause(&h, &u, 100, 1000);
	assert_int_equal(health_pause_left(&h, &u, 1000), 500);
	assert_int_equal(health_pause_left(&h, &u, 1499), 1);
	assert_int_equal(health_pause_left(&h, &u, 1500), 0);
	assert_int_equal(health_pause_left(&h, &plain, 1000), 0);
	health_good(&h, &u); /* an answer to an older question does not end it */
	assert_int_equal(health_pause_left(&h, &u, 1000), 500);
}

/* Registries without number cannot fill it; who is in trouble longest stays. */
static void
the_table_is_bounded(void **state)
{
	h = (struct health){0};
	for (unsigned i = 0; i < LIMIT_ORIGINS; i++) {
		struct url u = origin(i);
		health_pause(&h, &u, i == 7 ? 10 : 1000, 0);
	}
	for (unsigned i = 0; i < LIMIT_ORIGINS; i++) {
		struct url u = origin(i);
		assert_true(health_pause_left(&h, &u, 0) > 0);
	}
	struct url more = origin(LIMIT_ORIGINS), seven = origin(7);
	health_failed(&h, &more, 0);
	assert_true(health_is_bad(&h, &more, 0));
	assert_int_equal(health_pause_left(&h, &seven, 0), 0);
	for (unsigned i = 0; i < 1000; i++) {
		struct url u = origin(1000 + i);
		health_failed(&h, &u, 0);
		assert_true(health_is_bad(&h, &u, 0));
	}
}

static void
jitter_is_full_and_bounded(void **state)
{
	assert_int_equal(jitter_ms(1, 500, 30000, 0), 0);
	assert_int_equal(jitter_ms(1, 500, 30000, 500), 500);
	assert_int_equal(jitter_ms(1, 500, 30000, 501), 0);
	assert_int_equal(jitter_ms(3, 500, 30000, 2000), 2000);
	assert_int_equal(jitter_ms(7, 500, 30000, 30000), 30000);
	assert_int_equal(jitter_ms(7, 500, 30000, 30001), 0);
	assert_int_equal(jitter_ms(1000, 500, 30000, 30000), 30000);
	assert_true(jitter_ms(0, 500, 30000, UINT64_MAX) <= 30000);
	uint64_t bits = 0;
	for (unsigned i = 0; i < 8; i++)
		bits |= jitter_random() ^ jitter_random();
	assert_int_not_equal(bits, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(failures_cost_more_each_time),
	    cmocka_unit_test(pauses_last_as_long_as_the_longest),
	    cmocka_unit_test(the_table_is_bounded),
	    cmocka_unit_test(jitter_is_full_and_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
