#include "worker-store/store/rows.h"

#include "common/ref/ref.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CHAIN_MAX 512 /* as view.c */

/* ---- a hash that nobody can aim at without the seed ---- */

static uint64_t
mix(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;
	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* Both factors hold something of the seed: nobody can make one of them zero. */
static uint64_t
hash_bytes(struct span s, uint64_t seed)
{
	uint64_t k =
	    mix(seed ^ UINT64_C(0xa0761d6478bd642f), UINT64_C(0xe7037ed1a0b428db));
	uint64_t h = seed ^ s.n;

	while (s.n) {
		uint64_t a = 0, b = 0;
		size_t n = s.n < 16 ? s.n : 16;
		memcpy(&a, s.p, n < 8 ? n : 8);
		if (n > 8)
			memcpy(&b, s.p + 8, n - 8);
		h = mix(a ^ k, b ^ h) + h;
		s = span_from(s, n);
	}
	return mix(h ^ k, UINT64_C(0x8ebc6af09c88c6e3));
}

/* ---- chains of layers ---- */

static struct chain
chain_on(const struct record *layer, struct chain below)
{
	struct chain c = below;

	if (layer->incomplete)
		c.state = CHAIN_INCOMPLETE;
	c.bytes += layer->diff_size > 0 ? (uint64_t)layer->diff_size : 0;
	if (c.state == CHAIN_WHOLE && ++c.depth > CHAIN_MAX)
		c.state = CHAIN_DEEP;
	return c;
}

/* Up to what is known already, then back down: each layer once. */
static void
chain_walk(struct rows *r, size_t i)
{
	struct chain below = {.state = CHAIN_WHOLE};
	size_t n = 0;

	for (;;) {
		if (r->chains[i].state == CHAIN_WALKING) {
			below.state = CHAIN_DEEP;
			break;
		}
		if (r->chains[i].state != CHAIN_UNKNOWN) {
			below = r->chains[i];
			break;
		}
		r->chains[i].state = CHAIN_WALKING;
		r->path[n++] = (uint32_t)i;
		struct span parent = view_layer(r->v, i)->parent;
		if (!parent.n)
			break;
		if (!view_layer_find(r->v, parent, &i)) {
			below.state = CHAIN_MISSING;
			break;
		}
	}
	while (n) {
		i = r->path[--n];
		below = chain_on(view_layer(r->v, i), below);
		r->chains[i] = below;
	}
}

struct chain
rows_chain(struct rows *r, struct span layer)
{
	size_t i;

	if (!layer.n)
		return (struct chain){.state = CHAIN_WHOLE};
	if (!view_layer_find(r->v, layer, &i))
		return (struct chain){.state = CHAIN_MISSING};
	if (r->chains[i].state == CHAIN_UNKNOWN)
		chain_walk(r, i);
	return r->chains[i];
}

/* ---- whose a name is ---- */

static struct owner *
owner_slot(const struct rows *r, struct span name)
{
	size_t i = hash_bytes(name, r->seed) & r->mask;

	while (r->owners[i].name.n && !span_eq(r->owners[i].name, name))
		i = (i + 1) & r->mask;
	return &r->owners[i];
}

static size_t
count_names(const struct view *v)
{
	struct span name;
	size_t n = 0;

	for (size_t i = 0; i < v->images.n; i++) {
		struct json_iter it = json_iter(v->images.rec[i].names);
		while (json_next(&it, &name))
			n++;
	}
	return n;
}

static int
owners_fill(struct rows *r)
{
	struct view *v = r->v;
	struct span name;

	for (r->mask = 15; r->mask < 2 * count_names(v); r->mask = 2 * r->mask + 1)
		;
	r->owners = calloc(r->mask + 1, sizeof(*r->owners));
	r->loses = calloc(v->images.n + 1, 1);
	if (!r->owners || !r->loses)
		return -ENOMEM;
	for (size_t i = 0; i < v->images.n; i++) {
		struct json_iter it = json_iter(v->images.rec[i].names);
		while (json_next(&it, &name)) {
			struct owner *o = owner_slot(r, name);
			if (o->name.n)
				r->loses[o->image] = 1;
			*o = (struct owner){name, (uint32_t)i};
		}
	}
	return 0;
}

bool
rows_has_name(const struct rows *r, size_t image, struct span name)
{
	return !r->loses[image] || owner_slot(r, name)->name.p == name.p;
}

int
rows_init(struct rows *r, struct view *v, uint64_t seed)
{
	*r = (struct rows){.v = v, .seed = seed};
	r->chains = calloc(view_layers(v) + 1, sizeof(*r->chains));
	r->path = calloc(view_layers(v) + 1, sizeof(*r->path));
	int rc = r->chains && r->path ? owners_fill(r) : -ENOMEM;
	if (rc < 0)
		rows_free(r);
	return rc;
}

void
rows_free(struct rows *r)
{
	free(r->chains);
	free(r->path);
	free(r->owners);
	free(r->loses);
	*r = (struct rows){0};
}

uint64_t
rows_key(struct rows *r, size_t image)
{
	const struct record *rec = &r->v->images.rec[image];
	struct chain c = rows_chain(r, rec->layer);
	uint64_t h = hash_bytes(rec->raw, r->seed);
	struct json_iter it = json_iter(rec->names);
	struct span name;

	h = mix(h ^ c.bytes, (uint64_t)c.depth << 8 | c.state | UINT64_C(1) << 63);
	while (r->loses[image] && json_next(&it, &name))
		h = mix(h, rows_has_name(r, image, name) ? 3 : 5) + 1;
	return h;
}

/* ---- one record ---- */

static int
broken(char why[300], const char *before, struct span text, const char *after)
{
	char shown[160];

	snprintf(
	    why, 300, "%s%s%s", before, span_escape(text, shown, sizeof(shown)), after);
	return 1;
}

static int
read_layers(
    struct rows *r, const struct record *rec, struct image_row *row, char why[300])
{
	struct chain c = rows_chain(r, rec->layer);

	row->layers = c.depth;
	row->size = c.bytes;
	switch (c.state) {
	case CHAIN_WHOLE:
		return 0;
	case CHAIN_INCOMPLETE:
		return broken(why, "its layer ", rec->layer,
		    ", or one below, is marked incomplete");
	case CHAIN_DEEP:
		return broken(
		    why, "the layers below its layer ", rec->layer, " have no end");
	default:
		return broken(
		    why, "its layer ", rec->layer, ", or one below, is not in the store");
	}
}

static bool
item_size(const struct record *rec, struct span key, int64_t *size)
{
	struct json_iter it = json_iter(rec->sizes);
	struct span k, v;

	while (json_next_member(&it, &k, &v))
		if (span_eq(k, key))
			return json_int64(v, size);
	return false;
}

static bool
is_config_key(struct span key)
{
	struct span text = json_plain(key);
	uint8_t d[DIGEST_BYTES];

	return digest_parse(text, d) == 0;
}

/* The documents: what upstream calls big data. */
static int
read_items(const struct record *rec, struct image_row *row, char why[300])
{
	struct json_iter it = json_iter(rec->keys);
	bool manifest = false, config = false;
	struct span key, value;
	int64_t n;

	while (json_next(&it, &key)) {
		if (!item_size(rec, key, &n) || n < 0)
			return broken(why, "its item ", key, " has no size");
		manifest |= n > 0 && span_is(key, "\"manifest\"");
		config |= n > 0 && is_config_key(key);
	}
	if (!manifest || !config)
		return broken(why, "it has no ",
		    span_str(manifest ? "image config" : "manifest"), "");
	for (it = json_iter(rec->sizes); json_next_member(&it, &key, &value);)
		if (json_int64(value, &n) && n > 0)
			row->size += (uint64_t)n;
	return 0;
}

/* Distinct repositories, NUL after each. */
static bool
repos_add(struct buf *repos, const char *repo)
{
	size_t n = strlen(repo) + 1;

	for (size_t at = 0; at < repos->n;) {
		const char *p = (const char *)repos->p + at;
		size_t k = strlen(p) + 1;
		if (k == n && memcmp(p, repo, n) == 0)
			return false;
		at += k;
	}
	buf_add(repos, span_of(repo, n));
	return true;
}

static int
read_name(struct span name, struct image_row *row, struct buf *repos, char why[300])
{
	uint8_t decoded[LIMIT_NAME + 1];
	char repo[REF_TEXT];
	struct span text = json_plain(name);
	struct ref ref;

	if (!text.n && name.n <= sizeof(decoded)) {
		ssize_t n = json_decode(name, decoded);
		text = span_of(decoded, n > 0 ? (size_t)n : 0);
	}
	if (text.n > LIMIT_NAME || ref_parse(text, &ref, NULL) < 0 ||
	    (!ref.tag[0] && !ref.has_digest))
		return broken(why, "its name ", name, " is none");
	buf_add(&row->names, text);
	buf_str(&row->names, "\n");
	repos_add(repos, ref_print_repository(&ref, repo));
	return 0;
}

static void
read_digests(const struct record *rec, const struct buf *repos, struct image_row *row)
{
	uint8_t all[LIMIT_IMAGE_MANIFESTS + 8][DIGEST_BYTES];
	size_t n = image_digests(rec, all, ARRAY_LEN(all)), lines = 0;
	char hex[DIGEST_TEXT + 1];

	if (n > ARRAY_LEN(all))
		n = ARRAY_LEN(all);
	if (digest_parse(rec->digest, row->digest) < 0 && n)
		memcpy(row->digest, all[0], sizeof(row->digest));
	for (size_t at = 0; at < repos->n;) {
		const char *repo = (const char *)repos->p + at;
		for (size_t i = 0; i < n && lines < ROW_LINES; i++, lines++) {
			buf_str(&row->digests, repo);
			buf_str(&row->digests, "@");
			buf_str(&row->digests, digest_print(all[i], hex));
			buf_str(&row->digests, "\n");
		}
		at += strlen(repo) + 1;
	}
}

static int
read_names(struct rows *r, size_t image, struct image_row *row, char why[300])
{
	CLEANUP(buf_free) struct buf repos = {0};
	const struct record *rec = &r->v->images.rec[image];
	struct json_iter it = json_iter(rec->names);
	struct span name;
	size_t lines = 0;

	while (json_next(&it, &name)) {
		if (!rows_has_name(r, image, name))
			continue;
		if (lines++ == ROW_LINES)
			break;
		int rc = read_name(name, row, &repos, why);
		if (rc)
			return rc;
	}
	read_digests(rec, &repos, row);
	return repos.bad || row->names.bad || row->digests.bad ? -ENOMEM : 0;
}

int
rows_read(struct rows *r, size_t image, struct image_row *row, char why[300])
{
	const struct record *rec = &r->v->images.rec[image];

	*row = (struct image_row){0};
	if (!hex_decode(rec->id, row->id, sizeof(row->id)))
		return broken(
		    why, "its ID ", rec->id, " is not 64 lower-case hex digits");
	if (!stamp_parse(rec->created, &row->created))
		row->created = (struct stamp){0, 0};
	int rc = read_layers(r, rec, row, why);
	if (rc == 0)
		rc = read_items(rec, row, why);
	return rc ? rc : read_names(r, image, row, why);
}

void
image_row_free(struct image_row *row)
{
	buf_free(&row->names);
	buf_free(&row->digests);
}

bool
line_next(struct span *lines, struct span *line)
{
	const uint8_t *end = lines->n ? memchr(lines->p, '\n', lines->n) : NULL;

	if (!end)
		return false;
	*line = span_of(lines->p, (size_t)(end - lines->p));
	*lines = span_from(*lines, line->n + 1);
	return true;
}

bool
lines_have(struct span lines, struct span line)
{
	struct span one;

	while (line_next(&lines, &one))
		if (span_eq(one, line))
			return true;
	return false;
}
