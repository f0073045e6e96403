#include "policy/sandbox/spawn.h"

#include "common/base/fd.h"
#include "policy/sandbox/caps.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

static int
own_namespaces(struct sandbox_host *h, struct err *e)
{
	h->net_host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (h->net_host < 0)
		return err_errno(e, errno, "opening the network namespace");
	/* One empty network namespace for all: joining it costs a room nothing, since it
	 * is born here. */
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
		return err_errno(e, errno, "own namespaces (is this process root?)");
	/* Follow what the host unmounts, tell it nothing. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_errno(e, errno, "making mounts private");
	return 0;
}

static int
open_programs(struct sandbox_host *h, const char *dir, struct err *e)
{
	for (int r = 0; r < ROOM_COUNT; r++) {
		const char *name = profile_program((enum room)r);
		char path[4096];
		if (!name)
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, name);
		h->program[r] = open(path, O_PATH | O_CLOEXEC);
		if (h->program[r] < 0)
			return err_errno(e, errno,
			    "opening %s (all programs of bulkhead belong in one "
			    "directory)",
			    path);
	}
	return 0;
}

static int
make_filters(struct sandbox_host *h, struct err *e)
{
	size_t n;
	const struct profile *rows = profile_rows(&n);

	assert(n <= SANDBOX_ROWS);
	for (size_t i = 0; i < n; i++) {
		h->filter[i] = calloc(1, sizeof *h->filter[i]);
		if (!h->filter[i])
			return err_errno(e, ENOMEM, "filters");
		int r = filter_build(&rows[i], h->filter[i], e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int
init(struct sandbox_host *h, const struct sandbox_options *o, struct err *e)
{
	int r = features_probe(&h->features, e);

	if (r < 0 ||
	    (r = features_check(&h->features, o->allow_degraded, &h->degraded, e)) < 0)
		return r;
	h->landlock_abi = h->features.landlock_abi;
	if (h->degraded & DEGRADED_LANDLOCK)
		h->landlock_abi = 0;
	else if (h->degraded & DEGRADED_LANDLOCK_ABI_2)
		h->landlock_abi = 2;
	h->mdwe = h->features.mdwe && !(h->degraded & DEGRADED_NO_MDWE);
	h->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (h->null < 0)
		return err_errno(e, errno, "opening /dev/null");
	if ((r = open_programs(h, o->programs, e)) < 0 || (r = make_filters(h, e)) < 0)
		return r;
	if ((r = uids_init(&h->uids, o->uids, o->uid_base, e)) < 0)
		return r;
	return own_namespaces(h, e);
}

int
sandbox_host_init(struct sandbox_host *h, const struct sandbox_options *o, struct err *e)
{
	*h = (struct sandbox_host){.net_host = -1, .null = -1, .graph = -1, .run = -1};
	h->uids.dir = -1;
	for (int r = 0; r < ROOM_COUNT; r++)
		h->program[r] = -1;
	int r = init(h, o, e);
	if (r < 0)
		sandbox_host_release(h);
	return r;
}

void
sandbox_host_release(struct sandbox_host *h)
{
	fd_close(&h->net_host);
	fd_close(&h->null);
	fd_close(&h->graph);
	fd_close(&h->run);
	for (int r = 0; r < ROOM_COUNT; r++)
		fd_close(&h->program[r]);
	for (size_t i = 0; i < SANDBOX_ROWS; i++) {
		free(h->filter[i]);
		h->filter[i] = NULL;
	}
	uids_release(&h->uids);
}

int
sandbox_host_confine(struct sandbox_host *h, struct err *e)
{
	const struct profile *p = profile_find(ROOM_SUPERVISOR, SANDBOX_MODE_PLAIN);
	uint64_t have;
	int r = caps_permitted(&have);

	if (r < 0)
		return err_errno(e, -r, "reading capabilities");
	uint64_t missing = profile_caps(p) & ~have;
	char text[512];
	if (missing)
		return err_set(e, ERR_INTERNAL,
		    "the service lacks capabilities %s; a unit file that limits "
		    "CapabilityBoundingSet must leave them",
		    caps_text(missing, text, sizeof text));
	if ((r = caps_limit(profile_caps(p), false, e)) < 0)
		return r;
#ifndef BULKHEAD_SANITIZE
	size_t n;
	const struct filter *f = h->filter[p - profile_rows(&n)];
	struct sock_fprog prog = {
	    .len = (unsigned short)(f->n / sizeof(struct sock_filter)),
	    .filter = (struct sock_filter *)(uintptr_t)f->bytes,
	};
	if (!(h->degraded & DEGRADED_SECCOMP) &&
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return err_errno(e, errno, "seccomp");
#endif
	return 0;
}

/* Makes it when missing, and demands that nobody else can write it. */
static int
open_root(const char *path, struct err *e)
{
	struct stat st;
	char part[4096];

	if (path[0] != '/' || strlen(path) >= sizeof part)
		return err_set(e, ERR_USAGE, "\"%s\" is not an absolute path", path);
	for (const char *at = path; (at = strchr(at + 1, '/'));) {
		snprintf(part, sizeof part, "%.*s", (int)(at - path), path);
		if (mkdir(part, 0755) < 0 && errno != EEXIST && errno != EROFS)
			return err_errno(e, errno, "making %s", part);
	}
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_errno(e, errno, "making %s", path);
	FD_AUTO fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, errno, "opening %s", path);
	if (st.st_uid != 0 || (st.st_mode & 0022) != 0)
		return err_set(e, ERR_POLICY,
		    "%s can be written by others (owner %u, mode %04o); make it root's "
		    "with "
		    "mode 0700",
		    path, st.st_uid, st.st_mode & 07777);
	return fd_steal(&fd);
}

/* The clone lies on top of the original: cloned again for an applier it must be a mount
 * of this namespace (Linux clones detached mounts only from 6.15 on). */
static int
clone_over(const char *path, uint64_t attributes, struct err *e)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID |
					      MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW |
					      attributes};
	FD_AUTO original = open_root(path, e);
	if (original < 0)
		return original;
	FD_AUTO tree = (int)syscall(SYS_open_tree, original, "",
	    AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return err_errno(e, errno, "cloning the mount of %s", path);
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
		return err_errno(e, errno, "attributes of the clone of %s", path);
	if (syscall(SYS_move_mount, tree, "", original, "",
		MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_errno(e, errno, "attaching the clone of %s", path);
	int fd = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "opening the clone of %s", path);
	return fd;
}

int
sandbox_graph(
    struct sandbox_host *h, const char *graph_root, const char *run_root, struct err *e)
{
	struct statx sx;

	h->graph = clone_over(graph_root, 0, e);
	if (h->graph < 0)
		return h->graph;
	h->run = clone_over(run_root, MOUNT_ATTR_RDONLY, e);
	if (h->run < 0)
		return h->run;
	if (statx(h->graph, "", AT_EMPTY_PATH, STATX_MNT_ID, &sx) < 0)
		return err_errno(e, errno, "statx of %s", graph_root);
	if (!(sx.stx_mask & STATX_MNT_ID))
		return err_set(e, ERR_INTERNAL, "statx gives no mount id");
	h->graph_mount = sx.stx_mnt_id;
	h->graph_device = (uint64_t)sx.stx_dev_major << 32 | sx.stx_dev_minor;
	return 0;
}
