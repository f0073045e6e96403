#include "worker-store/store/image.h"

#include "worker-store/store/hash.h"

#include "common/base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define VERIFIED \
	"bulkhead.verified" /* flag: the manifest whose signature a verdict accepted */

/* JSON strings with their quotes, in somebody else's text. */
struct spans {
	struct span *v;
	size_t n, cap;
	bool bad;
};

static void
spans_free(struct spans *s)
{
	free(s->v);
}

static void
spans_add(struct spans *s, struct span v)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 32;
		struct span *p = realloc(s->v, cap * sizeof(*p));
		if (!p) {
			s->bad = true;
			return;
		}
		s->v = p;
		s->cap = cap;
	}
	s->v[s->n++] = v;
}

/* Two JSON strings of one text. The usual spelling is the same; else compare what they
 * say. */
static bool
same_string(struct span a, struct span b)
{
	uint8_t text[1024];

	if (span_eq(a, b) || b.n > sizeof(text))
		return span_eq(a, b);
	ssize_t n = json_decode(b, text);
	return n >= 0 && json_string_is(a, span_of(text, (size_t)n));
}

static void
spans_add_new(struct spans *s, struct span v)
{
	for (size_t i = 0; i < s->n; i++)
		if (same_string(s->v[i], v))
			return;
	spans_add(s, v);
}

static void
spans_add_array(struct spans *s, struct span array, struct span except)
{
	struct json_iter it = json_iter(array);
	struct span v;

	while (json_next(&it, &v))
		if (!except.n || !same_string(v, except))
			spans_add_new(s, v);
}

static void
spans_print(const struct spans *s, struct buf *out)
{
	if (!s->n) /* an empty value removes the member, as upstream omits it */
		return;
	buf_str(out, "[");
	for (size_t i = 0; i < s->n; i++) {
		if (i)
			buf_str(out, ",");
		buf_add(out, s->v[i]);
	}
	buf_str(out, "]");
	out->bad |= s->bad;
}

bool
image_item_size(const struct record *image, const char *key, int64_t *size)
{
	struct json_iter it = json_iter(image->sizes);
	struct span k, v;

	if (!names_have(image->keys, span_str(key)))
		return false;
	while (json_next_member(&it, &k, &v))
		if (json_string_is(k, span_str(key)))
			return json_int64(v, size) && *size >= 0;
	return false;
}

bool
image_item_digest(
    const struct record *image, const char *key, uint8_t digest[DIGEST_BYTES])
{
	struct json_iter it = json_iter(image->digests);
	struct span k, v;

	while (json_next_member(&it, &k, &v))
		if (json_string_is(k, span_str(key)))
			return digest_parse(json_plain(v), digest) == 0;
	return false;
}

size_t
image_manifests(struct span keys)
{
	struct json_iter it = json_iter(keys);
	struct span v;
	size_t n = 0;

	while (json_next(&it, &v))
		n += span_starts(v, "\"manifest-");
	return n;
}

static struct span
member(struct span object, const char *key)
{
	struct json_iter it = json_iter(object);
	struct span k, v;

	while (json_next_member(&it, &k, &v))
		if (json_string_is(k, span_str(key)))
			return v;
	return span_of("", 0);
}

/* A key that does not name its digest holds the first pull's bytes, until a better proof
 * comes. */
static bool
item_stays(const struct image_plan *p, const struct item *it)
{
	bool keeps = !strcmp(it->key, "manifest") || !strncmp(it->key, "signature", 9);
	FD_AUTO fd = -1;
	uint64_t size;

	if (!p->old || p->mend ||
	    store_item_open(p->store, p->old, it->key, &fd, &size, NULL) < 0)
		return false;
	if (json_string_is(member(p->old->digests, it->key), span_str(it->digest)) &&
	    size == it->bytes.n)
		return true;
	return keeps && !p->replace;
}

static void
plan_item(struct image_plan *p, const char *key, struct span bytes,
    const uint8_t digest[DIGEST_BYTES])
{
	struct item *it = &p->items[p->n];

	assert(p->n < ARRAY_LEN(p->items));
	snprintf(it->key, sizeof(it->key), "%s", key);
	it->bytes = bytes;
	digest_print(digest, it->digest);
	if (!item_stays(p, it))
		p->n++;
}

/* {"signature-sizes":[...],"signatures-sizes":{"<manifest>":[...]}}, or {}. */
static void
plan_metadata(struct image_plan *p, const struct commit_request *rq)
{
	CLEANUP(buf_free) struct buf sizes = {0};
	char digest[DIGEST_TEXT + 1];

	if (!rq->n_signatures) {
		buf_str(&p->metadata, "{}");
		return;
	}
	for (size_t i = 0; i < rq->n_signatures; i++) {
		buf_fmt(&sizes, "%s%zu", i ? "," : "", rq->signatures[i].n);
		buf_add(&p->signatures, rq->signatures[i]);
	}
	buf_str(&p->metadata, "{\"signature-sizes\":[");
	buf_add(&p->metadata, buf_span(&sizes));
	buf_fmt(&p->metadata, "],\"signatures-sizes\":{\"%s\":[",
	    digest_print(rq->manifest_digest, digest));
	buf_add(&p->metadata, buf_span(&sizes));
	buf_str(&p->metadata, "]}}");
	p->metadata.bad |= sizes.bad || p->signatures.bad;
}

static int
plan_items(struct image_plan *p, const struct commit_request *rq)
{
	char key[128], digest[DIGEST_TEXT + 1];
	uint8_t hash[DIGEST_BYTES];

	plan_item(
	    p, digest_print(rq->config_digest, digest), rq->config, rq->config_digest);
	if (rq->list.n) {
		snprintf(key, sizeof(key), "manifest-%s",
		    digest_print(rq->list_digest, digest));
		plan_item(p, key, rq->list, rq->list_digest);
	}
	snprintf(
	    key, sizeof(key), "manifest-%s", digest_print(rq->manifest_digest, digest));
	plan_item(p, key, rq->manifest, rq->manifest_digest);
	plan_item(p, "manifest", rq->manifest, rq->manifest_digest);
	if (!rq->n_signatures || !p->replace)
		return 0;
	int r = sha256(buf_span(&p->signatures), hash);
	if (r < 0)
		return r;
	plan_item(p, "signatures", buf_span(&p->signatures), hash);
	snprintf(key, sizeof(key), "signature-%s", digest + 7);
	plan_item(p, key, buf_span(&p->signatures), hash);
	return 0;
}

int
image_plan(struct image_plan *p, const struct store *s, const struct commit_request *rq,
    const struct record *old, struct err *e)
{
	*p = (struct image_plan){.store = s, .old = old, .mend = rq->mend};
	hex_encode(rq->config_digest, 32, p->id);
	for (size_t i = 0; i < rq->n_layers; i++) {
		char id[ID_HEX + 1];
		int r = layer_id(i ? p->layer : NULL, rq->layers[i].diff_id, id);
		if (r < 0)
			return err_errno(e, -r, "cannot hash");
		memcpy(p->layer, id, sizeof(id));
	}
	if (old && !span_eq(old->layer, span_str(p->layer)))
		return err_set(e, ERR_CONTENT,
		    "image %.12s is in the store with other layers: the store is "
		    "damaged, or the "
		    "registry lies; remove the image and pull again",
		    p->id);
	/* Never weaker: what rests on a verified signature stays. */
	p->replace = !old || (rq->n_signatures && !member(old->flags, VERIFIED).n);
	plan_metadata(p, rq);
	int r = plan_items(p, rq);
	if (r == 0 && p->metadata.bad)
		r = -ENOMEM;
	return r < 0 ? err_errno(e, -r, "cannot plan an image") : 0;
}

void
image_plan_free(struct image_plan *p)
{
	buf_free(&p->signatures);
	buf_free(&p->metadata);
}

/* Names after an add: the new one, then the old ones. History: each of those in order to
 * the front, so the last of them ends foremost (upstream's updateNames). */
struct name_lists {
	struct buf names, history;
};

static void
name_lists_free(struct name_lists *l)
{
	buf_free(&l->names);
	buf_free(&l->history);
}

static int
name_lists_make(
    struct name_lists *l, const struct record *old, struct span add, struct err *e)
{
	CLEANUP(spans_free) struct spans names = {0};
	CLEANUP(spans_free) struct spans history = {0};

	spans_add(&names, add);
	if (old)
		spans_add_array(&names, old->names, add);
	if (names.n > LIMIT_IMAGE_NAMES)
		return err_set(e, ERR_CONTENT,
		    "the image has %d names already: untag some of them first",
		    LIMIT_IMAGE_NAMES);
	for (size_t i = names.n; i-- > 0;)
		spans_add_new(&history, names.v[i]);
	if (old)
		spans_add_array(&history, old->history, span_of("", 0));
	spans_print(&names, &l->names);
	spans_print(&history, &l->history);
	return l->names.bad || l->history.bad ? err_errno(e, ENOMEM, "names") : 0;
}

/* The big-data members of the record with the plan's items. */
struct item_members {
	struct buf keys, sizes, digests;
};

static void
item_members_free(struct item_members *m)
{
	buf_free(&m->keys);
	buf_free(&m->sizes);
	buf_free(&m->digests);
}

/* Keys and digests are plain ASCII of our own making: quoting them is enough. */
struct item_text {
	char key[140], size[24], digest[DIGEST_TEXT + 3];
};

static int
item_members_make(struct item_members *m, const struct image_plan *p,
    const struct record *old, struct err *e)
{
	CLEANUP(spans_free) struct spans keys = {0};
	struct json_edit sizes[ARRAY_LEN(p->items)], digests[ARRAY_LEN(p->items)];
	struct item_text text[ARRAY_LEN(p->items)];
	struct span none = span_str("{}");

	if (old)
		spans_add_array(&keys, old->keys, span_of("", 0));
	for (size_t i = 0; i < p->n; i++) {
		const struct item *it = &p->items[i];
		struct item_text *t = &text[i];
		snprintf(t->key, sizeof(t->key), "\"%s\"", it->key);
		snprintf(t->size, sizeof(t->size), "%zu", it->bytes.n);
		snprintf(t->digest, sizeof(t->digest), "\"%s\"", it->digest);
		spans_add_new(&keys, span_str(t->key));
		sizes[i] = (struct json_edit){it->key, span_str(t->size)};
		digests[i] = (struct json_edit){it->key, span_str(t->digest)};
	}
	spans_print(&keys, &m->keys);
	if (image_manifests(buf_span(&m->keys)) > LIMIT_IMAGE_MANIFESTS)
		return err_set(e, ERR_CONTENT,
		    "the image has %d manifests already: remove it and pull again",
		    LIMIT_IMAGE_MANIFESTS);
	json_edit_object(&m->sizes, old && old->sizes.n ? old->sizes : none, sizes, p->n);
	json_edit_object(
	    &m->digests, old && old->digests.n ? old->digests : none, digests, p->n);
	return m->keys.bad || m->sizes.bad || m->digests.bad
		   ? err_errno(e, ENOMEM, "items")
		   : 0;
}

/* The members that a new image, or one whose proof grows, gets; all others stay. */
struct head {
	char id[ID_HEX + 3], layer[ID_HEX + 3], digest[DIGEST_TEXT + 3], created[33];
	struct buf metadata, flags;
};

static void
head_free(struct head *h)
{
	buf_free(&h->metadata);
	buf_free(&h->flags);
}

static void
head_make(struct head *h, const struct image_plan *p, const struct commit_request *rq,
    const struct record *old)
{
	char digest[DIGEST_TEXT + 1], when[31];

	snprintf(h->id, sizeof(h->id), "\"%s\"", p->id);
	snprintf(h->layer, sizeof(h->layer), p->layer[0] ? "\"%s\"" : "%s", p->layer);
	digest_print(rq->list.n ? rq->list_digest : rq->manifest_digest, digest);
	snprintf(h->digest, sizeof(h->digest), "\"%s\"", digest);
	struct stamp t = rq->created.s < 0 ? stamp_now() : rq->created;
	snprintf(h->created, sizeof(h->created), "\"%s\"", stamp_print(t, when));
	if (p->replace)
		buf_json(&h->metadata, buf_span(&p->metadata));
	if (!p->replace || !rq->n_signatures)
		return;
	digest_print(rq->manifest_digest, digest);
	CLEANUP(buf_free) struct buf value = {0};
	buf_json(&value, span_str(digest));
	struct json_edit mark = {VERIFIED, buf_span(&value)};
	json_edit_object(
	    &h->flags, old && old->flags.n ? old->flags : span_str("{}"), &mark, 1);
	h->flags.bad |= value.bad;
}

static void
quote(struct buf *b, const char *name)
{
	buf_json(b, span_str(name));
}

int
image_record(struct buf *out, const struct image_plan *p, const struct commit_request *rq,
    const struct record *old, bool *changed, struct err *e)
{
	CLEANUP(name_lists_free) struct name_lists names = {0};
	CLEANUP(item_members_free) struct item_members items = {0};
	CLEANUP(head_free) struct head h = {0};
	CLEANUP(buf_free) struct buf name = {0};
	bool named = old && (rq->mend || names_have(old->names, span_str(rq->name)));

	*changed = !named || p->n || p->replace;
	if (!*changed) {
		buf_add(out, old->raw);
		return 0;
	}
	quote(&name, rq->name);
	int r = named ? 0 : name_lists_make(&names, old, buf_span(&name), e);
	if (r == 0)
		r = item_members_make(&items, p, old, e);
	if (r < 0)
		return r;
	head_make(&h, p, rq, old);
	if (named) {
		buf_add(&names.names, old->names);
		buf_add(&names.history, old->history);
	}
	const struct json_edit edits[] = {
	    {"id", span_str(h.id)},
	    {"names", buf_span(&names.names)},
	    {"names-history", buf_span(&names.history)},
	    {"big-data-names", buf_span(&items.keys)},
	    {"big-data-sizes", buf_span(&items.sizes)},
	    {"big-data-digests", buf_span(&items.digests)},
	    /* From here on only for a new image, or one that gets its first verified
	       signature. */
	    {"digest", span_str(h.digest)},
	    {"metadata", buf_span(&h.metadata)},
	    {"flags", buf_span(&h.flags)},
	    {"layer", span_str(h.layer)},
	    {"created", span_str(h.created)},
	};
	size_t n = !old ? ARRAY_LEN(edits) : p->replace ? 9 : 6;
	json_edit_object(out, old ? old->raw : span_str("{}"), edits, n);
	out->bad |= name.bad || h.metadata.bad || h.flags.bad || names.names.bad ||
		    names.history.bad;
	return out->bad ? err_errno(e, ENOMEM, "an image record") : 0;
}

static int
put_names(
    struct buf *out, const struct record *old, struct span names, struct span history)
{
	const struct json_edit edits[] = {{"names", names}, {"names-history", history}};

	json_edit_object(out, old->raw, edits, history.n ? 2 : 1);
	return out->bad ? -ENOMEM : 0;
}

int
image_add_name(struct buf *out, const struct record *old, const char *name, struct err *e)
{
	CLEANUP(name_lists_free) struct name_lists names = {0};
	CLEANUP(buf_free) struct buf quoted = {0};

	quote(&quoted, name);
	int r = name_lists_make(&names, old, buf_span(&quoted), e);
	if (r < 0)
		return r;
	r = put_names(out, old, buf_span(&names.names), buf_span(&names.history));
	return r < 0 || quoted.bad ? err_errno(e, ENOMEM, "names") : 0;
}

int
image_drop_name(
    struct buf *out, const struct record *old, const char *name, struct err *e)
{
	CLEANUP(spans_free) struct spans names = {0};
	CLEANUP(buf_free) struct buf quoted = {0};
	CLEANUP(buf_free) struct buf text = {0};

	quote(&quoted, name);
	if (name[0])
		spans_add_array(&names, old->names, buf_span(&quoted));
	spans_print(&names, &text);
	int r = put_names(out, old, buf_span(&text), span_of("", 0));
	return r < 0 || quoted.bad || text.bad ? err_errno(e, ENOMEM, "names") : 0;
}

int
images_drop_name(
    struct table *images, const struct record *keep, const char *name, struct err *e)
{
	int found = 0;

	for (size_t i = 0; i < images->n; i++) {
		struct record *r = &images->rec[i];
		if (r == keep || r->gone || !names_have(r->names, span_str(name)))
			continue;
		CLEANUP(buf_free) struct buf text = {0};
		int res = image_drop_name(&text, r, name, e);
		if (res == 0)
			res = table_put(images, r, &text, e);
		if (res < 0)
			return res;
		found = 1;
	}
	return found;
}
