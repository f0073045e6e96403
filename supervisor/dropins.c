#include "supervisor/dropins.h"

#include "common/base/fd.h"
#include "supervisor/rootfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SUFFIX ".toml"
#define DIRECTORY ".conf.d"
#define FOREIGN_SUFFIX ".conf"
#define FOREIGN_DIRECTORY ".d"

static bool
ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && strcmp(name + n - m, suffix) == 0;
}

static int
directory_of(struct config_files *f, bool foreign, struct err *e)
{
	int stem = (int)strlen(f->main);

	if (!foreign && ends_in(f->main, SUFFIX))
		stem -= (int)strlen(SUFFIX);
	int n = snprintf(f->dir, sizeof(f->dir), "%.*s%s", stem, f->main,
	    foreign ? FOREIGN_DIRECTORY : DIRECTORY);
	if (n < 0 || (size_t)n >= sizeof(f->dir))
		return err_set(e, ERR_USAGE, "the path is too long: %s", f->main);
	return 0;
}

static int
by_bytes(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool
is_directory(DIR *dir, const char *name)
{
	struct stat st;

	return fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

static int
collect(struct config_files *f, DIR *dir, bool foreign, struct err *e)
{
	for (const struct dirent *at; (errno = 0, at = readdir(dir)) != NULL;) {
		const char *name = at->d_name;
		if (foreign ? !ends_in(name, FOREIGN_SUFFIX) || is_directory(dir, name)
			    : name[0] == '.' || !ends_in(name, SUFFIX))
			continue;
		if (f->n > LIMIT_CONFIG_DROPINS)
			return err_set(e, ERR_USAGE, "%s: more than %d files", f->dir,
			    LIMIT_CONFIG_DROPINS);
		snprintf(f->names[f->n - 1], sizeof(f->names[0]), "%s", name);
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

static int
files_find(struct config_files *f, const char *main, bool foreign, struct err *e)
{
	f->n = 1;
	f->main = main;
	int r = directory_of(f, foreign, e);
	if (r < 0)
		return r;
	FD_AUTO fd = dir_open(f);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return err_errno(e, -fd, "cannot open %s", f->dir);
	r = foreign ? 0 : rootfile_check(fd, f->dir, e);
	if (r < 0)
		return r;
	DIR *dir = fdopendir(fd);
	if (!dir)
		return err_errno(e, errno, "%s", f->dir);
	(void)fd_steal(&fd);
	r = collect(f, dir, foreign, e);
	closedir(dir);
	return r;
}

int
config_files_find(struct config_files *f, const char *main, struct err *e)
{
	return files_find(f, main, false, e);
}

int
config_files_find_foreign(struct config_files *f, const char *main, struct err *e)
{
	return files_find(f, main, true, e);
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

	config_files_path(f, i, path, sizeof(path));
	if (i == 0)
		return rootfile_open(AT_FDCWD, f->main, 0, path, e);
	FD_AUTO dir = dir_open(f);
	if (dir < 0)
		return dir == -ENOENT ? dir : err_errno(e, -dir, "cannot open %s", path);
	return rootfile_open(dir, f->names[i - 1], O_NOFOLLOW, path, e);
}
