#include "frontend/cache.h"

#include "common/ref/ref.h"
#include "common/ref/pins.h"
#include "frontend/registries.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <string.h>

struct cache {
	struct image **images; /* by ID */
	size_t n;
	void *names; /* tsearch's tree */
	/* What came since the last cache_end, newest first; an image that has gone is one
	 * without a place in the next snapshot. */
	struct image *staged;
	size_t n_staged;
	bool ready;
	bool again; /* the store is a new one: what it does not tell is gone */
	struct cache_totals totals;
	struct pins pins;
	struct blob *list;
	struct cache_waiter *waiters;
};

static struct cache *
cache_of(struct frontend *f)
{
	if (!f->cache)
		f->cache = calloc(1, sizeof(*f->cache));
	return f->cache;
}

/* ---- staging ---- */

static bool
span_dup(struct span from, struct span *to)
{
	uint8_t *p = malloc(from.n + 1);

	if (!p)
		return false;
	if (from.n)
		memcpy(p, from.p, from.n);
	*to = span_of(p, from.n);
	return true;
}

static struct image *
stage(struct cache *c, const uint8_t id[32])
{
	/* Here, not at the end for all at once, so that other clients get their turns. */
	if (image_finish(c->staged, &c->pins) < 0)
		return NULL;
	struct image *im = calloc(1, sizeof(*im));
	if (!im)
		return NULL;
	memcpy(im->id, id, sizeof(im->id));
	hex_encode(id, sizeof(im->id), im->hex);
	im->staged = c->staged;
	c->staged = im;
	im->order = c->n_staged++;
	return im;
}

static int
stage_image(struct cache *c, const struct msg_cache_image *m)
{
	if (c->n_staged > 2 * LIMIT_STORE_RECORDS)
		return -EPROTO;
	struct image *im = stage(c, m->id);
	if (!im || !span_dup(m->user, &im->user) ||
	    !span_dup(m->annotations, &im->annotations))
		return -ENOMEM;
	im->described = m->described;
	im->size = m->size ? m->size : 1; /* clients refuse 0 */
	return image_add_names(im, m->names);
}

static int
stage_names(struct cache *c, const struct msg_cache_names *m)
{
	struct image *im = c->staged;

	if (!im || im->gone || memcmp(im->id, m->id, sizeof(m->id)) != 0)
		return -EPROTO;
	if (im->raw_n > MiB(4))
		return -EPROTO;
	return image_add_names(im, m->names);
}

static int
stage_gone(struct cache *c, const struct msg_cache_gone *m)
{
	if (c->n_staged > 2 * LIMIT_STORE_RECORDS)
		return -EPROTO;
	struct image *im = stage(c, m->id);
	if (!im)
		return -ENOMEM;
	im->gone = true;
	return 0;
}

static void
staged_free(struct cache *c)
{
	while (c->staged) {
		struct image *im = c->staged;
		c->staged = im->staged;
		image_free(im);
	}
	c->n_staged = 0;
}

/* ---- the tree of names ---- */

static int
name_compare(const void *a, const void *b)
{
	const struct image_name *x = a, *y = b;

	return span_compare(x->text, y->text);
}

static void
names_drop(struct cache *c, struct image *im)
{
	for (size_t i = 0; i < im->n_tags + im->n_digests; i++) {
		struct image_name **at = tfind(&im->index[i], &c->names, name_compare);
		if (at && (*at)->image == im)
			tdelete(&im->index[i], &c->names, name_compare);
	}
}

static int
names_add(struct cache *c, struct image *im)
{
	for (size_t i = 0; i < im->n_tags + im->n_digests; i++) {
		im->index[i] = (struct image_name){im->names[i], im};
		struct image_name **at = tsearch(&im->index[i], &c->names, name_compare);
		if (!at)
			return -ENOMEM;
		*at = &im->index[i]; /* of two images with one name, the later has it */
	}
	return 0;
}

static struct image *
names_find(struct cache *c, struct span text)
{
	struct image_name key = {.text = text};
	struct image_name **at = tfind(&key, &c->names, name_compare);

	return at ? (*at)->image : NULL;
}

/* ---- cache_end ---- */

static int
staged_order(const void *a, const void *b)
{
	const struct image *x = *(struct image *const *)a, *y = *(struct image *const *)b;
	int r = memcmp(x->id, y->id, sizeof(x->id));

	return r ? r : x->order < y->order ? -1 : 1;
}

/* The staged ones by ID, each once as it was told last, ready for the snapshot. */
static int
staged_sort(struct cache *c, struct image ***out, size_t *n_out)
{
	struct image **all = malloc((c->n_staged + 1) * sizeof(*all));
	size_t n = 0, kept = 0;

	if (!all || image_finish(c->staged, &c->pins) < 0) {
		free(all);
		return -ENOMEM;
	}
	for (struct image *im = c->staged; im; im = im->staged)
		all[n++] = im;
	c->staged = NULL;
	c->n_staged = 0;
	qsort(all, n, sizeof(*all), staged_order);
	for (size_t i = 0; i < n; i++) {
		if (i + 1 < n && memcmp(all[i]->id, all[i + 1]->id, 32) == 0)
			image_free(all[i]);
		else
			all[kept++] = all[i];
	}
	*out = all;
	*n_out = kept;
	return 0;
}

static void
image_leave(struct cache *c, struct image *im)
{
	names_drop(c, im);
	image_free(im);
}

/* The first image from `low` on whose ID is not below that of these digits. */
static size_t
first_from(const struct cache *c, size_t low, const char *hex, size_t digits)
{
	size_t high = c->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (memcmp(c->images[middle]->hex, hex, digits) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Takes over the old ones up to `end`: into the new snapshot, or out of the way when a
 * new store does not know them. */
static size_t
keep_until(struct cache *c, size_t *old, size_t end, struct image **to)
{
	size_t n = end - *old;

	if (!c->again) {
		if (n)
			memcpy(to, c->images + *old, n * sizeof(*to));
		*old = end;
		return n;
	}
	while (*old < end)
		image_leave(c, c->images[(*old)++]);
	return 0;
}

/* Old and new, both by ID, into one; where both have an ID, the new one stays. Those that
 * say that one has gone become NULL in `from`. */
static size_t
merge(struct cache *c, struct image **to, struct image **from, size_t n)
{
	size_t old = 0, made = 0;

	for (size_t k = 0; k < n; k++) {
		made +=
		    keep_until(c, &old, first_from(c, old, from[k]->hex, 64), to + made);
		if (old < c->n && memcmp(c->images[old]->id, from[k]->id, 32) == 0)
			image_leave(c, c->images[old++]);
		if (from[k]->gone)
			image_free(ptr_steal(&from[k]));
		else
			to[made++] = from[k];
	}
	return made + keep_until(c, &old, c->n, to + made);
}

static int
apply(struct cache *c)
{
	CLEANUP(free_ptr) struct image **fresh = NULL;
	size_t n = 0;
	int r = staged_sort(c, &fresh, &n);

	if (r < 0)
		return r;
	struct image **merged = malloc((c->n + n + 1) * sizeof(*merged));
	if (!merged) {
		for (size_t i = 0; i < n; i++)
			image_free(fresh[i]);
		return -ENOMEM;
	}
	size_t made = merge(c, merged, fresh, n);
	free(c->images);
	c->images = merged;
	c->n = made;
	c->again = false;
	for (size_t i = 0; i < n && r == 0; i++)
		r = fresh[i] ? names_add(c, fresh[i]) : 0;
	blob_unref(c->list);
	c->list = NULL;
	return r;
}

static void
wake(struct cache *c)
{
	struct cache_waiter *w;

	c->ready = true;
	while ((w = c->waiters)) {
		c->waiters = w->next;
		w->waits = false;
		w->ready(w);
	}
}

static int
end(struct frontend *f, struct cache *c, const struct msg_cache_end *m)
{
	struct cache_totals *t = &c->totals;
	int r = c->staged || c->again ? apply(c) : 0;

	if (r < 0)
		return r;
	if (m->broken > t->broken)
		frontend_log(f,
		    "%llu image records cannot be served: `bulkhead check` says why",
		    (unsigned long long)m->broken);
	*t = (struct cache_totals){m->generation, m->broken, m->images, m->layers,
	    m->bytes, m->total, m->free, m->inodes, m->inodes_free, ""};
	if (!span_to_str(m->root, t->root, sizeof(t->root)))
		return -EPROTO;
	wake(c);
	return 0;
}

int
cache_message(struct frontend *f, struct ipc_msg *m)
{
	struct cache *c = cache_of(f);

	if (!c)
		return -ENOMEM;
	switch (m->type) {
	case MSG_cache_image:
		return stage_image(c, &m->cache_image);
	case MSG_cache_names:
		return stage_names(c, &m->cache_names);
	case MSG_cache_gone:
		return stage_gone(c, &m->cache_gone);
	case MSG_cache_end:
		return end(f, c, &m->cache_end);
	default:
		return -EPROTO;
	}
}

void
cache_store_gone(struct frontend *f)
{
	struct cache *c = cache_of(f);

	if (!c)
		return;
	staged_free(c);
	c->again = c->ready;
}

int
cache_set_pins(struct frontend *f, struct span lines)
{
	struct cache *c = cache_of(f);
	struct pins pins;
	struct err e = {0};

	if (!c || pins_parse(lines, &pins, &e) < 0)
		return -ENOMEM;
	if (e.code)
		frontend_log(f, "%s", e.text);
	pins_free(&c->pins);
	c->pins = pins;
	for (size_t i = 0; i < c->n; i++) {
		if (image_pin(c->images[i], &c->pins) < 0)
			return -ENOMEM;
	}
	for (struct image *im = c->staged; im; im = im->staged) {
		if (!im->raw && !im->gone && image_pin(im, &c->pins) < 0)
			return -ENOMEM;
	}
	blob_unref(c->list);
	c->list = NULL;
	return 0;
}

/* ---- waiting ---- */

bool
cache_ready(const struct frontend *f)
{
	return f->cache && f->cache->ready;
}

void
cache_wait(struct frontend *f, struct cache_waiter *w)
{
	struct cache *c = cache_of(f);

	if (!c)
		return; /* the call's own time ends it */
	w->waits = true;
	w->next = c->waiters;
	c->waiters = w;
}

void
cache_forget(struct frontend *f, struct cache_waiter *w)
{
	if (!w->waits)
		return;
	w->waits = false;
	for (struct cache_waiter **at = &f->cache->waiters; *at; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			return;
		}
	}
}

/* ---- looking up ---- */

static struct image *
find_prefix(struct cache *c, const struct id_prefix *id, struct err *e)
{
	size_t i = first_from(c, 0, id->hex, id->n);

	if (!c->images || i == c->n || memcmp(c->images[i]->hex, id->hex, id->n) != 0)
		return NULL;
	if (i + 1 < c->n && memcmp(c->images[i + 1]->hex, id->hex, id->n) == 0) {
		err_set(e, ERR_USAGE,
		    "more than one image ID begins with %s: give more digits", id->hex);
		return NULL;
	}
	return c->images[i];
}

static struct image *
find_name(struct cache *c, struct span text, struct err *e)
{
	char name[REF_TEXT];
	struct ref ref;

	if (ref_parse(text, &ref, e) < 0)
		return NULL;
	ref_default_tag(&ref);
	return ref_print_record(&ref, name) ? names_find(c, span_str(name)) : NULL;
}

static struct image *
find_local(struct cache *c, struct span text)
{
	char local[LIMIT_NAME + 16];
	if (ref_names_domain(text))
		return NULL;
	int n = snprintf(local, sizeof(local), "localhost/%.*s", (int)text.n, text.p);

	return find_name(c, span_of(local, (size_t)n), NULL);
}

/* By the alias of a short name, or by the registries that it is looked up at. */
static struct image *
find_short(struct cache *c, const struct registries *r, struct span text, bool alias)
{
	struct candidates all;
	struct image *im = NULL;
	char name[REF_TEXT];

	if (ref_names_domain(text) || registries_local(r, text, &all) < 0 ||
	    !all.alias_file == alias)
		return NULL;
	for (unsigned i = 0; i < all.n && !im; i++) {
		if (ref_print_record(&all.ref[i], name))
			im = names_find(c, span_str(name));
	}
	return im;
}

static bool
all_hex(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t ch = s.p[i];
		if (!((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f') ||
			(ch >= 'A' && ch <= 'F')))
			return false;
	}
	return s.n >= ID_PREFIX_MIN;
}

const struct image *
cache_find(struct frontend *f, struct span text, struct err *e)
{
	struct cache *c = cache_of(f);
	struct id_prefix id;
	struct err why = {0};
	struct image *im = NULL;
	char shown[200];

	bool is_id = id_prefix_parse(text, &id);
	if (!c || text.n > LIMIT_NAME) {
		err_set(e, ERR_USAGE, "the reference is longer than a name can be");
		return NULL;
	}
	if (!is_id || id.n < ID_HEX) {
		im = find_short(c, f->registries, text, true);
		if (!im)
			im = find_name(c, text, &why);
		if (!im)
			im = find_local(c, text);
		if (!im)
			im = find_short(c, f->registries, text, false);
		/* What looks like an ID is none there, as CRI-O has it. */
		if (!im && why.code && !is_id && !all_hex(text)) {
			err_set(e, ERR_USAGE, "%s", why.text);
			return NULL;
		}
	}
	if (!im && is_id)
		im = find_prefix(c, &id, e);
	if (!im)
		err_set(e, ERR_NOT_FOUND, "no image %s in the store",
		    span_escape(text, shown, sizeof(shown)));
	return im;
}

const struct image *
cache_find_id(struct frontend *f, const uint8_t id[32])
{
	struct cache *c = cache_of(f);
	char hex[65];
	size_t i = c ? first_from(c, 0, hex_encode(id, 32, hex), 64) : 0;

	return c && i < c->n && memcmp(c->images[i]->id, id, 32) == 0 ? c->images[i]
								      : NULL;
}

/* ---- lists ---- */

struct blob *
cache_list(struct frontend *f)
{
	struct cache *c = cache_of(f);
	size_t n = 0;

	if (!c)
		return NULL;
	if (c->list)
		return blob_ref(c->list);
	for (size_t i = 0; i < c->n; i++)
		n += c->images[i]->packed_n;
	c->list = blob_new(n);
	if (!c->list)
		return NULL;
	n = 0;
	for (size_t i = 0; i < c->n; i++) {
		memcpy(c->list->bytes + n, c->images[i]->packed, c->images[i]->packed_n);
		n += c->images[i]->packed_n;
	}
	return blob_ref(c->list);
}

size_t
cache_list_part(struct frontend *f, size_t *next, size_t at, size_t images, size_t bytes)
{
	const struct cache *c = f->cache;
	size_t end_ = at;

	for (size_t i = 0; i < images && *next < c->n; i++) {
		size_t n = c->images[*next]->packed_n;
		if (i && end_ + n - at > bytes)
			break;
		end_ += n;
		++*next;
	}
	return end_;
}

size_t
cache_count(const struct frontend *f)
{
	return f->cache ? f->cache->n : 0;
}

const struct cache_totals *
cache_totals(const struct frontend *f)
{
	return cache_ready(f) ? &f->cache->totals : NULL;
}

void
cache_free(struct frontend *f)
{
	struct cache *c = f->cache;

	if (!c)
		return;
	staged_free(c);
	for (size_t i = 0; i < c->n; i++)
		image_leave(c, c->images[i]);
	free(c->images);
	blob_unref(c->list);
	pins_free(&c->pins);
	free(c);
	f->cache = NULL;
}
