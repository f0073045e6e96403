#include "tests/apply/layer.h"

#include "common/base/fd.h"
#include "tests/scratch.h"
#include "worker-store/apply/side.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SENTINEL "outside/secret"
static const char secret[] = "nobody writes here";

static void
put(int dir, const char *name, const char *text)
{
	FD_AUTO fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

void
layer_open(struct layer *l)
{
	const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

	memset(l, 0, sizeof(*l));
	assert_true(scratch_make(l->base, sizeof(l->base), "apply"));
	l->dir = open(l->base, O_RDONLY | O_DIRECTORY);
	assert_true(l->dir >= 0);
	assert_int_equal(mkdirat(l->dir, "diff", 0755), 0);
	assert_int_equal(mkdirat(l->dir, "outside", 0755), 0);
	assert_int_equal(fchmodat(l->dir, "diff", 0755, 0), 0);
	assert_int_equal(fchmodat(l->dir, "outside", 0755, 0), 0);
	put(l->dir, SENTINEL, secret);
	assert_int_equal(utimensat(l->dir, SENTINEL, times, 0), 0);
	l->root = openat(l->dir, "diff", O_RDONLY | O_DIRECTORY);
	l->side = openat(l->dir, "side", O_RDWR | O_CREAT, 0600);
	assert_true(l->root >= 0 && l->side >= 0);
	assert_int_equal(utimensat(l->dir, "outside", times, 0), 0);
	assert_int_equal(futimens(l->dir, times), 0);
}

static int
count_names(int dir)
{
	FD_AUTO fd = openat(dir, ".", O_RDONLY | O_DIRECTORY);
	char buf[4096];
	int n = 0;

	for (long got; (got = getdents64(fd, buf, sizeof(buf))) > 0;) {
		for (long at = 0; at < got; n++)
			at += *(const uint16_t *)(buf + at + 16);
	}
	return n - 2;
}

static void
assert_sentinel(struct layer *l)
{
	char text[64] = "";
	struct stat st, out, base;
	FD_AUTO fd = openat(l->dir, SENTINEL, O_RDONLY | O_NOFOLLOW);
	FD_AUTO dir = openat(l->dir, "outside", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);

	assert_true(fd >= 0 && dir >= 0);
	assert_int_equal(read(fd, text, sizeof(text) - 1), sizeof(secret) - 1);
	assert_string_equal(text, secret);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_mtim.tv_sec, 1000);
	assert_int_equal(flistxattr(fd, NULL, 0), 0);
	assert_int_equal(fstat(dir, &out), 0);
	assert_int_equal(out.st_mode, S_IFDIR | 0755);
	assert_int_equal(out.st_mtim.tv_sec, 1000);
	assert_int_equal(count_names(dir), 1);
	assert_int_equal(fstat(l->dir, &base), 0);
	assert_int_equal(base.st_mtim.tv_sec, 1000);
	assert_int_equal(count_names(l->dir), 3);
}

void
layer_close(struct layer *l)
{
	uint64_t removed;

	assert_sentinel(l);
	struct err e = {0};
	assert_int_equal(apply_remove(l->dir, &removed, &e), 0);
	assert_int_equal(count_names(l->dir), 0);
	fd_close(&l->root);
	fd_close(&l->side);
	fd_close(&l->dir);
	assert_int_equal(rmdir(l->base), 0);
}

struct pieces {
	const struct tarball *t;
	size_t at, chunk;
	uint8_t *piece;
};

/* Exact memory a piece, gone with the next: a reader that keeps a pointer is caught. */
static ssize_t
next_piece(void *arg, const uint8_t **p)
{
	struct pieces *s = arg;
	size_t n = s->t->n - s->at < s->chunk ? s->t->n - s->at : s->chunk;

	free(s->piece);
	s->piece = malloc(n ? n : 1);
	assert_non_null(s->piece);
	if (n)
		memcpy(s->piece, s->t->p + s->at, n);
	s->at += n;
	*p = s->piece;
	return (ssize_t)n;
}

int
layer_untar(struct layer *l, const struct tarball *t, size_t chunk,
    const struct apply_limits *limits)
{
	struct apply_limits all = APPLY_LIMITS_DEFAULT;
	struct pieces s = {.t = t, .chunk = chunk};
	struct apply_source source = {next_piece, &s};
	int fds = fd_count_open();

	int r = apply_untar(
	    l->root, l->side, &source, limits ? limits : &all, &l->result, &l->err);
	free(s.piece);
	assert_int_equal(fd_count_open(), fds);
	assert_int_equal(lseek(l->side, 0, SEEK_SET), 0);
	return r;
}

static bool
same_file(
    struct layer *l, struct span name, uint64_t size, const struct tarball *t, size_t at)
{
	char path[4096];
	uint8_t buf[4096];

	while (name.n && name.p[0] == '/')
		name = span_from(name, 1);
	assert_true(span_to_str(name, path, sizeof(path)));
	FD_AUTO fd = openat(l->root, path, O_RDONLY | O_NOFOLLOW);
	if (fd < 0 || size > t->n - at)
		return false;
	for (ssize_t n; (n = read(fd, buf, sizeof(buf))) > 0;
	     at += (size_t)n, size -= (size_t)n) {
		if ((uint64_t)n > size || memcmp(buf, t->p + at, (size_t)n) != 0)
			return false;
	}
	return size == 0;
}

bool
layer_reassembles(struct layer *l, const struct tarball *t)
{
	struct side_reader r;
	struct side_record rec;
	struct err e = {0};
	size_t at = 0;
	bool same = true;
	int more;

	assert_int_equal(lseek(l->side, 0, SEEK_SET), 0);
	assert_int_equal(side_read_open(&r, l->side), 0);
	while ((more = side_read(&r, &rec, &e)) > 0 && same) {
		if (rec.kind == SIDE_SEGMENT)
			same = rec.data.n <= t->n - at &&
			       memcmp(rec.data.p, t->p + at, rec.data.n) == 0;
		else if (rec.kind == SIDE_FILE)
			same = same_file(l, rec.data, rec.size, t, at);
		at += rec.kind == SIDE_SEGMENT ? rec.data.n : rec.size;
	}
	same = same && more == 0 && at == t->n && r.result.bytes == t->n;
	side_read_free(&r);
	return same;
}

const char *
layer_stat(struct layer *l, const char *path)
{
	static char text[512];
	char link[256] = "";
	struct stat st;

	if (fstatat(l->root, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return "-";
	if (S_ISLNK(st.st_mode))
		assert_true(readlinkat(l->root, path, link, sizeof(link) - 1) > 0);
	snprintf(text, sizeof(text), "%c %04o %u:%u %lld %lld%s%s",
	    "?pc?d?b?-?l?s???"[(st.st_mode & S_IFMT) >> 12], st.st_mode & 07777,
	    st.st_uid, st.st_gid, S_ISDIR(st.st_mode) ? 0LL : (long long)st.st_size,
	    (long long)st.st_mtim.tv_sec, link[0] ? " " : "", link);
	return text;
}

const char *
layer_cat(struct layer *l, const char *path)
{
	static char text[256];
	FD_AUTO fd = openat(l->root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);

	assert_true(fd >= 0);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	assert_true(n >= 0);
	text[n] = 0;
	return text;
}

const char *
layer_xattr(struct layer *l, const char *path, const char *name)
{
	static char text[256];
	FD_AUTO fd = openat(l->root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);

	assert_true(fd >= 0);
	ssize_t n = fgetxattr(fd, name, text, sizeof(text) - 1);
	if (n < 0)
		return "-";
	text[n] = 0;
	return text;
}
