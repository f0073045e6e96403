#include "worker-store/store/inspector.h"

#include "worker-store/store/dir.h"
#include "worker-store/store/hash.h"
#include "worker-store/store/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOWER_CAP (512 * 29 + 1) /* as many lowers as any upstream version mounts */
static void PRINTF(3, 4) find(struct inspector *in, struct damage d, const char *fmt, ...)
{
	char text[1000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	in->found(in->arg, &d, text);
}

static struct damage
of_other(struct span id)
{
	return (struct damage){.kind = DAMAGE_OTHER, .id = id};
}

static struct damage
of_image(const struct record *image)
{
	return (struct damage){.kind = DAMAGE_IMAGE, .id = image->id};
}

static struct damage
of_layer(struct span id)
{
	return (struct damage){.kind = DAMAGE_LAYER, .id = id};
}

static struct damage
of_dress(struct span id)
{
	return (struct damage){.kind = DAMAGE_DRESS, .id = id};
}

static struct damage
of_orphan(struct span id, size_t dir, const char *name)
{
	return (struct damage){DAMAGE_ORPHAN, id, dir, name};
}

/* ---- loading ---- */

static struct view *
view_of(const struct inspector *in)
{
	return (struct view *)&in->look.view;
}

size_t
inspect_layers(const struct inspector *in)
{
	return view_layers(view_of(in));
}

static void
mark_layers(struct inspector *in)
{
	struct view *v = view_of(in);
	size_t i;

	for (size_t k = 0; k < v->images.n; k++) {
		struct span id = v->images.rec[k].layer;
		while (id.n && view_layer_find(view_of(in), id, &i) && !in->of_image[i]) {
			in->of_image[i] = 1;
			id = view_layer(view_of(in), i)->parent;
		}
	}
	for (size_t t = 0; t < ARRAY_LEN(in->containers); t++)
		for (size_t k = 0; k < in->containers[t].n; k++)
			if (view_layer_find(
				view_of(in), in->containers[t].rec[k].layer, &i))
				in->of_container[i] = 1;
}

static void
inspector_clear(struct inspector *in)
{
	for (size_t i = 0; i < ARRAY_LEN(in->containers); i++)
		table_free(&in->containers[i]);
	free(ptr_steal(&in->of_image));
	free(ptr_steal(&in->of_container));
}

void
inspector_free(struct inspector *in)
{
	inspector_clear(in);
	look_close(&in->look);
}

int
inspector_load(struct inspector *in, struct err *e)
{
	struct err why = {0};

	inspector_clear(in);
	look_forgive(&in->look);
	if (look_now(&in->look, &why) < 0 ||
	    containers_load(in->containers, in->s, &why) < 0) {
		if (why.code != ERR_CONTENT)
			return err_set(e, why.code, "%s", why.text);
		find(in, of_other(span_of("", 0)), "%s", why.text);
		return 1;
	}
	in->of_image = calloc(inspect_layers(in) + 1, 1);
	in->of_container = calloc(inspect_layers(in) + 1, 1);
	if (!in->of_image || !in->of_container)
		return err_errno(e, ENOMEM, "a check");
	mark_layers(in);
	return 0;
}

/* ---- images ---- */

static void
inspect_item(struct inspector *in, const struct record *image, struct span key)
{
	char name[200], path[ID_HEX + 2 + 256], shown[200];
	struct span text = json_plain(key);
	struct stat st;
	int64_t size = -1;

	span_escape(text, shown, sizeof(shown));
	if (!span_to_str(text, name, sizeof(name)) || !name[0] ||
	    !item_file(text, path + ID_HEX + 1, sizeof(path) - ID_HEX - 1)) {
		find(in, of_image(image), "its item %s has a name that no file can have",
		    shown);
		return;
	}
	memcpy(path, image->id.p, ID_HEX);
	path[ID_HEX] = '/';
	bool known = image_item_size(image, name, &size);
	if (fstatat(in->s->images, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		find(in, of_image(image),
		    "its item %s cannot be found as overlay-images/%s (%s)", shown, path,
		    strerror(errno));
	else if (!S_ISREG(st.st_mode) || (known && st.st_size != size))
		find(in, of_image(image),
		    "overlay-images/%s has %lld bytes and should have %lld", path,
		    (long long)st.st_size, (long long)size);
	bool document = !strncmp(name, "manifest", 8) || !strncmp(name, "sha256:", 7);
	if (known && document && size > (int64_t)LIMIT_DOCUMENT)
		find(in, of_image(image),
		    "its item %s has %lld bytes, more than a manifest or "
		    "config may have (%llu)",
		    shown, (long long)size, (unsigned long long)LIMIT_DOCUMENT);
}

static void
inspect_names(struct inspector *in, size_t i)
{
	const struct record *image = &view_of(in)->images.rec[i];
	struct json_iter it = json_iter(image->names);
	struct span name;
	char shown[300];

	while (json_next(&it, &name))
		if (!rows_has_name(&in->look.rows, i, name))
			find(in, of_other(image->id),
			    "its name %s is recorded once more further on, where it "
			    "counts; take it away here (`podman untag`)",
			    span_escape(name, shown, sizeof(shown)));
}

void
inspect_image(struct inspector *in, size_t i)
{
	const struct record *image = &view_of(in)->images.rec[i];
	struct json_iter it = json_iter(image->keys);
	struct image_row row;
	struct span key;
	char why[300];

	if (rows_read(&in->look.rows, i, &row, why) > 0)
		find(in, of_image(image), "the image is left out of every list: %s", why);
	image_row_free(&row);
	inspect_names(in, i);
	while (id_is(image->id) && json_next(&it, &key))
		inspect_item(in, image, key);
}

/* Only what its size does not give away already. */
static void
inspect_document(struct inspector *in, const struct record *image, struct span key)
{
	char name[200], want[DIGEST_TEXT + 1], shown[200];
	CLEANUP(free_ptr) uint8_t *bytes = NULL;
	uint8_t digest[DIGEST_BYTES], hash[DIGEST_BYTES];
	struct span text = json_plain(key);
	FD_AUTO fd = -1;
	uint64_t size;
	size_t n = 0;

	if (!span_to_str(text, name, sizeof(name)) ||
	    !image_item_digest(image, name, digest) ||
	    store_item_open(in->s, image, name, &fd, &size, NULL) < 0 ||
	    size > LIMIT_DOCUMENT)
		return;
	if (fd_read_whole(fd, LIMIT_DOCUMENT, &bytes, &n) < 0)
		find(in, of_image(image), "its item %s cannot be read",
		    span_escape(text, shown, sizeof(shown)));
	else if (sha256(span_of(bytes, n), hash) == 0 &&
		 memcmp(hash, digest, sizeof(hash)) != 0)
		find(in, of_image(image), "the bytes of its item %s do not hash to %s",
		    span_escape(text, shown, sizeof(shown)), digest_print(digest, want));
}

void
inspect_documents(struct inspector *in, size_t i)
{
	const struct record *image = &view_of(in)->images.rec[i];
	struct json_iter it = json_iter(image->keys);
	struct span key;

	while (id_is(image->id) && json_next(&it, &key))
		inspect_document(in, image, key);
}

/* ---- layers ---- */

/* overlay/<id>/<what>, which is small text. Length or -errno. */
static ssize_t
layer_text(
    const struct inspector *in, struct span id, const char *what, char *dst, size_t cap)
{
	char path[ID_HEX + 16];

	snprintf(path, sizeof(path), "%.*s/%s", (int)id.n, (const char *)id.p, what);
	return file_text(in->s->overlay, path, dst, cap);
}

static void
inspect_link(struct inspector *in, struct span id)
{
	char link[LINK_LEN + 1], target[ID_HEX + 16], want[ID_HEX + 16];

	ssize_t n = layer_text(in, id, "link", link, sizeof(link));
	if (n < 0 || !link_id_is(span_of(link, (size_t)n))) {
		find(in, of_dress(id), "overlay/%.64s/link is missing or damaged",
		    (const char *)id.p);
		return;
	}
	snprintf(want, sizeof(want), "../%.64s/diff", (const char *)id.p);
	n = readlinkat(in->s->links, link, target, sizeof(target) - 1);
	if (n >= 0)
		target[n] = 0;
	if (n < 0 || strcmp(target, want) != 0)
		find(in, of_dress(id),
		    "the short link overlay/l/%s of the layer is missing or leads "
		    "elsewhere",
		    link);
}

/* Nearest parent first: l/<link of the parent>, then what the parent has. */
static bool
lower_fits(const struct inspector *in, struct span id, struct span parent)
{
	char have[LOWER_CAP], link[LINK_LEN + 1];
	char want[LOWER_CAP + LINK_LEN + 4];

	ssize_t n = layer_text(in, id, "lower", have, sizeof(have));
	if (!parent.n)
		return n == -ENOENT;
	if (n < 0 || layer_text(in, parent, "link", link, sizeof(link)) < 0)
		return false;
	int k = snprintf(want, sizeof(want), "l/%s:", link);
	n = layer_text(in, parent, "lower", want + k, sizeof(want) - (size_t)k);
	if (n < 0)
		want[k - 1] = 0;
	return (n >= 0 || n == -ENOENT) && strcmp(have, want) == 0;
}

static void
inspect_tree(struct inspector *in, const struct record *l, bool whole_parent)
{
	char path[ID_HEX + 16];
	struct stat st;

	snprintf(path, sizeof(path), "%.64s/diff", (const char *)l->id.p);
	if (fstatat(in->s->overlay, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISDIR(st.st_mode)) {
		find(in, of_layer(l->id), "the layer's tree overlay/%s is missing", path);
		return;
	}
	inspect_link(in, l->id);
	if (whole_parent && !lower_fits(in, l->id, l->parent))
		find(in, of_dress(l->id),
		    "overlay/%.64s/lower does not name the layers below it",
		    (const char *)l->id.p);
}

static void
inspect_split(struct inspector *in, const struct record *l)
{
	char path[ID_HEX + 20];
	struct stat st;

	snprintf(path, sizeof(path), "%.64s.tar-split.gz", (const char *)l->id.p);
	if (fstatat(in->s->layers, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode) || !st.st_size)
		find(in, of_layer(l->id),
		    "overlay-layers/%s is missing or empty: containers run, but "
		    "`podman save` and `push` of the layer fail",
		    path);
}

void
inspect_layer(struct inspector *in, size_t i)
{
	const struct record *l = view_layer(view_of(in), i);
	size_t k;

	if (!id_is(l->id)) {
		char shown[100];
		find(in, of_other(l->id),
		    "the ID of the layer %s is not 64 lower-case hex digits; "
		    "`podman system check --repair`",
		    span_escape(l->id, shown, sizeof(shown)));
		return;
	}
	if (l->incomplete) {
		find(in, (struct damage){.kind = DAMAGE_HALF, .id = l->id},
		    "the layer is marked incomplete: a program is making or "
		    "deleting it, or died over it; the next change of the store clears "
		    "it away");
		return;
	}
	bool parent = !l->parent.n || view_layer_find(view_of(in), l->parent, &k);
	/* A container's may lie on a layer of an additional image store. */
	if (!parent && !in->of_container[i])
		find(in, of_layer(l->id),
		    "the layer below it, %.64s, is not in the store",
		    l->parent.n == ID_HEX ? (const char *)l->parent.p : "?");
	inspect_tree(in, l, parent && (!l->parent.n || id_is(l->parent)));
	if (in->of_image[i])
		inspect_split(in, l);
}

bool
inspect_verifiable(const struct inspector *in, size_t i, uint8_t diff_id[DIGEST_BYTES],
    uint64_t *diff_size)
{
	struct view *v = view_of(in);
	const struct record *l = view_layer(v, i);

	*diff_size = l->diff_size > 0 ? (uint64_t)l->diff_size : 0;
	return i < v->layers.n && id_is(l->id) && !l->incomplete &&
	       !in->of_container[i] && digest_parse(l->diff_digest, diff_id) == 0;
}

void
inspect_unlike(struct inspector *in, size_t i, const char *why)
{
	find(in, of_layer(view_layer(view_of(in), i)->id),
	    "tree and tar-split do not give the layer's bytes any more: %s", why);
}

void
inspect_unknown(struct inspector *in, size_t i, const char *why)
{
	find(in, of_other(view_layer(view_of(in), i)->id),
	    "the layer could not be verified: %s", why);
}

/* ---- what no record speaks of ---- */

static const struct span nobody = {(const uint8_t *)"", 0};

/* Somebody else's work in progress is no finding. */
static bool
is_old(const struct inspector *in, int at, const char *name)
{
	struct stat st;

	return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       time(NULL) - st.st_ctim.tv_sec >= in->age_s;
}

static void
entry_of_overlay(struct inspector *in, const char *name)
{
	struct span id = span_str(name);
	size_t i;

	if (id_is(id) && !view_layer_find(view_of(in), id, &i) &&
	    is_old(in, in->s->overlay, name))
		find(in, of_orphan(id, INSPECT_OVERLAY, name),
		    "overlay/%s belongs to no layer", name);
}

static void
entry_of_links(struct inspector *in, const char *name)
{
	char target[ID_HEX + 16], link[LINK_LEN + 1];
	size_t i;

	ssize_t n = readlinkat(in->s->links, name, target, sizeof(target));
	struct span id = n == ID_HEX + 8 ? span_of(target + 3, ID_HEX) : nobody;
	bool known = id_is(id) && view_layer_find(view_of(in), id, &i);
	if (n < 0 || !is_old(in, in->s->links, name))
		return;
	if (!known)
		find(in, of_orphan(id, INSPECT_LINKS, name),
		    "the short link overlay/l/%.60s leads to no layer", name);
	else if (layer_text(in, id, "link", link, sizeof(link)) > 0 &&
		 strcmp(link, name) != 0)
		find(in, of_orphan(id, INSPECT_LINKS, name),
		    "the layer has a second short link, overlay/l/%.60s: podman may "
		    "rename the layer's own by it",
		    name);
}

static void
entry_of_images(struct inspector *in, const char *name)
{
	struct span id = span_str(name);

	if (span_starts(id, ".tmp-") && is_old(in, in->s->images, name))
		find(in, of_orphan(nobody, INSPECT_IMAGES, name),
		    "overlay-images/%.120s was left half written by a program "
		    "that died",
		    name);
	else if (id_is(id) && !table_find(&view_of(in)->images, id) &&
		 is_old(in, in->s->images, name))
		find(in, of_orphan(id, INSPECT_IMAGES, name),
		    "overlay-images/%s belongs to no image", name);
}

static void
entry_of_layers(struct inspector *in, const char *name)
{
	struct span text = span_str(name);
	struct span id = span_of(text.p, text.n < ID_HEX ? text.n : ID_HEX);
	struct span rest = span_from(text, id.n);
	size_t i;

	if (span_starts(text, ".tmp-") && is_old(in, in->s->layers, name))
		find(in, of_orphan(nobody, INSPECT_LAYERS, name),
		    "overlay-layers/%.120s was left half written by a program "
		    "that died",
		    name);
	else if (id_is(id) && (!rest.n || span_is(rest, ".tar-split.gz")) &&
		 !view_layer_find(view_of(in), id, &i) && is_old(in, in->s->layers, name))
		find(in, of_orphan(id, INSPECT_LAYERS, name),
		    "overlay-layers/%.100s belongs to no layer", name);
}

/* Who stages holds the lock of its directory for as long as it lives. Asked, not taken.
 */
static bool
is_held(int at, const char *lock)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	FD_AUTO fd = openat(at, lock, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK;
}

static void
entry_of_own(struct inspector *in, const char *name)
{
	uint8_t bytes[STAGING_NAME / 2];
	char lock[STAGING_NAME + 6];

	if (!hex_decode(span_str(name), bytes, sizeof(bytes)))
		return;
	snprintf(lock, sizeof(lock), "%s.lock", name);
	if (!is_held(in->s->own, lock) && is_old(in, in->s->own, name))
		find(in, of_orphan(nobody, INSPECT_OWN, name),
		    "bulkhead/%s is the staging of a process that died", name);
}

static const struct {
	size_t dir; /* in struct store */
	void (*entry)(struct inspector *, const char *);
} dirs[INSPECT_DIRS] = {
    [INSPECT_OVERLAY] = {offsetof(struct store, overlay), entry_of_overlay},
    [INSPECT_LINKS] = {offsetof(struct store, links), entry_of_links},
    [INSPECT_IMAGES] = {offsetof(struct store, images), entry_of_images},
    [INSPECT_LAYERS] = {offsetof(struct store, layers), entry_of_layers},
    [INSPECT_OWN] = {offsetof(struct store, own), entry_of_own},
};

DIR *
inspect_dir(const struct inspector *in, size_t i)
{
	int at;

	memcpy(&at, (const char *)in->s + dirs[i].dir, sizeof(at));
	return dir_list(at, ".");
}

void
inspect_entry(struct inspector *in, size_t i, const char *name)
{
	dirs[i].entry(in, name);
}
