#include "supervisor/dropins.h"

#include "common/base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SUFFIX ".toml"
#define DIRECTORY ".conf.d"

/* Who may write it decides what the service does. */
static int
check_owner(const struct stat *st, const char *path, struct err *e)
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

static bool
ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && strcmp(name + n - m, suffix) == 0;
}

static int
directory_of(struct config_files *f, struct err *e)
{
	int stem = (int)strlen(f->main);

	if (ends_in(f->main, SUFFIX))
		stem -= (int)strlen(SUFFIX);
	int n = snprintf(f->dir, sizeof(f->dir), "%.*s%s", stem, f->main, DIRECTORY);
	if (n < 0 || (size_t)n >= sizeof(f->dir))
		return err_set(e, ERR_USAGE, "the path is too long: %s", f->main);
	return 0;
}

static int
by_bytes(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int
collect(struct config_files *f, DIR *dir, struct err *e)
{
	for (const struct dirent *at; (errno = 0, at = readdir(dir)) != NULL;) {
		if (at->d_name[0] == '.' || !ends_in(at->d_name, SUFFIX))
			continue;
		if (f->n > LIMIT_CONFIG_DROPINS)
			return err_set(e, ERR_USAGE, "%s: more than %d files", f->dir,
			    LIMIT_CONFIG_DROPINS);
		snprintf(f->names[f->n - 1], sizeof(f->names[0]), "%s", at->d_name);
		f->n++;
	}
	if (errno)
		return err_errno(e, errno, "reading %s", f->dir);
	qsort(f->names, f->n - 1, sizeof(f->names[0]), by_bytes);
	return 0;
}

static int
dir_open(const struct config_files *f)
{
	int fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int
config_files_find(struct config_files *f, const char *main, struct err *e)
{
	struct stat st;

	f->n = 1;
	f->main = main;
	int r = directory_of(f, e);
	if (r < 0)
		return r;
	FD_AUTO fd = dir_open(f);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return err_errno(e, -fd, "cannot open %s", f->dir);
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "%s", f->dir);
	r = check_owner(&st, f->dir, e);
	if (r < 0)
		return r;
	DIR *dir = fdopendir(fd);
	if (!dir)
		return err_errno(e, errno, "%s", f->dir);
	(void)fd_steal(&fd);
	r = collect(f, dir, e);
	closedir(dir);
	return r;
}

char *
config_files_path(const struct config_files *f, unsigned i, char *dst, size_t cap)
{
	if (i == 0)
		snprintf(dst, cap, "%s", f->main);
	else
		snprintf(dst, cap, "%s/%s", f->dir, f->names[i - 1]);
	return dst;
}

int
config_files_open(const struct config_files *f, unsigned i, struct err *e)
{
	char path[LIMIT_PATH + LIMIT_COMPONENT + 2];
	/* A fifo or a device is not waited for: it is refused below. */
	int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct stat st;
	FD_AUTO dir = -1;

	config_files_path(f, i, path, sizeof(path));
	if (i > 0)
		dir = dir_open(f);
	FD_AUTO fd = i == 0	? open(f->main, flags)
		     : dir >= 0 ? openat(dir, f->names[i - 1], flags | O_NOFOLLOW)
				: dir;
	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 && errno == ELOOP && i > 0)
		return err_set(e, ERR_USAGE,
		    "%s is a symbolic link: drop-ins are regular files", path);
	if (fd < 0)
		return err_errno(e, errno, "cannot open %s", path);
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_USAGE, "%s is no regular file", path);
	int r = check_owner(&st, path, e);
	return r < 0 ? r : fd_steal(&fd);
}
