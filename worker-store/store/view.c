#include "worker-store/store/dir.h"
#include "worker-store/store/image.h"
#include "worker-store/store/layer.h"

#include "common/ref/ref.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define CHAIN_MAX 512 /* layers of an image that any upstream version could have made */

int
view_load(struct view *v, const struct store *s, struct err *e)
{
	*v = VIEW_NONE;
	/* Images first: a commit writes layers first, so each image's layers are in what
	 * is read next. */
	int r = table_load(&v->images, TABLE_IMAGES, s->images, FILE_IMAGES, e);
	if (r == 0)
		r = table_load(&v->layers, TABLE_LAYERS, s->layers, FILE_LAYERS, e);
	if (r == 0)
		r = table_load(&v->volatile_layers, TABLE_LAYERS, s->layers,
		    FILE_VOLATILE_LAYERS, e);
	if (r < 0)
		view_free(v);
	return r;
}

void
view_free(struct view *v)
{
	table_free(&v->layers);
	table_free(&v->volatile_layers);
	table_free(&v->images);
}

static struct record *
by_name(struct view *v, struct span name)
{
	/* Of two records with one name the later one keeps it, as upstream repairs it. */
	for (size_t i = v->images.n; i-- > 0;)
		if (names_have(v->images.rec[i].names, name))
			return &v->images.rec[i];
	return NULL;
}

static bool
has_digest(const struct record *image, const uint8_t digest[DIGEST_BYTES])
{
	uint8_t all[LIMIT_IMAGE_MANIFESTS + 8][DIGEST_BYTES];
	size_t n = image_digests(image, all, ARRAY_LEN(all));

	for (size_t i = 0; i < n && i < ARRAY_LEN(all); i++)
		if (!memcmp(all[i], digest, DIGEST_BYTES))
			return true;
	return false;
}

static bool
has_repository(const struct record *image, const struct ref *want)
{
	struct name_iter it = image_names(image);
	struct ref have;

	while (name_next(&it))
		if (ref_parse(span_str(it.text), &have, NULL) == 0 &&
		    !strcmp(have.domain, want->domain) && !strcmp(have.path, want->path))
			return true;
	return false;
}

static struct record *
by_digest(struct view *v, struct span text)
{
	struct ref want;

	if (ref_parse(text, &want, NULL) < 0 || !want.has_digest)
		return NULL;
	for (size_t i = 0; i < v->images.n; i++)
		if (has_digest(&v->images.rec[i], want.digest) &&
		    has_repository(&v->images.rec[i], &want))
			return &v->images.rec[i];
	return NULL;
}

/* NULL with *many set when more than one ID begins so. */
static struct record *
by_prefix(struct view *v, const struct id_prefix *id, bool *many)
{
	struct record *found = NULL;

	for (size_t i = 0; i < v->images.n; i++) {
		struct record *r = &v->images.rec[i];
		if (r->id.n < id->n || memcmp(r->id.p, id->hex, id->n) != 0)
			continue;
		if (found) {
			*many = true;
			return NULL;
		}
		found = r;
	}
	return found;
}

struct record *
view_find(struct view *v, struct span ref, struct err *e)
{
	char shown[200];
	struct id_prefix id;
	bool many = false, is_id = id_prefix_parse(ref, &id);

	struct record *r = is_id && id.n == ID_HEX ? by_prefix(v, &id, &many) : NULL;
	if (!r)
		r = by_name(v, ref);
	if (!r)
		r = by_digest(v, ref);
	if (!r && is_id)
		r = by_prefix(v, &id, &many);
	if (many)
		err_set(e, ERR_USAGE,
		    "more than one image ID begins with %s: give more digits", id.hex);
	else if (!r)
		err_set(e, ERR_NOT_FOUND, "no image %s in the store",
		    span_escape(ref, shown, sizeof(shown)));
	return r;
}

size_t
view_layers(const struct view *v)
{
	return v->layers.n + v->volatile_layers.n;
}

struct record *
view_layer(const struct view *v, size_t i)
{
	return i < v->layers.n ? &v->layers.rec[i]
			       : &v->volatile_layers.rec[i - v->layers.n];
}

bool
view_layer_find(struct view *v, struct span id, size_t *i)
{
	struct record *l = table_find(&v->layers, id);

	if (l) {
		*i = (size_t)(l - v->layers.rec);
		return true;
	}
	l = table_find(&v->volatile_layers, id);
	if (l)
		*i = v->layers.n + (size_t)(l - v->volatile_layers.rec);
	return l != NULL;
}

uint64_t
view_image_size(struct view *v, const struct record *image, unsigned *layers)
{
	struct json_iter it = json_iter(image->sizes);
	struct span key, value, id = image->layer;
	uint64_t sum = 0;
	int64_t n;
	unsigned depth = 0;

	while (json_next_member(&it, &key, &value))
		if (json_int64(value, &n) && n > 0)
			sum += (uint64_t)n;
	for (; id.n && depth < CHAIN_MAX; depth++) {
		size_t i;
		if (!view_layer_find(v, id, &i))
			break;
		const struct record *l = view_layer(v, i);
		sum += l->diff_size > 0 ? (uint64_t)l->diff_size : 0;
		id = l->parent;
	}
	if (layers)
		*layers = depth;
	return sum;
}

bool
view_lies_on(struct view *v, struct span from, struct span layer)
{
	size_t i;

	for (unsigned n = 0; from.n && n < CHAIN_MAX; n++) {
		if (span_eq(from, layer))
			return true;
		if (!view_layer_find(v, from, &i))
			return false;
		from = view_layer(v, i)->parent;
	}
	return false;
}

struct name_iter
image_names(const struct record *image)
{
	return (struct name_iter){.it = json_iter(image->names)};
}

bool
name_next(struct name_iter *it)
{
	struct span v;

	while (json_next(&it->it, &v)) {
		uint8_t text[6 * LIMIT_NAME + 2];
		if (v.n > sizeof(text))
			continue;
		ssize_t n = json_decode(v, text);
		if (n > 0 &&
		    span_to_str(span_of(text, (size_t)n), it->text, sizeof(it->text)))
			return true;
	}
	return false;
}

static void
digest_collect(struct span text, uint8_t (*out)[DIGEST_BYTES], size_t max, size_t *n)
{
	uint8_t d[DIGEST_BYTES];

	if (digest_parse(text, d) < 0)
		return;
	for (size_t i = 0; i < *n && i < max; i++)
		if (!memcmp(out[i], d, sizeof(d)))
			return;
	if (*n < max)
		memcpy(out[*n], d, sizeof(d));
	++*n;
}

size_t
image_digests(const struct record *image, uint8_t (*out)[DIGEST_BYTES], size_t max)
{
	struct json_iter it = json_iter(image->digests);
	struct span key, value;
	size_t n = 0;

	digest_collect(image->digest, out, max, &n);
	while (json_next_member(&it, &key, &value))
		if (span_starts(key, "\"manifest"))
			digest_collect(json_plain(value), out, max, &n);
	return n;
}

bool
image_manifest_digest(const struct record *image, uint8_t digest[DIGEST_BYTES])
{
	struct json_iter it = json_iter(image->digests);
	struct span key, value;

	while (json_next_member(&it, &key, &value))
		if (json_string_is(key, span_str("manifest")))
			return digest_parse(json_plain(value), digest) == 0;
	return false;
}

bool
image_config_digest(const struct record *image, uint8_t digest[DIGEST_BYTES])
{
	struct json_iter it = json_iter(image->keys);
	char key[DIGEST_TEXT + 1];
	struct span value;

	if (hex_decode(image->id, digest, DIGEST_BYTES) &&
	    names_have(image->keys, span_str(digest_print(digest, key))))
		return true;
	while (json_next(&it, &value))
		if (digest_parse(json_plain(value), digest) == 0)
			return true;
	return false;
}

int
store_item_open(const struct store *s, const struct record *image, const char *key,
    int *fd, uint64_t *size, struct err *e)
{
	char id[ID_HEX + 1], path[ID_HEX + 2 + 256];
	int64_t want;
	struct stat st;

	*fd = -1;
	if (!span_to_str(image->id, id, sizeof(id)) || !id_is(image->id) ||
	    !item_file(span_str(key), path + ID_HEX + 1, sizeof(path) - ID_HEX - 1))
		return err_set(e, ERR_CONTENT, "an image of the store has an odd id");
	if (!image_item_size(image, key, &want))
		return err_set(e, ERR_NOT_FOUND, "image %.12s has no item %s", id, key);
	memcpy(path, id, ID_HEX);
	path[ID_HEX] = '/';
	FD_AUTO f =
	    openat(s->images, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (f < 0 || fstat(f, &st) < 0)
		return err_errno(e, errno, "cannot open %s of image %.12s", key, id);
	if (!S_ISREG(st.st_mode) || st.st_size != want)
		return err_set(e, ERR_CONTENT,
		    "%s of image %.12s is damaged: its file has another size than "
		    "recorded",
		    key, id);
	*size = (uint64_t)want;
	*fd = fd_steal(&f);
	return 0;
}

int
view_has_layer(struct view *v, const struct store *s, const char *id,
    const struct access *a, bool *proven)
{
	struct record *r = table_find(&v->layers, span_str(id));

	*proven = false;
	if (!r || r->incomplete || !layer_on_disk(s, id))
		return 0;
	*proven = access_has(r->flags, a);
	return 1;
}

bool
view_maps_blob(const struct view *v, const uint8_t blob[DIGEST_BYTES],
    const uint8_t diff_id[DIGEST_BYTES])
{
	char from[DIGEST_TEXT + 1], to[DIGEST_TEXT + 1];

	digest_print(blob, from);
	digest_print(diff_id, to);
	for (size_t i = 0; i < v->layers.n; i++) {
		const struct record *r = &v->layers.rec[i];
		if (!r->incomplete && span_is(r->blob_digest, from) &&
		    span_is(r->diff_digest, to))
			return true;
	}
	return false;
}

bool
view_has_manifest(struct view *v, const uint8_t image[DIGEST_BYTES],
    const char *top_layer, const uint8_t manifest[DIGEST_BYTES])
{
	char id[ID_HEX + 1];
	struct record *r =
	    table_find(&v->images, span_str(hex_encode(image, DIGEST_BYTES, id)));

	return r && span_is(r->layer, top_layer) && has_digest(r, manifest);
}

int
store_fsinfo(struct view *v, const struct store *s, struct fsinfo *out, struct err *e)
{
	struct statvfs fs;

	*out = (struct fsinfo){.images = v->images.n, .layers = v->layers.n};
	if (fstatvfs(s->overlay, &fs) < 0)
		return err_errno(e, errno, "cannot look at the graph root's file system");
	for (size_t i = 0; i < v->layers.n; i++)
		if (v->layers.rec[i].diff_size > 0)
			out->bytes += (uint64_t)v->layers.rec[i].diff_size;
	for (size_t i = 0; i < v->images.n; i++) {
		struct record no_layers = v->images.rec[i];
		no_layers.layer = span_of("", 0);
		out->bytes += view_image_size(v, &no_layers, NULL);
	}
	out->total = (uint64_t)fs.f_blocks * fs.f_frsize;
	out->free = (uint64_t)fs.f_bavail * fs.f_frsize;
	out->inodes = fs.f_files;
	out->inodes_free = fs.f_favail;
	return 0;
}
