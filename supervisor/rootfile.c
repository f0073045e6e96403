#include "supervisor/rootfile.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static int
check(const struct stat *st, const char *path, struct err *e)
{
	if (st->st_uid != 0)
		return err_set(e, ERR_USAGE,
		    "%s belongs to user %u: only root's own configuration is read (chown "
		    "root)",
		    path, (unsigned)st->st_uid);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return err_set(e, ERR_USAGE,
		    "%s can be written by others than root (mode %04o): chmod go-w", path,
		    (unsigned)(st->st_mode & 07777));
	return 0;
}

int
rootfile_check(int fd, const char *path, struct err *e)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? err_errno(e, errno, "%s", path) : check(&st, path, e);
}

int
rootfile_open(int dir, const char *name, int flags, const char *path, struct err *e)
{
	struct stat st;
	/* A fifo or a device is not waited for: it is refused below. */
	FD_AUTO fd =
	    openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 && errno == ELOOP && flags & O_NOFOLLOW)
		return err_set(e, ERR_USAGE,
		    "%s is a symbolic link: drop-ins are regular files", path);
	if (fd < 0)
		return err_errno(e, errno, "cannot open %s", path);
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_USAGE, "%s is no regular file", path);
	int r = check(&st, path, e);
	return r < 0 ? r : fd_steal(&fd);
}
