#include "worker-store/store/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool unsynced;

void
disk_durability(enum durability d)
{
	unsynced = d == DURABILITY_NONE;
}

int
disk_sync(int fd)
{
	return unsynced ? 0 : fsync(fd);
}

int
disk_sync_data(int fd)
{
	return unsynced ? 0 : fdatasync(fd);
}

int
dir_open(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int
dir_make(int at, const char *name, mode_t mode)
{
	bool made = mkdirat(at, name, 0700) == 0;

	if (!made && errno != EEXIST)
		return -errno;
	int fd = dir_open(at, name);
	if (fd >= 0 && made && fchmod(fd, mode) < 0) {
		int r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

DIR *
dir_list(int at, const char *name)
{
	int fd = dir_open(at, name);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);
	return d;
}

void
dir_list_end(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int
file_make(int at, const char *name, mode_t mode, struct span content, bool sync)
{
	FD_AUTO fd =
	    openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int r = fd_write_all(fd, content.p, content.n);
	if (r == 0 && fchmod(fd, mode) < 0)
		r = -errno;
	if (r == 0 && sync && disk_sync(fd) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(at, name, 0);
	return r;
}

int
file_new(int at, const char *name, mode_t mode, struct span content)
{
	return file_make(at, name, mode, content, true);
}

int
file_new_unsynced(int at, const char *name, mode_t mode, struct span content)
{
	return file_make(at, name, mode, content, false);
}

ssize_t
file_text(int at, const char *name, char *dst, size_t cap)
{
	struct stat st;
	FD_AUTO fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size >= cap)
		return -EBADMSG;
	ssize_t n = fd_read_full(fd, dst, cap - 1);
	if (n >= 0)
		dst[n] = 0;
	return n;
}

int
dir_has(int at, const char *name)
{
	struct stat st;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

int
trash_put(struct store *s, int at, const char *name)
{
	char to[32];

	snprintf(to, sizeof(to), "%u", s->serial++);
	if (renameat(at, name, s->trash, to) == 0 || errno == ENOENT)
		return 0;
	return -errno;
}

/* The file is what upstream's programs will read: read from the disk's view of it, not
 * from the memory it was written from. */
static int
read_back(
    const struct table *t, int dir, const char *tmp, struct span text, struct err *e)
{
	CLEANUP(table_free) struct table again = {0};
	FD_AUTO fd = openat(dir, tmp, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP(free_ptr) uint8_t *bytes = NULL;
	size_t n = 0, live = 0;

	if (fd < 0)
		return err_errno(e, errno, "cannot read back %s", tmp);
	int r = fd_read_whole(fd, LIMIT_STORE_JSON, &bytes, &n);
	if (r < 0)
		return err_errno(e, -r, "cannot read back %s", tmp);
	if (!span_eq(span_of(bytes, n), text))
		return err_set(e, ERR_INTERNAL, "%s reads back differently", tmp);
	r = table_parse(&again, t->kind, span_of(bytes, n), tmp, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < t->n; i++)
		live += !t->rec[i].gone;
	if (again.n != live)
		return err_set(e, ERR_INTERNAL, "%s reads back differently", tmp);
	return 0;
}

/* The rename may not be on the disk, and whoever asked for the change is told that it
 * failed: then nobody may find it either, or a later change would rest on what a loss of
 * power takes away. old: the file as it was, -1 = there was none. Should this fail too,
 * the new records stay; they are whole. */
static void
publish_revert(struct store *s, int dir, const char *name, const char *tmp, int old)
{
	CLEANUP(free_ptr) uint8_t *bytes = NULL;
	size_t n = 0;

	if (old < 0)
		unlinkat(dir, name, 0);
	else if (fd_read_whole(old, LIMIT_STORE_JSON, &bytes, &n) == 0 &&
		 file_new(s->staging, tmp, 0600, span_of(bytes, n)) == 0 &&
		 renameat(s->staging, tmp, dir, name) < 0)
		unlinkat(s->staging, tmp, 0);
	if (disk_sync(dir) < 0)
		return; /* as before: it was not on the disk for sure */
}

static int
publish_checked(struct store *s, const struct table *t, int dir, const char *name,
    const char *tmp, struct span text, int lock_fd, struct err *e)
{
	FD_AUTO old = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (old < 0 && errno != ENOENT)
		return err_errno(e, errno, "cannot open %s of the store", name);
	int r = read_back(t, s->staging, tmp, text, e);
	FAILPOINT(RECORDS_CHECKED);
	if (r == 0)
		r = lock_token_write(lock_fd, e);
	if (r < 0)
		return r;
	FAILPOINT(RECORDS_TOLD);
	if (renameat(s->staging, tmp, dir, name) < 0)
		return err_errno(e, errno, "cannot replace %s of the store", name);
	FAILPOINT(RECORDS_RENAMED);
	if (disk_sync(dir) < 0) {
		r = err_errno(e, errno, "cannot sync the directory of %s", name);
		publish_revert(s, dir, name, tmp, old);
		return r;
	}
	FAILPOINT(RECORDS_SYNCED);
	return 0;
}

int
table_publish_on(struct store *s, const struct table *t, const int *rests, size_t n,
    int dir, const char *name, int lock_fd, struct err *e)
{
	CLEANUP(buf_free) struct buf text = {0};
	char tmp[64];

	table_print(t, &text);
	if (text.bad)
		return err_errno(e, ENOMEM, "cannot write %s", name);
	if (text.n > LIMIT_STORE_JSON)
		return err_set(e, ERR_NO_SPACE,
		    "%s of the store would grow beyond %llu bytes: remove images", name,
		    (unsigned long long)LIMIT_STORE_JSON);
	snprintf(tmp, sizeof(tmp), "%s.%u", name, s->serial++);
	int r = file_new(s->staging, tmp, 0600, buf_span(&text));
	if (r < 0)
		return err_errno(e, -r, "cannot write %s of the store", name);
	for (size_t i = 0; i < n && r == 0; i++)
		if (disk_sync(rests[i]) < 0)
			r = err_errno(e, errno, "cannot sync what %s rests on", name);
	FAILPOINT(RECORDS_WRITTEN);
	if (r == 0)
		r = publish_checked(s, t, dir, name, tmp, buf_span(&text), lock_fd, e);
	if (r < 0)
		unlinkat(s->staging, tmp, 0);
	return r;
}

int
table_publish(struct store *s, const struct table *t, int dir, const char *name,
    int lock_fd, struct err *e)
{
	return table_publish_on(s, t, NULL, 0, dir, name, lock_fd, e);
}
