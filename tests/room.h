/* One real room, in its real sandbox, with the test in the supervisor's place. Root only:
 * the tests skip otherwise. Link `sandbox` and `ipc`; ROOM_PROGRAMS is the directory of
 * the programs. */
#ifndef BULKHEAD_TESTS_ROOM_H
#define BULKHEAD_TESTS_ROOM_H

#include "common/base/fd.h"
#include "common/ipc/chan.h"
#include "policy/sandbox/profile.h"
#include "policy/sandbox/spawn.h"
#include "tests/rows.h"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM_MS 10000

struct room_test {
	struct sandbox_room room;
	struct chan control;
};

static struct sandbox_host room_host;
static char room_dir[] = "/tmp/bulkhead-room-XXXXXX";

/* A directory with every program's name in it: those that are not built are `true`. */
static inline void
room_programs(void)
{
	char target[4096], link[4096];

	assert_non_null(mkdtemp(room_dir));
	for (int r = 0; r < ROOM_COUNT; r++) {
		const char *name = profile_program((enum room)r);
		if (!name)
			continue;
		snprintf(target, sizeof(target), "%s/%s", ROOM_PROGRAMS, name);
		snprintf(link, sizeof(link), "%s/%s", room_dir, name);
		assert_int_equal(
		    symlink(access(target, X_OK) == 0 ? target : "/bin/true", link), 0);
	}
}

static inline int
room_host_setup(void **state)
{
	struct err e = {0};
	char uids[64];

	if (geteuid() != 0)
		return 0;
	room_programs();
	snprintf(uids, sizeof(uids), "%s/uids", room_dir);
	struct sandbox_options o = {
	    .programs = room_dir, .uids = uids, .uid_base = UIDS_BASE + 2048};
	if (sandbox_host_init(&room_host, &o, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		return -1;
	}
	return 0;
}

static inline int
room_host_teardown(void **state)
{
	char command[128];

	if (geteuid() != 0)
		return 0;
	sandbox_host_release(&room_host);
	snprintf(command, sizeof(command), "rm -rf %s", room_dir);
	return system(command);
}

static inline void
room_start(struct room_test *t, enum room room)
{
	struct err e = {0};
	struct ipc_msg m;
	const char *why = "";
	char text[512];

	if (geteuid() != 0)
		skip();
	if (sandbox_spawn(
		&room_host, profile_find(room, SANDBOX_MODE_PLAIN), -1, &t->room, &e) < 0)
		fail_msg("%s", e.text);
	struct pollfd p = {.fd = t->room.control, .events = POLLIN};
	assert_int_equal(poll(&p, 1, ROOM_MS), 1);
	if (sandbox_failure(t->room.control, text, sizeof(text)))
		fail_msg("%s", text);
	assert_int_equal(chan_init(&t->control, dup(t->room.control), CH_control,
			     ROOM_SUPERVISOR, room),
	    0);
	if (chan_recv_wait(&t->control, &m, ROOM_MS, &why) != 0)
		fail_msg("no hello: %s", why);
	assert_int_equal(m.type, MSG_hello);
	assert_int_equal(m.hello.room, room);
	assert_memory_equal(m.hello.schema, ipc_schema_hash, 32);
	t->control.phase = IPC_RUN;
}

static inline void
room_send(struct chan *c, struct ipc_msg *m)
{
	assert_int_equal(chan_send_wait(c, m, ROOM_MS), 0);
	for (unsigned i = 0; i < m->nfds; i++)
		fd_close(&m->fds[i]);
}

/* Gives the room one end of a new channel and keeps the other, as `self`. */
static inline void
room_connect(struct room_test *t, enum ipc_channel channel, enum room self,
    enum room peer, struct chan *out)
{
	int fds[2];

	assert_int_equal(chan_pair(fds), 0);
	struct ipc_msg m = IPC_MSG(peer, .channel = channel, .pull = 1, .token = 2);
	m.fds[0] = fds[0];
	m.nfds = 1;
	room_send(&t->control, &m);
	assert_int_equal(chan_init(out, fds[1], channel, self, peer), 0);
}

/* How the room ended: exit code, or 256 + signal. */
static inline int
room_end(struct room_test *t)
{
	struct pollfd p = {.fd = t->room.pidfd, .events = POLLIN};
	int status = -1;

	assert_int_equal(poll(&p, 1, ROOM_MS), 1);
	assert_int_equal(sandbox_reap(&room_host, &t->room, &status), 0);
	chan_release(&t->control);
	return status;
}

/* The next message from the room, on any of its channels. */
static inline void
room_receive(struct room_test *t, struct chan *c, struct ipc_msg *m)
{
	const char *why = "";

	int r = chan_recv_wait(c, m, ROOM_MS, &why);
	if (r == CHAN_CLOSED)
		fail_msg("no answer; the room ended with %d", room_end(t));
	if (r != 0)
		fail_msg("no answer: %d %s", r, why);
}

static inline int
room_memfd(const void *p, size_t n)
{
	int fd = fd_sealed_memfd("test", p, n);

	assert_true(fd >= 0);
	return fd;
}

#endif
