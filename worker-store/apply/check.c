#include "worker-store/apply/apply.h"
#include "worker-store/apply/path.h"
#include "worker-store/apply/side.h"
#include "worker-store/apply/tar_split.h"
#include "worker-store/apply/tree.h"

#include "common/base/failpoint.h"
#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct check {
	int root;
	const struct apply_opaque *opaque;
	const struct apply_limits *limits;
	struct err *err;
	struct side_reader side;
	struct tar_split *split;
	uint64_t bytes, names, opaque_n;
	struct beneath_parent parent;
	struct path path;
};

static int
mismatch(struct check *c, struct span name)
{
	char text[512];

	return err_set(c->err, ERR_CONTENT,
	    "the layer's tree and its side file disagree about \"%s\"",
	    span_escape(name, text, sizeof(text)));
}

static int
out_failed(struct check *c, int r)
{
	return r < 0 ? err_errno(c->err, r, "cannot write the layer's tar-split file")
		     : 0;
}

/* tar-split's reader will open the name later, as root and on the host, following links:
 * what it will find there must be this very file. */
static int
check_file(struct check *c, const struct side_record *rec)
{
	struct stat st;

	int r = path_clean(rec->data, LIMIT_PATH_DEPTH, &c->path, c->err);
	if (r < 0)
		return r;
	if (c->path.n == 0 || beneath_enter(c->root, &c->parent, &c->path, false) < 0 ||
	    fstatat(c->parent.fd, path_base(&c->path), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return mismatch(c, rec->data);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != rec->size)
		return mismatch(c, rec->data);
	return 0;
}

static int
mark_opaque(struct check *c, const struct side_record *rec)
{
	int r =
	    rec->data.n ? path_clean(rec->data, LIMIT_PATH_DEPTH, &c->path, c->err) : 0;

	if (r < 0)
		return r;
	if (rec->data.n && c->path.n != rec->data.n)
		return mismatch(c, rec->data);
	FD_AUTO fd = beneath_open(c->root, rec->data.n ? c->path.text : "",
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW, false);
	if (fd < 0)
		return mismatch(c, rec->data);
	c->opaque_n++;
	r = c->opaque->mark(c->opaque->arg, fd);
	return r < 0 ? err_errno(c->err, r, "an opaque directory could not be marked")
		     : 0;
}

static int
count_bytes(struct check *c, uint64_t n)
{
	if (n > c->limits->bytes - c->bytes)
		return err_set(c->err, ERR_CONTENT,
		    "the layer's side file describes more than %llu bytes",
		    (unsigned long long)c->limits->bytes);
	c->bytes += n;
	return 0;
}

static int
take_record(struct check *c, const struct side_record *rec)
{
	int r;

	/* Every entry has a name; segments, markers and the end are fewer than names plus
	 * bytes. */
	if ((rec->kind == SIDE_FILE || rec->kind == SIDE_NODE) &&
	    c->names++ == c->limits->entries)
		return err_set(
		    c->err, ERR_CONTENT, "the layer's side file has too many entries");
	switch (rec->kind) {
	case SIDE_SEGMENT:
		r = count_bytes(c, rec->data.n);
		return r < 0 ? r : out_failed(c, tar_split_segment(c->split, rec->data));
	case SIDE_FILE:
		r = count_bytes(c, rec->size);
		r = r < 0 ? r : check_file(c, rec);
		return r < 0 ? r
			     : out_failed(c, tar_split_file(c->split, rec->data,
						 rec->size, rec->crc));
	case SIDE_NODE:
		return out_failed(c, tar_split_file(c->split, rec->data, 0, 0));
	case SIDE_OPAQUE:
		if (c->opaque_n == c->names)
			return err_set(c->err, ERR_CONTENT,
			    "the layer's side file has too many opaque directories");
		return mark_opaque(c, rec);
	case SIDE_END:
		return 0;
	}
	return 0;
}

static int
finish(struct check *c, struct apply_result *result)
{
	*result = c->side.result;
	result->opaque = c->opaque_n;
	if (result->bytes != c->bytes || result->entries != c->names)
		return err_set(
		    c->err, ERR_CONTENT, "the layer's side file contradicts itself");
	int r = tar_split_finish(c->split, &result->tar_split_bytes);
	if (r < 0)
		return out_failed(c, r);
	FAILPOINT(CHECK_WRITTEN);
	if (c->limits->unsynced)
		return 0;
	/* root may be an O_PATH descriptor, which syncfs refuses. */
	FD_AUTO fd = openat(c->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || syncfs(fd) < 0)
		return err_errno(c->err, errno, "cannot make the layer durable");
	FAILPOINT(CHECK_SYNCED);
	return 0;
}

static int
run(struct check *c, int side, int out, struct apply_result *result)
{
	struct side_record rec;
	int r = side_read_open(&c->side, side);

	FAILPOINT(CHECK_BEGUN);
	c->split = tar_split_new(out);
	if (r < 0 || !c->split)
		return err_errno(c->err, ENOMEM, "cannot check the layer");
	if (lseek(side, 0, SEEK_SET) < 0)
		return err_errno(c->err, errno, "cannot read the layer's side file");
	while ((r = side_read(&c->side, &rec, c->err)) > 0) {
		r = take_record(c, &rec);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : finish(c, result);
}

int
apply_check(int root, int side, int out, const struct apply_opaque *opaque,
    const struct apply_limits *limits, struct apply_result *result, struct err *err)
{
	struct check c = {.root = root,
	    .opaque = opaque,
	    .limits = limits,
	    .err = err,
	    .parent = {.fd = -1}};

	*result = (struct apply_result){0};
	int r = run(&c, side, out, result);
	tar_split_free(c.split);
	side_read_free(&c.side);
	fd_close(&c.parent.fd);
	return r;
}
