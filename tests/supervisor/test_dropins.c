/* Which files of a directory are configuration, and in what order. */
#include "tests/rows.h"

#include "common/base/fd.h"
#include "supervisor/dropins.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[64];
static struct config_files files;

static const char *
path(const char *name)
{
	static char text[400];

	snprintf(text, sizeof(text), "%s/%s", top, name);
	return text;
}

static void
make(const char *name)
{
	int fd = open(path(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	fchmod(fd, 0644);
	close(fd);
}

static int
setup(void **state)
{
	snprintf(top, sizeof(top), "/tmp/dropins.XXXXXX");
	assert_non_null(mkdtemp(top));
	make("b.toml");
	assert_int_equal(mkdir(path("b.conf.d"), 0755), 0);
	return 0;
}

static int
teardown(void **state)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

static int
find(struct err *e)
{
	static char main[100];

	snprintf(main, sizeof(main), "%s/b.toml", top);
	*e = (struct err){0};
	return config_files_find(&files, main, e);
}

static int
open_file(unsigned i, struct err *e)
{
	*e = (struct err){0};
	FD_AUTO fd = config_files_open(&files, i, e);
	return fd < 0 ? fd : 0;
}

static void
test_order(void **state)
{
	struct err e;

	make("b.conf.d/20-b.toml");
	make("b.conf.d/100.toml");
	make("b.conf.d/20-a.toml");
	make("b.conf.d/B.toml");
	make("b.conf.d/.hidden.toml");
	make("b.conf.d/20-c.toml~");
	make("b.conf.d/README");
	make("b.conf.d/.toml");
	assert_int_equal(find(&e), 0);
	assert_int_equal(files.n, 5);
	assert_string_equal(files.names[0], "100.toml");
	assert_string_equal(files.names[1], "20-a.toml");
	assert_string_equal(files.names[2], "20-b.toml");
	assert_string_equal(files.names[3], "B.toml");
	for (unsigned i = 0; i < files.n; i++)
		assert_int_equal(open_file(i, &e), 0);
}

static void
test_none(void **state)
{
	struct err e;

	assert_int_equal(rmdir(path("b.conf.d")), 0);
	assert_int_equal(find(&e), 0);
	assert_int_equal(files.n, 1);
	assert_int_equal(unlink(path("b.toml")), 0);
	assert_int_equal(open_file(0, &e), -ENOENT);
	assert_int_equal(e.code, 0);
}

/* A name that does not end in .toml keeps all of it. */
static void
test_other_name(void **state)
{
	struct err e = {0};
	char main[100];

	snprintf(main, sizeof(main), "%s/b.conf", top);
	assert_int_equal(config_files_find(&files, main, &e), 0);
	assert_non_null(strstr(files.dir, "/b.conf.conf.d"));
	assert_int_equal(config_files_find(&files, "/.toml", &e), 0);
}

/* Those of another program: *.conf, links too, whoever owns them. */
static void
test_foreign(void **state)
{
	struct err e = {0};
	char main[100];

	snprintf(main, sizeof(main), "%s/r.conf", top);
	assert_int_equal(config_files_find_foreign(&files, main, &e), 0);
	assert_int_equal(files.n, 1);
	assert_int_equal(mkdir(path("r.conf.d"), 0777), 0);
	make("r.conf.d/20.conf");
	make("r.conf.d/100.conf");
	make("r.conf.d/.a.conf");
	make("r.conf.d/b.toml");
	make("r.conf.d/c.conf~");
	assert_int_equal(mkdir(path("r.conf.d/dir.conf"), 0755), 0);
	assert_int_equal(symlink("20.conf", path("r.conf.d/Link.conf")), 0);
	assert_int_equal(config_files_find_foreign(&files, main, &e), 0);
	assert_int_equal(files.n, 5);
	assert_string_equal(files.names[0], ".a.conf");
	assert_string_equal(files.names[1], "100.conf");
	assert_string_equal(files.names[2], "20.conf");
	assert_string_equal(files.names[3], "Link.conf");
}

static void
check_refused(int r, const struct err *e, const char *why)
{
	assert_true(r < 0);
	assert_int_equal(e->code, ERR_USAGE);
	if (!strstr(e->text, why))
		fail_msg("%s", e->text);
}

static void
test_refused(void **state)
{
	struct err e;

	if (geteuid() != 0)
		skip();
	make("b.conf.d/1.toml");
	assert_int_equal(find(&e), 0);
	chmod(path("b.conf.d/1.toml"), 0664);
	check_refused(open_file(1, &e), &e, "written by others");
	chmod(path("b.conf.d/1.toml"), 0646);
	check_refused(open_file(1, &e), &e, "written by others");
	chmod(path("b.conf.d/1.toml"), 0600);
	assert_int_equal(open_file(1, &e), 0);
	assert_int_equal(chown(path("b.conf.d/1.toml"), 1000, 0), 0);
	check_refused(open_file(1, &e), &e, "belongs to user 1000");
	assert_int_equal(unlink(path("b.conf.d/1.toml")), 0);
	assert_int_equal(open_file(1, &e), -ENOENT);
	assert_int_equal(symlink("../b.toml", path("b.conf.d/1.toml")), 0);
	check_refused(open_file(1, &e), &e, "symbolic link");
	assert_int_equal(unlink(path("b.conf.d/1.toml")), 0);
	assert_int_equal(mkfifo(path("b.conf.d/1.toml"), 0600), 0);
	check_refused(open_file(1, &e), &e, "no regular file");
	assert_int_equal(unlink(path("b.conf.d/1.toml")), 0);
	assert_int_equal(mkdir(path("b.conf.d/1.toml"), 0700), 0);
	check_refused(open_file(1, &e), &e, "no regular file");

	assert_int_equal(chown(path("b.toml"), 1000, 0), 0);
	check_refused(open_file(0, &e), &e, "belongs to user 1000");
	chmod(path("b.conf.d"), 0775);
	check_refused(find(&e), &e, "written by others");
	chmod(path("b.conf.d"), 0755);
	assert_int_equal(chown(path("b.conf.d"), 1000, 0), 0);
	check_refused(find(&e), &e, "belongs to user 1000");
}

static void
test_limits(void **state)
{
	char name[300];
	struct err e;

	for (int i = 0; i < LIMIT_CONFIG_DROPINS; i++) {
		snprintf(name, sizeof(name), "b.conf.d/%02d.toml", i);
		make(name);
	}
	assert_int_equal(find(&e), 0);
	assert_int_equal(files.n, LIMIT_CONFIG_DROPINS + 1);
	make("b.conf.d/more.toml");
	check_refused(find(&e), &e, "more than 32 files");
}

static void
test_long_names(void **state)
{
	static char main[LIMIT_PATH + 10];
	struct err e;

	char name[300] = "b.conf.d/";
	memset(name + 9, 'n', 250);
	strcpy(name + 9 + 250, ".toml");
	make(name);
	assert_int_equal(find(&e), 0);
	assert_int_equal(strlen(files.names[0]), LIMIT_COMPONENT);
	assert_int_equal(open_file(1, &e), 0);
	memset(main, '/', sizeof(main) - 1);
	e = (struct err){0};
	check_refused(config_files_find(&files, main, &e), &e, "too long");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_none, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_other_name, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_long_names, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
