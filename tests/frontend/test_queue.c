/* Whose turn it is. */
#include "frontend/queue.h"

#include "common/base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
enter(struct queue *q, struct ticket *t, const char *space)
{
	assert_int_equal(queue_enter(q, t, span_str(space)), 0);
}

static void
at_most_max_run(void **state)
{
	for (unsigned max = 1; max <= 6; max++) {
		struct queue q = {.max = max};
		struct ticket t[7] = {0};
		for (unsigned i = 0; i <= max; i++)
			enter(&q, &t[i], "");
		for (unsigned i = 0; i < max; i++)
			assert_ptr_equal(queue_next(&q), &t[i]);
		assert_null(queue_next(&q));
		assert_int_equal(q.running, max);
		assert_int_equal(q.waiting, 1);
		queue_leave(&q, &t[0]);
		assert_ptr_equal(queue_next(&q), &t[max]);
		for (unsigned i = 0; i <= max; i++)
			queue_leave(&q, &t[i]);
		assert_null(q.spaces);
		assert_null(q.first);
	}
}

static void
no_max_is_no_limit(void **state)
{
	struct queue q = {0};
	static struct ticket t[LIMIT_PULLS];

	for (unsigned i = 0; i < LIMIT_PULLS; i++) {
		enter(&q, &t[i], "x");
		assert_ptr_equal(queue_next(&q), &t[i]);
	}
	for (unsigned i = 0; i < LIMIT_PULLS; i++)
		queue_leave(&q, &t[i]);
	assert_int_equal(q.running, 0);
}

static void
a_namespace_has_its_own_limit(void **state)
{
	struct queue q = {.max = 5, .max_space = 2};
	struct ticket a[3] = {0}, b = {0};

	for (unsigned i = 0; i < 3; i++)
		enter(&q, &a[i], "a");
	enter(&q, &b, "b");
	assert_ptr_equal(queue_next(&q), &a[0]);
	assert_ptr_equal(queue_next(&q), &b);
	assert_ptr_equal(queue_next(&q), &a[1]);
	assert_null(queue_next(&q));
	assert_int_equal(queue_where(&q, &a[2]).running, 2);
	queue_leave(&q, &b); /* another's end is no room for a */
	assert_null(queue_next(&q));
	queue_leave(&q, &a[0]);
	assert_ptr_equal(queue_next(&q), &a[2]);
	queue_leave(&q, &a[1]);
	queue_leave(&q, &a[2]);
	assert_null(q.spaces);
}

/* A hundred of one namespace, two of others that came last: they take turns. */
static void
namespaces_take_turns(void **state)
{
	struct queue q = {.max = 1};
	struct ticket a[100] = {0}, b[2] = {0}, c = {0};
	struct ticket *order[6];

	for (unsigned i = 0; i < 100; i++)
		enter(&q, &a[i], "a");
	assert_ptr_equal(queue_next(&q), &a[0]);
	enter(&q, &b[0], "b");
	enter(&q, &b[1], "b");
	enter(&q, &c, "c");
	struct ticket *running = &a[0];
	for (unsigned i = 0; i < 6; i++) {
		queue_leave(&q, running);
		running = order[i] = queue_next(&q);
	}
	assert_ptr_equal(order[0], &b[0]);
	assert_ptr_equal(order[1], &c);
	assert_ptr_equal(order[2], &a[1]);
	assert_ptr_equal(order[3], &b[1]);
	assert_ptr_equal(order[4], &a[2]);
	assert_ptr_equal(order[5], &a[3]);
	for (unsigned i = 3; i < 100; i++)
		queue_leave(&q, &a[i]);
	assert_null(q.spaces);
}

/* One pull each of ever new namespaces: whoever waits already comes before them. */
static void
newcomers_do_not_starve_those_who_wait(void **state)
{
	struct queue q = {.max = 1};
	struct ticket a[3] = {0}, n[9] = {0};
	char name[2] = "0";
	unsigned served = 0;

	for (unsigned i = 0; i < 3; i++)
		enter(&q, &a[i], "a");
	struct ticket *running = queue_next(&q);
	for (unsigned i = 0; i < 9; i++, name[0]++) {
		enter(&q, &n[i], name);
		queue_leave(&q, running);
		running = queue_next(&q);
		served += running == &a[1] || running == &a[2];
	}
	assert_int_equal(served, 2);
	for (unsigned i = 0; i < 9; i++)
		queue_leave(&q, &n[i]);
	for (unsigned i = 0; i < 3; i++)
		queue_leave(&q, &a[i]);
	assert_null(q.spaces);
}

static void
who_waits_may_leave(void **state)
{
	struct queue q = {.max = 1};
	struct ticket t[4] = {0};

	for (unsigned i = 0; i < 4; i++)
		enter(&q, &t[i], i == 2 ? "b" : "a");
	assert_ptr_equal(queue_next(&q), &t[0]);
	assert_int_equal(queue_where(&q, &t[3]).before, 1);
	assert_int_equal(queue_where(&q, &t[2]).before, 0);
	queue_leave(&q, &t[1]);
	queue_leave(&q, &t[1]); /* twice is harmless */
	assert_int_equal(q.waiting, 2);
	assert_int_equal(queue_where(&q, &t[3]).before, 0);
	queue_leave(&q, &t[0]);
	assert_ptr_equal(queue_next(&q), &t[2]);
	queue_leave(&q, &t[2]);
	assert_ptr_equal(queue_next(&q), &t[3]);
	queue_leave(&q, &t[3]);
	assert_null(queue_next(&q));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(at_most_max_run),
	    cmocka_unit_test(no_max_is_no_limit),
	    cmocka_unit_test(a_namespace_has_its_own_limit),
	    cmocka_unit_test(namespaces_take_turns),
	    cmocka_unit_test(newcomers_do_not_starve_those_who_wait),
	    cmocka_unit_test(who_waits_may_leave),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
