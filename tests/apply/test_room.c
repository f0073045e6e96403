/* The real program in its real sandbox: every mode, over real channels and a real ring. A
 * call that the profile forgot kills the room here. */
#include "tests/apply/tarball.h"

#include "common/base/fd.h"
#include "common/ipc/chan.h"
#include "common/ipc/ring.h"
#include "common/ipc/values.h"
#include "policy/sandbox/spawn.h"
#include "tests/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 20000

static struct {
	char dir[64], graph[96], run[96], uids[96], programs[96];
	struct sandbox_host host;
	int staging; /* graph/bulkhead, on the mount clone */
} g;

struct fixture {
	struct sandbox_room process;
	struct chan control, store, hash;
	struct ring ring;
	int tree, side, split;
};

static void
make_dir(char *path, size_t cap, const char *name)
{
	snprintf(path, cap, "%s/%s", g.dir, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

/* This program is in BUILD/tests, the rooms' are in BUILD/bin. */
static void
link_programs(void)
{
	char self[4096], path[256];

	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 32);
	assert_true(n > 0);
	self[n] = 0;
	for (int up = 0; up < 2; up++)
		*strrchr(self, '/') = 0;
	strcat(self, "/bin/bulkhead-apply");
	for (int r = 0; r < ROOM_COUNT; r++) {
		const char *name = profile_program((enum room)r);
		snprintf(path, sizeof(path), "%s/%s", g.programs, name ? name : "none");
		if (name)
			assert_int_equal(symlink(self, path), 0);
	}
}

static int
group_open(void **state)
{
	struct err e = {0};

	assert_true(scratch_make(g.dir, sizeof(g.dir), "apply-room"));
	make_dir(g.graph, sizeof(g.graph), "graph");
	make_dir(g.run, sizeof(g.run), "run");
	make_dir(g.uids, sizeof(g.uids), "uids");
	make_dir(g.programs, sizeof(g.programs), "programs");
	link_programs();
	struct sandbox_options o = {
	    .programs = g.programs, .uids = g.uids, .uid_base = 1891000000u};
	if (sandbox_host_init(&g.host, &o, &e) < 0 ||
	    sandbox_graph(&g.host, g.graph, g.run, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(mkdirat(g.host.graph, "bulkhead", 0700), 0);
	g.staging = openat(g.host.graph, "bulkhead", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(g.staging >= 0);
	return 0;
}

static int
group_close(void **state)
{
	char command[256];

	close(g.staging);
	sandbox_host_release(&g.host);
	umount2(g.graph, MNT_DETACH);
	umount2(g.run, MNT_DETACH);
	snprintf(command, sizeof(command), "rm -rf '%s'", g.dir);
	return system(command);
}

static void
make_tree(struct fixture *r)
{
	memset(r, 0, sizeof(*r));
	assert_int_equal(mkdirat(g.staging, "diff", 0755), 0);
	r->tree = openat(g.staging, "diff", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r->side = openat(g.staging, "side", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	r->split =
	    openat(g.staging, "split", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(r->tree >= 0 && r->side >= 0 && r->split >= 0);
}

static void
drop_tree(struct fixture *r)
{
	fd_close(&r->tree);
	fd_close(&r->side);
	fd_close(&r->split);
	char command[256];
	snprintf(command, sizeof(command), "rm -rf '%s/bulkhead/diff'", g.graph);
	assert_int_equal(system(command), 0);
}

static void
give_peer(struct fixture *r, struct chan *ours, enum ipc_channel kind, enum room self)
{
	int fds[2];
	struct ipc_msg m = IPC_MSG(peer, .channel = kind, .pull = 1, .token = 1);

	assert_int_equal(chan_pair(fds), 0);
	m.fds[0] = fds[1];
	m.nfds = 1;
	assert_int_equal(chan_send_wait(&r->control, &m, WAIT_MS), 0);
	close(fds[1]);
	assert_int_equal(chan_init(ours, fds[0], kind, self, ROOM_APPLY), 0);
}

static void
start(struct fixture *r, enum sandbox_mode mode)
{
	const struct profile *p = profile_find(ROOM_APPLY, mode);
	struct err e = {0};
	struct ipc_msg m;
	const char *why = NULL;
	char text[1200];

	memset(g.host.rate, 0, sizeof(g.host.rate));
	if (sandbox_spawn(&g.host, p, r->tree, &r->process, &e) < 0)
		fail_msg("%s", e.text);
	struct pollfd hello = {.fd = r->process.control, .events = POLLIN};
	assert_int_equal(poll(&hello, 1, WAIT_MS), 1);
	if (sandbox_failure(r->process.control, text, sizeof(text)))
		fail_msg("%s", text);
	assert_int_equal(chan_init(&r->control, dup(r->process.control), CH_control,
			     ROOM_SUPERVISOR, ROOM_APPLY),
	    0);
	assert_int_equal(chan_recv_wait(&r->control, &m, WAIT_MS, &why), 0);
	assert_int_equal(m.type, MSG_hello);
	assert_int_equal(m.hello.room, ROOM_APPLY);
	r->control.phase = IPC_RUN;
	give_peer(r, &r->store, CH_store_apply, ROOM_STORE);
	if (mode != SANDBOX_MODE_APPLY && mode != SANDBOX_MODE_VERIFY)
		return;
	give_peer(r, &r->hash, CH_hash_apply, ROOM_HASH);
	struct ipc_msg in = IPC_MSG(apply_ring), out = IPC_MSG(verify_ring);
	bool verify = mode == SANDBOX_MODE_VERIFY;
	struct ipc_msg ring = verify ? out : in;
	assert_int_equal(ring_create(&r->ring, verify ? RING_CONSUMER : RING_PRODUCER,
			     RING_TAR, ring.fds),
	    0);
	ring.nfds = RING_FDS;
	assert_int_equal(chan_send_wait(&r->hash, &ring, WAIT_MS), 0);
	ipc_msg_release(&ring);
}

static int
finish(struct fixture *r)
{
	int status;

	struct pollfd in = {.fd = r->process.pidfd, .events = POLLIN};
	assert_int_equal(poll(&in, 1, WAIT_MS), 1);
	assert_int_equal(sandbox_reap(&g.host, &r->process, &status), 0);
	chan_release(&r->control);
	chan_release(&r->store);
	if (r->hash.packet) {
		chan_release(&r->hash);
		ring_close(&r->ring);
	}
	memset(&r->hash, 0, sizeof(r->hash));
	return status;
}

static void
send_untar(struct fixture *r, uint64_t max_entries, uint64_t granted)
{
	struct ipc_msg m = IPC_MSG(
	    untar, .max_bytes = MiB(64), .max_entries = max_entries, .granted = granted);

	m.fds[0] = r->side;
	m.nfds = 1;
	assert_int_equal(chan_send_wait(&r->store, &m, WAIT_MS), 0);
}

/* Until all is in, or the room has given up. */
static void
feed(struct fixture *r, const struct tarball *t, size_t chunk)
{
	for (size_t at = 0; at < t->n;) {
		uint8_t *slot;
		struct ring *rings[] = {&r->ring};
		int v = ring_reserve(&r->ring, &slot);
		if (v == -EAGAIN) {
			assert_int_equal(ring_wait(rings, 1, NULL, 0, WAIT_MS), 0);
			continue;
		}
		if (v == -EPIPE)
			return;
		assert_int_equal(v, 0);
		size_t n = t->n - at < chunk ? t->n - at : chunk;
		memcpy(slot, t->p + at, n);
		ring_publish(&r->ring, n);
		at += n;
	}
	ring_finish(&r->ring, RING_ENDED);
}

static void
answer(struct fixture *r, enum ipc_type type, struct ipc_msg *m)
{
	const char *why = NULL;

	int v = chan_recv_wait(&r->store, m, WAIT_MS, &why);
	if (v != 0)
		fail_msg("%d %s, room ended with %d", v, why ? why : "", finish(r));
	if (m->type == MSG_apply_failed && type != MSG_apply_failed)
		fail_msg("%.*s", (int)m->apply_failed.text.n, m->apply_failed.text.p);
	assert_int_equal(m->type, type);
}

static void
everything(struct tarball *t)
{
	struct tarball body = {0};
	char name[64];

	pax_record(&body, "path", "caf\xc3\xa9", 5);
	pax_record(&body, "SCHILY.xattr.user.k", "value", 5);
	pax_record(&body, "SCHILY.xattr.trusted.k", "dropped", 7);
	pax_record(&body, "SCHILY.xattr.security.capability",
	    "\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	tar_pax(t, 'x', body.p, body.n);
	tar_head(
	    t, (struct tar_head){
		   .name = "x", .type = '0', .mode = 04755, .uid = 70000, .size = 4});
	tar_bytes(t, "data", 4);
	tar_pad(t);
	tar_pax_records(t, "SCHILY.xattr.user.d", "on", NULL);
	tar_head(
	    t, (struct tar_head){.name = "d/", .type = '5', .mode = 02751, .gid = 9});
	tar_node(t, "l", '2', "d");
	tar_file(t, "l/through", "link");
	tar_node(t, "d/h", '1', "d/through");
	tar_head(t, (struct tar_head){.name = "p", .type = '6', .mode = 01600, .uid = 1});
	tar_head(
	    t, (struct tar_head){.name = "null", .type = '3', .major = 1, .minor = 3});
	tar_file(t, "d/.wh.gone", "");
	tar_file(t, "d/.wh..wh..opq", "");
	tar_file(t, ".wh..wh..opq", "");
	tar_file(t, ".wh.again", "");
	tar_file(t, "again", "replaces its whiteout");
	tar_pax_records(t, "GNU.sparse.size", "100000", "GNU.sparse.numblocks", "1",
	    "GNU.sparse.map", "5,2", "GNU.sparse.name", "sparse", NULL);
	tar_head(t, (struct tar_head){.name = "x", .type = '0', .size = 2});
	tar_bytes(t, "ab", 2);
	tar_pad(t);
	tar_head(t, (struct tar_head){.name = "/", .type = '5', .mode = 0711, .uid = 3});
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "many/%d/%d", i % 7, i);
		tar_file(t, name, name);
	}
	tar_head(t, (struct tar_head){.name = "big", .type = '0', .size = 9 << 20});
	tar_zeros(t, 9 << 20);
	tar_end(t);
	tar_free(&body);
}

static void
assert_node(
    struct fixture *r, const char *name, unsigned mode, unsigned uid, unsigned gid)
{
	struct stat st;

	assert_int_equal(fstatat(r->tree, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode, mode);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, gid);
}

static void
assert_everything(struct fixture *r)
{
	uint8_t cap[32];

	assert_node(r, "caf\xc3\xa9", S_IFREG | 04755, 70000, 0);
	assert_node(r, "d", S_IFDIR | 02751, 0, 9);
	assert_node(r, "d/through", S_IFREG | 0644, 0, 0);
	assert_node(r, "p", S_IFIFO | 01600, 1, 0);
	assert_node(r, "d/gone", S_IFCHR, 0, 0);
	assert_node(r, "again", S_IFREG | 0644, 0, 0);
	assert_node(r, "many/3/3", S_IFREG | 0644, 0, 0);
	assert_node(r, "many/3", S_IFDIR | 0755, 0, 0);
	assert_node(r, ".", S_IFDIR | 0711, 3, 0);
	FD_AUTO fd = openat(r->tree, "caf\xc3\xa9", O_RDONLY);
	assert_int_equal(fgetxattr(fd, "user.k", cap, sizeof(cap)), 5);
	/* set inside a user namespace, seen from outside */
	assert_int_equal(fgetxattr(fd, "security.capability", cap, sizeof(cap)), 20);
}

static void
run_untar(struct fixture *r, const struct tarball *t)
{
	struct ipc_msg m;

	start(r, SANDBOX_MODE_APPLY);
	send_untar(r, LIMIT_LAYER_ENTRIES, LIMIT_LAYER_ENTRIES);
	feed(r, t, 100000);
	answer(r, MSG_applied, &m);
	assert_int_equal(m.applied.bytes, t->n);
	assert_int_equal(m.applied.devices, 1);
	assert_int_equal(m.applied.xattrs, 1);
	assert_int_equal(m.applied.entries, 515);
	assert_int_equal(finish(r), 0);
}

static void
run_check(struct fixture *r, uint64_t bytes)
{
	struct ipc_msg m, check = IPC_MSG(check, .bytes = bytes), ok = IPC_MSG(opaque_ok);
	struct stat st, want;

	start(r, SANDBOX_MODE_CHECK);
	check.fds[0] = r->side;
	check.fds[1] = r->split;
	check.nfds = 2;
	assert_int_equal(chan_send_wait(&r->store, &check, WAIT_MS), 0);
	for (int i = 0; i < 2; i++) {
		answer(r, MSG_opaque, &m);
		assert_int_equal(fstat(m.fds[0], &st), 0);
		assert_int_equal(fstatat(r->tree, i ? "." : "d", &want, 0), 0);
		assert_int_equal(st.st_ino, want.st_ino);
		assert_int_equal(st.st_dev, want.st_dev);
		ipc_msg_release(&m);
		assert_int_equal(chan_send_wait(&r->store, &ok, WAIT_MS), 0);
	}
	answer(r, MSG_checked, &m);
	assert_int_equal(m.checked.entries, 515);
	assert_int_equal(fstat(r->split, &st), 0);
	assert_int_equal(m.checked.tar_split, st.st_size);
	assert_int_equal(m.checked.uids.n, 4 * 4);
	assert_memory_equal(m.checked.uids.p, "\0\0\0\0\1\0\0\0\3\0\0\0\x70\x11\1\0", 16);
	assert_int_equal(finish(r), 0);
}

static void
send_verify(struct fixture *r, uint64_t bytes, uint64_t rate)
{
	struct ipc_msg m = IPC_MSG(verify, .bytes = bytes, .rate = rate);

	assert_int_equal(lseek(r->split, 0, SEEK_SET), 0);
	m.fds[0] = r->split;
	m.nfds = 1;
	assert_int_equal(chan_send_wait(&r->store, &m, WAIT_MS), 0);
}

/* What comes out of the ring is the tar; RING_ENDED or another end of it. */
static int
drain(struct fixture *r, const struct tarball *t)
{
	struct ring *rings[] = {&r->ring};
	struct span got;
	size_t at = 0;

	for (int v; (v = ring_peek(&r->ring, &got)) <= 0; at += got.n) {
		if (v == -EAGAIN) {
			assert_int_equal(ring_wait(rings, 1, NULL, 0, WAIT_MS), 0);
			got.n = 0;
			continue;
		}
		if (v < 0)
			return v;
		assert_true(got.n <= t->n - at);
		assert_memory_equal(got.p, t->p + at, got.n);
		ring_consume(&r->ring, got.n);
	}
	int end = ring_peek(&r->ring, &got);
	assert_true(end != RING_ENDED || at == t->n);
	return end;
}

/* At idle priority, and no faster than it may. */
static void
run_verify(struct fixture *r, const struct tarball *t)
{
	struct ipc_msg m;
	struct timespec from, to;
	uint64_t rate = t->n * 4;

	start(r, SANDBOX_MODE_VERIFY);
	assert_int_equal(sched_getscheduler(r->process.pid), SCHED_IDLE);
	/* 3 << 13: the class; whoever reads all day must not be ahead of a pull */
	assert_int_equal(syscall(SYS_ioprio_get, 1, r->process.pid) >> 13, 3);
	clock_gettime(CLOCK_MONOTONIC, &from);
	send_verify(r, t->n, rate);
	assert_int_equal(drain(r, t), RING_ENDED);
	answer(r, MSG_verified, &m);
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_int_equal(m.verified.bytes, t->n);
	assert_int_equal(m.verified.entries, 515);
	assert_true(
	    (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 >=
	    240);
	assert_int_equal(finish(r), 0);
}

/* A file that has changed since: named, and the stream ends unwhole. */
static void
run_verify_damaged(struct fixture *r, const struct tarball *t)
{
	struct ipc_msg m;
	FD_AUTO fd = openat(r->tree, "again", O_WRONLY);

	assert_int_equal(pwrite(fd, "ÿ", 1, 0), 1);
	start(r, SANDBOX_MODE_VERIFY);
	send_verify(r, t->n, 0);
	struct ring *rings[] = {&r->ring};
	struct span got;
	int v;
	while ((v = ring_peek(&r->ring, &got)) <= 0) {
		if (v == 0)
			ring_consume(&r->ring, got.n);
		else
			assert_int_equal(ring_wait(rings, 1, NULL, 0, WAIT_MS), 0);
	}
	assert_int_equal(v, RING_ABORTED);
	answer(r, MSG_apply_failed, &m);
	assert_int_equal(m.apply_failed.code, ERR_CONTENT);
	assert_non_null(
	    memmem(m.apply_failed.text.p, m.apply_failed.text.n, "other content", 13));
	assert_int_equal(finish(r), 1);
}

static void
test_all_modes(void **state)
{
	struct tarball t = {0};
	struct fixture r;
	struct ipc_msg m, erase = IPC_MSG(erase);

	make_tree(&r);
	everything(&t);
	run_untar(&r, &t);
	assert_everything(&r);
	run_check(&r, t.n);
	run_verify(&r, &t);
	run_verify_damaged(&r, &t);
	start(&r, SANDBOX_MODE_REMOVE);
	assert_int_equal(chan_send_wait(&r.store, &erase, WAIT_MS), 0);
	answer(&r, MSG_erased, &m);
	assert_true(m.erased.entries > 515);
	assert_int_equal(finish(&r), 0);
	assert_int_equal(unlinkat(g.staging, "diff", AT_REMOVEDIR), 0);
	tar_free(&t);
	drop_tree(&r);
}

/* A deep tree, deeper than the remover holds directories open. */
static void
test_remove_deep(void **state)
{
	struct fixture r;
	struct ipc_msg m, erase = IPC_MSG(erase);

	make_tree(&r);
	int at = dup(r.tree);
	for (int i = 0; i < 300; i++) {
		assert_int_equal(mkdirat(at, "d", 0), 0);
		int next = openat(at, "d", O_RDONLY | O_DIRECTORY);
		close(at);
		at = next;
	}
	close(at);
	start(&r, SANDBOX_MODE_REMOVE);
	assert_int_equal(chan_send_wait(&r.store, &erase, WAIT_MS), 0);
	answer(&r, MSG_erased, &m);
	assert_int_equal(m.erased.entries, 300);
	assert_int_equal(finish(&r), 0);
	drop_tree(&r);
}

static void
test_refusals(void **state)
{
	struct tarball t = {0};
	struct fixture r;
	struct ipc_msg m;

	make_tree(&r);
	tar_file(&t, "ok", "1");
	tar_file(&t, "../\x1bx", "evil");
	start(&r, SANDBOX_MODE_APPLY);
	send_untar(&r, 10, 10);
	feed(&r, &t, MiB(1));
	answer(&r, MSG_apply_failed, &m);
	assert_int_equal(m.apply_failed.code, ERR_CONTENT);
	assert_non_null(
	    memmem(m.apply_failed.text.p, m.apply_failed.text.n, "entry 2", 7));
	assert_null(memchr(m.apply_failed.text.p, 0x1b, m.apply_failed.text.n));
	assert_int_equal(finish(&r), 1);
	/* a check of what untar left half done: its side file has no end */
	struct ipc_msg check = IPC_MSG(check, .bytes = t.n);
	start(&r, SANDBOX_MODE_CHECK);
	check.fds[0] = r.side;
	check.fds[1] = r.split;
	check.nfds = 2;
	assert_int_equal(chan_send_wait(&r.store, &check, WAIT_MS), 0);
	answer(&r, MSG_apply_failed, &m);
	assert_int_equal(m.apply_failed.code, ERR_CONTENT);
	assert_int_equal(finish(&r), 1);
	tar_free(&t);
	drop_tree(&r);
}

/* One file a grant, then more at once: the room asks with what it has made, and makes
 * nothing before the answer. */
static void
test_grants(void **state)
{
	struct tarball t = {0};
	struct fixture r;
	struct ipc_msg m, grant = IPC_MSG(apply_grant);
	struct stat st;
	char name[16];

	make_tree(&r);
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		tar_file(&t, name, "");
	}
	tar_end(&t);
	start(&r, SANDBOX_MODE_APPLY);
	send_untar(&r, 100, 1);
	feed(&r, &t, MiB(1));
	for (uint64_t have = 1; have < 40; have = grant.apply_grant.granted) {
		answer(&r, MSG_apply_more, &m);
		assert_int_equal(m.apply_more.entries, have);
		snprintf(name, sizeof(name), "f%d", (int)have);
		assert_int_equal(fstatat(r.tree, name, &st, 0), -1);
		grant.apply_grant.granted = have < 20 ? have + 1 : 40;
		assert_int_equal(chan_send_wait(&r.store, &grant, WAIT_MS), 0);
	}
	answer(&r, MSG_applied, &m);
	assert_int_equal(m.applied.entries, 40);
	assert_int_equal(finish(&r), 0);
	tar_free(&t);
	drop_tree(&r);
}

/* As often as it is asked, and then nothing else. */
static void
test_flush(void **state)
{
	struct fixture r;
	struct ipc_msg m, flush = IPC_MSG(flush), check = IPC_MSG(check);

	make_tree(&r);
	for (int then = 0; then < 2; then++) {
		start(&r, SANDBOX_MODE_CHECK);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(chan_send_wait(&r.store, &flush, WAIT_MS), 0);
			answer(&r, MSG_flushed, &m);
		}
		check.fds[0] = r.side;
		check.fds[1] = r.split;
		check.nfds = 2;
		if (then)
			assert_int_equal(chan_send_wait(&r.store, &check, WAIT_MS), 0);
		else
			chan_release(&r.store);
		assert_int_equal(finish(&r), then ? 2 : 1);
	}
	drop_tree(&r);
}

/* Whoever goes away, the room ends. */
static void
test_ends(void **state)
{
	struct tarball t = {0};
	struct fixture r;
	struct ipc_msg m;

	make_tree(&r);
	tar_file(&t, "f", "1");
	for (int who = 0; who < 5; who++) {
		start(&r, SANDBOX_MODE_APPLY);
		send_untar(&r, 10, who == 4 ? 0 : 10);
		if (who == 0) {
			ring_finish(&r.ring, RING_ABORTED);
			answer(&r, MSG_apply_failed, &m);
		} else if (who == 1) {
			ring_close(&r.ring);
			answer(&r, MSG_apply_failed, &m);
		} else if (who == 2) {
			chan_release(&r.store);
		} else if (who == 4) { /* instead of a grant */
			feed(&r, &t, MiB(1));
			answer(&r, MSG_apply_more, &m);
			chan_release(&r.store);
		} else {
			chan_release(&r.control);
			close(r.process.control);
			r.process.control = open("/dev/null", O_RDONLY | O_CLOEXEC);
		}
		assert_int_equal(finish(&r), 1);
	}
	start(&r, SANDBOX_MODE_CHECK);
	struct ipc_msg wrong = IPC_MSG(erase); /* not what a check waits for */
	assert_int_equal(chan_send_wait(&r.store, &wrong, WAIT_MS), 0);
	assert_int_equal(finish(&r), 2);
	tar_free(&t);
	drop_tree(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_modes),
	    cmocka_unit_test(test_remove_deep),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_grants),
	    cmocka_unit_test(test_flush),
	    cmocka_unit_test(test_ends),
	};

	if (geteuid() != 0) {
		printf("needs root: namespaces, ids\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, group_open, group_close);
}
