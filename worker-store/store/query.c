/* images, inspect, remove, tag, untag, fsinfo: one `done` each, rows before it. */
#include "worker-store/store/query.h"
#include "worker-store/store/check.h"
#include "worker-store/store/describe.h"
#include "worker-store/store/watch.h"

#include "common/base/fd.h"
#include "common/ref/ref.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define QUERIES_MAX 256 /* waiting at once */

void
query_done(struct keeper *room, uint64_t req, enum err_class code, const char *text)
{
	char safe[2000];
	struct ipc_msg m = IPC_MSG(done, .req = req, .code = code,
	    .text = span_str(span_escape(span_str(text), safe, sizeof(safe))));

	port_send(&room->frontend, &m);
}

/* ---- images, fsinfo ---- */

void
repo_digests(const struct record *image, name_fn *fn, void *arg)
{
	uint8_t digests[LIMIT_IMAGE_MANIFESTS + 8][DIGEST_BYTES];
	char seen[16][2 * LIMIT_REPOSITORY + 2], text[REF_TEXT], hex[DIGEST_TEXT + 1];
	size_t n = image_digests(image, digests, ARRAY_LEN(digests)), repos = 0;
	struct name_iter it = image_names(image);
	struct ref ref;

	while (name_next(&it) && repos < ARRAY_LEN(seen)) {
		size_t k = 0;
		if (ref_parse(span_str(it.text), &ref, NULL) < 0)
			continue;
		ref_print_repository(&ref, seen[repos]);
		while (strcmp(seen[k], seen[repos]) != 0)
			k++;
		if (k < repos)
			continue;
		for (size_t i = 0; i < n && i < ARRAY_LEN(digests); i++) {
			snprintf(text, sizeof(text), "%s@%s", seen[repos],
			    digest_print(digests[i], hex));
			fn(arg, text);
		}
		repos++;
	}
}

static void
send_names(struct keeper *room, uint64_t req, unsigned kind, struct span lines)
{
	struct ipc_msg m = IPC_MSG(image_name, .req = req, .kind = kind);

	while (line_next(&lines, &m.image_name.name))
		port_send(&room->frontend, &m);
}

static void
send_image(struct keeper *room, uint64_t req, const struct image_row *row)
{
	struct ipc_msg m = IPC_MSG(image, .req = req, .created = row->created.s,
	    .created_ns = row->created.ns, .size = row->size, .layers = row->layers);

	memcpy(m.image.id, row->id, sizeof(row->id));
	memcpy(m.image.digest, row->digest, sizeof(row->digest));
	port_send(&room->frontend, &m);
	send_names(room, req, 0, buf_span(&row->names));
	send_names(room, req, 1, buf_span(&row->digests));
}

/* A broken record is left out here as it is in the frontend's cache. */
static void
query_images(struct keeper *room, uint64_t req)
{
	struct err e = {0};
	struct rows *rows = watch_rows(room, &e);
	char why[300], id[40];

	if (!rows) {
		query_done(room, req, e.code, e.text);
		return;
	}
	for (size_t i = 0; i < rows->v->images.n; i++) {
		struct image_row row;
		int r = rows_read(rows, i, &row, why);
		if (r == 0)
			send_image(room, req, &row);
		else if (r > 0 && !watch_is_on(room))
			room_log(room, LOG_WARNING,
			    "an image of the store is broken and left out of the list "
			    "(%.12s): %s; `bulkhead check` tells more",
			    span_escape(rows->v->images.rec[i].id, id, sizeof(id)), why);
		image_row_free(&row);
	}
	query_done(room, req, ERR_OK, "");
}

static void
query_fsinfo(struct keeper *room, uint64_t req)
{
	struct fsinfo f;
	struct err e = {0};
	struct view *v = watch_view(room, &e);

	if (!v || store_fsinfo(v, &room->store, &f, &e) < 0) {
		query_done(room, req, e.code, e.text);
		return;
	}
	struct ipc_msg m = IPC_MSG(fsinfo_row, .req = req,
	    .root = span_str(room->graph_root), .images = f.images, .layers = f.layers,
	    .bytes = f.bytes, .total = f.total, .free = f.free, .inodes = f.inodes,
	    .inodes_free = f.inodes_free);
	port_send(&room->frontend, &m);
	query_done(room, req, ERR_OK, "");
}

/* ---- those that wait for something ---- */

void
query_end(struct query *q, enum err_class code, const char *text)
{
	if (q->over)
		return;
	query_done(q->room, q->req, code, text);
	q->over = true;
	job_cancel(&q->job);
	loop_timer_set(&q->room->loop, &q->room->reap_timer, 1);
}

void
query_reap(struct keeper *room)
{
	for (struct query **at = &room->queries; *at;) {
		struct query *q = *at;
		if (!q->over) {
			at = &q->next;
			continue;
		}
		*at = q->next;
		helper_drop(&q->reader);
		helper_drop(&q->judge.helper);
		free(q->meanings);
		free(q->name_meanings);
		for (size_t i = 0; i < ARRAY_LEN(q->docs); i++)
			fd_close(&q->docs[i]);
		free(q);
	}
}

void
queries_end(struct keeper *room, const char *why)
{
	for (struct query *q = room->queries; q; q = q->next)
		query_end(q, ERR_INTERNAL, why);
}

static struct query *
query_new(struct keeper *room, uint64_t req, enum ipc_type type, struct span ref,
    struct span meanings)
{
	unsigned n = 0;

	for (struct query *q = room->queries; q; q = q->next)
		n++;
	struct query *q = n < QUERIES_MAX ? calloc(1, sizeof(*q)) : NULL;
	if (q)
		q->meanings = span_strdup(meanings);
	if (!q || !q->meanings || !span_to_str(ref, q->ref, sizeof(q->ref))) {
		if (q)
			free(q->meanings);
		free(q);
		query_done(room, req, ERR_INTERNAL, "too many requests wait already");
		return NULL;
	}
	q->room = room;
	q->req = req;
	q->type = type;
	for (size_t i = 0; i < ARRAY_LEN(q->docs); i++)
		q->docs[i] = -1;
	q->next = room->queries;
	room->queries = q;
	return q;
}

static void
query_job_failed(struct job *j, const struct err *e)
{
	query_end(j->arg, e->code, e->text);
}

static void
query_lock(struct query *q, unsigned want, void (*run)(struct job *))
{
	q->job =
	    (struct job){.want = want, .run = run, .failed = query_job_failed, .arg = q};
	job_add(q->room, &q->job);
}

/* Who asked sees its own change in the lists from the answer on. */
static void
query_result(struct query *q, int r, const struct err *e)
{
	hold_release(&q->room->hold);
	watch_changed(q->room);
	if (r < 0)
		query_end(q, e->code, e->text);
	else
		query_end(q, ERR_OK, "");
}

static void
tell_removed(void *arg, bool deleted, const char *text)
{
	struct query *q = arg;
	struct ipc_msg m =
	    IPC_MSG(removed, .req = q->req, .deleted = deleted, .text = span_str(text));

	port_send(&q->room->frontend, &m);
}

/* ---- remove, untag, tag ---- */

static size_t
count_names(const struct record *image)
{
	struct json_iter it = json_iter(image->names);
	struct span v;
	size_t n = 0;

	while (json_next(&it, &v))
		n++;
	return n;
}

/* The frontend alone knows who asks, and may be lying: what the configuration pins stays,
 * whoever asks. name "" = the image with all its names. */
struct pin_look {
	const struct pins *pins;
	const char *name;
	struct err *e;
};

static void
pin_look_at(void *arg, const char *name)
{
	struct pin_look *look = arg;
	struct ref ref;

	if ((*look->name && strcmp(look->name, name) != 0) ||
	    ref_parse(span_str(name), &ref, NULL) < 0 || !pins_match(look->pins, &ref))
		return;
	err_set(look->e, ERR_IN_USE,
	    "%s is pinned: take it out of pinned_images (or pause_image) in the "
	    "configuration and reload, or remove it with podman",
	    name);
}

int
query_refuse_pinned(const struct keeper *room, const struct record *image,
    const char *name, struct err *e)
{
	struct pin_look look = {&room->pins, name, e};
	struct name_iter it = image_names(image);

	while (name_next(&it))
		pin_look_at(&look, it.text);
	repo_digests(image, pin_look_at, &look);
	return e->code ? -EBUSY : 0;
}

/* As podman's rmi: a name goes alone while the image has others; the last one takes the
 * image along. By ID with several names only when forced. */
static void
remove_run(struct job *j)
{
	CLEANUP(view_free) struct view v = VIEW_NONE;
	struct query *q = j->arg;
	struct store *s = &q->room->store;
	struct err e = {0};
	char name[LIMIT_NAME + 1];

	struct record *image = query_find(q, &v);
	if (!image)
		return;
	size_t names = count_names(image);
	query_own_name(image, q->meant, name);
	int r = query_refuse_pinned(q->room, image, names > 1 ? name : "", &e);
	if (r == 0 && name[0] && names > 1)
		r = store_untag(s, &q->room->hold, q->id, name, tell_removed, q, &e);
	else if (r == 0 && names > 1 && !q->force)
		r = err_set(&e, ERR_IN_USE,
		    "image %.12s has %zu names: remove them one by one, or all with "
		    "--force",
		    q->id, names);
	else if (r == 0)
		r = store_remove_image(s, &q->room->hold, q->id, tell_removed, q, &e);
	query_result(q, r, &e);
	erase_kick(q->room);
}

static void
untag_run(struct job *j)
{
	CLEANUP(view_free) struct view v = VIEW_NONE;
	struct query *q = j->arg;
	struct err e = {0};
	char name[LIMIT_NAME + 1] = "";

	struct record *image = query_find(q, &v);
	if (!image)
		return;
	int r = query_untag_name(q, image, name, &e);
	if (r == 0)
		r = query_refuse_pinned(q->room, image, name, &e);
	if (r == 0)
		r = store_untag(
		    &q->room->store, &q->room->hold, q->id, name, tell_removed, q, &e);
	query_result(q, r, &e);
}

static void
untag_begin(struct query *q, const struct msg_untag *m)
{
	q->name_meanings = span_strdup(m->name_meanings);
	if (!q->name_meanings || !span_to_str(m->name, q->name, sizeof(q->name)))
		query_end(q, ERR_USAGE, "the name is not a name");
	else
		query_lock(q, HOLD_NAMES, untag_run);
}

static void
tag_run(struct job *j)
{
	CLEANUP(view_free) struct view v = VIEW_NONE;
	struct query *q = j->arg;
	struct err e = {0};
	char judged[ID_HEX + 1];
	uint8_t manifest[DIGEST_BYTES];

	if (!judge_is_current(q->room, &q->judge)) {
		judge_start(q->room, &q->judge, 0);
		return;
	}
	memcpy(judged, q->id, sizeof(judged));
	struct record *image = query_find(q, &v);
	if (!image)
		return;
	/* The verdict was on this image and this manifest; both have to be the same
	 * still. */
	if (strcmp(judged, q->id) != 0 || !image_manifest_digest(image, manifest) ||
	    memcmp(manifest, q->judge.digest, sizeof(manifest)) != 0) {
		query_end(q, ERR_NOT_FOUND, "the image changed meanwhile: try again");
		return;
	}
	query_result(
	    q, store_tag(&q->room->store, &q->room->hold, q->id, q->name, &e), &e);
}

static void
tag_judged(struct judge *j, const struct err *e)
{
	struct query *q = j->arg;

	if (q->over)
		return;
	if (e)
		query_end(q, e->code, e->text);
	else
		query_lock(q, HOLD_NAMES, tag_run);
}

/* A new name is a new statement about the image: it needs a verdict of its own. */
static void
tag_begin(struct query *q, struct span name)
{
	CLEANUP(view_free) struct view v = VIEW_NONE;
	struct err e = {0};
	char text[LIMIT_NAME + 1];

	if (!span_to_str(name, text, sizeof(text)) ||
	    !query_normalise(text, q->name, &e)) {
		query_end(
		    q, ERR_USAGE, e.text[0] ? e.text : "the new name is not a name");
		return;
	}
	struct record *image = query_find(q, &v);
	if (!image)
		return;
	if (!image_manifest_digest(image, q->judge.digest)) {
		query_end(q, ERR_CONTENT,
		    "the image has no manifest that a policy could judge");
		return;
	}
	q->judge.name = q->name;
	q->judge.decided = tag_judged;
	q->judge.arg = q;
	judge_start(q->room, &q->judge, 0);
}

int
query_message(struct keeper *room, struct ipc_msg *m)
{
	struct query *q;

	switch (m->type) {
	case MSG_watch:
		watch_start(room);
		return 0;
	case MSG_describe:
		describe_image(room, &m->describe);
		return 0;
	case MSG_check_store:
		check_begin(room, &m->check_store);
		return 0;
	case MSG_check_cancel:
		check_cancel(room, m->check_cancel.req);
		return 0;
	case MSG_images:
		query_images(room, m->images.req);
		return 0;
	case MSG_fsinfo:
		query_fsinfo(room, m->fsinfo.req);
		return 0;
	case MSG_inspect:
		if (m->inspect.kind == RENDER_REMOTE)
			return -1;
		q = query_new(
		    room, m->inspect.req, m->type, m->inspect.ref, m->inspect.meanings);
		if (q) {
			q->kind = (enum render_kind)m->inspect.kind;
			inspect_begin(q);
		}
		return 0;
	case MSG_remove:
		q = query_new(
		    room, m->remove.req, m->type, m->remove.ref, m->remove.meanings);
		if (q) {
			q->force = m->remove.force;
			query_lock(q, HOLD_COMMIT, remove_run);
		}
		return 0;
	case MSG_tag:
		q = query_new(room, m->tag.req, m->type, m->tag.ref, m->tag.meanings);
		if (q)
			tag_begin(q, m->tag.name);
		return 0;
	case MSG_untag:
		q = query_new(
		    room, m->untag.req, m->type, m->untag.ref, m->untag.meanings);
		if (q)
			untag_begin(q, &m->untag);
		return 0;
	default:
		return -1;
	}
}

int
query_refuse(struct keeper *room, struct ipc_msg *m, const struct err *e)
{
	char text[2000];
	struct ipc_msg end = IPC_MSG(pull_end, .pull = m->pull.pull, .code = e->code,
	    .text = span_str(span_escape(span_str(e->text), text, sizeof(text))));

	if (m->type == MSG_pull)
		return port_send(&room->frontend, &end);
	if (m->type == MSG_cancel || m->type == MSG_again || m->type == MSG_watch ||
	    m->type == MSG_check_cancel)
		return 0;
	/* `req` is the first field of every query. */
	query_done(room, m->images.req, e->code, e->text);
	return 0;
}
