#include "policy/sandbox/spawn.h"

#include "common/base/fd.h"
#include "policy/sandbox/child.h"
#include "policy/sandbox/ticket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

/* A row that is not the table's own is a test's: it has a filter of its own. */
static size_t
row_of(const struct profile *p)
{
	size_t n;
	const struct profile *rows = profile_rows(&n);

	for (size_t i = 0; i < n; i++)
		if (rows[i].room == p->room && rows[i].mode == p->mode)
			return i;
	abort();
}

static bool
row_is_own(const struct profile *p)
{
	size_t n;

	return &profile_rows(&n)[row_of(p)] == p;
}

static unsigned
namespaces_of(const struct sandbox_host *h, const struct profile *p)
{
	bool without = h->degraded & DEGRADED_APPLY_USERNS;

	return without ? p->namespaces & ~(unsigned)NS_USER : p->namespaces;
}

static int
check_counts(struct sandbox_host *h, const struct profile *p, struct err *e)
{
	struct timespec now;
	size_t row = row_of(p);
	struct sandbox_rate *rate = &h->rate[row];

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (rate->second != (uint64_t)now.tv_sec)
		*rate = (struct sandbox_rate){.second = (uint64_t)now.tv_sec};
	if (h->live[row] >= p->live)
		return err_set(e, ERR_IN_USE,
		    "%u rooms of kind %s are alive already; try again when pulls have "
		    "ended",
		    p->live, p->name);
	if (rate->starts >= p->per_second)
		return err_set(e, ERR_IN_USE,
		    "%u rooms of kind %s were started within this second; try again",
		    p->per_second, p->name);
	return 0;
}

/* The directory came from the store: it must lie on the clone that the store was given,
 * and what the room gets is a clone of that mount from there on down, and nothing above
 * it. */
static int
clone_tree(const struct sandbox_host *h, const struct profile *p, int dir, struct err *e)
{
	struct statx sx;
	struct mount_attr attr = {.attr_clr = MOUNT_ATTR_NOSYMFOLLOW};

	if (statx(dir, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MNT_ID, &sx) < 0)
		return err_errno(e, errno, "the directory for room %s", p->name);
	if (!S_ISDIR(sx.stx_mode) || sx.stx_mnt_id != h->graph_mount ||
	    ((uint64_t)sx.stx_dev_major << 32 | sx.stx_dev_minor) != h->graph_device)
		return err_set(e, ERR_INTERNAL,
		    "the directory for room %s is not one of the graph root", p->name);
	FD_AUTO tree = (int)syscall(
	    SYS_open_tree, dir, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return err_errno(e, errno,
		    "cloning the directory for room %s (this needs Linux 6.1)", p->name);
	if (p->root == ROOT_TREE &&
	    syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
		return err_errno(e, errno, "mount attributes for room %s", p->name);
	return fd_steal(&tree);
}

static bool
is_idle(const struct sandbox_host *h, const struct profile *p)
{
	return p->mode == SANDBOX_MODE_VERIFY && !h->hurry;
}

static int
make_ticket(
    const struct sandbox_host *h, const struct profile *p, uid_t uid, struct err *e)
{
	struct ticket t = {
	    .magic = TICKET_MAGIC,
	    .room = p->room,
	    .mode = p->mode,
	    .ids = p->ids,
	    .uid = uid,
	    .gid = uid,
	    .root = p->root,
	    .landlock = p->landlock,
	    .landlock_abi = (uint32_t)h->landlock_abi,
	    .mdwe = h->mdwe,
	    .dies = p->dies_with_supervisor,
	    .degraded = h->degraded,
	    .caps = profile_caps(p),
	    .idle = is_idle(h, p),
	};
	CLEANUP(free_ptr) struct filter *own = NULL;
	const struct filter *f = h->filter[row_of(p)];
	uint8_t buf[sizeof t + FILTER_MAX];

	if (!row_is_own(p)) {
		own = calloc(1, sizeof *own);
		int r = own ? filter_build(p, own, e) : err_errno(e, ENOMEM, "filter");
		if (r < 0)
			return r;
		f = own;
	}
#ifdef BULKHEAD_SANITIZE
	/* The sanitizers' own calls are not in the table; the release build is tested
	 * with it. */
	bool filtered = false;
#else
	bool filtered = !(h->degraded & DEGRADED_SECCOMP);
#endif
	if (filtered && !f)
		return err_set(e, ERR_INTERNAL, "%s has no filter", p->name);
	t.nfilter = filtered ? (uint32_t)f->n : 0;
	memcpy(buf, &t, sizeof t);
	if (t.nfilter)
		memcpy(buf + sizeof t, f->bytes, t.nfilter);
	int fd = fd_sealed_memfd("ticket", buf, sizeof t + t.nfilter);
	return fd < 0 ? err_errno(e, -fd, "ticket") : fd;
}

static uint64_t
clone_flags(unsigned namespaces)
{
	static const struct {
		unsigned ns;
		uint64_t flag;
	} map[] = {
	    {NS_MNT, CLONE_NEWNS},
	    {NS_PID, CLONE_NEWPID},
	    {NS_IPC, CLONE_NEWIPC},
	    {NS_UTS, CLONE_NEWUTS},
	    {NS_USER, CLONE_NEWUSER},
	};
	uint64_t flags = CLONE_PIDFD;

	for (size_t i = 0; i < ARRAY_LEN(map); i++)
		flags |= namespaces & map[i].ns ? map[i].flag : 0;
	return flags;
}

/* As fork(), with new namespaces and a pidfd. Some container runtimes answer ENOSYS to
 * clone3, which alone can reset signal handlers: then they are reset by exec. */
static pid_t
fork_into(uint64_t flags, int *pidfd)
{
	struct clone_args args = {
	    .flags = flags | CLONE_CLEAR_SIGHAND,
	    .pidfd = (uintptr_t)pidfd,
	    .exit_signal = SIGCHLD,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);

	if (pid < 0 && errno == ENOSYS)
		pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, pidfd, NULL, NULL);
	return pid;
}

static int
write_map(pid_t pid, const char *name)
{
	static const char identity[] = "0 0 4294967295\n";
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	FD_AUTO fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fd_write_all(fd, identity, sizeof identity - 1);
}

/* The child waits at `go` until its ids mean something in its user namespace. */
static int
let_go(const struct child *c, pid_t pid, int go, struct err *e)
{
	if (c->namespaces & NS_USER) {
		int r = write_map(pid, "uid_map");
		if (r == 0)
			r = write_map(pid, "gid_map");
		if (r < 0)
			return err_errno(e, -r, "identity map of a user namespace");
	}
	int r = fd_write_all(go, "g", 1);
	return r < 0 ? err_errno(e, -r, "the new room has ended at once") : 0;
}

static int
start(const struct child *c, int go, struct sandbox_room *out, struct err *e)
{
	int pidfd = -1;
	pid_t pid = fork_into(clone_flags(c->namespaces), &pidfd);

	if (pid == 0)
		child_run(c);
	if (pid < 0)
		return err_errno(e, errno, "starting room %s%s", c->profile->name,
		    errno == ENOSPC ? " (sysctl user.max_user_namespaces or another of "
				      "user.max_* is used up)"
				    : "");
	out->pid = pid;
	out->pidfd = pidfd;
	int r = let_go(c, pid, go, e);
	if (r < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		fd_close(&out->pidfd);
	}
	return r;
}

static int
spawn_as(struct sandbox_host *h, const struct profile *p, int dir, uid_t uid,
    struct sandbox_room *out, struct err *e)
{
	int pair[2], wait[2];
	bool has_tree = p->root == ROOT_TREE || p->root == ROOT_TREE_NO_LINKS;
	FD_AUTO tree = has_tree ? clone_tree(h, p, dir, e) : -1;

	if (has_tree && tree < 0)
		return tree;
	FD_AUTO ticket = make_ticket(h, p, uid, e);
	if (ticket < 0)
		return ticket;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) <
	    0)
		return err_errno(e, errno, "a room's control channel");
	FD_AUTO ours = pair[0];
	FD_AUTO theirs = pair[1];
	if (pipe2(wait, O_CLOEXEC) < 0)
		return err_errno(e, errno, "a room's start");
	FD_AUTO wait_read = wait[0];
	FD_AUTO wait_write = wait[1];
	struct child c = {
	    .profile = p,
	    .namespaces = namespaces_of(h, p),
	    .idle = is_idle(h, p),
	    .program = h->program[p->room],
	    .null = h->null,
	    .net_host = h->net_host,
	    .wait = wait_read,
	    .wait_other = wait_write,
	    .fds = {theirs, -1, -1, ticket},
	};
	if (p->landlock == LANDLOCK_STORE) {
		c.fds[SANDBOX_FD_STORE_GRAPH - SANDBOX_FD_CONTROL] = h->graph;
		c.fds[SANDBOX_FD_STORE_RUN - SANDBOX_FD_CONTROL] = h->run;
	} else if (has_tree || p->root == ROOT_PROGRAM) {
		c.fds[SANDBOX_FD_APPLY_TREE - SANDBOX_FD_CONTROL] = has_tree ? tree : dir;
	}
	int r = start(&c, wait_write, out, e);
	out->control = r == 0 ? fd_steal(&ours) : -1;
	return r;
}

int
sandbox_spawn(struct sandbox_host *h, const struct profile *p, int dir,
    struct sandbox_room *out, struct err *e)
{
	uid_t uid;
	size_t row = row_of(p);
	int r = check_counts(h, p, e);

	*out = (struct sandbox_room){.profile = p, .pid = -1, .pidfd = -1, .control = -1};
	if (r < 0 || (r = uids_take(&h->uids, &uid, e)) < 0)
		return r;
	out->uid = uid;
	out->idle = is_idle(h, p);
	r = spawn_as(h, p, dir, uid, out, e);
	if (r < 0) {
		uids_give(&h->uids, uid);
		return r;
	}
	h->live[row]++;
	h->rate[row].starts++;
	return 0;
}

int
sandbox_reap(struct sandbox_host *h, struct sandbox_room *room, int *status)
{
	siginfo_t info = {0};

	while (waitid(P_PIDFD, (id_t)room->pidfd, &info, WEXITED) < 0)
		if (errno != EINTR)
			return -errno;
	*status =
	    info.si_code == CLD_EXITED ? info.si_status & 255 : 256 + info.si_status;
	uids_give(&h->uids, room->uid);
	h->live[row_of(room->profile)]--;
	fd_close(&room->pidfd);
	fd_close(&room->control);
	return 0;
}

bool
sandbox_failure(int control, char *dst, size_t cap)
{
	uint8_t packet[1200];
	ssize_t n = recv(control, packet, sizeof packet, MSG_PEEK | MSG_DONTWAIT);

	if (n < 1 || packet[0] != SANDBOX_FAILED)
		return false;
	n = recv(control, packet, sizeof packet, MSG_DONTWAIT);
	if (n < 1)
		return false;
	span_escape(span_of(packet + 1, (size_t)n - 1), dst, cap);
	return true;
}
