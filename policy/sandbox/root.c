#include "policy/sandbox/root_inner.h"

#include "common/base/fd.h"
#include "common/base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RESOLVER_FILE MiB(1)

int
root_pivot(struct err *e)
{
	/* The old root is stacked on the new one's place and taken off again: no
	 * directory for it is needed inside. */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_errno(e, errno, "pivot_root");
	if (umount2(".", MNT_DETACH) < 0)
		return err_errno(e, errno, "detaching the old root");
	if (chdir("/") < 0)
		return err_errno(e, errno, "chdir to the new root");
	return 0;
}

int
root_write_file(int dir, const char *name, const void *p, size_t n)
{
	FD_AUTO fd =
	    openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
	if (fd < 0)
		return -errno;
	int r = fd_write_all(fd, p, n);
	return r < 0 ? r : fchmod(fd, 0444) < 0 ? -errno : 0;
}

/* A file that is missing stays missing: glibc has a default for each. */
int
root_copy_file(int dir, const char *from, const char *name, struct err *e)
{
	CLEANUP(free_ptr) uint8_t *p = NULL;
	size_t n = 0;
	FD_AUTO fd = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "opening %s", from);
	int r = fd_read_whole(fd, RESOLVER_FILE, &p, &n);
	if (r == 0)
		r = root_write_file(dir, name, p, n);
	return r < 0 ? err_errno(e, -r, "copying %s for the room", from) : 0;
}

static int
fill_resolver(int dir, struct err *e)
{
	static const char nsswitch[] = "hosts: files dns\n";

	if (fchmod(dir, 0555) < 0)
		return err_errno(e, errno, "mode of the dialer's /etc");
	int r = root_write_file(dir, "nsswitch.conf", nsswitch, sizeof nsswitch - 1);
	if (r < 0)
		return err_errno(e, -r, "writing the dialer's nsswitch.conf");
	r = root_copy_file(dir, "/etc/hosts", "hosts", e);
	return r < 0 ? r : root_copy_file(dir, "/etc/resolv.conf", "resolv.conf", e);
}

static int
enter_tmpfs(bool resolver, struct err *e)
{
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	const char *options =
	    resolver ? "size=4m,nr_inodes=16,mode=0555" : "size=4k,nr_inodes=2,mode=0555";

	if (mount("bulkhead", SPOT, "tmpfs", flags, options) < 0)
		return err_errno(e, errno, "mounting an empty root");
	if (resolver) {
		if (mkdir(SPOT "/etc", 0755) < 0)
			return err_errno(e, errno, "making the dialer's /etc");
		FD_AUTO etc = open(SPOT "/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (etc < 0)
			return err_errno(e, errno, "opening the dialer's /etc");
		int r = fill_resolver(etc, e);
		if (r < 0)
			return r;
	}
	if (mount(NULL, SPOT, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) < 0)
		return err_errno(e, errno, "making the empty root read-only");
	if (chdir(SPOT) < 0)
		return err_errno(e, errno, "chdir to the empty root");
	return root_pivot(e);
}

static int
enter_tree(int tree, struct err *e)
{
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, SPOT, MOVE_MOUNT_F_EMPTY_PATH) <
	    0)
		return err_errno(e, errno, "attaching the layer's tree");
	if (fchdir(tree) < 0)
		return err_errno(e, errno, "chdir to the layer's tree");
	return root_pivot(e);
}

int
root_enter(enum profile_root kind, int tree, struct err *e)
{
	switch (kind) {
	case ROOT_HOST:
		return 0;
	case ROOT_EMPTY:
	case ROOT_RESOLVER:
		return enter_tmpfs(kind == ROOT_RESOLVER, e);
	case ROOT_TREE:
	case ROOT_TREE_NO_LINKS:
		return enter_tree(tree, e);
	case ROOT_PROGRAM:
		return root_program(tree, e);
	}
	return err_set(e, ERR_INTERNAL, "no such root");
}
