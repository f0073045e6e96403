/* Removing trees that an applier made to be hard to remove. */
#include "tests/apply/layer.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t
remove_all(struct layer *l)
{
	uint64_t removed;
	struct err e = {0};
	int fds = fd_count_open();

	if (apply_remove(l->root, &removed, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(fd_count_open(), fds);
	return removed;
}

static void
touch(int dir, const char *name)
{
	FD_AUTO fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0);
	assert_true(fd >= 0);
}

/* n directories inside one another, with long names and something beside each step. */
static void
deep(int dir, int n)
{
	char name[256];
	int at = dup(dir);

	memset(name, 'd', 255);
	name[255] = 0;
	for (int i = 0; i < n; i++) {
		assert_int_equal(mkdirat(at, name, 0), 0);
		int next = openat(at, name, O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		if (i % 10 == 0) {
			touch(at, "f");
			assert_int_equal(mkdirat(at, "e", 0), 0);
			FD_AUTO e = openat(at, "e", O_RDONLY);
			touch(e, "in");
		}
		close(at);
		at = next;
	}
	close(at);
}

static void
test_kinds(void **state)
{
	struct layer l;

	layer_open(&l);
	assert_int_equal(remove_all(&l), 0);
	assert_int_equal(symlinkat("../outside", l.root, "link"), 0);
	assert_int_equal(symlinkat("/", l.root, "root"), 0);
	assert_int_equal(mkfifoat(l.root, "fifo", 0), 0);
	assert_int_equal(mknodat(l.root, "whiteout", S_IFCHR, makedev(0, 0)), 0);
	assert_int_equal(mkdirat(l.root, "d", 0), 0);
	assert_int_equal(mkdirat(l.root, "d/d", 01000), 0);
	touch(l.root, "d/d/f");
	assert_int_equal(linkat(l.root, "d/d/f", l.root, "d/h", 0), 0);
	assert_int_equal(symlinkat("../../outside", l.root, "d/l"), 0);
	assert_int_equal(remove_all(&l), 9);
	layer_close(&l);
}

static void
test_deep(void **state)
{
	static const int depths[] = {1, 63, 64, 65, 128, 129, 3000};
	struct rlimit was, few = {80, 80};
	struct layer l;

	layer_open(&l);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	few.rlim_max = was.rlim_max;
	for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
		int n = depths[i];
		deep(l.root, n);
		deep(l.root, 0);
		assert_int_equal(mkdirat(l.root, "second", 0700), 0);
		FD_AUTO second = openat(l.root, "second", O_RDONLY);
		deep(second, n);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		uint64_t each = (uint64_t)n + 3 * (uint64_t)((n + 9) / 10);
		assert_int_equal(remove_all(&l), 2 * each + 1);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	}
	layer_close(&l);
}

static void
test_wide(void **state)
{
	struct layer l;
	char name[64];

	layer_open(&l);
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		if (i % 4 == 0) {
			assert_int_equal(mkdirat(l.root, name, 0), 0);
			strcat(name, "/x");
			touch(l.root, name);
		} else {
			touch(l.root, name);
		}
	}
	/* an O_PATH descriptor does as well */
	FD_AUTO path = openat(l.root, ".", O_PATH);
	uint64_t removed;
	struct err e = {0};
	assert_int_equal(apply_remove(path, &removed, &e), 0);
	assert_int_equal(removed, 25000);
	layer_close(&l);
}

/* In a child with a mount namespace of its own: another mount is not entered. */
static int
with_mount(struct layer *l)
{
	uint64_t removed;
	struct err e = {0};

	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || chdir(l->base) < 0 ||
	    mount("none", "diff/mnt", "tmpfs", 0, NULL) < 0)
		return 77;
	FD_AUTO kept = open("diff/mnt/kept", O_WRONLY | O_CREAT, 0600);
	FD_AUTO root = open("diff", O_RDONLY | O_DIRECTORY);
	if (kept < 0 || root < 0)
		return 1;
	if (apply_remove(root, &removed, &e) >= 0 || access("diff/mnt/kept", F_OK) < 0)
		return 2;
	return e.code == ERR_INTERNAL ? 0 : 3;
}

static void
test_mount(void **state)
{
	struct layer l;
	int status;

	layer_open(&l);
	assert_int_equal(mkdirat(l.root, "mnt", 0700), 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(with_mount(&l));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	layer_close(&l);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

static void
test_not_a_directory(void **state)
{
	FD_AUTO fd = open("/dev/null", O_RDONLY);
	uint64_t removed;
	struct err e = {0};

	assert_int_equal(apply_remove(fd, &removed, &e), -ENOTDIR);
	assert_non_null(strstr(e.text, "cannot open"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_kinds),
	    cmocka_unit_test(test_deep),
	    cmocka_unit_test(test_wide),
	    cmocka_unit_test(test_mount),
	    cmocka_unit_test(test_not_a_directory),
	};

	if (geteuid() != 0) {
		printf("needs root: directories without any mode bit\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
