#include "worker-store/store/store.h"

#include "worker-store/store/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define OWN_DIR "bulkhead"
#define MOUNT_PROGRAM ".has-mount-program"
#define LABEL "security.selinux"
/* Not for layers: this part of the file system, up to so many bytes, and files. */
#define KEPT_PART 256
#define KEPT_BYTES MiB(16)
#define KEPT_FILES 16

/* A directory of the store that others may write is theirs, not ours. */
static int
check_owner(int fd, const char *what, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "cannot look at %s", what);
	if (st.st_uid != 0 || st.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(e, ERR_CONTENT,
		    "%s belongs to uid %u with mode %04o: only root may be able to write "
		    "it; chown "
		    "and chmod it, or name another graph root",
		    what, st.st_uid, st.st_mode & 07777);
	return 0;
}

static int
make_dirs(int graph, struct err *e)
{
	static const struct {
		const char *name;
		mode_t mode;
	} dirs[] = {
	    {"overlay", 0700},
	    {"overlay/l", 0755},
	    {"overlay-layers", 0700},
	    {"overlay-images", 0700},
	    {"overlay-containers", 0700},
	    {OWN_DIR, 0700},
	};
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		FD_AUTO fd = dir_make(graph, dirs[i].name, dirs[i].mode);
		if (fd < 0)
			return err_errno(
			    e, -fd, "cannot make %s in the graph root", dirs[i].name);
		int r = check_owner(fd, dirs[i].name, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Under its name only when whole, since two processes may start at once: 0 also when the
 * other one was first. A dead one's file is left to the next sweep. */
static int
make_once(int own, int at, const char *name, struct span content)
{
	char tmp[40] = "new-";

	int r = random_hex(tmp + 4, 8);
	if (r == 0)
		r = file_new(own, tmp, 0600, content);
	if (r < 0)
		return r;
	FAILPOINT(NEW_WRITTEN);
	r = linkat(own, tmp, at, name, 0) < 0 ? -errno : 0;
	if (r < 0 && dir_has(at, name) == 1)
		r = 0;
	FAILPOINT(NEW_LINKED);
	unlinkat(own, tmp, 0);
	return r;
}

/* What is in there, as a string. Podman writes the file in place, so that it is empty for
 * a moment. */
static ssize_t
read_mount_program(int overlay, char *dst, size_t cap)
{
	const struct timespec nap = {.tv_nsec = 10000000};
	ssize_t n = 0;

	for (int naps = 0; naps < 200; naps++) {
		n = file_text(overlay, MOUNT_PROGRAM, dst, cap);
		if (n)
			return n;
		nanosleep(&nap, NULL);
	}
	return n;
}

/* Without this file upstream walks the whole driver home to find out. */
static int
check_mount_program(int graph, int own, struct err *e)
{
	char text[16];
	FD_AUTO overlay = dir_open(graph, "overlay");

	if (overlay < 0)
		return err_errno(e, -overlay, "cannot open overlay");
	ssize_t n = read_mount_program(overlay, text, sizeof(text));
	if (n == -ENOENT) {
		int r = make_once(own, overlay, MOUNT_PROGRAM, span_str("false"));
		if (r < 0)
			return err_errno(e, -r, "cannot write " MOUNT_PROGRAM);
		n = read_mount_program(overlay, text, sizeof(text));
	}
	if (n < 0)
		return err_errno(e, (int)-n, "cannot read " MOUNT_PROGRAM);
	if (!strcmp(text, "false"))
		return 0;
	if (n == 0)
		return err_set(e, ERR_CONTENT,
		    "overlay/" MOUNT_PROGRAM " of the graph root is empty: whoever made "
		    "it was cut off; let podman "
		    "write it anew (podman info), or name another graph root");
	return err_set(e, ERR_CONTENT,
	    "overlay/" MOUNT_PROGRAM
	    " of the graph root does not say \"false\": its layers are "
	    "those of fuse-overlayfs, which needs another kind of whiteouts; name "
	    "another graph root");
}

static int
make_key(int own, struct err *e)
{
	uint8_t key[32];

	int r = dir_has(own, "key");
	if (r > 0)
		return 0;
	if (r == 0 && getrandom(key, sizeof(key), 0) != sizeof(key))
		r = -EIO;
	if (r == 0)
		r = make_once(own, own, "key", span_of(key, sizeof(key)));
	return r < 0 ? err_errno(e, -r, "cannot make " OWN_DIR "/key") : 0;
}

static int
make_containers_lock(int graph, struct err *e)
{
	FD_AUTO dir = dir_open(graph, "overlay-containers");
	FD_AUTO fd = dir < 0 ? -1
			     : openat(dir, "containers.lock",
				   O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 ? err_errno(e, errno, "cannot make containers.lock") : 0;
}

int
store_prepare(int graph, struct err *e)
{
	int r = check_owner(graph, "the graph root", e);
	if (r == 0)
		r = make_dirs(graph, e);
	if (r < 0)
		return r;
	FAILPOINT(PREPARED_DIRS);
	FD_AUTO own = dir_open(graph, OWN_DIR);
	if (own < 0)
		return err_errno(e, -own, "cannot open " OWN_DIR);
	r = check_mount_program(graph, own, e);
	if (r == 0)
		r = make_containers_lock(graph, e);
	FAILPOINT(PREPARED_MARKER);
	return r < 0 ? r : make_key(own, e);
}

static int
open_dirs(struct store *s, struct err *e)
{
	const struct {
		int *fd;
		int at;
		const char *name;
	} dirs[] = {
	    {&s->overlay, s->graph, "overlay"},
	    {&s->links, s->graph, "overlay/l"},
	    {&s->layers, s->graph, "overlay-layers"},
	    {&s->images, s->graph, "overlay-images"},
	    {&s->containers, s->graph, "overlay-containers"},
	    {&s->own, s->graph, OWN_DIR},
	};
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		int fd = dir_open(dirs[i].at, dirs[i].name);
		if (fd < 0)
			return err_errno(
			    e, -fd, "cannot open %s of the graph root", dirs[i].name);
		*dirs[i].fd = fd;
	}
	return 0;
}

static int
check_same_directory(const struct store *s, int by_path, struct err *e)
{
	struct stat a, b;

	if (by_path < 0)
		return 0;
	if (fstat(s->overlay, &a) < 0 || fstat(by_path, &b) < 0)
		return err_errno(e, errno, "cannot look at overlay");
	if (a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		return 0;
	return err_set(e, ERR_CONTENT,
	    "another file system is mounted on overlay in the graph root: layers could "
	    "not be "
	    "renamed into it; mount that file system on the graph root itself");
}

/* Files inherit the directory's label; podman's containers may only read what carries the
 * one of overlay/. Without SELinux there is none. */
static int
copy_label(const struct store *s, struct err *e)
{
	char label[1024];

	ssize_t n = fgetxattr(s->overlay, LABEL, label, sizeof(label));
	if (n < 0 && (errno == ENODATA || errno == EOPNOTSUPP))
		return 0;
	if (n < 0)
		return err_errno(e, errno, "cannot read the SELinux label of overlay");
	if (fsetxattr(s->staging, LABEL, label, (size_t)n, 0) < 0)
		return err_errno(e, errno, "cannot label the staging directory");
	return 0;
}

/* The lock file comes first and the directory second, so a directory without a held lock
 * is always a dead one. 1 = a sweeper took the fresh lock file away: try again. */
static int
staging_try(struct store *s, struct err *e)
{
	char lock[STAGING_NAME + 6];
	struct stat st;

	int r = random_hex(s->name, STAGING_NAME / 2);
	if (r < 0)
		return err_errno(e, -r, "no random bytes");
	memcpy(lock, s->name, STAGING_NAME);
	memcpy(lock + STAGING_NAME, ".lock", 6);
	s->lock = openat(
	    s->own, lock, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (s->lock < 0)
		return err_errno(e, errno, "cannot make a staging directory");
	if (lock_try(s->lock) < 0 || fstat(s->lock, &st) < 0 || st.st_nlink == 0) {
		fd_close(&s->lock);
		return 1;
	}
	FAILPOINT(STAGING_LOCKED);
	s->staging = dir_make(s->own, s->name, 0700);
	if (s->staging < 0)
		return err_errno(e, -s->staging, "cannot make a staging directory");
	FAILPOINT(STAGING_MADE);
	r = copy_label(s, e);
	if (r < 0)
		return r;
	s->trash = dir_make(s->staging, "trash", 0700);
	if (s->trash < 0)
		return err_errno(e, -s->trash, "cannot make a staging directory");
	s->journal = openat(s->staging, "journal",
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_APPEND | O_CLOEXEC, 0600);
	if (s->journal < 0 || disk_sync(s->staging) < 0 || disk_sync(s->own) < 0)
		return err_errno(e, errno, "cannot make a staging directory");
	FAILPOINT(STAGING_OPEN);
	return 0;
}

static int
open_all(struct store *s, int by_path, struct err *e)
{
	int r = open_dirs(s, e);
	if (r == 0)
		r = check_same_directory(s, by_path, e);
	if (r < 0)
		return r;
	FD_AUTO key = openat(s->own, "key", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	r = key < 0 ? -errno : fd_pread_exact(key, s->key, sizeof(s->key), 0);
	if (r < 0)
		return err_errno(e, -r, "cannot read " OWN_DIR "/key");
	for (int i = 0; i < 100; i++)
		if ((r = staging_try(s, e)) <= 0)
			return r;
	return err_set(
	    e, ERR_INTERNAL, "staging directories are swept as fast as they are made");
}

int
store_open(struct store *s, int graph, int run, int overlay_by_path, struct err *e)
{
	*s = STORE_CLOSED;
	s->graph = graph;
	s->run = run;
	int r = open_all(s, overlay_by_path, e);
	if (r < 0)
		store_close(s);
	return r;
}

void
store_close(struct store *s)
{
	char lock[STAGING_NAME + 6];

	if (s->staging >= 0) {
		unlinkat(s->staging, "journal", 0);
		unlinkat(s->staging, "trash", AT_REMOVEDIR);
		unlinkat(s->staging, STAGING_EMPTY, AT_REMOVEDIR);
		FAILPOINT(CLOSING_EMPTIED);
	}
	if (s->staging >= 0 && s->lock >= 0 &&
	    unlinkat(s->own, s->name, AT_REMOVEDIR) == 0) {
		FAILPOINT(CLOSING_REMOVED);
		memcpy(lock, s->name, STAGING_NAME);
		memcpy(lock + STAGING_NAME, ".lock", 6);
		unlinkat(s->own, lock, 0);
	}
	int *fds[] = {&s->overlay, &s->links, &s->layers, &s->images, &s->containers,
	    &s->own, &s->staging, &s->trash, &s->journal, &s->lock};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (*fds[i] >= 0)
			fd_close(fds[i]);
	*s = STORE_CLOSED;
}

void
store_locks(const struct store *s, struct lock_at files[LOCK_N])
{
	files[LOCK_LAYERS] = (struct lock_at){s->layers, "layers.lock"};
	files[LOCK_IMAGES] = (struct lock_at){s->images, "images.lock"};
	files[LOCK_CONTAINERS] = (struct lock_at){s->containers, "containers.lock"};
}

/* btrfs and others count no inodes: both numbers are 0 there. */
int
store_space(const struct store *s, struct space_free *out, struct err *e)
{
	struct statvfs fs;

	if (fstatvfs(s->overlay, &fs) < 0)
		return err_errno(e, errno, "cannot look at the graph root's file system");
	uint64_t bytes = fs.f_bavail, inodes = fs.f_favail;
	uint64_t kept = fs.f_blocks / KEPT_PART, most = KEPT_BYTES / fs.f_frsize;
	kept = kept < most ? kept : most;
	*out = (struct space_free){
	    .bytes = bytes > kept ? (bytes - kept) * fs.f_frsize : 0,
	    .inodes = !fs.f_files	    ? UINT64_MAX
		      : inodes > KEPT_FILES ? inodes - KEPT_FILES
					    : 0,
	    .block = fs.f_frsize,
	};
	return 0;
}
