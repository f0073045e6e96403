#include "worker-store/store/dir.h"
#include "worker-store/store/image.h"
#include "worker-store/store/journal.h"
#include "worker-store/store/layer.h"
#include "worker-store/store/summary.h"

#include <errno.h>
#include <unistd.h>

#define CHAIN_MAX 512

struct removal {
	struct store *s;
	const struct hold *h;
	struct view v;
	struct table containers[4], mounts;
	struct record *layers[CHAIN_MAX]; /* to go, top first */
	size_t n;
	removed_fn *fn;
	void *arg;
	struct err *e;
};

static void
removal_end(struct removal *m)
{
	records_free(&m->v, m->containers, &m->mounts);
}

static int
removal_load(struct removal *m)
{
	return records_load(m->s, m->h, &m->v, m->containers, &m->mounts, m->e);
}

static int
check_unused(const struct removal *m, const struct record *image)
{
	char user[80];

	for (size_t i = 0; i < ARRAY_LEN(m->containers); i++) {
		for (size_t k = 0; k < m->containers[i].n; k++) {
			const struct record *c = &m->containers[i].rec[k];
			if (!span_eq(c->image, image->id))
				continue;
			err_set(m->e, ERR_IN_USE,
			    "image %.12s is in use by container %s: remove the "
			    "container first",
			    (const char *)image->id.p,
			    span_escape(c->id, user, sizeof(user)));
			return -EBUSY;
		}
	}
	return 0;
}

static bool
going(const struct removal *m, const struct record *layer)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->layers[i] == layer)
			return true;
	return false;
}

static bool
table_has_child(const struct removal *m, const struct table *t, struct span id)
{
	for (size_t i = 0; i < t->n; i++)
		if (!t->rec[i].gone && span_eq(t->rec[i].parent, id) &&
		    !going(m, &t->rec[i]))
			return true;
	return false;
}

static bool
is_needed(const struct removal *m, const struct record *image, struct span id)
{
	for (size_t i = 0; i < m->v.images.n; i++) {
		const struct record *other = &m->v.images.rec[i];
		if (other != image &&
		    (span_eq(other->layer, id) || names_have(other->mapped, id)))
			return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(m->containers); i++)
		for (size_t k = 0; k < m->containers[i].n; k++)
			if (span_eq(m->containers[i].rec[k].layer, id))
				return true;
	/* A container's own layer is a child of the image's: it keeps the whole chain. */
	return table_has_child(m, &m->v.layers, id) ||
	       table_has_child(m, &m->v.volatile_layers, id);
}

/* Adds a layer that nobody else needs: 1 added, 0 needed or not there. */
static int
collect_one(struct removal *m, const struct record *image, struct span id)
{
	struct record *l = table_find(&m->v.layers, id);

	if (!l || going(m, l) || is_needed(m, image, id))
		return 0;
	if (m->n == CHAIN_MAX || !id_is(l->id))
		return err_set(
		    m->e, ERR_CONTENT, "the image's layers are not a sound chain");
	if (mount_count(&m->mounts, l->id) > 0) {
		err_set(m->e, ERR_IN_USE,
		    "layer %.12s of the image is mounted: unmount it first (`podman "
		    "image "
		    "unmount`)",
		    (const char *)l->id.p);
		return -EBUSY;
	}
	m->layers[m->n++] = l;
	return 1;
}

static int
collect(struct removal *m, const struct record *image)
{
	struct json_iter it = json_iter(image->mapped);
	struct span v, id;

	while (json_next(&it, &v)) {
		int r = collect_one(m, image, json_plain(v));
		if (r < 0)
			return r;
	}
	for (id = image->layer; id.n;) {
		struct record *l = table_find(&m->v.layers, id);
		int r = collect_one(m, image, id);
		if (r <= 0)
			return r;
		id = l->parent;
	}
	return 0;
}

static int
save_layers(struct removal *m)
{
	return table_publish(
	    m->s, &m->v.layers, m->s->layers, FILE_LAYERS, m->h->fd[LOCK_LAYERS], m->e);
}

static int
mark_incomplete(struct removal *m, struct record *l)
{
	CLEANUP(buf_free) struct buf flags = {0};
	CLEANUP(buf_free) struct buf text = {0};
	struct json_edit yes = {"incomplete", span_str("true")};

	json_edit_object(&flags, l->flags.n ? l->flags : span_str("{}"), &yes, 1);
	struct json_edit edit = {"flags", buf_span(&flags)};
	json_edit_object(&text, l->raw, &edit, 1);
	text.bad |= flags.bad;
	return table_put(&m->v.layers, l, &text, m->e);
}

/* One incomplete record at a time, because storage 1.43 skips every second one when it
 * cleans up: each save drops the layer before and marks this one. */
static int
remove_layers(struct removal *m)
{
	for (size_t i = 0; i < m->n; i++) {
		struct record *l = m->layers[i];
		char id[ID_HEX + 1];
		if (!span_to_str(l->id, id, sizeof(id)))
			return err_set(m->e, ERR_INTERNAL, "an odd layer id");
		int r = mark_incomplete(m, l);
		if (r == 0)
			r = save_layers(m);
		if (r < 0)
			return r;
		FAILPOINT(LAYER_MARKED);
		r = layer_unplace(m->s, id);
		if (r < 0)
			return err_errno(m->e, -r, "cannot move layer %.12s away", id);
		FAILPOINT(LAYER_GONE);
		l->gone = true;
		m->fn(m->arg, true, id);
	}
	return m->n ? save_layers(m) : 0;
}

/* Base first, as for a commit: who settles it begins with the last. image: or NULL. */
static int
removal_note(struct removal *m, const char *image)
{
	CLEANUP(buf_free) struct buf text = {0};

	if (image)
		buf_fmt(&text, "I %s\n", image);
	for (size_t i = m->n; i-- > 0;) {
		buf_str(&text, "L ");
		buf_add(&text, m->layers[i]->id);
		buf_str(&text, "\n");
	}
	return journal_write(m->s, &text, m->e);
}

static int
remove_record(struct removal *m, struct record *image, const char *id)
{
	struct name_iter it = image_names(image);

	image->gone = true;
	int r = table_publish(
	    m->s, &m->v.images, m->s->images, FILE_IMAGES, m->h->fd[LOCK_IMAGES], m->e);
	if (r < 0)
		return r;
	while (name_next(&it))
		m->fn(m->arg, false, it.text);
	FAILPOINT(IMAGE_UNRECORDED);
	r = trash_put(m->s, m->s->images, id);
	FAILPOINT(IMAGE_TRASHED);
	return r < 0 ? err_errno(m->e, -r, "cannot move image %.12s away", id) : 0;
}

int
store_remove_image(struct store *s, const struct hold *h, const char *id, removed_fn *fn,
    void *arg, struct err *e)
{
	CLEANUP(removal_end)
	struct removal m = {.s = s, .h = h, .v = VIEW_NONE, .fn = fn, .arg = arg, .e = e};

	assert((h->want & HOLD_COMMIT) == HOLD_COMMIT);
	int r = removal_load(&m);
	if (r < 0)
		return r;
	struct record *image = table_find(&m.v.images, span_str(id));
	if (!image || !id_is(image->id))
		return err_set(e, ERR_NOT_FOUND, "no image %.12s in the store", id);
	r = check_unused(&m, image);
	if (r == 0)
		r = collect(&m, image);
	FAILPOINT(REMOVAL_BEGUN);
	if (r == 0)
		r = removal_note(&m, id);
	if (r < 0)
		return r;
	FAILPOINT(REMOVAL_NOTED);
	r = remove_record(&m, image, id);
	if (r == 0)
		r = remove_layers(&m);
	FAILPOINT(LAYERS_UNRECORDED);
	if (r == 0) {
		fn(arg, true, id);
		if (disk_sync(s->overlay) < 0 || disk_sync(s->layers) < 0)
			r = err_errno(e, errno, "cannot sync the store");
	}
	journal_end(s, h, r == 0 && summary_remove(s, id) == 0);
	FAILPOINT(REMOVAL_DONE);
	return r;
}

static void
nobody_hears(void *arg, bool deleted, const char *text)
{
}

/* Those above come first, so that nothing lies on the ones below when these are looked
 * at. */
static int
collect_unneeded(struct removal *m, char (*ids)[ID_HEX + 1], size_t n)
{
	for (size_t i = n; i-- > 0 && m->n < CHAIN_MAX;) {
		struct span id = span_str(ids[i]);
		int r = mount_count(&m->mounts, id) > 0 ? 0 : collect_one(m, NULL, id);
		if (r < 0)
			return r;
	}
	return (int)m->n;
}

int
store_remove_unneeded(struct store *s, const struct hold *h, char (*ids)[ID_HEX + 1],
    size_t n, struct err *e)
{
	assert((h->want & HOLD_COMMIT) == HOLD_COMMIT);
	for (;;) {
		CLEANUP(removal_end)
		struct removal m = {
		    .s = s, .h = h, .v = VIEW_NONE, .fn = nobody_hears, .e = e};
		int r = removal_load(&m);
		if (r == 0)
			r = collect_unneeded(&m, ids, n);
		if (r <= 0)
			return r;
		r = remove_layers(&m);
		if (r < 0)
			return r;
	}
}

/* Those above come before it; their order among each other is that of their depth. */
static int
collect_above(struct removal *m, struct record *layer)
{
	struct record *found[CHAIN_MAX] = {layer};
	size_t n = 1;

	for (size_t at = 0; at < n; at++) {
		if (table_has_child(m, &m->v.volatile_layers, found[at]->id) ||
		    mount_count(&m->mounts, found[at]->id) > 0) {
			err_set(m->e, ERR_IN_USE,
			    "layer %.12s, or one above it, is in use",
			    (const char *)found[at]->id.p);
			return -EBUSY;
		}
		for (size_t i = 0; i < m->v.layers.n; i++) {
			struct record *l = &m->v.layers.rec[i];
			if (l->gone || !span_eq(l->parent, found[at]->id))
				continue;
			if (n == CHAIN_MAX || !id_is(l->id))
				return err_set(m->e, ERR_CONTENT,
				    "the layers above %.12s are not sound",
				    (const char *)layer->id.p);
			found[n++] = l;
		}
	}
	while (n-- > 0) {
		struct record *l = found[n];
		if (is_needed(m, NULL, l->id)) {
			err_set(m->e, ERR_IN_USE, "layer %.12s is needed by others",
			    (const char *)l->id.p);
			return -EBUSY;
		}
		m->layers[m->n++] = l;
	}
	return 0;
}

int
store_remove_layer(struct store *s, const struct hold *h, const char *id, removed_fn *fn,
    void *arg, struct err *e)
{
	CLEANUP(removal_end)
	struct removal m = {.s = s, .h = h, .v = VIEW_NONE, .fn = fn, .arg = arg, .e = e};

	assert((h->want & HOLD_COMMIT) == HOLD_COMMIT);
	int r = removal_load(&m);
	if (r < 0)
		return r;
	struct record *layer = table_find(&m.v.layers, span_str(id));
	if (!layer)
		return 0;
	r = collect_above(&m, layer);
	if (r == 0)
		r = removal_note(&m, NULL);
	if (r < 0)
		return r;
	FAILPOINT(REMOVAL_NOTED);
	r = remove_layers(&m);
	journal_end(s, h, r == 0);
	return r;
}
