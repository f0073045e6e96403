/* A hardened host: user.max_user_namespaces = 0. The sysctl belongs to a user namespace,
 * so the test makes one of its own (identity map, like the host's) and switches it off in
 * there. */
#include "tests/sandbox/harness.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct harness h;

static void
refused_with_the_sysctl_named(void **state)
{
	struct sandbox_host host;
	struct err e = {0};
	struct sandbox_options o = {
	    .programs = h.programs, .uids = h.uids, .uid_base = UIDS_BASE};

	assert_true(sandbox_host_init(&host, &o, &e) < 0);
	assert_non_null(strstr(e.text, "user.max_user_namespaces"));
	assert_non_null(strstr(e.text, "allow_degraded = [\"apply-userns\"]"));
	e = (struct err){0};
	o.allow_degraded = DEGRADED_LANDLOCK | DEGRADED_SECCOMP;
	assert_true(sandbox_host_init(&host, &o, &e) < 0);
}

/* The same capabilities and nothing more, in the namespace the service has. */
static void
apply_works_without(void **state)
{
	assert_int_equal(h.host.degraded, DEGRADED_APPLY_USERNS);
	for (enum sandbox_mode m = SANDBOX_MODE_APPLY; m <= SANDBOX_MODE_VERIFY; m++) {
		const struct profile *p = profile_find(ROOM_APPLY, m);
		struct sandbox_room room;
		struct sandbox_status s;
		struct probe_packet hello;
		struct err e = {0};
		char text[1200];
		if (!harness_spawn(&h, p, '.', &room, &hello, text, sizeof text))
			fail_msg("%s", text);
		if (sandbox_verify(&h.host, &room, &e) < 0)
			fail_msg("%s", e.text);
		assert_int_equal(status_read(&h.host, room.pid, &s), 0);
		assert_int_equal(s.namespaces & NS_USER, 0);
		assert_true(s.permitted == profile_caps(p));
		harness_end(&h, &room);
	}
}

static int
open_all(void **state)
{
	harness_open_with(&h, DEGRADED_APPLY_USERNS);
	return 0;
}

static int
close_all(void **state)
{
	harness_close(&h);
	return 0;
}

static int
write_text(const char *path, const char *text)
{
	FD_AUTO fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

/* In the child: a host that looks hardened, and the tests in it. */
static int
run_inside(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(refused_with_the_sysctl_named),
	    cmocka_unit_test(apply_works_without),
	};

	if (mount("proc", "/proc", "proc", 0, NULL) < 0 ||
	    write_text("/proc/sys/user/max_user_namespaces", "0\n") < 0) {
		print_message("no sysctl of its own here: skipped\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, open_all, close_all);
}

static int
wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* The first process of the new pid namespace is a child of the one that made it. */
static NORETURN void
inside(int ready, int go)
{
	char c = 'r';

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID) < 0)
		_exit(77);
	if (write(ready, &c, 1) != 1 || read(go, &c, 1) != 1)
		_exit(1);
	pid_t pid = fork();
	if (pid == 0)
		exit(run_inside());
	_exit(wait_for(pid));
}

int
main(void)
{
	int ready[2], go[2];
	char path[64], c;

	if (geteuid() != 0 || pipe(ready) < 0 || pipe(go) < 0)
		return 77;
	pid_t pid = fork();
	if (pid == 0)
		inside(ready[1], go[0]);
	close(ready[1]);
	if (read(ready[0], &c, 1) == 1) {
		snprintf(path, sizeof path, "/proc/%d/uid_map", (int)pid);
		if (write_text(path, "0 0 4294967295") < 0)
			return 77;
		snprintf(path, sizeof path, "/proc/%d/gid_map", (int)pid);
		if (write_text(path, "0 0 4294967295") < 0 || write(go[1], "g", 1) != 1)
			return 77;
	}
	return wait_for(pid);
}
