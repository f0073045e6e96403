#include "worker-store/apply/compare.h"

#include "common/base/fd.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int
compare_init(struct compare *c, int root, bool shifted)
{
	*c = (struct compare){.root = root,
	    .shifted = shifted,
	    .head_want = TAR_BLOCK,
	    .parent = {.fd = -1}};
	c->head = malloc(LIMIT_PAX_HEADER + TAR_BLOCK);
	return c->head ? 0 : -ENOMEM;
}

void
compare_free(struct compare *c)
{
	free(ptr_steal(&c->head));
	seen_free(&c->names);
	fd_close(&c->parent.fd);
}

/* What was found so far may be this archive's way, too. */
static int
forget(struct compare *c)
{
	c->over = true;
	c->why = (struct err){0};
	return 0;
}

static int
differs(struct compare *c, const char *what)
{
	char text[512];

	if (c->why.code && !c->why_time)
		return 0;
	c->why = (struct err){0};
	c->why_time = false;
	err_set(&c->why, ERR_CONTENT, "\"%s\" of its tree %s",
	    span_escape(
		span_of(c->scan.entry.name, c->scan.entry.name_n), text, sizeof(text)),
	    what);
	return 0;
}

/* Whether errnum says that a path leads nowhere. */
static bool
leads_nowhere(int errnum)
{
	return errnum == ENOENT || errnum == ENOTDIR || errnum == ELOOP ||
	       errnum == EXDEV || errnum == ENAMETOOLONG;
}

/* 1 with *st, 0 when there is no such node, negative with *err; *inside: its directory is
 * there. */
static int
look(struct compare *c, const struct path *p, struct stat *st, bool *inside,
    struct err *err)
{
	int r = beneath_enter(c->root, &c->parent, p, true);

	*inside = r == 0;
	if (r == 0 && fstatat(c->parent.fd, path_base(p), st, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r == 0)
		return 1;
	if (leads_nowhere(-r))
		return 0;
	return err_errno(err, r, "looking at a node of the layer");
}

static int
compare_link(struct compare *c, struct err *err)
{
	const struct tar_entry *e = &c->scan.entry;
	char target[LIMIT_PATH + 1];
	ssize_t n = readlinkat(c->parent.fd, path_base(&c->path), target, sizeof(target));

	if (n < 0)
		return err_errno(err, errno, "reading a link of the layer");
	if ((size_t)n != e->link_n || memcmp(target, e->link, e->link_n) != 0)
		return differs(c, "leads elsewhere");
	return 0;
}

static int
compare_node(struct compare *c, const struct stat *st, struct err *err)
{
	static const mode_t types[] = {
	    [TAR_FILE] = S_IFREG,
	    [TAR_DIRECTORY] = S_IFDIR,
	    [TAR_SYMLINK] = S_IFLNK,
	    [TAR_FIFO] = S_IFIFO,
	};
	const struct tar_entry *e = &c->scan.entry;

	if ((st->st_mode & S_IFMT) != types[e->kind])
		return differs(c, "is something else");
	if (e->kind == TAR_FILE && !e->sparse && (uint64_t)st->st_size != e->size)
		return differs(c, "has another size");
	int r = e->kind == TAR_SYMLINK ? compare_link(c, err) : 0;
	if (r < 0)
		return r;
	if (e->kind != TAR_DIRECTORY && st->st_nlink > 1)
		return 0;
	if (!c->shifted && (st->st_uid != e->uid || st->st_gid != e->gid))
		return differs(c, "has another owner");
	if (e->kind != TAR_SYMLINK && (st->st_mode & 07777) != e->mode)
		return differs(c, "has another mode");
	if (e->mtime < INT32_MAX && st->st_mtim.tv_sec != e->mtime && !c->why.code) {
		differs(c, "has another time of change");
		c->why_time = true;
	}
	return 0;
}

/* A hard link is a name more; where its target is a device that was left out, so was it.
 */
static int
compare_hardlink(struct compare *c, const struct stat *st, bool there, struct err *err)
{
	const struct tar_entry *e = &c->scan.entry;
	struct err ignored = {0};
	struct stat target;
	struct path to;
	bool inside;

	if (path_clean(span_of(e->link, e->link_n), LIMIT_PATH, &to, &ignored) < 0)
		return forget(c);
	int r = to.n ? look(c, &to, &target, &inside, err) : 0;
	if (r <= 0)
		return r;
	if (!there)
		return differs(c, "is missing");
	if (st->st_ino != target.st_ino)
		return differs(c, "is another file than the one it is linked to");
	return 0;
}

static int
compare_entry(struct compare *c, struct err *err)
{
	const struct tar_entry *e = &c->scan.entry;
	struct err ignored = {0};
	struct stat st = {0};
	bool inside = false;

	if (path_clean(span_of(e->name, e->name_n), LIMIT_PATH, &c->path, &ignored) < 0)
		return forget(c);
	int class = path_classify(&c->path, &ignored);
	int again = seen_add(&c->names, c->path.text, c->path.n);
	if (again < 0)
		return err_errno(err, again, "cannot remember a name");
	if (class < 0 || again)
		return forget(c);
	if (c->path.n == 0 || class == PATH_OPAQUE || e->kind == TAR_CHAR ||
	    e->kind == TAR_BLOCKDEV)
		return 0;
	if (class == PATH_WHITEOUT)
		path_unwhite(&c->path);
	int r = look(c, &c->path, &st, &inside, err);
	if (r < 0)
		return r;
	if (c->parent.linked)
		return forget(c);
	/* Below what is hidden itself no whiteout is made; a later entry of the layer may
	 * have taken its place. */
	if (class == PATH_WHITEOUT)
		return r == 0 && inside ? differs(c, "is missing") : 0;
	if (e->kind == TAR_HARDLINK)
		return compare_hardlink(c, &st, r, err);
	return r ? compare_node(c, &st, err) : differs(c, "is missing");
}

static void
expect(struct compare *c, size_t n, bool body)
{
	c->head_n = 0;
	c->head_want = n;
	c->body = body;
}

/* A block, or a body, is whole. */
static int
step(struct compare *c, struct err *err)
{
	struct err ignored = {0};
	int r = c->body ? tar_scan_body(&c->scan, c->head, &ignored)
			: tar_scan_block(&c->scan, c->head, &ignored);

	expect(c, TAR_BLOCK, false);
	if (r < 0)
		return forget(c);
	if (r == TAR_BODY)
		expect(c, (size_t)c->scan.body + tar_padding(c->scan.body), true);
	if (r == TAR_END)
		c->over = true;
	if (r != TAR_ENTRY)
		return 0;
	c->skip = c->scan.entry.size + tar_padding(c->scan.entry.size);
	return compare_entry(c, err);
}

int
compare_take(struct compare *c, const uint8_t *p, size_t n, struct err *err)
{
	while (n > 0 && !c->over) {
		uint64_t want = c->skip ? c->skip : c->head_want - c->head_n;
		size_t take = n < want ? n : (size_t)want;
		if (c->skip) {
			c->skip -= take;
		} else {
			memcpy(c->head + c->head_n, p, take);
			c->head_n += take;
		}
		p += take;
		n -= take;
		if (c->head_n < c->head_want)
			continue;
		int r = step(c, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int
compare_end(struct compare *c, struct err *err)
{
	if (!c->why.code)
		return 0;
	return err_set(err, c->why.code, "%s", c->why.text);
}
