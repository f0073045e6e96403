/* Layer slots between pulls and namespaces. */
#include "worker-store/store/slots.h"

#include "common/base/compiler.h"
#include "common/base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define EACH 3
#define ALL 8

static void
nobody_waits_or_no_slot(void **state)
{
	struct slot_claim v[] = {
	    {.namespace = "a", .id = 1, .flying = EACH, .waits = true},
	    {.namespace = "a", .id = 2, .flying = EACH},
	    {.namespace = "b", .id = 3, .flying = ALL - 2 * EACH - 1, .waits = true},
	};

	assert_int_equal(slots_next(v, 0, EACH, ALL), -1);
	assert_int_equal(slots_next(v, 2, EACH, ALL), -1); /* each at its limit */
	assert_int_equal(slots_next(v, 3, EACH, ALL), 2);  /* the last slot of all */
	v[2].flying++;
	assert_int_equal(slots_next(v, 3, EACH, ALL), -1);
	v[0].flying = EACH - 1;
	assert_int_equal(slots_next(v, 3, EACH, ALL), 2); /* one is free again */
}

static void
first_come_first_served_in_a_namespace(void **state)
{
	struct slot_claim v[] = {
	    {.namespace = "a", .id = 9, .waits = true},
	    {.namespace = "a", .id = 4, .flying = 2, .waits = true},
	    {.namespace = "a", .id = 6, .waits = true},
	};

	assert_int_equal(slots_next(v, 3, EACH, ALL), 1);
	v[1].flying = EACH;
	assert_int_equal(slots_next(v, 3, EACH, ALL), 2);
}

/* One namespace has a hundred pulls, another comes later with one. */
static void
a_long_queue_keeps_nobody_waiting(void **state)
{
	struct slot_claim v[101];
	unsigned got_b = 0, flying = 0;
	uint64_t turn = 0;

	for (size_t i = 0; i < 100; i++)
		v[i] = (struct slot_claim){.namespace = "a", .id = i + 1, .waits = true};
	v[100] = (struct slot_claim){.namespace = "b", .id = 500};
	for (; flying < ALL; flying++) {
		int n = slots_next(v, 101, EACH, ALL);
		assert_in_range(n, 0, 99);
		v[n].flying++;
		v[n].turn = ++turn;
	}
	assert_int_equal(slots_next(v, 101, EACH, ALL), -1);
	v[100].waits = true;
	for (size_t i = 0; i < EACH; i++) { /* whatever becomes free goes to b first */
		v[i].flying--;
		int n = slots_next(v, 101, EACH, ALL);
		assert_int_equal(n, 100);
		v[n].flying++;
		got_b++;
	}
	assert_int_equal(got_b, EACH);
}

/* More namespaces than slots: all of them get there. */
static void
namespaces_take_turns(void **state)
{
	enum { SPACES = ALL + 4 };
	struct slot_claim v[SPACES];
	char names[SPACES][8];
	unsigned got[SPACES] = {0}, oldest = 0;
	int order[SPACES * 3];
	uint64_t turn = 0;

	for (size_t i = 0; i < SPACES; i++) {
		snprintf(names[i], sizeof(names[i]), "n%zu", i);
		v[i] = (struct slot_claim){
		    .namespace = names[i], .id = i + 1, .waits = true};
	}
	for (unsigned i = 0; i < SPACES * 3; i++) {
		if (i >= ALL) /* the layer that has been there longest is done */
			v[order[oldest++]].flying--;
		int n = slots_next(v, SPACES, EACH, ALL);
		assert_true(n >= 0);
		order[i] = n;
		v[n].flying++;
		v[n].turn = ++turn;
		got[n]++;
	}
	for (size_t i = 0; i < SPACES; i++)
		assert_int_equal(got[i], 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nobody_waits_or_no_slot),
	    cmocka_unit_test(first_come_first_served_in_a_namespace),
	    cmocka_unit_test(a_long_queue_keeps_nobody_waiting),
	    cmocka_unit_test(namespaces_take_turns),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
