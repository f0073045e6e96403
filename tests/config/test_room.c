/* The reader room itself: rows and secrets over the channel, then the end. */
#include "tests/room.h"

#include "common/ipc/values.h"

#include <fcntl.h>
#include <sys/mman.h>

static struct room_test room;

static int
file(const char *text)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

/* Everything the room said as one text. */
static void
read_all(unsigned kind, int fd, struct build *out)
{
	struct ipc_msg m = IPC_MSG(read_config, .kind = kind, .name = span_str("/etc/f"));
	char a[1100], b[1100];

	room_start(&room, ROOM_CONF);
	m.fds[0] = fd;
	m.nfds = 1;
	room_send(&room.control, &m);
	for (;;) {
		room_receive(&room, &room.control, &m);
		if (m.type == MSG_config_row)
			build_add(out, "%s=%s\n",
			    span_escape(m.config_row.key, a, sizeof(a)),
			    span_escape(m.config_row.value, b, sizeof(b)));
		else if (m.type == MSG_config_secret)
			build_add(out, "%s!%u!%s\n",
			    span_escape(m.config_secret.scope, a, sizeof(a)),
			    (unsigned)m.config_secret.kind,
			    span_escape(m.config_secret.secret, b, sizeof(b)));
		else if (m.type == MSG_config_registry)
			build_add(out, "%u %s %s\n", (unsigned)m.config_registry.kind,
			    span_escape(m.config_registry.name, a, sizeof(a)),
			    span_escape(m.config_registry.value, b, sizeof(b)));
		else
			break;
	}
	assert_int_equal(m.type, MSG_config_end);
	build_add(out, "end %u %s", (unsigned)m.config_end.code,
	    span_escape(m.config_end.text, b, sizeof(b)));
	assert_int_equal(room_end(&room), m.config_end.code ? 1 : 0);
}

static void
check(unsigned kind, int fd, const char *said)
{
	struct build b = {0};

	read_all(kind, fd, &b);
	if (strncmp(b.p, said, strlen(said)) != 0)
		fail_msg("%s", b.p);
	build_free(&b);
}

static void
test_files(void **state)
{
	check(CONFIG_BULKHEAD, file("root = \"/g\"\nuid_base = 65536\n"),
	    "root=/g\nuid_base=65536\nend 0 ");
	check(CONFIG_STORAGE, file("[storage]\ngraphroot = \"/g\"\n"),
	    "graphroot=/g\nend 0 ");
	check(CONFIG_AUTH, file("{\"auths\":{\"a.b\":{\"auth\":\"dTpw\"}}}"),
	    "a.b!1!u:p\nend 0 ");
	check(CONFIG_REGISTRIES,
	    file("[[registry]]\nlocation = \"q.io\"\n[[registry.mirror]]\nlocation = "
		 "\"m\"\n[aliases]\nx = \"q.io/x\"\n"),
	    "4 x q.io/x\n1 q.io q.io\n2  m\nend 0 ");
	check(CONFIG_REGISTRIES_DROPIN, file("[registries.search]\nregistries = []\n"),
	    "end 64 /etc/f:2: registries.search.registries is of version 1");
	check(CONFIG_ALIASES, file("[aliases]\nx = \"q.io/x\"\n"), "4 x q.io/x\nend 0 ");
	check(CONFIG_BULKHEAD, file(""), "end 0 ");
}

static void
test_refused(void **state)
{
	check(CONFIG_BULKHEAD, file("x = 1\n"), "end 64 /etc/f:1: unknown key \"x\"");
	check(CONFIG_BULKHEAD, file("x = \n"), "end 64 /etc/f:1: no TOML");
	check(CONFIG_STORAGE, file("[storage]\ndriver = \"vfs\""),
	    "end 64 /etc/f:2: storage.driver");
	check(CONFIG_AUTH, file("["), "end 64 /etc/f: credentials");
	check(15, file(""), "end 64 /etc/f: a file of no known kind");
}

static void
test_file_too_long(void **state)
{
	int fd = file("");

	assert_int_equal(ftruncate(fd, LIMIT_CONFIG_FILE + 1), 0);
	check(CONFIG_BULKHEAD, fd, "end 64 /etc/f: over the limit");
}

/* Not a file: a fifo, a directory, a device. */
static void
test_no_file(void **state)
{
	int pipe_fds[2];

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	check(CONFIG_BULKHEAD, pipe_fds[0], "end 125 /etc/f");
	check(CONFIG_BULKHEAD, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
	    "end 125 /etc/f");
	check(CONFIG_BULKHEAD, open("/dev/zero", O_RDONLY | O_CLOEXEC), "end 125 /etc/f");
	close(pipe_fds[1]);
}

/* More rows than a socket holds while nobody reads. */
static void
test_many_rows(void **state)
{
	struct build text = {0}, said = {0};
	size_t rows = 0;

	build_add(&text, "insecure_registries = [\"h0.example\"");
	for (int i = 1; i < LIMIT_CONFIG_LIST; i++)
		build_add(&text, ", \"h%d.example\"", i);
	build_add(&text, "]");
	read_all(CONFIG_BULKHEAD, file(text.p), &said);
	for (const char *c = said.p; (c = strchr(c, '\n')); c++)
		rows++;
	assert_int_equal(rows, LIMIT_CONFIG_LIST + 1);
	build_free(&text);
	build_free(&said);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_file_too_long),
	    cmocka_unit_test(test_no_file),
	    cmocka_unit_test(test_many_rows),
	};
	return cmocka_run_group_tests(tests, room_host_setup, room_host_teardown);
}
