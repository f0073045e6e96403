#include "worker-store/apply/apply.h"
#include "worker-store/apply/compare.h"
#include "worker-store/apply/isal.h"
#include "worker-store/apply/path.h"
#include "worker-store/apply/split_read.h"
#include "worker-store/apply/tree.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (128u << 10)
/* Other programs' names have no limit of their own but that of a path. */
#define DEPTH_MAX (LIMIT_PATH / 2 + 1)

struct verify {
	int root;
	const struct apply_sink *sink;
	const struct apply_limits *limits;
	struct err *err;
	struct split_reader split;
	struct compare nodes;
	struct apply_result *result;
	uint8_t *piece;
};

static int
bad_file(struct verify *v, struct span name, const char *what)
{
	char text[512];

	return err_set(v->err, ERR_CONTENT, "the file \"%s\" %s",
	    span_escape(name, text, sizeof(text)), what);
}

static int
give(struct verify *v, const uint8_t *p, size_t n)
{
	if (n > v->limits->bytes - v->result->bytes)
		return err_set(v->err, ERR_CONTENT,
		    "its tar-split file describes more than the %llu bytes it has",
		    (unsigned long long)v->limits->bytes);
	v->result->bytes += n;
	int r = compare_take(&v->nodes, p, n, v->err);
	return r < 0 ? r : v->sink->put(v->sink->arg, p, n);
}

/* An open that fails for want of something in this process says nothing of the file. */
static int
open_file(struct verify *v, const struct split_record *rec)
{
	struct path path;
	struct stat st;

	int r = path_clean(rec->data, DEPTH_MAX, &path, v->err);
	if (r < 0)
		return r;
	FD_AUTO fd =
	    beneath_open(v->root, path.text, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, true);
	if (fd == -ENOMEM || fd == -EMFILE || fd == -ENFILE)
		return err_errno(v->err, -fd, "opening a file of the layer");
	if (fd < 0)
		return bad_file(v, rec->data,
		    fd == -EIO ? "cannot be read" : "of its tree is missing");
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return bad_file(v, rec->data, "of its tree is no file any more");
	if ((uint64_t)st.st_size != rec->size)
		return bad_file(v, rec->data, "of its tree has another size");
	return fd_steal(&fd);
}

static int
give_file(struct verify *v, const struct split_record *rec)
{
	uint64_t crc = 0;
	FD_AUTO fd = open_file(v, rec);

	if (fd < 0)
		return fd;
	for (uint64_t left = rec->size; left > 0;) {
		ssize_t n =
		    fd_read_full(fd, v->piece, left < PIECE ? (size_t)left : PIECE);
		if (n <= 0)
			return bad_file(v, rec->data,
			    n ? "cannot be read" : "of its tree has another size");
		crc = crc64(crc, v->piece, (size_t)n);
		left -= (uint64_t)n;
		int r = give(v, v->piece, (size_t)n);
		if (r < 0)
			return r;
	}
	return crc == rec->crc ? 0
			       : bad_file(v, rec->data, "of its tree has other content");
}

static int
take_record(struct verify *v, const struct split_record *rec)
{
	if (!rec->file)
		return give(v, rec->data.p, rec->data.n);
	if (v->result->entries++ == v->limits->entries)
		return err_set(
		    v->err, ERR_CONTENT, "its tar-split file has too many entries");
	return rec->size ? give_file(v, rec) : 0;
}

static int
run(struct verify *v, int split)
{
	struct split_record rec;
	int r = split_read_open(&v->split, split);

	v->piece = malloc(PIECE);
	if (compare_init(&v->nodes, v->root, v->limits->shifted) < 0 || r < 0 ||
	    !v->piece)
		return err_errno(v->err, ENOMEM, "cannot verify the layer");
	while ((r = split_read(&v->split, &rec, v->err)) > 0) {
		r = take_record(v, &rec);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : compare_end(&v->nodes, v->err);
}

int
apply_verify(int root, int split, const struct apply_sink *sink,
    const struct apply_limits *limits, struct apply_result *result, struct err *err)
{
	struct verify v = {
	    .root = root, .sink = sink, .limits = limits, .err = err, .result = result};

	*result = (struct apply_result){0};
	int r = run(&v, split);
	split_read_free(&v.split);
	compare_free(&v.nodes);
	free(v.piece);
	return r;
}
