#include "worker-store/apply/apply.h"

#include "common/base/failpoint.h"
#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Directories open at once. A tree of ordinary depth is emptied in one walk from its top.
 * Where it is deeper, the walk begins again at the directory it could not enter, and once
 * that is empty goes up by "..", one directory at a time: no depth costs memory or more
 * descriptors, and no right but to list and to unlink is needed. */
#define LEVELS 64

struct level {
	int fd;
	uint64_t removed; /* when this directory was entered */
	long n, at, name; /* bytes in buf; next entry; name of the present one */
	_Alignas(8) char buf[8192];
};

struct removal {
	struct level *levels;
	int sp;		/* the level being emptied */
	uint64_t depth; /* of levels[0] beneath the top */
	uint64_t removed;
	dev_t dev;
	ino_t top;
	struct err *err;
};

struct dirent64_ { /* getdents64(2) */
	uint64_t ino;
	int64_t next;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

static int
failed(struct removal *r, int errnum, const char *what, const char *name)
{
	char text[512];

	return err_errno(r->err, errnum, "cannot %s \"%s\" of a removed tree", what,
	    span_escape(span_str(name), text, sizeof(text)));
}

static bool
is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
}

/* Takes over fd as a fresh level. */
static void
enter(struct removal *r, int sp, int fd)
{
	struct level *l = &r->levels[sp];

	l->fd = fd;
	l->n = l->at = 0;
	l->removed = r->removed;
	r->sp = sp;
}

static void
leave_all(struct removal *r)
{
	for (; r->sp >= 0; r->sp--)
		fd_close(&r->levels[r->sp].fd);
}

/* The next name of a level; NULL at its end; *status negative when listing fails. */
static const char *
next_name(struct removal *r, struct level *l, int *status)
{
	for (;;) {
		if (l->at == l->n) {
			l->at = 0;
			l->n = syscall(SYS_getdents64, l->fd, l->buf, sizeof(l->buf));
			if (l->n < 0)
				*status = failed(r, errno, "list", ".");
			if (l->n <= 0)
				return NULL;
		}
		const struct dirent64_ *d = (const void *)(l->buf + l->at);
		l->name = l->at + (long)offsetof(struct dirent64_, name);
		l->at += d->reclen;
		if (!is_dots(d->name))
			return d->name;
	}
}

/* 0 when name is gone, 1 when it is a directory with something in it. */
static int
unlink_one(struct removal *r, int dir, const char *name)
{
	int e = unlinkat(dir, name, 0) < 0 ? errno : 0;

	if (e == EISDIR)
		e = unlinkat(dir, name, AT_REMOVEDIR) < 0 ? errno : 0;
	if (e == ENOTEMPTY || e == EEXIST)
		return 1;
	r->removed += e == 0;
	FAILPOINT(ERASE_ONE);
	return e == 0 || e == ENOENT ? 0 : failed(r, e, "remove", name);
}

static int
down(struct removal *r, const char *name)
{
	struct stat st;
	FD_AUTO fd = openat(
	    r->levels[r->sp].fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return failed(r, errno, "open", name);
	if (st.st_dev != r->dev)
		return failed(r, EXDEV, "enter the mount", name);
	if (r->sp + 1 < LEVELS) {
		enter(r, r->sp + 1, fd_steal(&fd));
		return 0;
	}
	r->depth += LEVELS;
	leave_all(r);
	enter(r, 0, fd_steal(&fd));
	return 0;
}

/* The present level is empty: back to the one above, where its name still stands in the
 * buffer. */
static int
pop(struct removal *r)
{
	bool progress = r->removed != r->levels[r->sp].removed;
	fd_close(&r->levels[r->sp].fd);
	struct level *l = &r->levels[--r->sp];
	const char *name = l->buf + l->name;

	int v = unlink_one(r, l->fd, name);
	if (v <= 0)
		return v;
	/* A file system may leave out entries while others are removed: once more, if it
	 * helped. */
	return progress ? down(r, name) : failed(r, ENOTEMPTY, "remove", name);
}

/* levels[0], somewhere below the top, is empty: on with the directory above it. */
static int
up(struct removal *r)
{
	struct stat st;
	FD_AUTO fd = openat(r->levels[0].fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return failed(r, errno, "open", "..");
	r->depth--;
	if (st.st_dev != r->dev || (r->depth == 0) != (st.st_ino == r->top))
		return failed(r, EXDEV, "find the way back from", "..");
	leave_all(r);
	enter(r, 0, fd_steal(&fd));
	return 0;
}

static int
walk(struct removal *r)
{
	int v = 0;

	while (v >= 0) {
		struct level *l = &r->levels[r->sp];
		const char *name = next_name(r, l, &v);
		if (v < 0)
			break;
		if (name) {
			v = unlink_one(r, l->fd, name);
			if (v == 1)
				v = down(r, name);
		} else if (r->sp > 0) {
			v = pop(r);
		} else if (r->depth > 0) {
			v = up(r);
		} else {
			return 0;
		}
	}
	return v;
}

static int
remove_below(int dir, struct removal *r)
{
	struct stat st;

	/* The caller's fd may be O_PATH, and its offset is not ours to move. */
	FD_AUTO top = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!r->levels || top < 0 || fstat(top, &st) < 0)
		return err_errno(
		    r->err, r->levels ? errno : ENOMEM, "cannot open a tree to remove");
	r->dev = st.st_dev;
	r->top = st.st_ino;
	enter(r, 0, fd_steal(&top));
	FAILPOINT(ERASE_BEGUN);
	int v = walk(r);
	FAILPOINT(ERASE_DONE);
	leave_all(r);
	return v;
}

int
apply_remove(int dir, uint64_t *removed, struct err *err)
{
	struct removal r = {
	    .levels = calloc(LEVELS, sizeof(*r.levels)), .sp = -1, .err = err};
	int v = remove_below(dir, &r);

	free(r.levels);
	*removed = r.removed;
	return v;
}
