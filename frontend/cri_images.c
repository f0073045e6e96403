/* The image service but for PullImage, and Version. */
#include "frontend/cri.h"

#include "common/base/fd.h"
#include "frontend/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* What CRI-O sends at once; and not so much that a client's limit is near. */
#define STREAM_IMAGES 3000
#define STREAM_BYTES MiB(2)

/* ---- ListImages, StreamImages ---- */

static void
send_stream(struct op *op)
{
	struct frontend *f = op->f;
	size_t next = 0, at = 0, most = frontend_message_max(f) / 2;
	struct blob *list = cache_list(f);

	if (!list) {
		op_answer(op, NULL);
		return;
	}
	while (next < cache_count(f)) {
		size_t end = cache_list_part(f, &next, at, STREAM_IMAGES,
		    most < STREAM_BYTES ? most : STREAM_BYTES);
		call_send(op->call, list, at, end - at);
		at = end;
	}
	blob_unref(list);
	op_fail(op, ERR_OK, span_str(""));
}

/* As CRI-O: a filter is one lookup. */
static void
send_one(struct op *op)
{
	struct err e = {0};
	const struct image *im = cache_find(op->f, span_str(op->ref), &e);

	if (!im && e.code != ERR_NOT_FOUND) {
		op_fail_err(op, &e);
		return;
	}
	if (!im && op->kind == CRI_STREAM_IMAGES) {
		op_fail(op, ERR_OK, span_str(""));
		return;
	}
	struct blob *b = blob_new(im ? im->packed_n : 0);
	if (b && im)
		memcpy(b->bytes, im->packed, im->packed_n);
	op_answer(op, b);
}

static void
list_run(struct op *op)
{
	metrics_count(op->f, METRIC_CACHE_HITS, 1);
	if (op->ref[0])
		send_one(op);
	else if (op->kind == CRI_STREAM_IMAGES)
		send_stream(op);
	else
		op_answer(op, cache_list(op->f));
}

static void
start_ready(struct call *c, enum cri_kind kind, struct span bytes,
    void (*run)(struct op *), bool image)
{
	struct cri_request request = {0};
	struct op *op = op_new(c, kind, bytes, &request);

	cri_request_free(&request);
	if (op && image && !op->ref[0])
		op_fail(op, ERR_USAGE, span_str("no image specified"));
	else if (op)
		op_when_ready(op, run);
}

static void
list_images(struct call *c, struct span bytes)
{
	start_ready(c, CRI_LIST_IMAGES, bytes, list_run, false);
}

static void
stream_images(struct call *c, struct span bytes)
{
	start_ready(c, CRI_STREAM_IMAGES, bytes, list_run, false);
}

/* ---- ImageStatus ---- */

static void
status_answer(struct op *op, const struct image *im)
{
	struct cri_image view;

	if (im)
		image_describe(im, true, &view);
	op_answer(op, cri_pack_status(im ? &view : NULL,
			  im ? span_of(op->info, op->info_n) : span_of(NULL, 0)));
}

/* The text that a document room made; not parsed, but it has to be a string. */
static void
info_row(struct query *q, struct ipc_msg *m)
{
	struct op *op = q->arg;
	size_t size;

	if (m->type != MSG_text || op->info)
		return;
	FD_AUTO fd = ipc_msg_take_fd(m, 0);
	if (fd_check_sealed(fd, LIMIT_RENDERED, &size) < 0 ||
	    fd_read_whole(fd, LIMIT_RENDERED, &op->info, &op->info_n) < 0)
		return;
	if (!span_is_text(span_of(op->info, op->info_n)))
		op->info_n = 0;
}

static void
info_done(struct query *q, enum err_class code, struct span text)
{
	struct op *op = q->arg;

	op->query = NULL;
	if (code == ERR_NOT_FOUND || (code == ERR_OK && op->info_n))
		status_answer(op, cache_find_id(op->f, op->id));
	else if (code == ERR_OK)
		op_fail(op, ERR_INTERNAL,
		    span_str(
			"the image's details came as no text that can be passed on"));
	else
		op_fail(op, code, text);
}

static void
status_info(struct op *op)
{
	char hex[65];
	struct query *q = op_query(op, info_row, info_done);

	if (!q)
		return;
	struct ipc_msg m = IPC_MSG(inspect, .req = q->id,
	    .ref = span_str(hex_encode(op->id, 32, hex)), .kind = RENDER_CRI);
	port_send(&op->f->store, &m);
}

static void
described(struct query *q, enum err_class code, struct span text)
{
	struct op *op = q->arg;
	const struct image *im = cache_find_id(op->f, op->id);

	op->query = NULL;
	if (code == ERR_NOT_FOUND) /* removed meanwhile; the cache may hear of it later */
		status_answer(op, NULL);
	else if (code != ERR_OK)
		op_fail(op, code, text);
	else if (im && !im->described) /* runAsNonRoot rests on the user */
		op_fail(
		    op, ERR_INTERNAL, span_str("the store did not describe the image"));
	else if (im && op->verbose)
		status_info(op);
	else
		status_answer(op, im);
}

static void
status_describe(struct op *op)
{
	struct query *q = op_query(op, NULL, described);

	if (!q)
		return;
	struct ipc_msg m = IPC_MSG(describe, .req = q->id);
	memcpy(m.describe.id, op->id, sizeof(m.describe.id));
	port_send(&op->f->store, &m);
}

static void
status_run(struct op *op)
{
	struct err e = {0};
	const struct image *im = cache_find(op->f, span_str(op->ref), &e);

	if (!im && e.code != ERR_NOT_FOUND) {
		op_fail_err(op, &e);
		return;
	}
	if (im)
		memcpy(op->id, im->id, sizeof(op->id));
	bool asks = im && (!im->described || op->verbose);
	metrics_count(op->f, asks ? METRIC_CACHE_MISSES : METRIC_CACHE_HITS, 1);
	if (!im)
		op_answer(op, cri_pack_status(NULL, span_of(NULL, 0)));
	else if (!im->described)
		status_describe(op);
	else if (op->verbose)
		status_info(op);
	else
		status_answer(op, im);
}

static void
image_status(struct call *c, struct span bytes)
{
	start_ready(c, CRI_IMAGE_STATUS, bytes, status_run, true);
}

/* ---- RemoveImage ---- */

static void
removed(struct query *q, enum err_class code, struct span text)
{
	struct op *op = q->arg;

	op->query = NULL;
	if (code == ERR_OK || code == ERR_NOT_FOUND)
		op_answer(op, cri_pack_empty());
	else
		op_fail(op, code, text);
}

/* The whole image with all its names, whichever of them was given. */
static void
remove_run(struct op *op)
{
	struct err e = {0};
	const struct image *im = cache_find(op->f, span_str(op->ref), &e);

	if (!im && e.code == ERR_NOT_FOUND) {
		op_answer(op, cri_pack_empty());
		return;
	}
	if (!im) {
		op_fail_err(op, &e);
		return;
	}
	struct query *q = op_query(op, NULL, removed);
	if (!q)
		return;
	struct ipc_msg m =
	    IPC_MSG(remove, .req = q->id, .ref = span_str(im->hex), .force = 1);
	port_send(&op->f->store, &m);
}

static void
remove_image(struct call *c, struct span bytes)
{
	start_ready(c, CRI_REMOVE_IMAGE, bytes, remove_run, true);
}

/* ---- ImageFsInfo, Version ---- */

static void
fs_info_run(struct op *op)
{
	const struct cache_totals *t = cache_totals(op->f);
	char path[LIMIT_PATH + 32];
	struct timespec now = {0};

	/* The totals are current, so the time is now: kubelet's eviction manager takes no
	 * notice of figures that are as old as the last ones. */
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(path, sizeof(path), "%s/overlay-images", t->root);
	op_answer(op, cri_pack_fs_info(now.tv_sec * INT64_C(1000000000) + now.tv_nsec,
			  span_str(path), t->bytes,
			  t->inodes > t->inodes_free ? t->inodes - t->inodes_free : 0));
}

static void
image_fs_info(struct call *c, struct span bytes)
{
	start_ready(c, CRI_IMAGE_FS_INFO, bytes, fs_info_run, false);
}

static void
version(struct call *c, struct span bytes)
{
	struct cri_request request = {0};
	struct op *op = op_new(c, CRI_VERSION, bytes, &request);

	cri_request_free(&request);
	if (op)
		op_answer(op, cri_pack_version());
}

const struct method cri_methods[] = {
    {"/runtime.v1.ImageService/ListImages", "ListImages", list_images},
    {"/runtime.v1.ImageService/StreamImages", "StreamImages", stream_images},
    {"/runtime.v1.ImageService/ImageStatus", "ImageStatus", image_status},
    {"/runtime.v1.ImageService/PullImage", "PullImage", cri_pull_image},
    {"/runtime.v1.ImageService/RemoveImage", "RemoveImage", remove_image},
    {"/runtime.v1.ImageService/ImageFsInfo", "ImageFsInfo", image_fs_info},
    {"/runtime.v1.RuntimeService/Version", "Version", version},
};
const size_t cri_methods_n = ARRAY_LEN(cri_methods);
