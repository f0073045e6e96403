/* A root for a program of somebody else's: what programs need, nothing that is writable
 * but an empty /tmp, no process but its own. Whose files it may read is its uid's matter.
 */
#include "policy/sandbox/root_inner.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SAFE (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID)

static const char *const trees[] = {
    "/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64"};
static const char *const devices[] = {
    "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"};

/* SPOT/path and everything above it. */
static int
make_path(const char *path, bool file, char out[PATH_MAX])
{
	int n = snprintf(out, PATH_MAX, SPOT "%s", path);

	if (n < 0 || n >= PATH_MAX)
		return -ENAMETOOLONG;
	for (char *at = out + sizeof(SPOT); (at = strchr(at, '/')); *at++ = '/') {
		*at = 0;
		if (mkdir(out, 0755) < 0 && errno != EEXIST && errno != EROFS)
			return -errno;
	}
	if (!file)
		return mkdir(out, 0755) < 0 && errno != EEXIST && errno != EROFS ? -errno
										 : 0;
	FD_AUTO fd = open(out, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0444);
	return fd < 0 ? -errno : 0;
}

/* The same file or directory at the same place, with everything mounted below it. */
static int
show(const char *path, bool file, uint64_t attributes, struct err *e)
{
	struct mount_attr attr = {.attr_set = attributes};
	char place[PATH_MAX];
	FD_AUTO tree = (int)syscall(SYS_open_tree, AT_FDCWD, path,
	    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (tree < 0)
		return err_errno(e, errno, "cloning the mount of %s", path);
	int r = make_path(path, file, place);
	if (r < 0)
		return err_errno(e, -r, "a place for %s", path);
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
		sizeof attr) < 0)
		return err_errno(e, errno, "attributes of %s", path);
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) <
	    0)
		return err_errno(e, errno, "attaching %s", path);
	return 0;
}

/* /lib is a directory, or a link into /usr, or not there. */
static int
show_tree(const char *path, struct err *e)
{
	char target[PATH_MAX], place[PATH_MAX];
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "%s", path);
	if (S_ISDIR(st.st_mode))
		return show(path, false, SAFE | MOUNT_ATTR_NODEV, e);
	ssize_t n = readlink(path, target, sizeof target - 1);
	if (n < 0)
		return err_errno(e, errno, "%s", path);
	target[n] = 0;
	snprintf(place, sizeof place, SPOT "%s", path);
	return symlink(target, place) < 0 ? err_errno(e, errno, "%s", path) : 0;
}

/* Where /etc/resolv.conf is a link to what the name service keeps elsewhere. */
static int
show_resolver(struct err *e)
{
	char path[PATH_MAX], place[PATH_MAX];

	if (!realpath("/etc/resolv.conf", path) || strncmp(path, "/run/", 5) != 0)
		return 0;
	int r = make_path(path, true, place);
	if (r == 0 && unlink(place) < 0)
		r = -errno;
	return r < 0 ? err_errno(e, -r, "a place for %s", path)
		     : root_copy_file(AT_FDCWD, path, place, e);
}

/* Whether the directory is in sight already. */
static bool
shown(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		size_t n = strlen(trees[i]);
		if (strncmp(path, trees[i], n) == 0 && (path[n] == 0 || path[n] == '/'))
			return true;
	}
	return false;
}

static int
fill(const char *programs, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(trees) && r == 0; i++)
		r = show_tree(trees[i], e);
	for (size_t i = 0; i < ARRAY_LEN(devices) && r == 0; i++)
		r = show(devices[i], true, SAFE & ~(uint64_t)MOUNT_ATTR_RDONLY, e);
	if (r == 0)
		r = show_resolver(e);
	if (r == 0 && *programs && !shown(programs))
		r = show(programs, false, SAFE | MOUNT_ATTR_NODEV, e);
	if (r < 0)
		return r;
	if (mkdir(SPOT "/tmp", 0755) < 0 || mkdir(SPOT "/proc", 0555) < 0)
		return err_errno(e, errno, "places in the helper's root");
	return 0;
}

/* Its path, while /proc is still that of the host; "" = none. */
static int
path_of(int dir, char path[PATH_MAX])
{
	char link[64];

	*path = 0;
	if (dir < 0)
		return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
	ssize_t n = readlink(link, path, PATH_MAX - 1);
	if (n < 0)
		return errno == ENOENT ? 0 : -errno; /* it was given none */
	path[n] = 0;
	return 0;
}

int
root_program(int dir, struct err *e)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	char programs[PATH_MAX];

	int r = path_of(dir, programs);
	if (r < 0)
		return err_errno(e, -r, "finding the helpers' directory");
	if (mount("bulkhead", SPOT, "tmpfs", flags, "size=1m,nr_inodes=256,mode=0755") <
	    0)
		return err_errno(e, errno, "mounting the helper's root");
	r = fill(programs, e);
	if (r < 0)
		return r;
	if (mount("bulkhead", SPOT "/tmp", "tmpfs", flags,
		"size=16m,nr_inodes=1024,mode=1777") < 0)
		return err_errno(e, errno, "mounting the helper's /tmp");
	if (mount("proc", SPOT "/proc", "proc", flags, NULL) < 0)
		return err_errno(e, errno, "mounting the helper's /proc");
	if (mount(NULL, SPOT, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) < 0)
		return err_errno(e, errno, "making the helper's root read-only");
	if (chdir(SPOT) < 0)
		return err_errno(e, errno, "chdir to the helper's root");
	return root_pivot(e);
}
