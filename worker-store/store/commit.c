#include "worker-store/store/dir.h"
#include "worker-store/store/image.h"
#include "worker-store/store/journal.h"
#include "worker-store/store/layer.h"

#include "common/ref/ref.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- before the locks ---- */

static int
check_request(const struct commit_request *rq, struct err *e)
{
	struct ref name;

	if (rq->n_layers > LIMIT_LAYERS)
		return err_set(
		    e, ERR_CONTENT, "an image of more than %d layers", LIMIT_LAYERS);
	for (size_t i = 0; i < rq->n_layers; i++)
		if (rq->layers[i].n_uids > LIMIT_OWNERS ||
		    rq->layers[i].n_gids > LIMIT_OWNERS)
			return err_set(e, ERR_CONTENT,
			    "a layer with files of more than %d owners", LIMIT_OWNERS);
	if (!ref_is_canonical(span_str(rq->name)) ||
	    ref_parse(span_str(rq->name), &name, e) < 0)
		return err_set(e, ERR_USAGE, "a name that is not canonical");
	if (name.has_digest &&
	    memcmp(name.digest, rq->manifest_digest, DIGEST_BYTES) != 0 &&
	    (!rq->list.n || memcmp(name.digest, rq->list_digest, DIGEST_BYTES) != 0))
		return err_set(
		    e, ERR_CONTENT, "the name's digest is not that of its manifest");
	return 0;
}

static int
stage_items(const struct image_plan *p, int dir, struct err *e)
{
	for (size_t i = 0; i < p->n; i++) {
		char file[256];
		if (!item_file(span_str(p->items[i].key), file, sizeof(file)))
			return err_set(
			    e, ERR_INTERNAL, "a big-data key without a file name");
		int r = file_new_unsynced(dir, file, 0600, p->items[i].bytes);
		if (r < 0)
			return err_errno(e, -r, "cannot write an image's documents");
		FAILPOINT(DOCUMENT_STAGED);
	}
	return 0;
}

int
store_commit_sync(const struct commit_staged *docs, struct err *e)
{
	CLEANUP(dir_list_end)
	DIR *d = docs->fd < 0 ? NULL : dir_list(docs->fd, ".");

	if (docs->fd < 0)
		return 0;
	for (struct dirent *de; d && (de = readdir(d));) {
		if (de->d_name[0] == '.')
			continue;
		FD_AUTO fd =
		    openat(docs->fd, de->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || disk_sync(fd) < 0)
			return err_errno(e, errno, "cannot sync an image's documents");
	}
	/* Their names are made durable where they are moved to. */
	return d ? 0 : err_errno(e, errno, "cannot sync an image's documents");
}

int
store_commit_stage(struct store *s, const struct commit_request *rq,
    struct commit_staged *docs, struct err *e)
{
	CLEANUP(image_plan_free) struct image_plan plan = {0};
	CLEANUP(view_free) struct view v = VIEW_NONE;
	char id[ID_HEX + 1];

	*docs = COMMIT_NOTHING;
	int r = check_request(rq, e);
	if (r == 0)
		r = view_load(&v, s, e);
	if (r < 0)
		return r;
	struct record *old =
	    table_find(&v.images, span_str(hex_encode(rq->config_digest, 32, id)));
	r = image_plan(&plan, s, rq, old, e);
	if (r < 0 || plan.n == 0)
		return r;
	snprintf(docs->dir, sizeof(docs->dir), "%u", s->serial++);
	docs->fd = dir_make(s->staging, docs->dir, 0700);
	if (docs->fd < 0)
		return err_errno(e, -docs->fd, "cannot make a staging directory");
	r = stage_items(&plan, docs->fd, e);
	FAILPOINT(DOCUMENTS_STAGED);
	if (r < 0)
		store_commit_drop(s, docs);
	return r;
}

void
store_commit_drop(struct store *s, struct commit_staged *docs)
{
	/* What cannot be moved now is found by the sweep after this process's end. */
	if (docs->dir[0] && unlinkat(s->staging, docs->dir, AT_REMOVEDIR) < 0 &&
	    trash_put(s, s->staging, docs->dir) < 0)
		docs->dir[0] = 0;
	if (docs->fd >= 0)
		fd_close(&docs->fd);
	*docs = COMMIT_NOTHING;
}

/* ---- under the locks ---- */

struct commit {
	struct store *s;
	const struct hold *h;
	const struct commit_request *rq;
	struct commit_staged *docs;
	struct view v;
	struct table containers[4], mounts;
	bool is_new[LIMIT_LAYERS];   /* placed by this commit */
	bool replaced[LIMIT_LAYERS]; /* likewise, where a damaged one was */
	bool layers_changed;
	char ids[LIMIT_LAYERS][ID_HEX + 1];
	struct err *e;
};

static void
commit_end(struct commit *c)
{
	records_free(&c->v, c->containers, &c->mounts);
}

static int
containers_load_from(struct table t[2], int dir, struct err *e)
{
	int r = table_load(&t[0], TABLE_CONTAINERS, dir, FILE_CONTAINERS, e);
	if (r == 0)
		r = table_load(&t[1], TABLE_CONTAINERS, dir, FILE_VOLATILE_CONTAINERS, e);
	return r;
}

int
containers_load(struct table t[4], const struct store *s, struct err *e)
{
	int r = containers_load_from(t, s->containers, e);
	if (r < 0 || s->run < 0)
		return r;
	/* Where a store is "transient", its containers are here. */
	FD_AUTO dir = dir_open(s->run, "overlay-containers");
	if (dir < 0)
		return dir == -ENOENT ? 0
				      : err_errno(e, -dir, "cannot open the run root");
	return containers_load_from(t + 2, dir, e);
}

static int
mounts_load(struct table *t, const struct store *s, struct err *e)
{
	if (s->run < 0)
		return 0;
	FD_AUTO dir = dir_open(s->run, "overlay-layers");
	if (dir < 0)
		return dir == -ENOENT ? 0
				      : err_errno(e, -dir, "cannot open the run root");
	return table_load(t, TABLE_MOUNTS, dir, FILE_MOUNTS, e);
}

int
records_load(struct store *s, const struct hold *h, struct view *v,
    struct table containers[4], struct table *mounts, struct err *e)
{
	int r = view_load(v, s, e);
	if (r == 0)
		r = containers_load(containers, s, e);
	if (r == 0)
		r = mounts_load(mounts, s, e);
	if (r == 0)
		r = layers_recover(s, &v->layers, mounts, h->fd[LOCK_LAYERS], e);
	return r;
}

void
records_free(struct view *v, struct table containers[4], struct table *mounts)
{
	view_free(v);
	table_free(mounts);
	for (size_t i = 0; i < 4; i++)
		table_free(&containers[i]);
}

static int
commit_load(struct commit *c)
{
	for (size_t i = 0; i < c->rq->n_layers; i++) {
		int r = layer_id(
		    i ? c->ids[i - 1] : NULL, c->rq->layers[i].diff_id, c->ids[i]);
		if (r < 0)
			return err_errno(c->e, -r, "cannot hash");
	}
	return records_load(c->s, c->h, &c->v, c->containers, &c->mounts, c->e);
}

static bool
is_container_layer(struct commit *c, struct span id)
{
	for (size_t i = 0; i < ARRAY_LEN(c->containers); i++)
		for (size_t k = 0; k < c->containers[i].n; k++)
			if (span_eq(c->containers[i].rec[k].layer, id))
				return true;
	return false;
}

/* What the ID promises must be what the record says: later pulls by others rest on it
 * too. */
static int
reuse_layer(struct commit *c, size_t i, struct record *r)
{
	const struct commit_layer *l = &c->rq->layers[i];
	char digest[DIGEST_TEXT + 1];
	struct span parent = i ? span_str(c->ids[i - 1]) : span_of("", 0);

	digest_print(l->diff_id, digest);
	if (!span_eq(r->parent, parent) ||
	    (r->diff_digest.n && !span_is(r->diff_digest, digest)) ||
	    !layer_on_disk(c->s, c->ids[i]))
		return err_set(c->e, ERR_CONTENT,
		    "layer %.12s of the store is damaged: pull it again with `bulkhead "
		    "check --repair --refetch`, or remove the images that use it",
		    c->ids[i]);
	if (!l->fetched || access_has(r->flags, &c->rq->access))
		return 0;
	CLEANUP(buf_free) struct buf flags = {0};
	CLEANUP(buf_free) struct buf text = {0};
	access_add(&flags, r->flags, &c->rq->access);
	struct json_edit edit = {"flags", buf_span(&flags)};
	json_edit_object(&text, r->raw, &edit, 1);
	text.bad |= flags.bad;
	c->layers_changed = true;
	return table_put(&c->v.layers, r, &text, c->e);
}

static int
add_layer(struct commit *c, size_t i)
{
	const struct commit_layer *l = &c->rq->layers[i];
	const char *parent = i ? c->ids[i - 1] : NULL;
	CLEANUP(buf_free) struct buf text = {0};

	if (parent && is_container_layer(c, span_str(parent)))
		return err_set(
		    c->e, ERR_CONTENT, "layer %.12s belongs to a container", parent);
	int r = layer_place(c->s, c->ids[i], parent, l->staged, c->e);
	if (r < 0)
		return r;
	c->is_new[i] = true;
	c->layers_changed = true;
	layer_record(&text, c->ids[i], parent, l, &c->rq->access);
	return table_put(&c->v.layers, NULL, &text, c->e);
}

/* Whoever has it mounted, or runs on it, would see the tree change below. */
static bool
layer_in_use(struct commit *c, struct span id)
{
	for (size_t i = 0; i < c->mounts.n; i++)
		if (c->mounts.rec[i].count > 0 &&
		    view_lies_on(&c->v, c->mounts.rec[i].id, id))
			return true;
	for (size_t t = 0; t < ARRAY_LEN(c->containers); t++)
		for (size_t i = 0; i < c->containers[t].n; i++)
			if (view_lies_on(&c->v, c->containers[t].rec[i].layer, id))
				return true;
	return false;
}

/* One that is in use stays, damaged as it is. */
static int
replace_layer(struct commit *c, size_t i, struct record *r)
{
	if (!layer_in_use(c, r->id)) {
		int res = layer_swap(c->s, c->ids[i], i ? c->ids[i - 1] : NULL,
		    &c->v.layers, c->rq->layers[i].staged, c->e);
		if (res < 0)
			return res;
		c->layers_changed = c->replaced[i] = true;
	}
	return reuse_layer(c, i, r);
}

/* 1: a layer that was to be reused has gone. */
static int
commit_layers(struct commit *c)
{
	for (size_t i = 0; i < c->rq->n_layers; i++) {
		struct span id = span_str(c->ids[i]);
		struct record *r = table_find(&c->v.layers, id);
		int res;
		if (!r && table_find(&c->v.volatile_layers, id))
			return err_set(c->e, ERR_CONTENT,
			    "layer %.12s of the store is a container's", c->ids[i]);
		if (r && c->rq->mend && c->rq->layers[i].staged)
			res = replace_layer(c, i, r);
		else if (r)
			res = reuse_layer(c, i, r);
		else if (c->rq->layers[i].staged)
			res = add_layer(c, i);
		else
			return 1;
		if (res < 0)
			return res;
	}
	return 0;
}

/* Takes away what this commit has placed, unless its record came through all the same (an
 * error after the rename). What stays behind nobody sees, and the journal names it. */
static void
commit_undo(struct commit *c)
{
	CLEANUP(table_free) struct table now = {0};

	if (table_load(&now, TABLE_LAYERS, c->s->layers, FILE_LAYERS, NULL) < 0)
		return;
	bool all = true;
	for (size_t i = 0; i < c->rq->n_layers; i++)
		if (c->is_new[i] && !table_find(&now, span_str(c->ids[i])))
			all &= layer_unplace(c->s, c->ids[i]) == 0;
	journal_end(c->s, c->h, all);
}

static int
publish_layers(struct commit *c)
{
	if (!c->layers_changed)
		return 0;
	const int dirs[] = {c->s->overlay, c->s->links, c->s->layers};
	return table_publish_on(c->s, &c->v.layers, dirs, ARRAY_LEN(dirs), c->s->layers,
	    FILE_LAYERS, c->h->fd[LOCK_LAYERS], c->e);
}

/* 1: an item that has to be written was not staged, because the image had it then. */
static int
items_staged(const struct commit *c, const struct image_plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		char file[256];
		if (!item_file(span_str(p->items[i].key), file, sizeof(file)))
			return -EINVAL;
		if (c->docs->fd < 0 || dir_has(c->docs->fd, file) != 1)
			return 1;
	}
	return 0;
}

static int
move_items(struct commit *c, const struct image_plan *p, int dir)
{
	FAILPOINT(DOCUMENTS_OPEN);
	for (size_t i = 0; i < p->n; i++) {
		char file[256];
		if (!item_file(span_str(p->items[i].key), file, sizeof(file)) ||
		    renameat(c->docs->fd, file, dir, file) < 0)
			return err_errno(c->e, errno, "cannot move an image's documents");
		FAILPOINT(DOCUMENT_MOVED);
	}
	return 0;
}

/* Layers that have a record already are somebody else's. */
static int
commit_note(struct commit *c, const char *image, bool changed)
{
	CLEANUP(buf_free) struct buf text = {0};

	for (size_t i = 0; i < c->rq->n_layers; i++)
		if (!table_find(&c->v.layers, span_str(c->ids[i])))
			buf_fmt(&text, "L %s\n", c->ids[i]);
	if (changed)
		buf_fmt(&text, "I %s\n", image);
	return journal_write(c->s, &text, c->e);
}

static int
look_whole(struct commit *c, struct view *v, const struct image_plan *p,
    struct commit_result *res)
{
	struct record *image = table_find(&v->images, span_str(p->id));
	if (!image ||
	    (!c->rq->mend && !names_have(image->names, span_str(c->rq->name))) ||
	    !span_eq(image->layer, span_str(p->layer)) ||
	    !image_manifest_digest(image, res->manifest))
		return err_set(
		    c->e, ERR_INTERNAL, "image %.12s reads back differently", p->id);
	for (size_t i = 0; i < c->rq->n_layers; i++)
		if (!table_find(&v->layers, span_str(c->ids[i])) ||
		    !layer_on_disk(c->s, c->ids[i]))
			return err_set(c->e, ERR_INTERNAL,
			    "layer %.12s is not there after the "
			    "commit",
			    c->ids[i]);
	return 0;
}

/* What was just written, as any other program reads it; or what was there, as it was read
 * under these locks. */
static int
read_again(struct commit *c, const struct image_plan *p, struct commit_result *res)
{
	CLEANUP(view_free) struct view v = VIEW_NONE;

	if (!res->changed)
		return look_whole(c, &c->v, p, res);
	int r = view_load(&v, c->s, c->e);
	return r < 0 ? r : look_whole(c, &v, p, res);
}

/* The record is made before anything is published, so that its refusals come in time. */
static int
commit_image(struct commit *c, struct image_plan *p, bool *changed)
{
	CLEANUP(buf_free) struct buf text = {0};
	struct table *images = &c->v.images;
	struct record *old = table_find(images, span_str(p->id));

	int r = image_record(&text, p, c->rq, old, changed, c->e);
	if (r == 0 && !(old && c->rq->mend))
		r = images_drop_name(images, old, c->rq->name, c->e);
	if (r < 0)
		return r;
	*changed |= r > 0;
	return *changed ? table_put(images, old, &text, c->e) : 0;
}

static int
publish_image(struct commit *c, const struct image_plan *p)
{
	int lock = c->h->fd[LOCK_IMAGES];

	if (!p->n)
		return table_publish(
		    c->s, &c->v.images, c->s->images, FILE_IMAGES, lock, c->e);
	FD_AUTO dir = dir_make(c->s->images, p->id, 0700);
	if (dir < 0)
		return err_errno(c->e, -dir, "cannot make an image's directory");
	int r = move_items(c, p, dir);
	if (r < 0)
		return r;
	const int dirs[] = {dir, c->s->images};
	return table_publish_on(c->s, &c->v.images, dirs, ARRAY_LEN(dirs), c->s->images,
	    FILE_IMAGES, lock, c->e);
}

/* A new image whose record did not come through leaves nothing: neither its documents nor
 * layers that only it has. Nobody has seen them, the locks are still held. An error after
 * the rename leaves all as it is, and so does a second failure. */
static void
image_withdraw(struct commit *c, const char *id)
{
	CLEANUP(table_free) struct table now = {0};
	bool any = false;

	if (table_load(&now, TABLE_IMAGES, c->s->images, FILE_IMAGES, NULL) < 0 ||
	    table_find(&now, span_str(id)) || trash_put(c->s, c->s->images, id) < 0)
		return;
	for (size_t i = 0; i < c->rq->n_layers; i++) {
		struct record *r =
		    c->is_new[i] ? table_find(&c->v.layers, span_str(c->ids[i])) : NULL;
		if (r)
			r->gone = any = true;
	}
	if (!any || table_publish(c->s, &c->v.layers, c->s->layers, FILE_LAYERS,
			c->h->fd[LOCK_LAYERS], NULL) == 0)
		commit_undo(c);
}

static int
commit_run(struct commit *c, struct image_plan *p, struct commit_result *res)
{
	bool changed = false;

	int r = commit_load(c);
	struct record *old = r < 0 ? NULL : table_find(&c->v.images, span_str(res->id));
	bool fresh = !old;
	FAILPOINT(COMMIT_BEGUN);
	if (r == 0)
		r = image_plan(p, c->s, c->rq, old, c->e);
	if (r == 0)
		r = items_staged(c, p);
	if (r == 0)
		r = commit_image(c, p, &changed);
	if (r == 0)
		r = commit_note(c, p->id, changed);
	if (r)
		return r;
	FAILPOINT(JOURNAL_WRITTEN);
	r = commit_layers(c);
	if (r == 0)
		r = publish_layers(c);
	if (r) {
		commit_undo(c);
		return r;
	}
	FAILPOINT(LAYERS_PUBLISHED);
	if (changed)
		r = publish_image(c, p);
	if (r < 0 && fresh)
		image_withdraw(c, p->id);
	FAILPOINT(IMAGE_PUBLISHED);
	res->changed = changed || c->layers_changed;
	return r;
}

int
store_commit(struct store *s, const struct hold *h, const struct commit_request *rq,
    struct commit_staged *docs, struct commit_result *res, struct err *e)
{
	CLEANUP(commit_end)
	struct commit c = {
	    .s = s, .h = h, .rq = rq, .docs = docs, .e = e, .v = VIEW_NONE};
	CLEANUP(image_plan_free) struct image_plan plan = {0};

	assert((h->want & HOLD_COMMIT) == HOLD_COMMIT);
	*res = (struct commit_result){0};
	hex_encode(rq->config_digest, 32, res->id);
	int r = check_request(rq, e);
	if (r == 0)
		r = commit_run(&c, &plan, res);
	if (r == 0)
		r = read_again(&c, &plan, res);
	FAILPOINT(COMMIT_READ);
	for (size_t i = 0; i < rq->n_layers; i++)
		res->new_layers += c.is_new[i];
	memcpy(res->replaced, c.replaced, sizeof(res->replaced));
	if (r == 0) {
		journal_end(s, h, true);
		FAILPOINT(JOURNAL_EMPTIED);
		store_commit_drop(s, docs);
	}
	return r;
}
