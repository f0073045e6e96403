#include "worker-store/store/dir.h"
#include "worker-store/store/image.h"

#include "common/ref/ref.h"

#include <errno.h>

static int
names_publish(struct store *s, const struct hold *h, struct table *images, struct err *e)
{
	return table_publish(s, images, s->images, FILE_IMAGES, h->fd[LOCK_IMAGES], e);
}

static int
find_id(struct table *images, const struct store *s, const char *id, struct record **r,
    struct err *e)
{
	int res = table_load(images, TABLE_IMAGES, s->images, FILE_IMAGES, e);

	if (res < 0)
		return res;
	*r = table_find(images, span_str(id));
	if (!*r)
		return err_set(e, ERR_NOT_FOUND, "no image %.12s in the store", id);
	return 0;
}

/* `podman image exists repo@digest` must mean what the name says. */
static int
check_name(const struct record *image, const char *name, struct err *e)
{
	uint8_t digests[LIMIT_IMAGE_MANIFESTS + 8][DIGEST_BYTES];
	struct ref ref;

	if (!ref_is_canonical(span_str(name)) || ref_parse(span_str(name), &ref, e) < 0)
		return err_set(e, ERR_USAGE, "the new name is not canonical");
	if (!ref.has_digest)
		return 0;
	size_t n = image_digests(image, digests, ARRAY_LEN(digests));
	for (size_t i = 0; i < n && i < ARRAY_LEN(digests); i++)
		if (!memcmp(digests[i], ref.digest, DIGEST_BYTES))
			return 0;
	return err_set(
	    e, ERR_USAGE, "the image has no manifest of the digest in the new name");
}

int
store_tag(struct store *s, const struct hold *h, const char *id, const char *name,
    struct err *e)
{
	CLEANUP(table_free) struct table images = {0};
	CLEANUP(buf_free) struct buf text = {0};
	struct record *image = NULL;

	assert(h->want & 1u << LOCK_IMAGES);
	int r = find_id(&images, s, id, &image, e);
	if (r == 0)
		r = check_name(image, name, e);
	if (r < 0)
		return r;
	int moved = images_drop_name(&images, image, name, e);
	if (moved < 0)
		return moved;
	bool has = names_have(image->names, span_str(name));
	if (has && !moved)
		return 0;
	if (!has)
		r = image_add_name(&text, image, name, e);
	if (r == 0 && !has)
		r = table_put(&images, image, &text, e);
	FAILPOINT(TAG_MADE);
	return r < 0 ? r : names_publish(s, h, &images, e);
}

static void
tell_names(const struct record *image, removed_fn *fn, void *arg)
{
	struct name_iter it = image_names(image);

	while (name_next(&it))
		fn(arg, false, it.text);
}

int
store_untag(struct store *s, const struct hold *h, const char *id, const char *name,
    removed_fn *fn, void *arg, struct err *e)
{
	CLEANUP(table_free) struct table images = {0}, before = {0};
	CLEANUP(buf_free) struct buf text = {0};
	struct record *image = NULL, *old = NULL;
	char shown[200];

	assert(h->want & 1u << LOCK_IMAGES);
	int r = find_id(&before, s, id, &old, e);
	if (r == 0)
		r = find_id(&images, s, id, &image, e);
	if (r < 0)
		return r;
	assert(old && image);
	if (name[0] && !names_have(image->names, span_str(name)))
		return err_set(e, ERR_NOT_FOUND, "image %.12s has no name %s", id,
		    span_escape(span_str(name), shown, sizeof(shown)));
	r = image_drop_name(&text, image, name, e);
	if (r == 0)
		r = table_put(&images, image, &text, e);
	FAILPOINT(UNTAG_MADE);
	if (r == 0)
		r = names_publish(s, h, &images, e);
	if (r < 0)
		return r;
	if (name[0])
		fn(arg, false, name);
	else
		tell_names(old, fn, arg);
	return 0;
}
