/* Real rooms by the real spawn, with the probe inside: what /proc shows, what a broken
 * line of the table changes, how rooms fail and end. */
#include "tests/sandbox/harness.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct harness h;
static struct probe_packet hello;
static char text[1200];

static const struct profile *
row(enum room room)
{
	return profile_find(
	    room, room == ROOM_APPLY ? SANDBOX_MODE_APPLY : SANDBOX_MODE_PLAIN);
}

static void
start(const struct profile *p, struct sandbox_room *room)
{
	if (!harness_spawn(&h, p, '.', room, &hello, text, sizeof text))
		fail_msg("%s", text);
}

/* Rooms of pulls are the first to go when memory is short, the service's own stay as it
 * is. */
static void
check_oom_score(const struct profile *p, pid_t pid)
{
	char path[64], score[16] = "", own[16] = "";

	snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)pid);
	FD_AUTO its = open(path, O_RDONLY | O_CLOEXEC);
	FD_AUTO ours = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
	assert_true(read(its, score, sizeof score - 1) > 0);
	assert_true(read(ours, own, sizeof own - 1) > 0);
	bool service =
	    p->room == ROOM_STORE || p->room == ROOM_FRONTEND || p->room == ROOM_CONF;
	assert_string_equal(score, service ? own : "500\n");
}

static void
every_room_is_its_row(void **state)
{
	size_t n;
	const struct profile *rows = profile_rows(&n);

	for (size_t r = 0; r < n; r++) {
		struct sandbox_room room;
		struct sandbox_status s;
		struct err e = {0};
		if (!profile_program(rows[r].room))
			continue;
		start(&rows[r], &room);
		assert_int_equal(hello.mode, rows[r].mode);
		assert_int_equal(hello.landlock_abi, h.host.landlock_abi);
		assert_int_equal(hello.mdwe, h.host.mdwe);
		if (sandbox_verify(&h.host, &room, &e) < 0)
			fail_msg("%s", e.text);
		assert_int_equal(status_read(&h.host, room.pid, &s), 0);
		check_oom_score(&rows[r], room.pid);
		unsigned fds = 4;
		for (const struct profile_fd *f = rows[r].fds; f->name; f++)
			fds += rows[r].landlock == LANDLOCK_STORE;
		assert_int_equal(s.nfds, fds);
#ifndef BULKHEAD_SANITIZE
		assert_non_null(
		    strstr(s.fds, "0 /dev/null, 1 /dev/null, 2 /dev/null, 3 socket"));
#endif
		harness_end(&h, &room);
	}
}

/* Every line of the table that /proc can show: breaking it must be seen. */
static void
a_broken_line_is_seen(void **state)
{
	static const struct profile_cap net_admin[] = {
	    {"NET_ADMIN", CAP_KILL, "broken"}, {0}};
	static const struct profile_limit none[] = {{0}};
	static const struct profile_limit more[] = {
	    {"NOFILE", RLIMIT_NOFILE, 512, "broken"}, {0}};
	const struct profile *real = row(ROOM_INFLATE);
	struct {
		struct profile p;
		const char *seen;
	} broken[7];

	for (size_t i = 0; i < ARRAY_LEN(broken); i++)
		broken[i].p = *real;
	broken[0].p.caps = net_admin;
	broken[0].seen = "capabilities";
	broken[1].p.ids = IDS_OWN_FSUID_0;
	broken[1].seen = "user ids";
	broken[2].p.namespaces &= ~(unsigned)NS_IPC;
	broken[2].seen = "namespaces";
	broken[3].p.namespaces &= ~(unsigned)NS_NET;
	broken[3].seen = "namespaces";
	broken[4].p.root = ROOT_HOST;
	broken[4].seen = "root";
	broken[5].p.limits = none;
	broken[5].seen = "limits";
	broken[6].p.limits = more;
	broken[6].seen = "limits";
	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		struct sandbox_room room;
		struct err e = {0};
		start(&broken[i].p, &room);
		room.profile = real;
		assert_int_equal(sandbox_verify(&h.host, &room, &e), -EPERM);
		if (!strstr(e.text, broken[i].seen))
			fail_msg("\"%s\" does not name %s", e.text, broken[i].seen);
		harness_end(&h, &room);
	}
}

static void
no_filter_is_seen(void **state)
{
#ifndef BULKHEAD_SANITIZE
	struct sandbox_room room;
	struct err e = {0};

	h.host.degraded |= DEGRADED_SECCOMP;
	start(row(ROOM_HASH), &room);
	assert_int_equal(hello.seccomp, 0);
	assert_int_equal(sandbox_verify(&h.host, &room, &e), 0);
	h.host.degraded &= ~(unsigned)DEGRADED_SECCOMP;
	assert_int_equal(sandbox_verify(&h.host, &room, &e), -EPERM);
	assert_non_null(strstr(e.text, "filter"));
	harness_end(&h, &room);
#endif
}

/* Lesser forms: apply without its user namespace, ABI 2, no MDWE. */
static void
lesser_forms_work(void **state)
{
	struct sandbox_room room;
	struct err e = {0};
	int abi = h.host.landlock_abi;
	bool mdwe = h.host.mdwe;

	h.host.degraded |= DEGRADED_APPLY_USERNS;
	h.host.landlock_abi = 2;
	h.host.mdwe = false;
	for (enum sandbox_mode m = SANDBOX_MODE_APPLY; m <= SANDBOX_MODE_VERIFY; m++) {
		struct sandbox_status s;
		start(profile_find(ROOM_APPLY, m), &room);
		assert_int_equal(hello.landlock_abi, 2);
		assert_int_equal(hello.mdwe, 0);
		if (sandbox_verify(&h.host, &room, &e) < 0)
			fail_msg("%s", e.text);
		assert_int_equal(status_read(&h.host, room.pid, &s), 0);
		assert_int_equal(s.namespaces & NS_USER, 0);
		harness_end(&h, &room);
	}
	h.host.degraded &= ~(unsigned)DEGRADED_APPLY_USERNS;
	h.host.landlock_abi = abi;
	h.host.mdwe = mdwe;
}

/* ---- failures ---- */

static void
failures_are_told(void **state)
{
	struct sandbox_room room;

	assert_false(
	    harness_spawn(&h, row(ROOM_HASH), 'w', &room, &hello, text, sizeof text));
	assert_string_equal(
	    text, "room hash cannot confine itself: warm-up\\x0afailed [125]");
	assert_false(
	    harness_spawn(&h, row(ROOM_FETCH), 'r', &room, &hello, text, sizeof text));
	assert_non_null(strstr(text, "the ticket is for room fetch"));
	assert_false(
	    harness_spawn(&h, row(ROOM_FETCH), 't', &room, &hello, text, sizeof text));
	assert_non_null(strstr(text, "no ticket"));
}

static void
a_program_that_cannot_run_is_told(void **state)
{
	struct sandbox_room room;
	struct err e = {0};
	int status, kept = h.host.program[ROOM_HASH];
	FD_AUTO dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	h.host.program[ROOM_HASH] = dir;
	assert_int_equal(sandbox_spawn(&h.host, row(ROOM_HASH), -1, &room, &e), 0);
	h.host.program[ROOM_HASH] = kept;
	struct pollfd in = {.fd = room.control, .events = POLLIN};
	assert_int_equal(poll(&in, 1, 10000), 1);
	assert_true(sandbox_failure(room.control, text, sizeof text));
	assert_string_equal(text, "room hash: exec: Permission denied");
	assert_false(sandbox_failure(room.control, text, sizeof text));
	assert_int_equal(sandbox_reap(&h.host, &room, &status), 0);
	assert_int_equal(status, 125);
}

static void
only_trees_of_the_graph_root(void **state)
{
	const struct profile *p = row(ROOM_APPLY);
	struct sandbox_room room;
	FD_AUTO host = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FD_AUTO same_disk = open(h.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FD_AUTO file = openat(h.host.graph, TREE "/f", O_RDONLY | O_CLOEXEC);
	FD_AUTO run = openat(h.host.run, ".", O_RDONLY | O_CLOEXEC);
	const int bad[] = {host, same_disk, file, run, -1, h.host.null};
	unsigned live = h.host.live[0];
	char path[160];

	/* The very directory, but not through the clone that the store has. */
	snprintf(path, sizeof path, "%s/" TREE, h.graph);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = {0};
		memset(h.host.rate, 0, sizeof h.host.rate);
		assert_true(sandbox_spawn(&h.host, p, bad[i], &room, &e) < 0);
		assert_non_null(strstr(e.text, "directory for room apply"));
	}
	assert_int_equal(h.host.live[0], live);
}

static void
counts_are_kept(void **state)
{
	struct profile p = *row(ROOM_CONF);
	struct sandbox_room a, b;
	struct err e = {0};

	p.live = 1;
	start(&p, &a);
	memset(h.host.rate, 0, sizeof h.host.rate);
	assert_true(sandbox_spawn(&h.host, &p, -1, &b, &e) < 0);
	assert_int_equal(e.code, ERR_IN_USE);
	assert_non_null(strstr(e.text, "alive already"));
	harness_end(&h, &a);
	start(&p, &a);
	harness_end(&h, &a);
	/* One start a second: the next second may begin in between, once. */
	p.per_second = 1;
	unsigned refused = 0;
	for (int i = 0; i < 3; i++) {
		e = (struct err){0};
		if (sandbox_spawn(&h.host, &p, -1, &b, &e) == 0)
			harness_end(&h, &b);
		else
			refused += strstr(e.text, "this second") != NULL;
	}
	assert_true(refused >= 1);
}

static void
uids_differ_and_come_back(void **state)
{
	struct sandbox_room a, b;
	uint64_t used = h.host.uids.block[0].used;
	int open_before = fd_count_open();

	start(row(ROOM_CONF), &a);
	start(row(ROOM_CONF), &b);
	assert_int_not_equal(a.uid, b.uid);
	harness_end(&h, &a);
	harness_end(&h, &b);
	assert_true(h.host.uids.block[0].used == used);
	assert_int_equal(fd_count_open(), open_before);
}

/* ---- ends ---- */

static bool
ends_within(int pidfd, int ms)
{
	struct pollfd in = {.fd = pidfd, .events = POLLIN};

	return poll(&in, 1, ms) == 1;
}

/* A supervisor that is killed takes its rooms along; only the store stays, to clean up.
 */
static void
rooms_die_with_the_supervisor(void **state)
{
	int pair[2];
	pid_t pids[2] = {-1, -1};

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	pid_t supervisor = fork();
	assert_true(supervisor >= 0);
	if (supervisor == 0) {
		struct sandbox_room rooms[2];
		start(row(ROOM_APPLY), &rooms[0]);
		start(row(ROOM_STORE), &rooms[1]);
		/* The test must see the store alive: its channel is kept open there. */
		pids[0] = rooms[0].pid;
		pids[1] = rooms[1].pid;
		if (write(pair[1], pids, sizeof pids) != sizeof pids)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(pair[0], pids, sizeof pids), sizeof pids);
	FD_AUTO applier = (int)syscall(SYS_pidfd_open, pids[0], 0);
	FD_AUTO store = (int)syscall(SYS_pidfd_open, pids[1], 0);
	assert_true(applier >= 0 && store >= 0);
	assert_false(ends_within(applier, 0));
	kill(supervisor, SIGKILL);
	waitpid(supervisor, NULL, 0);
	assert_true(ends_within(applier, 5000));
	/* The probe in the store's place leaves on EOF by itself, with exit code 0. */
	assert_true(ends_within(store, 5000));
	close(pair[0]);
	close(pair[1]);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_room_is_its_row),
	    cmocka_unit_test(a_broken_line_is_seen),
	    cmocka_unit_test(no_filter_is_seen),
	    cmocka_unit_test(lesser_forms_work),
	    cmocka_unit_test(failures_are_told),
	    cmocka_unit_test(a_program_that_cannot_run_is_told),
	    cmocka_unit_test(only_trees_of_the_graph_root),
	    cmocka_unit_test(counts_are_kept),
	    cmocka_unit_test(uids_differ_and_come_back),
	    cmocka_unit_test(rooms_die_with_the_supervisor),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}
