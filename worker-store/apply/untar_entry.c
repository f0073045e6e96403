#include "worker-store/apply/isal.h"
#include "worker-store/apply/untar.h"
#include "worker-store/apply/xattr.h"

#include "common/base/fd.h"

#include <errno.h>
#include <unistd.h>

static struct tree_attrs
attrs_of(const struct untar *u)
{
	const struct tar_entry *e = &u->scan.entry;

	return (struct tree_attrs){.uid = e->uid,
	    .gid = e->gid,
	    .mode = e->mode,
	    .times = {u->decoded.atime, u->decoded.mtime}};
}

static int
set_xattrs(struct untar *u, int fd, enum xattr_node node)
{
	const char *name;
	struct span value;

	u->res->xattrs_dropped += u->scan.entry.xattrs_empty;
	while (u->scan.entry.xattrs && tar_meta_xattr(u->meta, &name, &value)) {
		int r = xattr_set(fd, node, name, value, u->err);
		if (r < 0)
			return r;
		u->res->xattrs_dropped += r == XATTR_DROPPED;
	}
	return 0;
}

static int
write_failed(struct untar *u, int r)
{
	char text[512];

	return r < 0 ? err_errno(u->err, r, "cannot write \"%s\" of the layer",
			   span_escape(span_str(u->path.text), text, sizeof(text)))
		     : 0;
}

/* To disk, and with the checksum that tar-split wants; or, when the file cannot be found
 * again by its name (behind a symlink), to disk and into segments. */
static int
copy_payload(struct untar *u, int fd, bool split, uint64_t *crc)
{
	for (uint64_t left = u->scan.entry.size; left > 0;) {
		struct span s;
		int r = untar_take(u, left < SIZE_MAX ? (size_t)left : SIZE_MAX, &s);
		if (r < 0)
			return r;
		if (s.n == 0)
			return untar_truncated(u);
		if (split)
			*crc = crc64(*crc, s.p, s.n);
		else
			r = untar_side(u, side_raw(&u->side, s.p, s.n));
		r = r < 0 ? r : write_failed(u, fd_write_all(fd, s.p, s.n));
		if (r < 0)
			return r;
		left -= s.n;
	}
	return 0;
}

/* What libarchive reads of a sparse payload goes into segments on its way. */
ssize_t
untar_sparse_payload(void *arg, size_t max, const uint8_t **p)
{
	struct untar *u = arg;
	struct span s;

	if (max > u->payload_left)
		max = (size_t)u->payload_left;
	int r = untar_take(u, max, &s);
	if (r < 0)
		return r;
	r = untar_side(u, side_raw(&u->side, s.p, s.n));
	if (r < 0)
		return r;
	if (s.n == 0)
		return untar_truncated(u);
	u->payload_left -= s.n;
	*p = s.p;
	return (ssize_t)s.n;
}

static int
copy_sparse(struct untar *u, int fd)
{
	struct span s;
	uint64_t at;
	int r;

	while ((r = tar_meta_region(u->meta, &s, &at, u->err)) > 0) {
		while (s.n > 0) {
			ssize_t w = pwrite(fd, s.p, s.n, (off_t)at);
			if (w < 0 && errno != EINTR)
				return write_failed(u, -errno);
			at += w > 0 ? (uint64_t)w : 0;
			s = span_from(s, w > 0 ? (size_t)w : 0);
		}
	}
	if (r == 0 && ftruncate(fd, (off_t)u->decoded.real_size) < 0)
		r = write_failed(u, -errno);
	return r < 0 ? r : untar_raw(u, u->payload_left);
}

/* Content, then owner and mode (chown takes setuid away), then times, then capabilities
 * (chown and write take those away). */
static int
fill_file(struct untar *u, int fd, bool split, uint64_t *crc)
{
	struct tree_attrs a = attrs_of(u);
	int r;

	if (u->scan.entry.sparse)
		r = copy_sparse(u, fd);
	else
		r = copy_payload(u, fd, split, crc);
	r = r < 0 ? r : tree_file_finish(&u->tree, fd, &a, u->err);
	return r < 0 ? r : set_xattrs(u, fd, XATTR_FILE);
}

static int
make_file(struct untar *u)
{
	const struct tar_entry *e = &u->scan.entry;
	struct span name = span_of(e->name, e->name_n);
	bool split = e->size && !e->sparse && !u->tree.parent_linked;
	uint64_t crc = 0;

	if (u->decoded.real_size > u->limits->bytes - u->res->tree_bytes)
		return err_set(u->err, ERR_CONTENT,
		    "layer refused: files of more than %llu bytes",
		    (unsigned long long)u->limits->bytes);
	u->res->tree_bytes += u->decoded.real_size;
	FD_AUTO fd = tree_file(&u->tree, path_base(&u->path), e->mode, u->err);
	if (fd < 0)
		return fd;
	int r = split ? side_cut(&u->side) : side_name(&u->side, SIDE_NODE, name);
	r = r < 0 ? untar_side(u, r) : fill_file(u, fd, split, &crc);
	if (r == 0 && close(fd_steal(&fd)) < 0)
		r = write_failed(u, -errno);
	if (r == 0 && split)
		r = untar_side(u, side_file(&u->side, name, e->size, crc));
	return r < 0 ? r : untar_raw(u, e->sparse ? 0 : tar_padding(e->size));
}

/* An entry without a file of its own in the tree: name, then payload (of a whiteout) as
 * it is. */
static int
pass_entry(struct untar *u)
{
	const struct tar_entry *e = &u->scan.entry;

	int r =
	    untar_side(u, side_name(&u->side, SIDE_NODE, span_of(e->name, e->name_n)));
	if (r < 0)
		return r;
	return untar_raw(u, e->sparse ? u->payload_left : e->size + tar_padding(e->size));
}

static int
make_directory(struct untar *u)
{
	struct tree_attrs a = attrs_of(u);

	int r = tree_directory(&u->tree, &u->path, &a, u->err);
	if (r < 0 || u->scan.entry.xattrs + u->scan.entry.xattrs_empty == 0)
		return r;
	FD_AUTO fd = tree_reopen(&u->tree, path_base(&u->path), u->err);
	return fd < 0 ? fd : set_xattrs(u, fd, XATTR_DIRECTORY);
}

/* Whether path, or a directory on its way when parents is set, is a device that was left
 * out. */
static bool
is_device(struct untar *u, const struct path *p, bool parents)
{
	if (u->devices.n == 0)
		return false;
	for (size_t i = 0; parents && i < p->n; i++) {
		if (p->text[i] == '/' && seen_has(&u->devices, p->text, i))
			return true;
	}
	return seen_has(&u->devices, p->text, p->n);
}

static int
leave_out(struct untar *u)
{
	u->res->devices_left_out++;
	int r = seen_add(&u->devices, u->path.text, u->path.n);
	return r < 0 ? err_errno(u->err, r, "cannot remember a device") : 0;
}

static int
make_device(struct untar *u)
{
	const struct tar_entry *e = &u->scan.entry;

	if (e->kind == TAR_CHAR && e->major == 0 && e->minor == 0)
		return err_set(u->err, ERR_CONTENT,
		    "layer refused: a character device 0:0, which overlayfs takes for a "
		    "whiteout");
	int r = set_xattrs(u, -1, XATTR_OTHER);
	return r < 0 ? r : leave_out(u);
}

static int
make_hardlink(struct untar *u)
{
	const struct tar_entry *e = &u->scan.entry;
	struct tree_attrs a = attrs_of(u);
	struct path *to = &u->target;

	int r = path_clean(span_of(e->link, e->link_n), u->limits->depth, to, u->err);
	if (r < 0)
		return r;
	if (to->n == 0 || path_classify(to, u->err) != PATH_PLAIN)
		return err_set(u->err, ERR_CONTENT,
		    "layer refused: a hard link to a whiteout or to /");
	if (is_device(u, to, false))
		return leave_out(u);
	r = tree_hardlink(&u->tree, path_base(&u->path), to, &a, u->err);
	if (r < 0 || e->xattrs + e->xattrs_empty == 0)
		return r;
	FD_AUTO fd = tree_reopen(&u->tree, path_base(&u->path), u->err);
	if (fd < 0 && fd != -EMEDIUMTYPE)
		return fd;
	return set_xattrs(u, fd, fd >= 0 ? XATTR_FILE : XATTR_OTHER);
}

static int
make_node(struct untar *u)
{
	const struct tar_entry *e = &u->scan.entry;
	struct tree_attrs a = attrs_of(u);
	const char *base = path_base(&u->path);
	int r;

	switch (e->kind) {
	case TAR_DIRECTORY:
		r = make_directory(u);
		break;
	case TAR_SYMLINK:
		r = tree_symlink(&u->tree, base, e->link, &a, u->err);
		r = r < 0 ? r : set_xattrs(u, -1, XATTR_OTHER);
		break;
	case TAR_FIFO:
		r = tree_fifo(&u->tree, base, &a, u->err);
		r = r < 0 ? r : set_xattrs(u, -1, XATTR_OTHER);
		break;
	case TAR_HARDLINK:
		r = make_hardlink(u);
		break;
	default:
		r = make_device(u);
		break;
	}
	return r < 0 ? r : pass_entry(u);
}

static int
not_a_directory(struct untar *u)
{
	return err_set(u->err, ERR_CONTENT,
	    "layer refused: a parent that is no directory in this layer");
}

/* Docker's old writers made whiteouts as hard links to one another; any other type is a
 * mistake or a trap. Attributes of a whiteout mean nothing to anybody. */
static int
make_whiteout(struct untar *u, enum path_class class)
{
	const struct tar_entry *e = &u->scan.entry;
	struct tree_attrs a = attrs_of(u);

	if (e->kind != TAR_FILE && e->kind != TAR_HARDLINK)
		return err_set(
		    u->err, ERR_CONTENT, "layer refused: a whiteout that is no file");
	u->res->xattrs_dropped += e->xattrs + e->xattrs_empty;
	int r = tree_enter(&u->tree, &u->path, u->err);
	/* What is whited out already needs no whiteouts in it. */
	if (r == -ENOTDIR && class == PATH_WHITEOUT)
		return pass_entry(u);
	if (r < 0)
		return r == -ENOTDIR ? not_a_directory(u) : r;
	if (class == PATH_WHITEOUT) {
		path_unwhite(&u->path);
		r = tree_whiteout(&u->tree, path_base(&u->path), &a, u->err);
	} else if (u->tree.parent_linked) {
		r = err_set(u->err, ERR_CONTENT,
		    "layer refused: an opaque marker behind a symlink");
	} else {
		u->res->opaque++;
		r = untar_side(u, side_name(&u->side, SIDE_OPAQUE,
				      span_of(u->path.text, u->path.parent)));
	}
	return r < 0 ? r : pass_entry(u);
}

/* "." and "./" are ignored, "/" asks for the root's own attributes: as upstream does. */
static int
root_entry(struct untar *u)
{
	const struct tar_entry *e = &u->scan.entry;
	struct tree_attrs a = attrs_of(u);
	struct apply_result *res = u->res;

	if (e->kind != TAR_DIRECTORY)
		return err_set(u->err, ERR_CONTENT,
		    "layer refused: / as something else than a directory");
	res->xattrs_dropped += e->xattrs + e->xattrs_empty;
	if (e->name[0] == '/') {
		res->root_given = true;
		res->root_mode = e->mode;
		res->root_uid = e->uid;
		res->root_gid = e->gid;
		int r = tree_root(&u->tree, &a, u->err);
		if (r < 0)
			return r;
	}
	return pass_entry(u);
}

static int
plain_entry(struct untar *u)
{
	if (is_device(u, &u->path, true))
		return not_a_directory(u);
	int r = tree_enter(&u->tree, &u->path, u->err);
	if (r < 0)
		return r == -ENOTDIR ? not_a_directory(u) : r;
	return u->scan.entry.kind == TAR_FILE ? make_file(u) : make_node(u);
}

/* One block alone leaves a second reader nothing to see otherwise: fuzz_plain holds the
 * two together. What they could differ about is in extended headers. */
static int
decode(struct untar *u)
{
	const struct tar_entry *e = &u->scan.entry;
	struct timespec mtime = {.tv_sec = e->mtime};

	if (u->head_n > TAR_BLOCK)
		return tar_meta_next(
		    u->meta, span_of(u->head, u->head_n), e, &u->decoded, u->err);
	u->decoded = (struct tar_attrs){mtime, mtime, e->size};
	return 0;
}

int
untar_entry(struct untar *u)
{
	const struct tar_entry *e = &u->scan.entry;

	u->payload_left = e->size + tar_padding(e->size);
	int r = decode(u);
	r = r < 0 ? r
		  : path_clean(
			span_of(e->name, e->name_n), u->limits->depth, &u->path, u->err);
	int class = r < 0 ? r : path_classify(&u->path, u->err);
	if (class < 0)
		return class;
	r = class == PATH_PLAIN ? untar_owner(u, e->uid, e->gid) : 0;
	if (r < 0)
		return r;
	r = seen_add(&u->names, u->path.text, u->path.n);
	if (r < 0)
		return err_errno(u->err, r, "cannot remember a name");
	if (r > 0)
		return err_set(u->err, ERR_CONTENT, "layer refused: a name twice");
	if (u->path.n == 0)
		return root_entry(u);
	return class == PATH_PLAIN ? plain_entry(u)
				   : make_whiteout(u, (enum path_class) class);
}
