/* What the daemon needs of the world around it: back-off, notifications, log lines,
 * sockets. */
#include "supervisor/backoff.h"
#include "supervisor/listen.h"
#include "supervisor/log.h"
#include "supervisor/notify.h"

#include "common/base/fd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- back-off ---- */

static void
backoff_doubles(void **state)
{
	struct backoff b = {0};
	static const uint64_t wanted[] = {
	    100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		assert_int_equal(backoff_next(&b, 0), wanted[i]);
	assert_int_equal(backoff_next(&b, BACKOFF_RESET_MS - 1), 10000);
	assert_int_equal(backoff_next(&b, BACKOFF_RESET_MS), 100);
	assert_int_equal(backoff_next(&b, 0), 200);
}

/* ---- notifications ---- */

static void
notify_addresses(void **state)
{
	struct sockaddr_un a;
	char longest[sizeof(a.sun_path) + 1];
	const ssize_t path = offsetof(struct sockaddr_un, sun_path);

	assert_int_equal(notify_address("/run/n", &a), path + 7);
	assert_string_equal(a.sun_path, "/run/n");
	assert_int_equal(notify_address("@n", &a), path + 2);
	assert_int_equal(a.sun_path[0], 0);
	assert_int_equal(a.sun_path[1], 'n');
	assert_true(notify_address("", &a) < 0);
	assert_true(notify_address("@", &a) < 0);
	assert_true(notify_address("/", &a) < 0);
	assert_true(notify_address("run/n", &a) < 0);
	assert_true(notify_address("vsock:2:1", &a) < 0);
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(a.sun_path) - 1] = 0;
	assert_true(notify_address(longest, &a) > 0);
	longest[sizeof(a.sun_path) - 1] = 'x';
	longest[sizeof(a.sun_path)] = 0;
	assert_true(notify_address(longest, &a) < 0);
}

static void
notify_lines(void **state)
{
	char text[64];

	assert_string_equal(notify_status(text, sizeof(text), "READY=1\n", "a\nB=1"),
	    "READY=1\nSTATUS=a\\x0aB=1");
	assert_string_equal(
	    notify_status(text, 24, "", "0123456789abcdefghijk"), "STATUS=0123456789...");
	assert_string_equal(
	    notify_reloading(text, sizeof(text), UINT64_C(12345678901234)),
	    "RELOADING=1\nMONOTONIC_USEC=12345678901234\nSTATUS=Reloading");
}

static void
notify_watchdogs(void **state)
{
	assert_int_equal(notify_watchdog("60000000", NULL, 7), 60000000);
	assert_int_equal(notify_watchdog("60000000", "7", 7), 60000000);
	assert_int_equal(notify_watchdog("60000000", "", 7), 60000000);
	assert_int_equal(notify_watchdog("60000000", "8", 7), 0);
	assert_int_equal(notify_watchdog("60000000", "7x", 7), 0);
	assert_int_equal(notify_watchdog("0", NULL, 7), 0);
	assert_int_equal(notify_watchdog("-5", NULL, 7), 0);
	assert_int_equal(notify_watchdog("5s", NULL, 7), 0);
	assert_int_equal(notify_watchdog("99999999999999999999", NULL, 7), 0);
	assert_int_equal(notify_watchdog("", NULL, 7), 0);
	assert_int_equal(notify_watchdog(NULL, "7", 7), 0);
}

/* ---- log lines ---- */

static const struct log_line line = {.level = 4,
    .room = "frontend",
    .request = 12,
    .time = {1700000000, 42999999},
    .text = "a \"quoted\\x0a\" line\n\x1b[31m"};

static void
log_lines(void **state)
{
	char got[LOG_LINE];
	struct log_line own = line;

	size_t n = log_text(&line, false, got, sizeof(got));
	assert_string_equal(got,
	    "2023-11-14T22:13:20.042Z warning frontend [12]: a \"quoted\\x0a\" "
	    "line\\x0a\\x1b[31m\n");
	assert_int_equal(n, strlen(got));
	own.room = NULL;
	own.request = 0;
	log_text(&own, true, got, sizeof(got));
	assert_string_equal(got, "supervisor: a \"quoted\\x0a\" line\\x0a\\x1b[31m\n");
}

static void
log_objects(void **state)
{
	char got[LOG_LINE];
	struct log_line own = line;

	size_t n = log_json(&line, got, sizeof(got));
	assert_string_equal(got,
	    "{\"time\":\"2023-11-14T22:13:20.042Z\",\"level\":\"warning\","
	    "\"room\":\"frontend\",\"request\":12,\"msg\":\"a \\\"quoted\\\\x0a\\\" "
	    "line\\\\x0a\\\\x1b[31m\"}\n");
	assert_int_equal(n, strlen(got));
	own.room = NULL;
	own.request = 0;
	own.level = 3;
	own.text = "";
	log_json(&own, got, sizeof(got));
	assert_string_equal(got,
	    "{\"time\":\"2023-11-14T22:13:20.042Z\",\"level\":\"error\","
	    "\"room\":\"supervisor\",\"msg\":\"\"}\n");
}

/* The longest text that a room may send, of the bytes that take most: a whole object
 * still.
 */
static void
log_longest(void **state)
{
	static char text[LIMIT_LOG_TEXT + 1], got[LOG_LINE];
	struct log_line own = line;

	for (const char *c = "\"\\\x01z"; *c; c++) {
		memset(text, *c, LIMIT_LOG_TEXT);
		own.text = text;
		size_t n = log_json(&own, got, sizeof(got));
		assert_true(n == strlen(got) && n < sizeof(got));
		assert_string_equal(got + n - 3, "\"}\n");
		n = log_text(&own, false, got, sizeof(got));
		assert_true(n == strlen(got) && got[n - 1] == '\n');
	}
}

static void
log_journal(void **state)
{
	char stream[64];
	struct stat st;

	assert_int_equal(fstat(2, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
	    (unsigned long long)st.st_ino);
	assert_true(log_is_journal(2, stream));
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
	    (unsigned long long)st.st_ino + 1);
	assert_false(log_is_journal(2, stream));
	assert_false(log_is_journal(2, NULL));
	assert_false(log_is_journal(2, "x"));
	assert_string_equal(log_level_name(3), "error");
	assert_string_equal(log_level_name(4), "warning");
	assert_string_equal(log_level_name(6), "info");
	assert_string_equal(log_level_name(7), "debug");
}

/* ---- sockets ---- */

static void
environment(void **state)
{
	const struct {
		struct listen_env env;
		int wanted; /* -1: refused */
	} cases[] = {
	    {{NULL, NULL, NULL}, 0},
	    {{"7", NULL, NULL}, 0},
	    {{NULL, "1", NULL}, 0},
	    {{"8", "1", "cri"}, 0}, /* another process's */
	    {{"8", "x", NULL}, 0},
	    {{"7", "0", NULL}, 0},
	    {{"7", "3", "cri"}, 3},
	    {{"7", "4", NULL}, -1},
	    {{"7", "-1", NULL}, -1},
	    {{"7", "1x", NULL}, -1},
	    {{"7", "", NULL}, -1},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = {0};
		int got = listen_env_count(&cases[i].env, 7, &e);
		assert_int_equal(got < 0 ? -1 : got, cases[i].wanted);
		assert_int_equal(e.code != 0, got < 0);
	}
}

struct place {
	char dir[64], path[128];
	struct listeners l;
};

static int
place_set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	struct err e = {0};

	assert_non_null(p);
	snprintf(p->dir, sizeof(p->dir), "/tmp/bulkhead-listen-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/made/cri", p->dir);
	listeners_init(&p->l);
	assert_int_equal(listeners_make(&p->l, &e), 0);
	*state = p;
	return 0;
}

static int
place_tear_down(void **state)
{
	struct place *p = *state;
	char made[128];

	listeners_unlink(&p->l);
	listeners_release(&p->l);
	snprintf(made, sizeof(made), "%s/made", p->dir);
	unlink(p->path);
	rmdir(made);
	int r = rmdir(p->dir);
	free(p);
	return r;
}

static void
skip_without_root(void)
{
	if (geteuid() != 0)
		skip(); /* the directory has to be root's */
}

static void
bound_and_stale(void **state)
{
	struct place *p = *state;
	struct err e = {0};
	struct stat st;
	struct listeners other;

	skip_without_root();
	assert_int_equal(listener_bind(&p->l, LISTEN_CRI, p->path, &e), 0);
	assert_int_equal(lstat(p->path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	assert_true(listener_lives(&p->l.of[LISTEN_CRI]));
	/* In use, whatever type of socket asks. */
	listeners_init(&other);
	assert_int_equal(listeners_make(&other, &e), 0);
	assert_true(listener_bind(&other, LISTEN_CRI, p->path, &e) < 0);
	assert_int_equal(e.code, ERR_IN_USE);
	e.code = ERR_OK;
	assert_true(listener_bind(&other, LISTEN_CONTROL, p->path, &e) < 0);
	assert_int_equal(e.code, ERR_IN_USE);
	/* Its owner gone: replaced; and the old owner's end does not take the new file
	 * away.
	 */
	e.code = ERR_OK;
	fd_close(&p->l.of[LISTEN_CRI].fd);
	assert_int_equal(listener_bind(&other, LISTEN_CONTROL, p->path, &e), 0);
	listeners_unlink(&p->l);
	assert_int_equal(lstat(p->path, &st), 0);
	listeners_unlink(&other);
	assert_int_equal(lstat(p->path, &st), -1);
	listeners_release(&other);
}

static void
renewed(void **state)
{
	struct place *p = *state;
	struct listener *l = &p->l.of[LISTEN_CRI];
	struct err e = {0};

	skip_without_root();
	assert_int_equal(listener_bind(&p->l, LISTEN_CRI, p->path, &e), 0);
	assert_int_equal(shutdown(l->fd, SHUT_RDWR), 0);
	assert_false(listener_lives(l));
	assert_int_equal(listener_renew(&p->l, LISTEN_CRI, &e), 0);
	assert_true(listener_lives(l));
	assert_string_equal(l->path, p->path);
}

static void
no_socket_there(void **state)
{
	struct place *p = *state;
	struct err e = {0};
	char made[128];

	skip_without_root();
	snprintf(made, sizeof(made), "%s/made", p->dir);
	assert_int_equal(mkdir(made, 0700), 0);
	assert_int_equal(symlink("/etc/passwd", p->path), 0);
	assert_true(listener_bind(&p->l, LISTEN_CRI, p->path, &e) < 0);
	assert_int_equal(e.code, ERR_USAGE);
	assert_int_equal(access(p->path, F_OK), 0);
	/* "" = none is wanted. */
	assert_int_equal(listener_bind(&p->l, LISTEN_METRICS, "", &e), 0);
	assert_int_equal(p->l.of[LISTEN_METRICS].fd, -1);
}

static void
not_writable_by_others(void **state)
{
	struct place *p = *state;
	struct err e = {0};
	struct stat st;
	char made[128];

	skip_without_root();
	snprintf(made, sizeof(made), "%s/made", p->dir);
	assert_int_equal(mkdir(made, 0700), 0);
	assert_int_equal(chmod(made, 0770), 0);
	assert_true(listener_bind(&p->l, LISTEN_CRI, p->path, &e) < 0);
	assert_int_equal(e.code, ERR_POLICY);
	assert_int_equal(lstat(p->path, &st), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(backoff_doubles),
	    cmocka_unit_test(notify_addresses),
	    cmocka_unit_test(notify_lines),
	    cmocka_unit_test(notify_watchdogs),
	    cmocka_unit_test(log_lines),
	    cmocka_unit_test(log_objects),
	    cmocka_unit_test(log_longest),
	    cmocka_unit_test(log_journal),
	    cmocka_unit_test(environment),
	    cmocka_unit_test_setup_teardown(
		bound_and_stale, place_set_up, place_tear_down),
	    cmocka_unit_test_setup_teardown(renewed, place_set_up, place_tear_down),
	    cmocka_unit_test_setup_teardown(
		no_socket_there, place_set_up, place_tear_down),
	    cmocka_unit_test_setup_teardown(
		not_writable_by_others, place_set_up, place_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
