#include "worker-store/store/mend.h"

#include "worker-store/store/dir.h"
#include "worker-store/store/image.h"
#include "worker-store/store/layer.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define LOWER_ROUNDS                                                      \
	128 /* a lower is made of the one below: bottom up, by repetition \
	     */

struct mend {
	struct store *s;
	const struct hold *h;
	struct view v;
	struct table containers[4], mounts;
	const struct mend_ops *ops;
	struct err *e;
};

static void
mend_clear(struct mend *m)
{
	records_free(&m->v, m->containers, &m->mounts);
	m->v = VIEW_NONE;
}

/* Incomplete layers go with this. */
static int
mend_load(struct mend *m)
{
	mend_clear(m);
	return records_load(m->s, m->h, &m->v, m->containers, &m->mounts, m->e);
}

static void
item_end(struct mend_item *it, enum mend_state state, const char *why)
{
	it->state = state;
	span_escape(span_str(why), it->why, sizeof(it->why));
}

/* ---- what can be made again ---- */

static struct record *
layer_record_of(struct mend *m, struct span id)
{
	struct record *l = table_find(&m->v.layers, id);

	return l && !l->gone && !l->incomplete && id_is(l->id) ? l : NULL;
}

static int
redress(struct mend *m, const struct record *l, struct err *e)
{
	char id[ID_HEX + 1], parent[ID_HEX + 1] = "";

	if (!span_to_str(l->id, id, sizeof(id)) ||
	    (l->parent.n &&
		(!id_is(l->parent) || !span_to_str(l->parent, parent, sizeof(parent)))))
		return err_set(e, ERR_CONTENT, "an odd layer id");
	return layer_redress(m->s, id, parent[0] ? parent : NULL, &m->v.layers, e);
}

/* A new link of one layer stands in the lowers of all above it. */
static void
redress_above(struct mend *m)
{
	bool again = true;

	for (unsigned round = 0; again && round < LOWER_ROUNDS; round++) {
		again = false;
		for (size_t i = 0; i < m->v.layers.n; i++) {
			struct err e = {0};
			struct record *l = layer_record_of(m, m->v.layers.rec[i].id);
			if (l && redress(m, l, &e) > 0)
				again = true;
		}
	}
}

static void
mend_dress(struct mend *m, struct mend_item *it)
{
	struct record *l = layer_record_of(m, span_str(it->id));
	struct err e = {0};

	if (!l)
		item_end(it, MEND_REMOVED, "");
	else if (redress(m, l, &e) < 0)
		item_end(it, MEND_KEPT, e.text);
	else
		item_end(it, MEND_DONE, "");
}

/* ---- what nobody speaks of ---- */

static bool
layer_known(struct mend *m, struct span id)
{
	size_t i;

	return view_layer_find(&m->v, id, &i);
}

static bool
link_is_stray(struct mend *m, const char *name)
{
	char target[ID_HEX + 16], path[ID_HEX + 16], link[LINK_LEN + 2];
	ssize_t n = readlinkat(m->s->links, name, target, sizeof(target));

	if (n < 0)
		return false;
	if (n != ID_HEX + 8 || !id_is(span_of(target + 3, ID_HEX)) ||
	    !layer_known(m, span_of(target + 3, ID_HEX)))
		return true;
	snprintf(path, sizeof(path), "%.64s/link", target + 3);
	return file_text(m->s->overlay, path, link, sizeof(link)) > 0 &&
	       strcmp(link, name) != 0;
}

static int
drop_of_layers(struct mend *m, const char *name)
{
	struct span text = span_str(name);
	struct span id = span_of(text.p, text.n < ID_HEX ? text.n : ID_HEX);

	if (span_starts(text, ".tmp-") ||
	    (id_is(id) && !layer_known(m, id) &&
		span_is(span_from(text, id.n), ".tar-split.gz")))
		return unlinkat(m->s->layers, name, 0) < 0 ? -errno : 0;
	if (id_is(text) && !layer_known(m, text))
		return trash_put(m->s, m->s->layers, name);
	return -EBUSY;
}

static int
drop(struct mend *m, const struct mend_item *it)
{
	struct span name = span_str(it->name);

	switch (it->dir) {
	case INSPECT_OVERLAY:
		return id_is(name) && !layer_known(m, name)
			   ? layer_unplace(m->s, it->name)
			   : -EBUSY;
	case INSPECT_LINKS:
		if (!link_is_stray(m, it->name))
			return -EBUSY;
		return unlinkat(m->s->links, it->name, 0) < 0 ? -errno : 0;
	case INSPECT_IMAGES:
		if (span_starts(name, ".tmp-"))
			return unlinkat(m->s->images, it->name, 0) < 0 ? -errno : 0;
		return id_is(name) && !table_find(&m->v.images, name)
			   ? trash_put(m->s, m->s->images, it->name)
			   : -EBUSY;
	case INSPECT_LAYERS:
		return drop_of_layers(m, it->name);
	default:
		return -EBUSY;
	}
}

static void
mend_orphan(struct mend *m, struct mend_item *it)
{
	static const size_t dirs[] = {
	    [INSPECT_OVERLAY] = offsetof(struct store, overlay),
	    [INSPECT_LINKS] = offsetof(struct store, links),
	    [INSPECT_IMAGES] = offsetof(struct store, images),
	    [INSPECT_LAYERS] = offsetof(struct store, layers),
	};
	int at, r;

	if (it->dir >= ARRAY_LEN(dirs))
		return; /* staging: the sweep's */
	memcpy(&at, (const char *)m->s + dirs[it->dir], sizeof(at));
	r = dir_has(at, it->name);
	if (r > 0) /* it may have gone with another one */
		r = drop(m, it);
	if (r == 0 || r == -ENOENT)
		item_end(it, MEND_REMOVED, "");
	else
		item_end(it, MEND_KEPT,
		    r == -EBUSY ? "somebody has come to use it" : strerror(-r));
}

/* ---- what has to go ---- */

bool
image_needs_layer(struct view *v, const struct record *image, struct span layer)
{
	struct json_iter it = json_iter(image->mapped);
	struct span id;

	if (view_lies_on(v, image->layer, layer))
		return true;
	while (json_next(&it, &id))
		if (view_lies_on(v, json_plain(id), layer))
			return true;
	return false;
}

static int
in_use(struct err *e, const char *what, struct span id)
{
	char shown[80];

	err_set(
	    e, ERR_IN_USE, "in use: %s %s", what, span_escape(id, shown, sizeof(shown)));
	return -EBUSY;
}

static int
layer_unused(struct mend *m, struct span layer, struct err *e)
{
	for (size_t t = 0; t < ARRAY_LEN(m->containers); t++)
		for (size_t i = 0; i < m->containers[t].n; i++)
			if (view_lies_on(&m->v, m->containers[t].rec[i].layer, layer))
				return in_use(e, "container", m->containers[t].rec[i].id);
	for (size_t i = 0; i < m->mounts.n; i++)
		if (m->mounts.rec[i].count > 0 &&
		    view_lies_on(&m->v, m->mounts.rec[i].id, layer))
			return in_use(e, "mounted layer", m->mounts.rec[i].id);
	return 0;
}

static int
image_unused(struct mend *m, const struct record *image, struct err *e)
{
	for (size_t t = 0; t < ARRAY_LEN(m->containers); t++)
		for (size_t i = 0; i < m->containers[t].n; i++)
			if (span_eq(m->containers[t].rec[i].image, image->id))
				return in_use(e, "container", m->containers[t].rec[i].id);
	return m->ops->keep(m->ops->arg, image, e);
}

/* All or nothing: while one image that needs the layer has to stay, the others do. */
static int
layer_removable(struct mend *m, struct span layer, struct err *e)
{
	int r = layer_unused(m, layer, e);

	for (size_t i = 0; r == 0 && i < m->v.images.n; i++)
		if (image_needs_layer(&m->v, &m->v.images.rec[i], layer))
			r = image_unused(m, &m->v.images.rec[i], e);
	return r;
}

static int
remove_images_on(struct mend *m, struct span layer, struct err *e)
{
	char id[ID_HEX + 1];
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->v.images.n; i++) {
		const struct record *image = &m->v.images.rec[i];
		if (!image_needs_layer(&m->v, image, layer))
			continue;
		if (!id_is(image->id) || !span_to_str(image->id, id, sizeof(id)))
			return err_set(e, ERR_CONTENT, "an image with an odd id");
		r = store_remove_image(m->s, m->h, id, m->ops->removed, m->ops->arg, e);
	}
	return r;
}

static int
remove_damaged(struct mend *m, const struct mend_item *it, struct err *e)
{
	struct span id = span_str(it->id);
	struct record *image = table_find(&m->v.images, id);
	int r = 0;

	if (it->kind == DAMAGE_IMAGE) {
		if (image)
			r = image_unused(m, image, e);
		return image && r == 0 ? store_remove_image(m->s, m->h, it->id,
					     m->ops->removed, m->ops->arg, e)
				       : r;
	}
	r = layer_removable(m, id, e);
	if (r == 0)
		r = remove_images_on(m, id, e);
	return r < 0 ? r
		     : store_remove_layer(
			   m->s, m->h, it->id, m->ops->removed, m->ops->arg, e);
}

static int
mend_damaged(struct mend *m, struct mend_item *it)
{
	struct err e = {0};

	if (!id_is(span_str(it->id)))
		item_end(it, MEND_KEPT, "its ID is odd");
	else if (remove_damaged(m, it, &e) < 0)
		item_end(it, MEND_KEPT, e.text);
	else
		item_end(it, MEND_REMOVED, "");
	return mend_load(m);
}

/* ---- all ---- */

static int
mend_one(struct mend *m, struct mend_item *it, bool remove)
{
	switch (it->kind) {
	case DAMAGE_HALF:
		if (!layer_record_of(m, span_str(it->id)))
			item_end(it, MEND_REMOVED, "");
		return 0;
	case DAMAGE_DRESS:
		mend_dress(m, it);
		return 0;
	case DAMAGE_ORPHAN:
		mend_orphan(m, it);
		return 0;
	case DAMAGE_IMAGE:
	case DAMAGE_LAYER:
		return remove ? mend_damaged(m, it) : 0;
	case DAMAGE_OTHER:
		return 0;
	}
	return 0;
}

static int
mend_all(struct mend *m, struct mend_item *v, size_t n, bool remove)
{
	bool dressed = false;

	int r = mend_load(m);
	FAILPOINT(MEND_BEGUN);
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = mend_one(m, &v[i], remove);
		FAILPOINT(MEND_ONE);
		dressed |= v[i].kind == DAMAGE_DRESS;
	}
	if (r == 0 && dressed)
		redress_above(m);
	const int dirs[] = {m->s->overlay, m->s->links, m->s->layers, m->s->images};
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(dirs); i++)
		if (disk_sync(dirs[i]) < 0)
			r = err_errno(m->e, errno, "cannot sync the store");
	FAILPOINT(MEND_DONE);
	return r;
}

int
store_mend(struct store *s, const struct hold *h, struct mend_item *v, size_t n,
    bool remove, const struct mend_ops *ops, struct err *e)
{
	struct mend m = {.s = s, .h = h, .v = VIEW_NONE, .ops = ops, .e = e};

	assert((h->want & HOLD_COMMIT) == HOLD_COMMIT);
	int r = mend_all(&m, v, n, remove);
	mend_clear(&m);
	return r;
}
