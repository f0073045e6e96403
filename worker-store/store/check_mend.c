#include "worker-store/store/check_run.h"

#include "worker-store/store/image.h"
#include "worker-store/store/query.h"
#include "worker-store/store/watch.h"

#include "common/ref/ref.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- what pulls are to put again ---- */

bool
check_wants(const struct keeper *room, const char *id)
{
	for (size_t i = 0; i < room->n_wanted; i++)
		if (strcmp(room->wanted[i], id) == 0)
			return true;
	return false;
}

void
check_satisfied(struct keeper *room, const char *id)
{
	for (size_t i = 0; i < room->n_wanted; i++) {
		if (strcmp(room->wanted[i], id) != 0)
			continue;
		room->n_wanted--;
		memmove(room->wanted[i], room->wanted[room->n_wanted],
		    sizeof(room->wanted[0]));
		return;
	}
}

static void
want(struct keeper *room, const char *id)
{
	if (check_wants(room, id) || room->n_wanted == ROWS_MAX)
		return;
	if (!room->wanted && !(room->wanted = calloc(ROWS_MAX, sizeof(room->wanted[0]))))
		return;
	memcpy(room->wanted[room->n_wanted++], id, ID_HEX + 1);
}

static bool
is_fetchable(const struct mend_item *it)
{
	return (it->kind == DAMAGE_LAYER || it->kind == DAMAGE_IMAGE) && it->id[0];
}

static void
fetch_digest(struct check *c, const struct ref *ref, const uint8_t digest[DIGEST_BYTES])
{
	struct ipc_msg m = IPC_MSG(check_fetch, .req = c->req);
	char repo[2 * LIMIT_REPOSITORY + 2], hex[DIGEST_TEXT + 1];
	char name[sizeof(repo) + sizeof(hex) + 1];

	ref_print_repository(ref, repo);
	snprintf(name, sizeof(name), "%s@%s", repo, digest_print(digest, hex));
	m.check_fetch.name = span_str(name);
	port_send(&c->room->frontend, &m);
}

/* By the digest of its manifest, because the tag may have moved; then by that of the list
 * it came through, if that is a document of it, too. */
static bool
fetch_image(struct check *c, const struct record *image)
{
	struct name_iter it = image_names(image);
	uint8_t manifest[DIGEST_BYTES], top[DIGEST_BYTES];
	struct ref ref;

	while (name_next(&it)) {
		if (ref_parse(span_str(it.text), &ref, NULL) < 0 ||
		    !image_manifest_digest(image, manifest))
			continue;
		fetch_digest(c, &ref, manifest);
		if (digest_parse(image->digest, top) == 0 &&
		    memcmp(top, manifest, sizeof(top)) != 0)
			fetch_digest(c, &ref, top);
		return true;
	}
	return false;
}

/* Every image that would mend it is asked for: one registry may be gone. */
static bool
fetch_item(struct check *c, struct view *v, const struct mend_item *it)
{
	bool any = false;

	for (size_t i = 0; i < v->images.n; i++) {
		const struct record *image = &v->images.rec[i];
		if (it->kind == DAMAGE_IMAGE
			? span_is(image->id, it->id)
			: image_needs_layer(v, image, span_str(it->id)))
			any |= fetch_image(c, image);
	}
	return any;
}

/* ---- the end ---- */

static enum check_state
state_of(const struct check *c, const struct mend_item *it)
{
	static const enum check_state states[] = {
	    [MEND_LEFT] = CHECK_DAMAGED,
	    [MEND_DONE] = CHECK_MENDED,
	    [MEND_REMOVED] = CHECK_REMOVED,
	    [MEND_KEPT] = CHECK_KEPT,
	};

	if (it->state == MEND_LEFT && c->mend == CHECK_REFETCH && is_fetchable(it) &&
	    check_wants(c->room, it->id))
		return CHECK_WANTED;
	return states[it->state];
}

static void
send_row(struct check *c, const struct mend_item *it, const char *text)
{
	char safe[1000], full[1000];
	struct ipc_msg m = IPC_MSG(
	    check_row, .req = c->req, .id = span_str(it->id), .state = state_of(c, it));

	snprintf(
	    full, sizeof(full), "%s%s%s", text, it->why[0] ? "; kept: " : "", it->why);
	m.check_row.text = span_str(span_escape(span_str(full), safe, sizeof(safe)));
	port_send(&c->room->frontend, &m);
}

static bool
is_left(const struct mend_item *it)
{
	return it->state == MEND_LEFT || it->state == MEND_KEPT;
}

static void
check_log(struct check *c)
{
	char shown[600];

	for (size_t i = 0; i < c->kept; i++)
		room_log(c->room, LOG_WARNING, "after an unclean stop: %.12s: %s",
		    c->rows[i].item.id,
		    span_escape(span_str(c->rows[i].text), shown, sizeof(shown)));
	room_log(c->room, LOG_INFO,
	    "of what a dead store was publishing, %zu layers and images were looked at: "
	    "%zu findings",
	    c->n_only, c->n);
}

static void
check_tell(struct check *c)
{
	static const struct mend_item other = {.kind = DAMAGE_OTHER};
	size_t left = c->n - c->kept;
	char text[300];

	for (size_t i = 0; i < c->kept; i++) {
		send_row(c, &c->rows[i].item, c->rows[i].text);
		left += is_left(&c->rows[i].item);
	}
	if (c->n > c->kept) {
		snprintf(text, sizeof(text), "%zu more findings are not listed",
		    c->n - c->kept);
		send_row(c, &other, text);
	}
	snprintf(text, sizeof(text), "%zu finding%s%s; %s", c->n, c->n == 1 ? "" : "s",
	    c->rounds >= ROUNDS ? ", in a store that changed all the while" : "",
	    c->mend == CHECK_ONLY ? "`bulkhead check --repair` mends or removes what is "
				    "damaged, with --refetch it is pulled again"
				  : "not all of it could be mended or removed");
	query_done(c->room, c->req, left ? ERR_CONTENT : ERR_OK, left ? text : "");
}

static void
check_end(struct check *c)
{
	if (c->quiet)
		check_log(c);
	else
		check_tell(c);
	check_free(c);
}

/* ---- mending ---- */

static int
keep_pinned(void *arg, const struct record *image, struct err *e)
{
	struct check *c = arg;

	return query_refuse_pinned(c->room, image, "", e);
}

static void
take_removed(void *arg, bool deleted, const char *text)
{
	struct check *c = arg;

	room_log(
	    c->room, LOG_INFO, "repair: %s %s", deleted ? "removed" : "untagged", text);
}

/* What an earlier, deeper look has found and no pull has put again since. */
static void
remember_wanted(struct check *c)
{
	struct view *v = &c->in.look.view;
	size_t at;

	for (size_t i = c->room->n_wanted; i-- > 0;) {
		const char *id = c->room->wanted[i];
		bool image = table_find(&v->images, span_str(id));
		struct damage d = {
		    .kind = image ? DAMAGE_IMAGE : DAMAGE_LAYER, .id = span_str(id)};
		bool known = false;
		if (!image && !view_layer_find(v, span_str(id), &at)) {
			check_satisfied(c->room, id);
			continue;
		}
		for (size_t k = 0; k < c->kept; k++)
			known |= strcmp(c->rows[k].item.id, id) == 0 &&
				 is_fetchable(&c->rows[k].item);
		if (!known)
			check_found(
			    c, &d, "found damaged before, and not put again since");
	}
}

static void
want_all(struct check *c)
{
	struct view *v = &c->in.look.view;

	c->room->n_wanted = 0;
	for (size_t i = 0; i < c->kept; i++)
		if (is_fetchable(&c->rows[i].item) && fetch_item(c, v, &c->rows[i].item))
			want(c->room, c->rows[i].item.id);
}

/* Dead processes' staging is what the sweep is for; the locks are held already. */
static void
sweep_staging(struct check *c)
{
	struct store *s = &c->room->store;
	struct swept swept = {0};
	struct err e = {0};
	bool any = false;

	for (size_t i = 0; i < c->kept; i++)
		any |= c->rows[i].item.kind == DAMAGE_ORPHAN &&
		       c->rows[i].item.dir == INSPECT_OWN;
	if (!any || store_sweep(s, &c->room->hold, &swept, &e) < 0)
		return;
	for (size_t i = 0; i < c->kept; i++)
		if (c->rows[i].item.kind == DAMAGE_ORPHAN &&
		    c->rows[i].item.dir == INSPECT_OWN)
			c->rows[i].item.state = MEND_REMOVED;
}

static void
mend_run(struct job *j)
{
	struct check *c = j->arg;
	struct mend_ops ops = {keep_pinned, take_removed, c};
	struct err e = {0};
	struct mend_item *v = calloc(c->kept ? c->kept : 1, sizeof(*v));

	for (size_t i = 0; v && i < c->kept; i++)
		v[i] = c->rows[i].item;
	int r = !v ? err_errno(&e, ENOMEM, "a repair")
		   : store_mend(&c->room->store, &c->room->hold, v, c->kept,
			 c->mend == CHECK_REPAIR, &ops, &e);
	for (size_t i = 0; v && i < c->kept; i++) {
		c->rows[i].item = v[i];
		if (is_fetchable(&v[i]) && v[i].state == MEND_REMOVED)
			check_satisfied(c->room, v[i].id);
	}
	free(v);
	if (r == 0)
		sweep_staging(c);
	hold_release(&c->room->hold);
	watch_changed(c->room);
	erase_kick(c->room);
	if (r < 0) {
		query_done(c->room, c->req, e.code, e.text);
		check_free(c);
		return;
	}
	check_end(c);
}

static void
mend_failed(struct job *j, const struct err *e)
{
	struct check *c = j->arg;

	query_done(c->room, c->req, e->code, e->text);
	check_free(c);
}

void
check_finish(struct check *c)
{
	if (c->mend == CHECK_REPAIR)
		remember_wanted(c);
	if (c->mend == CHECK_REFETCH)
		want_all(c);
	if (c->mend == CHECK_ONLY || !c->n) {
		check_end(c);
		return;
	}
	c->job = (struct job){
	    .want = HOLD_COMMIT, .run = mend_run, .failed = mend_failed, .arg = c};
	job_add(c->room, &c->job);
}
