#include "worker-store/store/layer.h"

#include "worker-store/store/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LOWER_ENTRY (2 + LINK_LEN + 1) /* "l/" + id + ":" */
#define LOWER_TEXT (LOWERS_MAX * LOWER_ENTRY + 1)

/* The path of something in a layer's directory, which is always ours to spell. */
static void
layer_path(char dst[ID_HEX + 16], const char *id, const char *what)
{
	assert(id_is(span_str(id)));
	snprintf(dst, ID_HEX + 16, "%s/%s", id, what);
}

static int
read_link_id(const struct store *s, const char *id, char dst[LINK_LEN + 1])
{
	char path[ID_HEX + 16];

	layer_path(path, id, "link");
	ssize_t n = file_text(s->overlay, path, dst, LINK_LEN + 1);
	if (n < 0)
		return (int)n;
	return link_id_is(span_of(dst, (size_t)n)) ? 0 : -EBADMSG;
}

bool
layer_on_disk(const struct store *s, const char *id)
{
	char link[LINK_LEN + 1], path[ID_HEX + 16];
	struct stat st;

	layer_path(path, id, "diff");
	return read_link_id(s, id, link) == 0 &&
	       fstatat(s->overlay, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

/* `lower` of the parent: l/<id>, then more after colons. -ENOENT: a base layer. */
static ssize_t
read_lower(const struct store *s, const char *id, char dst[LOWER_TEXT])
{
	char path[ID_HEX + 16];

	layer_path(path, id, "lower");
	ssize_t n = file_text(s->overlay, path, dst, LOWER_TEXT);
	if (n < 0)
		return n;
	for (ssize_t i = 0; i < n; i += LOWER_ENTRY) {
		bool last = n - i == LOWER_ENTRY - 1;
		if (n - i < LOWER_ENTRY - 1 || memcmp(dst + i, "l/", 2) != 0 ||
		    !link_id_is(span_of(dst + i + 2, LINK_LEN)) ||
		    (!last && (dst[i + LOWER_ENTRY - 1] != ':' || n - i == LOWER_ENTRY)))
			return -EBADMSG;
	}
	return n;
}

/* Nearest parent first, no trailing colon or newline. */
static int
make_lower(const struct store *s, const char *parent, struct buf *out, struct err *e)
{
	char link[LINK_LEN + 1], lower[LOWER_TEXT];

	int r = read_link_id(s, parent, link);
	if (r < 0)
		return err_errno(
		    e, -r, "overlay/%.12s of the store has no good link file", parent);
	buf_fmt(out, "l/%s", link);
	ssize_t n = read_lower(s, parent, lower);
	if (n < 0 && n != -ENOENT)
		return err_errno(e, (int)-n,
		    "overlay/%.12s of the store has no good lower file", parent);
	if (n > 0) {
		buf_str(out, ":");
		buf_add(out, span_of(lower, (size_t)n));
	}
	if (out->n + 1 > LOWERS_MAX * (size_t)LOWER_ENTRY)
		return err_set(e, ERR_CONTENT, "more than %d layers", LOWERS_MAX);
	return out->bad ? err_errno(e, ENOMEM, "a layer") : 0;
}

/* The applier owned this directory; who may enter the container's root is not its to say.
 * A child has the mode and owner of its parent's. */
static int
reset_diff(const struct store *s, const char *parent, int diff, bool sync, struct err *e)
{
	static const char *const acls[] = {
	    "system.posix_acl_access", "system.posix_acl_default"};
	struct stat st = {.st_mode = 0555}, now;
	char path[ID_HEX + 16];
	bool same = true;

	if (parent) {
		layer_path(path, parent, "diff");
		if (fstatat(s->overlay, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_errno(
			    e, errno, "cannot look at the parent layer's diff");
	}
	for (size_t i = 0; i < ARRAY_LEN(acls); i++) {
		if (fgetxattr(diff, acls[i], NULL, 0) < 0 &&
		    (errno == ENODATA || errno == EOPNOTSUPP))
			continue;
		same = false;
		if (fremovexattr(diff, acls[i]) < 0)
			return err_errno(e, errno, "cannot clear %s of a layer", acls[i]);
	}
	if (same && fstat(diff, &now) == 0 && now.st_uid == st.st_uid &&
	    now.st_gid == st.st_gid && (now.st_mode & 07777) == (st.st_mode & 07777))
		return 0;
	if (fchown(diff, st.st_uid, st.st_gid) < 0 ||
	    fchmod(diff, st.st_mode & 07777) < 0)
		return err_errno(e, errno, "cannot set owner and mode of a layer");
	return sync && disk_sync(diff) < 0 ? err_errno(e, errno, "cannot sync a layer")
					   : 0;
}

static int
fresh_dir(int at, const char *name)
{
	if (unlinkat(at, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return -errno;
	FD_AUTO fd = dir_make(at, name, 0700);
	return fd < 0 ? fd : 0;
}

static int
fresh_file(int at, const char *name, struct span text, bool sync)
{
	if (unlinkat(at, name, 0) < 0 && errno != ENOENT)
		return -errno;
	return sync ? file_new(at, name, 0644, text)
		    : file_new_unsynced(at, name, 0644, text);
}

static int
link_fresh(const struct store *s, char link[LINK_LEN + 1])
{
	int r;

	do {
		r = link_id_new(link);
	} while (r == 0 && dir_has(s->links, link) == 1);
	return r;
}

/* Everything beside `diff`; lower.n == 0: a base layer. */
static int
write_beside(const struct staged *l, struct span lower, bool sync, struct err *e)
{
	int r = fresh_file(l->dir, "link", span_str(l->link), sync);
	if (r == 0 && lower.n)
		r = fresh_file(l->dir, "lower", lower, sync);
	if (r == 0)
		r = fresh_dir(l->dir, "work");
	if (r == 0)
		r = fresh_dir(l->dir, "merged");
	if (r == 0 && !lower.n)
		r = fresh_dir(l->dir, "empty");
	if (r == 0 && sync && disk_sync(l->dir) < 0)
		r = -errno;
	return r < 0 ? err_errno(e, -r, "cannot finish a layer's directory") : 0;
}

int
store_layer_dress(struct store *s, struct staged *l, const char *present,
    const struct staged *const *above, size_t n, struct err *e)
{
	CLEANUP(buf_free) struct buf lower = {0};

	int r = reset_diff(s, present, l->diff, false, e);
	for (size_t i = 0; i < n; i++)
		buf_fmt(&lower, "%sl/%s", i ? ":" : "", above[i]->link);
	if (r == 0 && present) {
		buf_str(&lower, n ? ":" : "");
		r = make_lower(s, present, &lower, e);
	}
	if (r == 0 && lower.bad)
		r = err_errno(e, ENOMEM, "a layer");
	return r < 0 ? r : write_beside(l, buf_span(&lower), false, e);
}

/* As store_layer_dress left it, and that is how it has to be. */
static bool
is_dressed(const struct store *s, const struct staged *l, struct span lower)
{
	char link[LINK_LEN + 1], text[LOWER_TEXT];

	if (file_text(l->dir, "link", link, sizeof(link)) != LINK_LEN ||
	    strcmp(link, l->link) != 0 || dir_has(s->links, link) != 0 ||
	    dir_has(l->dir, "work") != 1 || dir_has(l->dir, "merged") != 1)
		return false;
	if (!lower.n)
		return dir_has(l->dir, "empty") == 1 && dir_has(l->dir, "lower") == 0;
	ssize_t n = file_text(l->dir, "lower", text, sizeof(text));
	return n >= 0 && span_eq(span_of(text, (size_t)n), lower) &&
	       dir_has(l->dir, "empty") == 0;
}

/* Under the locks, with this short link; NULL = its own: then it is made again from
 * nothing only where another program has changed what is below, or taken the link, or
 * when a commit is tried again. */
static int
dress(struct store *s, const char *parent, struct staged *l, const char *link,
    struct err *e)
{
	CLEANUP(buf_free) struct buf lower = {0};

	int r = reset_diff(s, parent, l->diff, true, e);
	if (r == 0 && parent)
		r = make_lower(s, parent, &lower, e);
	if (r < 0 || (!link && is_dressed(s, l, buf_span(&lower))))
		return r;
	if (link)
		memcpy(l->link, link, sizeof(l->link));
	else
		r = link_fresh(s, l->link);
	if (r < 0)
		return err_errno(e, -r, "no random bytes");
	return write_beside(l, buf_span(&lower), true, e);
}

static int
check_split(const struct staged *l, struct err *e)
{
	struct stat st;

	if (fstat(l->split, &st) < 0)
		return err_errno(e, errno, "cannot look at a tar-split file");
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return err_set(e, ERR_INTERNAL, "a layer has no tar-split file");
	return 0;
}

static int
move_in(
    struct store *s, const char *id, struct staged *l, const char *link, struct err *e)
{
	char target[ID_HEX + 16], from[32], to[ID_HEX + 20];

	snprintf(target, sizeof(target), "../%s/diff", id);
	snprintf(from, sizeof(from), "%s.split", l->name);
	snprintf(to, sizeof(to), "%s.tar-split.gz", id);
	if (renameat2(s->staging, l->name, s->overlay, id, RENAME_NOREPLACE) < 0)
		return err_errno(e, errno, "cannot move a layer into overlay/");
	FAILPOINT(LAYER_MOVED);
	if (symlinkat(target, s->links, link) < 0)
		return err_errno(e, errno, "cannot make a layer's short link");
	FAILPOINT(LAYER_LINKED);
	if (renameat(s->staging, from, s->layers, to) < 0)
		return err_errno(e, errno, "cannot move a tar-split file");
	FAILPOINT(LAYER_PLACED);
	return 0;
}

int
layer_place(
    struct store *s, const char *id, const char *parent, struct staged *l, struct err *e)
{
	int r = check_split(l, e);
	if (r == 0)
		r = dress(s, parent, l, NULL, e);
	if (r < 0)
		return r;
	FAILPOINT(LAYER_DRESSED);
	r = layer_unplace(s, id);
	if (r < 0)
		return err_errno(
		    e, -r, "cannot clear away a leftover of layer %.12s", id);
	FAILPOINT(LAYER_CLEARED);
	r = move_in(s, id, l, l->link, e);
	if (r < 0 && layer_unplace(s, id) < 0)
		return r; /* the journal names it */
	return r;
}

/* A link that leads elsewhere belongs to another layer and stays. */
static int
unlink_short(struct store *s, const char *id)
{
	char link[LINK_LEN + 1], target[ID_HEX + 16], want[ID_HEX + 16];

	int r = read_link_id(s, id, link);
	if (r == -ENOENT || r == -ENOTDIR || r == -EBADMSG)
		return 0;
	if (r < 0)
		return r;
	ssize_t n = readlinkat(s->links, link, target, sizeof(target) - 1);
	if (n < 0)
		return errno == ENOENT ? 0 : -errno;
	target[n] = 0;
	snprintf(want, sizeof(want), "../%s/diff", id);
	if (strcmp(target, want) != 0)
		return 0;
	return unlinkat(s->links, link, 0) < 0 ? -errno : 0;
}

int
layer_unplace(struct store *s, const char *id)
{
	char split[ID_HEX + 20];

	assert(id_is(span_str(id)));
	snprintf(split, sizeof(split), "%s.tar-split.gz", id);
	int r = unlink_short(s, id);
	FAILPOINT(LAYER_UNLINKED);
	if (r == 0)
		r = trash_put(s, s->overlay, id);
	FAILPOINT(LAYER_TRASHED);
	if (r == 0)
		r = trash_put(s, s->layers, split);
	FAILPOINT(SPLIT_TRASHED);
	if (r == 0)
		r = trash_put(s, s->layers, id);
	return r;
}

/* ---- mending ---- */

static bool
link_leads(const struct store *s, const char *link, const char *id)
{
	char target[ID_HEX + 16], want[ID_HEX + 16];

	snprintf(want, sizeof(want), "../%s/diff", id);
	ssize_t n = readlinkat(s->links, link, target, sizeof(target));
	return n == (ssize_t)strlen(want) && memcmp(target, want, (size_t)n) == 0;
}

/* What the layers above call it: the first of their lowers. */
static bool
link_of_children(const struct store *s, const char *id, const struct table *layers,
    char link[LINK_LEN + 1])
{
	char lower[LOWER_TEXT], child[ID_HEX + 1];

	for (size_t i = 0; i < layers->n; i++) {
		const struct record *l = &layers->rec[i];
		if (!span_is(l->parent, id) || !id_is(l->id) ||
		    !span_to_str(l->id, child, sizeof(child)) ||
		    read_lower(s, child, lower) < LOWER_ENTRY - 1)
			continue;
		memcpy(link, lower + 2, LINK_LEN);
		link[LINK_LEN] = 0;
		return link_leads(s, link, id) || dir_has(s->links, link) == 0;
	}
	return false;
}

static bool
link_of_links(const struct store *s, const char *id, char link[LINK_LEN + 1])
{
	CLEANUP(dir_list_end) DIR *d = dir_list(s->links, ".");

	for (struct dirent *de; d && (de = readdir(d));) {
		if (!link_id_is(span_str(de->d_name)) || !link_leads(s, de->d_name, id))
			continue;
		memcpy(link, de->d_name, LINK_LEN + 1);
		return true;
	}
	return false;
}

/* The link the layer has, or had: by its own word while nobody else has it, else by that
 * of others. 1: a new one. */
static int
link_find(const struct store *s, const char *id, const struct table *layers,
    char link[LINK_LEN + 1])
{
	if (read_link_id(s, id, link) == 0 &&
	    (link_leads(s, link, id) || dir_has(s->links, link) == 0))
		return 0;
	if (link_of_children(s, id, layers, link) || link_of_links(s, id, link))
		return 0;
	int r = link_fresh(s, link);
	return r < 0 ? r : 1;
}

static int
link_make(const struct store *s, const char *link, const char *id)
{
	char target[ID_HEX + 16];

	if (link_leads(s, link, id))
		return 0;
	snprintf(target, sizeof(target), "../%s/diff", id);
	return symlinkat(target, s->links, link) < 0 ? -errno : 1;
}

/* 1 when its text was another one, or it was not there. Empty: must not be there. */
static int
text_set(int dir, const char *name, struct span text)
{
	char have[LOWER_TEXT];
	ssize_t n = file_text(dir, name, have, sizeof(have));

	if (text.n ? n >= 0 && span_eq(span_of(have, (size_t)n), text) : n == -ENOENT)
		return 0;
	if (n != -ENOENT && unlinkat(dir, name, 0) < 0)
		return -errno;
	FAILPOINT(REDRESS_CLEARED);
	int r = text.n ? file_new(dir, name, 0644, text) : 0;
	return r < 0 ? r : 1;
}

int
layer_redress(struct store *s, const char *id, const char *parent,
    const struct table *layers, struct err *e)
{
	CLEANUP(buf_free) struct buf lower = {0};
	char link[LINK_LEN + 1];
	FD_AUTO dir = dir_open(s->overlay, id);

	if (dir < 0)
		return err_errno(e, -dir, "cannot open layer %.12s", id);
	int r = parent ? make_lower(s, parent, &lower, e) : 0;
	if (r < 0)
		return r;
	int made = link_find(s, id, layers, link);
	int named = made < 0 ? made : text_set(dir, "link", span_str(link));
	FAILPOINT(REDRESS_NAMED);
	int leads = named < 0 ? named : link_make(s, link, id);
	FAILPOINT(REDRESS_LINKED);
	int lowers = leads < 0 ? leads : text_set(dir, "lower", buf_span(&lower));
	if (lowers < 0)
		return err_errno(e, -lowers, "cannot mend layer %.12s", id);
	if ((named || leads || lowers) && (disk_sync(dir) < 0 || disk_sync(s->links) < 0))
		return err_errno(e, errno, "cannot sync layer %.12s", id);
	FAILPOINT(REDRESS_DONE);
	return named || leads || lowers;
}

int
layer_swap(struct store *s, const char *id, const char *parent,
    const struct table *layers, struct staged *l, struct err *e)
{
	char link[LINK_LEN + 1] = "", from[32], to[ID_HEX + 20];

	int r = check_split(l, e);
	if (r < 0)
		return r;
	r = link_find(s, id, layers, link);
	if (r < 0)
		return err_errno(e, -r, "no random bytes");
	r = dress(s, parent, l, link, e);
	if (r < 0)
		return r;
	FAILPOINT(SWAP_DRESSED);
	snprintf(from, sizeof(from), "%s.split", l->name);
	snprintf(to, sizeof(to), "%s.tar-split.gz", id);
	if (renameat2(s->staging, l->name, s->overlay, id, RENAME_EXCHANGE) < 0 &&
	    (errno != ENOENT ||
		renameat2(s->staging, l->name, s->overlay, id, RENAME_NOREPLACE) < 0))
		return err_errno(e, errno, "cannot put a layer in its place");
	FAILPOINT(SWAP_EXCHANGED);
	r = link_make(s, link, id);
	if (r < 0)
		return err_errno(e, -r, "cannot make a layer's short link");
	FAILPOINT(SWAP_LINKED);
	if (renameat(s->staging, from, s->layers, to) < 0)
		return err_errno(e, errno, "cannot move a tar-split file");
	FAILPOINT(SWAP_PLACED);
	return 0;
}

int64_t
mount_count(struct table *mounts, struct span id)
{
	struct record *r = table_find(mounts, id);
	return r ? r->count : 0;
}

int
layers_recover(struct store *s, struct table *layers, struct table *mounts, int lock_fd,
    struct err *e)
{
	bool found = false;

	for (size_t i = 0; i < layers->n; i++) {
		struct record *r = &layers->rec[i];
		char id[ID_HEX + 1];
		if (!r->incomplete || r->gone)
			continue;
		if (!id_is(r->id) || !span_to_str(r->id, id, sizeof(id)))
			return err_set(e, ERR_CONTENT,
			    FILE_LAYERS
			    " of the store has an incomplete layer with an odd id");
		if (mount_count(mounts, r->id) > 0)
			return err_set(e, ERR_IN_USE,
			    "layer %.12s is marked incomplete but mounted", id);
		int res = layer_unplace(s, id);
		if (res < 0)
			return err_errno(
			    e, -res, "cannot clear away incomplete layer %.12s", id);
		r->gone = found = true;
	}
	if (!found)
		return 0;
	FAILPOINT(INCOMPLETE_CLEARED);
	return table_publish(s, layers, s->layers, FILE_LAYERS, lock_fd, e);
}
