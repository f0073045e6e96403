#include "worker-store/apply/apply.h"

#include "common/base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A tree of any depth without a stack: a directory found inside a directory of the top is
 * moved up beside it, so that everything is emptied at depth one. Upstream's RemoveAll
 * recurses. */
struct removal {
	int top;
	uint64_t removed, moved;
	struct err *err;
};

struct dirent64_ { /* getdents64(2) */
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

typedef int (*visit_fn)(struct removal *r, int dir, const char *name);

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

/* Calls visit for each entry once. Entries seen, or negative. */
static int64_t
each(struct removal *r, int dir, visit_fn visit)
{
	_Alignas(struct dirent64_) char buf[32768];
	int64_t seen = 0;

	if (lseek(dir, 0, SEEK_SET) < 0)
		return failed(r, errno, "rewind", ".");
	for (;;) {
		long n = syscall(SYS_getdents64, dir, buf, sizeof(buf));
		if (n < 0)
			return failed(r, errno, "list", ".");
		if (n == 0)
			return seen;
		for (long at = 0; at < n;) {
			const struct dirent64_ *d = (const void *)(buf + at);
			at += d->reclen;
			if (is_dots(d->name))
				continue;
			int v = visit(r, dir, d->name);
			if (v < 0)
				return v;
			seen++;
		}
	}
}

/* 1 when name is a directory and still there. */
static int
unlink_file(struct removal *r, int dir, const char *name)
{
	if (unlinkat(dir, name, 0) == 0) {
		r->removed++;
		return 0;
	}
	if (errno == EISDIR)
		return 1;
	return errno == ENOENT ? 0 : failed(r, errno, "remove", name);
}

static int
move_up(struct removal *r, int dir, const char *name)
{
	char to[32];

	int v = unlink_file(r, dir, name);
	if (v <= 0)
		return v;
	/* An empty directory needs no move. */
	if (unlinkat(dir, name, AT_REMOVEDIR) == 0) {
		r->removed++;
		return 0;
	}
	do {
		snprintf(to, sizeof(to), ".moved-%llu", (unsigned long long)r->moved++);
		if (renameat2(dir, name, r->top, to, RENAME_NOREPLACE) == 0)
			return 0;
	} while (errno == EEXIST);
	return failed(r, errno, "move", name);
}

static int
remove_one(struct removal *r, int dir, const char *name)
{
	int v = unlink_file(r, dir, name);

	if (v <= 0)
		return v;
	struct stat at_top, st;
	FD_AUTO fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(dir, &at_top) < 0 || fstat(fd, &st) < 0)
		return failed(r, errno, "open", name);
	if (st.st_dev != at_top.st_dev)
		return failed(r, EXDEV, "enter the mount", name);
	while (unlinkat(dir, name, AT_REMOVEDIR) < 0) {
		if (errno != ENOTEMPTY && errno != EEXIST)
			return failed(r, errno, "remove", name);
		int64_t seen = each(r, fd, move_up);
		if (seen < 0)
			return (int)seen;
		if (seen == 0)
			return failed(r, ENOTEMPTY, "remove", name);
	}
	r->removed++;
	return 0;
}

int
apply_remove(int dir, uint64_t *removed, struct err *err)
{
	/* The caller's fd may be O_PATH, and its offset is not ours to move. */
	FD_AUTO top = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct removal r = {.top = top, .err = err};
	int64_t seen;

	*removed = 0;
	if (top < 0)
		return err_errno(err, errno, "cannot open a tree to remove");
	do {
		seen = each(&r, top, remove_one);
	} while (seen > 0);
	*removed = r.removed;
	return (int)seen;
}
