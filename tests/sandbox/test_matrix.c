/* Every room tries everything; the outcome must be what matrix.txt says. Three runs: as
 * shipped; on an older kernel (Landlock ABI 2, no MDWE): the same outcomes; without the
 * filter (matrix-unfiltered.txt): what the other layers still stop. `sandbox_matrix
 * write` prints new tables. */
#include "tests/sandbox/harness.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define MOST 256
static struct harness h;
static int outcome[SANDBOX_ROWS][MOST];

static const char *
text_of(int result)
{
	return result < 0 ? "KILL" : result == 0 ? "ok" : strerrorname_np(result);
}

static int expected[SANDBOX_ROWS][MOST]; /* of matrix.txt; -1 = KILL */

enum how {
	EACH,	/* everything */
	LIVING, /* only what is not expected to kill: the filter is the same */
	FRESH,	/* a new room for each attempt: nothing kills, so they would build on each
		   other */
};

static void
run_row(const struct profile *p, size_t row, enum how how)
{
	struct sandbox_room room = {.pid = -1};
	struct probe_packet hello;
	char text[1200];
	bool alive = false;

	harness_fill(&h);
	for (unsigned a = 0; a < nattempts; a++) {
		outcome[row][a] = -1;
		if (how == LIVING && expected[row][a] < 0)
			continue;
		if (!alive &&
		    !harness_spawn(&h, p, '.', &room, &hello, text, sizeof text))
			fail_msg("%s: %s", p->name, text);
		outcome[row][a] = harness_try(&h, &room, a);
		alive = outcome[row][a] >= 0;
		if (alive && how == FRESH) {
			harness_end(&h, &room);
			alive = false;
		}
	}
	if (alive)
		harness_end(&h, &room);
}

/* helper becomes another program, whose calls are its own matter: what that cannot do is
 * shown by tests/e2e/test_credentials.py. */
static bool
is_room(const struct profile *p)
{
	return profile_program(p->room) != NULL && p->seccomp == SECCOMP_LIST;
}

/* One room of each way of being confined. What kills is tried in these; that every room's
 * filter is its row's is shown by test_filter.c. */
static bool
is_sample(const struct profile *p)
{
	return p->room == ROOM_FETCH || p->room == ROOM_STORE || p->room == ROOM_APPLY;
}

static bool
is_other(const struct profile *p)
{
	return is_room(p) && !is_sample(p);
}

static void
run_all(enum how how, bool (*which)(const struct profile *p))
{
	size_t n;
	const struct profile *rows = profile_rows(&n);

	assert_true(nattempts <= MOST);
	for (size_t r = 0; r < n; r++)
		if (which(&rows[r]))
			run_row(&rows[r], r, how);
}

static void
print_table(FILE *out, bool (*which)(const struct profile *p))
{
	size_t n;
	const struct profile *rows = profile_rows(&n);

	fprintf(out, "%-22s", "attempt");
	for (size_t r = 0; r < n; r++)
		if (which(&rows[r]))
			fprintf(out, " %-8s", rows[r].name);
	for (unsigned a = 0; a < nattempts; a++) {
		fprintf(out, "\n%-22s", attempts[a].name);
		for (size_t r = 0; r < n; r++)
			if (which(&rows[r]))
				fprintf(out, " %-8s", text_of(outcome[r][a]));
	}
	fprintf(out, "\n");
}

/* Walks the golden table word by word. fn answers whether the word is right. */
static void
walk(const char *path, bool (*which)(const struct profile *p),
    bool (*fn)(size_t row, unsigned attempt, const char *word))
{
	size_t n, wrong = 0;
	unsigned a = 0;
	const struct profile *rows = profile_rows(&n);
	char line[512];
	FILE *f = fopen(path, "re");

	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	assert_non_null(fgets(line, sizeof line, f));
	for (; fgets(line, sizeof line, f); a++) {
		char *save, *word = strtok_r(line, " \n", &save);
		assert_true(a < nattempts);
		assert_string_equal(word, attempts[a].name);
		for (size_t r = 0; r < n; r++) {
			if (!which(&rows[r]))
				continue;
			word = strtok_r(NULL, " \n", &save);
			assert_non_null(word);
			wrong += !fn(r, a, word);
		}
	}
	fclose(f);
	assert_int_equal(a, nattempts);
	assert_int_equal(wrong, 0);
}

static bool
learn(size_t row, unsigned attempt, const char *word)
{
	expected[row][attempt] = strcmp(word, "KILL") == 0 ? -1 : 0;
	return true;
}

static bool
same(size_t row, unsigned attempt, const char *word)
{
	size_t n;

	if (strcmp(word, text_of(outcome[row][attempt])) == 0)
		return true;
	print_error("%s in room %s: %s, expected %s\n", attempts[attempt].name,
	    profile_rows(&n)[row].name, text_of(outcome[row][attempt]), word);
	return false;
}

static void
as_shipped(void **state)
{
	walk("tests/sandbox/matrix.txt", is_room, learn);
	run_all(EACH, is_sample);
	run_all(LIVING, is_other);
	walk("tests/sandbox/matrix.txt", is_room, same);
}

static void
on_an_older_kernel(void **state)
{
	int abi = h.host.landlock_abi;
	bool mdwe = h.host.mdwe;

	h.host.landlock_abi = 2;
	h.host.mdwe = false;
	run_all(LIVING, is_room);
	h.host.landlock_abi = abi;
	h.host.mdwe = mdwe;
	walk("tests/sandbox/matrix.txt", is_room, same);
}

static void
without_the_filter(void **state)
{
	h.host.degraded |= DEGRADED_SECCOMP;
	run_all(FRESH, is_sample);
	h.host.degraded &= ~(unsigned)DEGRADED_SECCOMP;
	walk("tests/sandbox/matrix-unfiltered.txt", is_sample, same);
}

static int
open_all(void **state)
{
	harness_open(&h);
	return 0;
}

static int
close_all(void **state)
{
	harness_close(&h);
	return 0;
}

static int
write_tables(void)
{
	harness_open(&h);
	run_all(EACH, is_room);
	print_table(stdout, is_room);
	h.host.degraded |= DEGRADED_SECCOMP;
	run_all(FRESH, is_sample);
	print_table(stderr, is_sample);
	harness_close(&h);
	return 0;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(as_shipped),
	    cmocka_unit_test(on_an_older_kernel),
	    cmocka_unit_test(without_the_filter),
	};

	if (argc > 1 && strcmp(argv[1], "write") == 0)
		return write_tables();
	return cmocka_run_group_tests(tests, open_all, close_all);
}
