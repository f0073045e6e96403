#include "worker-store/store/inspector.h"

#include "worker-store/store/dir.h"
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
#define PULL_AGAIN "remove it (`bulkhead rmi -f`) and pull it again"
#define NOBODYS                                                                    \
	"nothing uses it; a later pull of it, or `podman system check --repair`, " \
	"clears it away"

static void __attribute__((format(printf, 3, 4)))
find(struct inspector *in, struct span id, const char *fmt, ...)
{
	char text[1000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	in->found(in->arg, id, text);
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
		find(in, span_of("", 0), "%s", why.text);
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
		find(in, image->id,
		    "its item %s has a name that no file can have; " PULL_AGAIN, shown);
		return;
	}
	memcpy(path, image->id.p, ID_HEX);
	path[ID_HEX] = '/';
	bool known = image_item_size(image, name, &size);
	if (fstatat(in->s->images, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		find(in, image->id,
		    "its item %s cannot be found as overlay-images/%s (%s); " PULL_AGAIN,
		    shown, path, strerror(errno));
	else if (!S_ISREG(st.st_mode) || (known && st.st_size != size))
		find(in, image->id,
		    "overlay-images/%s has %lld bytes and should have %lld; " PULL_AGAIN,
		    path, (long long)st.st_size, (long long)size);
	bool document = !strncmp(name, "manifest", 8) || !strncmp(name, "sha256:", 7);
	if (known && document && size > (int64_t)LIMIT_DOCUMENT)
		find(in, image->id,
		    "its item %s has %lld bytes, more than a manifest or "
		    "config may have (%llu); " PULL_AGAIN,
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
			find(in, image->id,
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
		find(in, image->id,
		    "the image is left out of every list: %s; " PULL_AGAIN, why);
	image_row_free(&row);
	inspect_names(in, i);
	while (id_is(image->id) && json_next(&it, &key))
		inspect_item(in, image, key);
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
		find(in, id,
		    "overlay/%.64s/link is missing or damaged; remove the images "
		    "that use the layer and pull them again",
		    (const char *)id.p);
		return;
	}
	snprintf(want, sizeof(want), "../%.64s/diff", (const char *)id.p);
	n = readlinkat(in->s->links, link, target, sizeof(target) - 1);
	if (n >= 0)
		target[n] = 0;
	if (n < 0 || strcmp(target, want) != 0)
		find(in, id,
		    "the short link overlay/l/%s of the layer is missing or leads "
		    "elsewhere; podman makes it again when it starts next after a reboot",
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
		find(in, l->id,
		    "the layer's tree overlay/%s is missing; remove the images "
		    "that use it and pull them again",
		    path);
		return;
	}
	inspect_link(in, l->id);
	if (whole_parent && !lower_fits(in, l->id, l->parent))
		find(in, l->id,
		    "overlay/%.64s/lower does not name the layers below it; "
		    "remove the images that use the layer and pull them again",
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
		find(in, l->id,
		    "overlay-layers/%s is missing or empty: containers run, but "
		    "`podman save` and `push` of the layer fail; remove the images that "
		    "use it and pull them again",
		    path);
}

void
inspect_layer(struct inspector *in, size_t i)
{
	const struct record *l = view_layer(view_of(in), i);
	size_t k;

	if (!id_is(l->id)) {
		char shown[100];
		find(in, l->id,
		    "the ID of the layer %s is not 64 lower-case hex digits; "
		    "`podman system check --repair`",
		    span_escape(l->id, shown, sizeof(shown)));
		return;
	}
	if (l->incomplete) {
		find(in, l->id,
		    "the layer is marked incomplete: a program is making or "
		    "deleting it, or died over it; the next change of the store by "
		    "podman "
		    "or bulkhead clears it away");
		return;
	}
	bool parent = !l->parent.n || view_layer_find(view_of(in), l->parent, &k);
	/* A container's may lie on a layer of an additional image store. */
	if (!parent && !in->of_container[i])
		find(in, l->id,
		    "the layer below it, %.64s, is not in the store; remove the "
		    "images that use it and pull them again",
		    l->parent.n == ID_HEX ? (const char *)l->parent.p : "?");
	inspect_tree(in, l, parent && (!l->parent.n || id_is(l->parent)));
	if (in->of_image[i])
		inspect_split(in, l);
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
		find(in, id, "overlay/%s belongs to no layer: " NOBODYS, name);
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
		find(in, id,
		    "the short link overlay/l/%.60s leads to no layer: nothing uses "
		    "it, it may be removed",
		    name);
	else if (layer_text(in, id, "link", link, sizeof(link)) > 0 &&
		 strcmp(link, name) != 0)
		find(in, id,
		    "the layer has a second short link, overlay/l/%.60s: remove it, "
		    "or podman may rename the layer's own",
		    name);
}

static void
entry_of_images(struct inspector *in, const char *name)
{
	struct span id = span_str(name);

	if (span_starts(id, ".tmp-") && is_old(in, in->s->images, name))
		find(in, nobody,
		    "overlay-images/%.120s was left half written by a program "
		    "that died; it may be removed",
		    name);
	else if (id_is(id) && !table_find(&view_of(in)->images, id) &&
		 is_old(in, in->s->images, name))
		find(in, id, "overlay-images/%s belongs to no image: " NOBODYS, name);
}

static void
entry_of_layers(struct inspector *in, const char *name)
{
	struct span text = span_str(name);
	struct span id = span_of(text.p, text.n < ID_HEX ? text.n : ID_HEX);
	struct span rest = span_from(text, id.n);
	size_t i;

	if (span_starts(text, ".tmp-") && is_old(in, in->s->layers, name))
		find(in, nobody,
		    "overlay-layers/%.120s was left half written by a program "
		    "that died; it may be removed",
		    name);
	else if (id_is(id) && (!rest.n || span_is(rest, ".tar-split.gz")) &&
		 !view_layer_find(view_of(in), id, &i) && is_old(in, in->s->layers, name))
		find(in, id, "overlay-layers/%.100s belongs to no layer: " NOBODYS, name);
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
		find(in, nobody,
		    "bulkhead/%s is the staging of a process that died; the next "
		    "start of bulkheadd removes it",
		    name);
}

static const struct {
	size_t dir; /* in struct store */
	void (*entry)(struct inspector *, const char *);
} dirs[INSPECT_DIRS] = {
    {offsetof(struct store, overlay), entry_of_overlay},
    {offsetof(struct store, links), entry_of_links},
    {offsetof(struct store, images), entry_of_images},
    {offsetof(struct store, layers), entry_of_layers},
    {offsetof(struct store, own), entry_of_own},
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
