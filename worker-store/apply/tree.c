#include "worker-store/apply/tree.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define IMPLIED_MODE 0755

int
beneath_open(int root, const char *path, int flags, bool follow)
{
	struct open_how how = {
	    .flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
	    .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV |
		       (follow ? 0 : RESOLVE_NO_SYMLINKS),
	};

	if (path[0] == 0)
		path = ".";
	/* EAGAIN: something on this machine was renamed or mounted while ".." of a link's
	 * target was resolved. It says nothing about this tree, so try again, but not for
	 * ever. */
	for (int tries = 0; tries < 64; tries++) {
		long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN && errno != EINTR)
			break;
	}
	return -errno;
}

int
beneath_enter(int root, struct beneath_parent *at, const struct path *p, bool follow)
{
	struct path *was = &at->path;

	if (at->fd >= 0 && was->n == p->parent && memcmp(was->text, p->text, was->n) == 0)
		return 0;
	fd_close(&at->fd);
	was->n = p->parent;
	memcpy(was->text, p->text, was->n);
	was->text[was->n] = 0;
	at->fd = beneath_open(root, was->text, O_PATH | O_DIRECTORY, false);
	at->linked = follow && at->fd == -ELOOP;
	if (at->linked)
		at->fd = beneath_open(root, was->text, O_PATH | O_DIRECTORY, true);
	return at->fd < 0 ? at->fd : 0;
}

static int
failed(struct err *err, int errnum, const char *what, const char *name)
{
	char text[512];

	return err_errno(err, errnum, "cannot %s \"%s\" in the layer", what,
	    span_escape(span_str(name), text, sizeof(text)));
}

static int
refused(struct err *err, const char *what, const char *name)
{
	char text[512];

	return err_set(err, ERR_CONTENT, "layer refused: %s: \"%s\"", what,
	    span_escape(span_str(name), text, sizeof(text)));
}

int
tree_open(struct tree *t, int root, struct err *err)
{
	*t = (struct tree){.root = root, .parent = -1};
	/* What a new node's owner is depends on fsuid, which has no getter that does not
	 * set. */
	FD_AUTO fd =
	    openat(root, ".bulkhead", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || unlinkat(root, ".bulkhead", 0) < 0)
		return err_errno(err, errno, "cannot write the layer's directory");
	t->uid = st.st_uid;
	t->gid = st.st_gid;
	/* A default ACL of the directory that this one was made in would reach every
	 * node. */
	if (fremovexattr(root, "system.posix_acl_default") < 0 && errno != ENODATA &&
	    errno != ENOTSUP)
		return err_errno(err, errno, "cannot clear the layer directory's ACL");
	return 0;
}

void
tree_free(struct tree *t)
{
	fd_close(&t->parent);
	free(ptr_steal(&t->dirs));
	free(ptr_steal(&t->names));
}

/* Opens dir, making what is missing from the first gap on. linked: a link was met before
 * it. */
static int
make_parents(struct tree *t, char *dir, bool linked)
{
	char *cut = strrchr(dir, '/');
	const char *base = cut ? cut + 1 : dir;
	FD_AUTO up = -1;

	if (cut)
		*cut = 0;
	up = beneath_open(t->root, cut ? dir : "", O_PATH | O_DIRECTORY, linked);
	if (up == -ENOENT)
		up = make_parents(t, dir, linked);
	if (cut)
		*cut = '/';
	if (up < 0)
		return up;
	/* A link to nowhere is in the way, too. */
	if (mkdirat(up, base, IMPLIED_MODE) < 0)
		return errno == EEXIST ? -ENOTDIR : -errno;
	return beneath_open(up, base, O_PATH | O_DIRECTORY | O_NOFOLLOW, false);
}

static int
enter_status(struct tree *t, struct err *err)
{
	struct stat st;

	if (fstat(t->parent, &st) < 0)
		return err_errno(err, errno, "cannot stat a directory of the layer");
	t->parent_special = (st.st_mode & S_ISGID) || st.st_gid != t->gid;
	return 0;
}

int
tree_enter(struct tree *t, const struct path *p, struct err *err)
{
	if (t->parent >= 0 && t->path.n == p->parent &&
	    memcmp(t->path.text, p->text, p->parent) == 0)
		return 0;
	fd_close(&t->parent);
	memcpy(t->path.text, p->text, p->parent);
	t->path.text[p->parent] = 0;
	t->path.n = p->parent;
	t->parent_linked = false;

	int fd = beneath_open(t->root, t->path.text, O_PATH | O_DIRECTORY, false);
	if (fd == -ELOOP) {
		t->parent_linked = true;
		fd = beneath_open(t->root, t->path.text, O_PATH | O_DIRECTORY, true);
	}
	if (fd == -ENOENT)
		fd = make_parents(t, t->path.text, t->parent_linked);
	if (fd == -ELOOP)
		return refused(err, "too many links in", p->text);
	if (fd == -ENOTDIR)
		return -ENOTDIR;
	if (fd < 0)
		return failed(err, fd, "make the parent of", p->text);
	t->parent = fd;
	return enter_status(t, err);
}

/* Something is at base already. 0 when it was a whiteout and is gone: try again; 1 when
 * it is a directory; negative otherwise. No file is ever replaced: tar-split could not
 * give its bytes. */
static int
in_the_way(struct tree *t, const char *base, struct err *err)
{
	struct stat st;

	if (fstatat(t->parent, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(err, errno, "stat", base);
	if (S_ISDIR(st.st_mode))
		return 1;
	if (!S_ISCHR(st.st_mode) || st.st_rdev != 0)
		return refused(err, "two entries for one place", base);
	if (unlinkat(t->parent, base, 0) < 0)
		return failed(err, errno, "replace the whiteout", base);
	return 0;
}

/* After a call that failed: whether to make it once more (0), or why not. */
static int
make_again(struct tree *t, const char *base, int errnum, struct err *err)
{
	if (errnum != EEXIST)
		return failed(err, errnum, "make", base);
	int r = in_the_way(t, base, err);
	return r == 1 ? refused(err, "an entry over a directory", base) : r;
}

static bool
owner_differs(const struct tree *t, const struct tree_attrs *a)
{
	return t->parent_special || a->uid != t->uid || a->gid != t->gid;
}

int
tree_file(struct tree *t, const char *base, uint32_t mode, struct err *err)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

	int fd = openat(t->parent, base, flags, mode & 0777);
	if (fd >= 0)
		return fd;
	int r = make_again(t, base, errno, err);
	if (r < 0)
		return r;
	fd = openat(t->parent, base, flags, mode & 0777);
	return fd >= 0 ? fd : failed(err, errno, "make", base);
}

/* chown takes setuid bits and capabilities away, so it comes first. */
int
tree_file_finish(struct tree *t, int fd, const struct tree_attrs *a, struct err *err)
{
	if (owner_differs(t, a) && fchown(fd, a->uid, a->gid) < 0)
		return err_errno(
		    err, errno, "cannot set a file's owner to %u:%u", a->uid, a->gid);
	if ((a->mode & 07000) && fchmod(fd, a->mode) < 0)
		return err_errno(err, errno, "cannot set a file's mode");
	if (futimens(fd, a->times) < 0)
		return err_errno(err, errno, "cannot set a file's times");
	return 0;
}

/* Owner, mode (but for symlinks) and times of a node that is known not to be a regular
 * file. */
static int
finish_node(struct tree *t, const char *base, const struct tree_attrs *a, bool mode,
    bool times, struct err *err)
{
	if (owner_differs(t, a) &&
	    fchownat(t->parent, base, a->uid, a->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(err, errno, "set the owner of", base);
	if (mode && fchmodat(t->parent, base, a->mode, 0) < 0)
		return failed(err, errno, "set the mode of", base);
	if (times && utimensat(t->parent, base, a->times, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(err, errno, "set the times of", base);
	return 0;
}

static void *
grow(void *p, size_t *cap, size_t want, size_t size)
{
	size_t n = *cap ? *cap : 256;

	while (n < want)
		n *= 2;
	void *q = reallocarray(p, n, size);
	if (q)
		*cap = n;
	return q;
}

static int
remember_times(
    struct tree *t, const struct path *p, const struct tree_attrs *a, struct err *err)
{
	if (p->n + 1 > LIMIT_DIRECTORY_NAMES - t->names_n)
		return err_set(err, ERR_CONTENT,
		    "layer refused: its directories' names take over 64 MiB");
	if (t->names_n + p->n + 1 > t->names_cap) {
		void *q = grow(t->names, &t->names_cap, t->names_n + p->n + 1, 1);
		if (!q)
			return err_errno(err, ENOMEM, "cannot remember a directory");
		t->names = q;
	}
	if (t->dirs_n == t->dirs_cap) {
		void *q = grow(t->dirs, &t->dirs_cap, t->dirs_n + 1, sizeof(*t->dirs));
		if (!q)
			return err_errno(err, ENOMEM, "cannot remember a directory");
		t->dirs = q;
	}
	t->dirs[t->dirs_n++] = (struct tree_dir){.times = {a->times[0], a->times[1]},
	    .name = (uint32_t)t->names_n,
	    .n = (uint32_t)p->n};
	memcpy(t->names + t->names_n, p->text, p->n + 1);
	t->names_n += p->n + 1;
	return 0;
}

int
tree_directory(
    struct tree *t, const struct path *p, const struct tree_attrs *a, struct err *err)
{
	const char *base = path_base(p);
	bool merge = false;

	if (mkdirat(t->parent, base, a->mode & 01777) < 0) {
		int r = errno == EEXIST ? in_the_way(t, base, err)
					: failed(err, errno, "make", base);
		if (r < 0)
			return r;
		merge = r == 1;
		if (!merge && mkdirat(t->parent, base, a->mode & 01777) < 0)
			return failed(err, errno, "make", base);
	}
	if (merge && fchownat(t->parent, base, a->uid, a->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(err, errno, "set the owner of", base);
	bool mode = merge || t->parent_special || (a->mode & 06000);
	int r = finish_node(t, base, a, mode, false, err);
	return r < 0 ? r : remember_times(t, p, a, err);
}

int
tree_symlink(struct tree *t, const char *base, const char *target,
    const struct tree_attrs *a, struct err *err)
{
	if (symlinkat(target, t->parent, base) < 0) {
		int r = make_again(t, base, errno, err);
		if (r < 0)
			return r;
		if (symlinkat(target, t->parent, base) < 0)
			return failed(err, errno, "make", base);
	}
	return finish_node(t, base, a, false, true, err);
}

static int
make_node(struct tree *t, const char *base, mode_t mode, struct err *err)
{
	if (mknodat(t->parent, base, mode, makedev(0, 0)) == 0)
		return 0;
	int r = make_again(t, base, errno, err);
	if (r < 0)
		return r;
	return mknodat(t->parent, base, mode, makedev(0, 0)) == 0
		   ? 0
		   : failed(err, errno, "make", base);
}

int
tree_fifo(struct tree *t, const char *base, const struct tree_attrs *a, struct err *err)
{
	int r = make_node(t, base, S_IFIFO | (a->mode & 0777), err);

	return r < 0 ? r : finish_node(t, base, a, a->mode & 07000, true, err);
}

int
tree_whiteout(
    struct tree *t, const char *base, const struct tree_attrs *a, struct err *err)
{
	if (mknodat(t->parent, base, S_IFCHR, makedev(0, 0)) < 0)
		return errno == EEXIST
			   ? refused(err, "a whiteout of an entry of its own layer", base)
			   : failed(err, errno, "make the whiteout", base);
	return finish_node(t, base, a, false, false, err);
}

static int
open_target_parent(struct tree *t, const struct path *target)
{
	char dir[LIMIT_PATH + 1];

	memcpy(dir, target->text, target->parent);
	dir[target->parent] = 0;
	int fd = beneath_open(t->root, dir, O_PATH | O_DIRECTORY, false);
	return fd == -ELOOP ? beneath_open(t->root, dir, O_PATH | O_DIRECTORY, true) : fd;
}

/* The header of a hard link describes the node once more; what differs is set. */
static int
finish_hardlink(struct tree *t, const char *base, const struct stat *st,
    const struct tree_attrs *a, struct err *err)
{
	bool chown = st->st_uid != a->uid || st->st_gid != a->gid;
	bool chmod = !S_ISLNK(st->st_mode) && (chown || (st->st_mode & 07777) != a->mode);
	bool times = st->st_mtim.tv_sec != a->times[1].tv_sec ||
		     st->st_mtim.tv_nsec != a->times[1].tv_nsec;

	if (chown && fchownat(t->parent, base, a->uid, a->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(err, errno, "set the owner of", base);
	if (chmod && fchmodat(t->parent, base, a->mode, 0) < 0)
		return failed(err, errno, "set the mode of", base);
	if (times && utimensat(t->parent, base, a->times, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(err, errno, "set the times of", base);
	return 0;
}

/* Whether the layer lies, or looking failed. */
static int
no_target(int errnum, const struct path *target, struct err *err)
{
	switch (errnum) {
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
	case EXDEV:
	case ENAMETOOLONG:
		return refused(
		    err, "a hard link to what this layer does not have", target->text);
	default:
		return failed(
		    err, errnum, "look at the target of a hard link,", target->text);
	}
}

int
tree_hardlink(struct tree *t, const char *base, const struct path *target,
    const struct tree_attrs *a, struct err *err)
{
	FD_AUTO from = open_target_parent(t, target);
	struct stat st;

	if (from < 0 || fstatat(from, path_base(target), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return no_target(from < 0 ? -from : errno, target, err);
	if (S_ISDIR(st.st_mode) || S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		return refused(
		    err, "a hard link to a directory or a whiteout", target->text);
	if (linkat(from, path_base(target), t->parent, base, 0) < 0) {
		int r = make_again(t, base, errno, err);
		if (r < 0)
			return r;
		if (linkat(from, path_base(target), t->parent, base, 0) < 0)
			return failed(err, errno, "make the hard link", base);
	}
	return finish_hardlink(t, base, &st, a, err);
}

int
tree_reopen(struct tree *t, const char *base, struct err *err)
{
	struct stat st;

	if (fstatat(t->parent, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(err, errno, "stat", base);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return -EMEDIUMTYPE; /* opening a fifo would block */
	int fd = openat(t->parent, base, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 ? fd : failed(err, errno, "open", base);
}

int
tree_root(struct tree *t, const struct tree_attrs *a, struct err *err)
{
	static const struct path root = {0};

	if (fchown(t->root, a->uid, a->gid) < 0 || fchmod(t->root, a->mode) < 0)
		return failed(err, errno, "set owner and mode of", "/");
	return remember_times(t, &root, a, err);
}

int
tree_finish(struct tree *t, struct err *err)
{
	for (size_t i = t->dirs_n; i-- > 0;) {
		const struct tree_dir *d = &t->dirs[i];
		const char *name = t->names + d->name;
		FD_AUTO fd = beneath_open(
		    t->root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, false);
		if (fd == -ELOOP)
			fd = beneath_open(
			    t->root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, true);
		if (fd < 0)
			return failed(err, fd, "open", name);
		if (futimens(fd, d->times) < 0)
			return failed(err, errno, "set the times of", name);
	}
	return 0;
}
