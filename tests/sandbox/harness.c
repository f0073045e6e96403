#include "tests/sandbox/harness.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define TEST_UID_BASE 1890000000u

static void
put_file(const char *dir, const char *name, mode_t mode)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	FD_AUTO fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, "secret\n", 7), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

static void
put_dir(const char *dir, const char *name)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	if (mkdir(path, 0700) < 0)
		assert_int_equal(errno, EEXIST);
}

void
harness_fill(struct harness *h)
{
	static const char *const dirs[] = {"overlay", "overlay/t", "overlay/t/diff",
	    "overlay/t/diff/d", "overlay-layers", "overlay-images", "overlay-containers",
	    "bulkhead", "secrets", "volumes"};
	char command[256], tree[160], path[256];

	/* What earlier attempts made or changed goes; the directories stay, as mounts do.
	 */
	snprintf(command, sizeof command, "find '%s' -mindepth 1 -delete", h->graph);
	assert_int_equal(system(command), 0);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		put_dir(h->graph, dirs[i]);
	put_file(h->graph, "secrets/s", 0644);
	put_file(h->graph, "overlay-containers/containers.json", 0600);
	snprintf(tree, sizeof tree, "%s/" TREE, h->graph);
	put_file(tree, "f", 0600);
	put_file(tree, "w", 0666);
	put_file(tree, "w2", 0666);
	snprintf(path, sizeof path, "%s/link", tree);
	assert_int_equal(symlink("f", path), 0);
	snprintf(path, sizeof path, "%s/out", tree);
	assert_int_equal(symlink("/etc/shadow", path), 0);
}

void
harness_open(struct harness *h)
{
	harness_open_with(h, 0);
}

void
harness_open_with(struct harness *h, unsigned allow_degraded)
{
	static const char *const parts[] = {"graph", "run", "uids", "programs"};
	char self[4096], path[200];
	struct err e = {0};

	if (geteuid() != 0) {
		print_message("needs root: skipped\n");
		exit(77);
	}
	strcpy(h->dir, "/tmp/bulkhead-sandbox-XXXXXX");
	assert_non_null(mkdtemp(h->dir));
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		put_dir(h->dir, parts[i]);
	snprintf(h->graph, sizeof h->graph, "%s/graph", h->dir);
	snprintf(h->run, sizeof h->run, "%s/run", h->dir);
	snprintf(h->uids, sizeof h->uids, "%s/uids", h->dir);
	snprintf(h->programs, sizeof h->programs, "%s/programs", h->dir);
	put_file(h->dir, "outside", 0644);
	put_file(h->run, "r", 0644);
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 16);
	assert_true(n > 0);
	self[n] = 0;
	*strrchr(self, '/') = 0;
	strcat(self, "/sandbox-probe");
	for (int r = 0; r < ROOM_COUNT; r++) {
		const char *name = profile_program((enum room)r);
		snprintf(path, sizeof path, "%s/%s", h->programs, name ? name : "none");
		if (name)
			assert_int_equal(symlink(self, path), 0);
	}
	struct sandbox_options o = {.programs = h->programs,
	    .uids = h->uids,
	    .uid_base = TEST_UID_BASE,
	    .allow_degraded = allow_degraded};
	if (sandbox_host_init(&h->host, &o, &e) < 0)
		fail_msg("%s", e.text);
	if (sandbox_graph(&h->host, h->graph, h->run, &e) < 0)
		fail_msg("%s", e.text);
	if (sandbox_host_confine(&h->host, &e) < 0)
		fail_msg("%s", e.text);
	harness_fill(h);
}

void
harness_close(struct harness *h)
{
	char command[256];

	sandbox_host_release(&h->host);
	umount2(h->graph, MNT_DETACH);
	umount2(h->run, MNT_DETACH);
	snprintf(command, sizeof command, "rm -rf '%s'", h->dir);
	assert_int_equal(system(command), 0);
}

int
harness_tree(struct harness *h)
{
	int fd = openat(h->host.graph, TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* The next packet, or the room's end. An attempt may have sent a byte of its own. */
static bool
packet(struct sandbox_room *room, struct probe_packet *p)
{
	struct pollfd in = {.fd = room->control, .events = POLLIN};
	ssize_t n;

	do {
		if (poll(&in, 1, 10000) != 1)
			fail_msg("room %s says nothing for 10 s", room->profile->name);
		n = recv(room->control, p, sizeof *p, MSG_DONTWAIT);
	} while (n == 1);
	return n == (ssize_t)sizeof *p;
}

bool
harness_spawn(struct harness *h, const struct profile *p, char how,
    struct sandbox_room *room, struct probe_packet *hello, char *text, size_t cap)
{
	struct err e = {0};
	bool tree = p->root == ROOT_TREE || p->root == ROOT_TREE_NO_LINKS;
	FD_AUTO dir = tree ? harness_tree(h) : -1;
	int status;

	memset(h->host.rate, 0, sizeof h->host.rate);
	text[0] = 0;
	if (sandbox_spawn(&h->host, p, dir, room, &e) < 0)
		fail_msg("%s: %s", p->name, e.text);
	assert_int_equal(send(room->control, &how, 1, MSG_NOSIGNAL), 1);
	struct pollfd in = {.fd = room->control, .events = POLLIN};
	assert_int_equal(poll(&in, 1, 10000), 1);
	if (!sandbox_failure(room->control, text, cap) && packet(room, hello)) {
		assert_int_equal(hello->index, PROBE_HELLO);
		return true;
	}
	assert_int_equal(sandbox_reap(&h->host, room, &status), 0);
	snprintf(text + strlen(text), cap - strlen(text), " [%d]", status);
	return false;
}

int
harness_try(struct harness *h, struct sandbox_room *room, unsigned attempt)
{
	struct probe_packet p = {.index = attempt};
	int status;

	assert_int_equal(send(room->control, &p, sizeof p, MSG_NOSIGNAL), sizeof p);
	if (packet(room, &p)) {
		assert_int_equal(p.index, attempt);
		return p.result;
	}
	const char *name = room->profile->name;
	assert_int_equal(sandbox_reap(&h->host, room, &status), 0);
	if (status != 256 + SIGSYS)
		fail_msg("%s in room %s ended it with %d instead of SIGSYS",
		    attempts[attempt].name, name, status);
	return -1;
}

void
harness_end(struct harness *h, struct sandbox_room *room)
{
	int status;

	kill(room->pid, SIGKILL);
	assert_int_equal(sandbox_reap(&h->host, room, &status), 0);
}
