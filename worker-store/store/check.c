#include "worker-store/store/check.h"

#include "worker-store/store/deep.h"
#include "worker-store/store/image.h"
#include "worker-store/store/query.h"
#include "worker-store/store/watch.h"

#include "common/ref/ref.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECKS_MAX 4
#define ROWS_MAX 1000 /* findings that are told; the others are counted */
#define ROUNDS 3      /* as often it is begun again when the records change */
#define STEP_MS 5
#define AGE_S 10
#define AGAIN_MS 1000 /* before a room that could not be had is asked for again ... */
#define AGAIN_MAX 5   /* ... so often */

struct finding {
	struct mend_item item;
	bool deep; /* of a phase that is not begun again */
	char *text;
};

/* The deep ones come first and once; then all that is quick, in a state of the records
 * that holds still. */
enum phase {
	PHASE_LOAD,
	PHASE_DOCUMENTS,
	PHASE_TREES,
	PHASE_LOOK,
	PHASE_IMAGES,
	PHASE_LAYERS,
	PHASE_DIRS,
	PHASE_END
};

struct check {
	struct check *next;
	struct keeper *room;
	uint64_t req;
	bool deep, quiet; /* quiet: nobody asked, it is for the log */
	enum check_mend mend;
	struct inspector in;
	struct loop_timer step;
	enum phase phase;
	size_t at; /* image, layer or directory */
	DIR *dir;
	unsigned rounds;
	struct finding *rows;
	size_t n, kept;
	struct job job;
	struct deep tree;
	unsigned again; /* tries of this layer */
	uint64_t bytes, bytes_all, layers, layers_all;
	char (*only)[ID_HEX + 1]; /* quiet: what it is about */
	size_t n_only;
};

/* ---- findings ---- */

static void
finding_free(struct finding *f)
{
	free(ptr_steal(&f->text));
}

/* Those of a quick look are found again, in another one. */
static void
findings_drop(struct check *c, bool deep)
{
	size_t n = 0;

	for (size_t i = 0; i < c->kept; i++) {
		if (deep || !c->rows[i].deep)
			finding_free(&c->rows[i]);
		else
			c->rows[n++] = c->rows[i];
	}
	c->n = c->kept = n;
}

static void
check_free(struct check *c)
{
	struct check **at = &c->room->checks;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	loop_timer_clear(&c->room->loop, &c->step);
	job_cancel(&c->job);
	deep_end(&c->tree);
	if (c->dir)
		closedir(c->dir);
	inspector_free(&c->in);
	findings_drop(c, true);
	free(c->rows);
	free(c->only);
	free(c);
}

static struct finding *
finding_new(struct check *c)
{
	c->n++;
	if (c->kept == ROWS_MAX)
		return NULL;
	if (!c->rows && !(c->rows = calloc(ROWS_MAX, sizeof(*c->rows))))
		return NULL;
	return &c->rows[c->kept];
}

/* Kept until the end: what was true only of a moment is not told. */
static void
check_found(void *arg, const struct damage *d, const char *text)
{
	struct check *c = arg;
	struct finding *f = finding_new(c);

	if (!f)
		return;
	*f = (struct finding){.item = {.kind = d->kind, .dir = d->dir},
	    .deep = c->phase < PHASE_LOOK,
	    .text = strdup(text)};
	if (!f->text)
		return;
	if (!id_is(d->id) || !span_to_str(d->id, f->item.id, sizeof(f->item.id)))
		f->item.id[0] = 0;
	if (d->name && strlen(d->name) < sizeof(f->item.name))
		memcpy(f->item.name, d->name, strlen(d->name) + 1);
	c->kept++;
}

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

static void
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

/* ---- the walk ---- */

/* One entry; false at the end of the last directory. */
static bool
step_dirs(struct check *c)
{
	if (c->quiet || (!c->dir && c->at == INSPECT_DIRS))
		return false;
	if (!c->dir)
		c->dir = inspect_dir(&c->in, c->at);
	struct dirent *de = c->dir ? readdir(c->dir) : NULL;
	if (de) {
		inspect_entry(&c->in, c->at, de->d_name);
		return true;
	}
	if (c->dir)
		closedir(c->dir);
	c->dir = NULL;
	c->at++;
	return true;
}

static bool
is_meant(const struct check *c, struct span id)
{
	for (size_t i = 0; i < c->n_only; i++)
		if (span_is(id, c->only[i]))
			return true;
	return !c->quiet;
}

static void
tell_progress(struct check *c, uint64_t bytes)
{
	struct ipc_msg m = IPC_MSG(check_progress, .req = c->req, .layers = c->layers,
	    .layers_all = c->layers_all, .bytes = c->bytes + bytes,
	    .bytes_all = c->bytes_all);

	port_send(&c->room->frontend, &m);
}

static void
tree_moved(struct deep *d, uint64_t bytes)
{
	tell_progress(d->arg, bytes);
}

/* The records may say something else by now, or the tree be another one: then this was
 * only a layer on its way out. */
static bool
tree_counts(struct check *c, struct span id)
{
	CLEANUP(view_free) struct view v = VIEW_NONE;

	if (view_load(&v, &c->room->store, NULL) < 0)
		return true; /* which is told otherwise */
	struct record *l = table_find(&v.layers, id);
	return l && !l->incomplete && deep_is_of(&c->tree, id);
}

static void
tree_done(struct deep *d, enum deep_verdict verdict, const char *why)
{
	struct check *c = d->arg;
	struct span id = view_layer(&c->in.look.view, c->at)->id;

	loop_timer_set(&c->room->loop, &c->step, 1);
	if (verdict == DEEP_UNKNOWN && c->again++ < AGAIN_MAX) {
		loop_timer_set(&c->room->loop, &c->step, AGAIN_MS);
		return;
	}
	if (verdict == DEEP_UNLIKE && tree_counts(c, id))
		inspect_unlike(&c->in, c->at, why);
	if (verdict == DEEP_UNKNOWN && tree_counts(c, id))
		inspect_unknown(&c->in, c->at, why);
	c->bytes += d->size;
	c->layers++;
	c->again = 0;
	c->at++;
	tell_progress(c, 0);
}

/* false at the last layer; the step timer waits while one is under way. */
static bool
step_trees(struct check *c)
{
	uint8_t diff_id[DIGEST_BYTES];
	uint64_t size;

	if (!c->deep || c->at == inspect_layers(&c->in))
		return false;
	if (!inspect_verifiable(&c->in, c->at, diff_id, &size)) {
		c->at++;
		return true;
	}
	c->tree.done = tree_done;
	c->tree.moved = tree_moved;
	c->tree.arg = c;
	c->tree.room = c->room;
	deep_begin(&c->tree, view_layer(&c->in.look.view, c->at)->id, diff_id, size);
	return true;
}

static void
count_trees(struct check *c)
{
	uint8_t diff_id[DIGEST_BYTES];
	uint64_t size;

	for (size_t i = 0; i < inspect_layers(&c->in); i++)
		if (inspect_verifiable(&c->in, i, diff_id, &size)) {
			c->layers_all++;
			c->bytes_all += size;
		}
}

/* One thing; false when the phase is over. */
static bool
step_phase(struct check *c)
{
	switch (c->phase) {
	case PHASE_DOCUMENTS:
		if (!c->deep || c->at == c->in.look.view.images.n)
			return false;
		inspect_documents(&c->in, c->at++);
		return true;
	case PHASE_TREES:
		return step_trees(c);
	case PHASE_IMAGES:
		if (c->at == c->in.look.view.images.n)
			return false;
		if (is_meant(c, c->in.look.view.images.rec[c->at].id))
			inspect_image(&c->in, c->at);
		c->at++;
		return true;
	case PHASE_LAYERS:
		if (c->at == inspect_layers(&c->in))
			return false;
		if (is_meant(c, view_layer(&c->in.look.view, c->at)->id))
			inspect_layer(&c->in, c->at);
		c->at++;
		return true;
	case PHASE_DIRS:
		return step_dirs(c);
	default:
		return false;
	}
}

/* What was damaged may have gone meanwhile. */
static void
forget_gone(struct check *c)
{
	struct view *v = &c->in.look.view;
	size_t n = 0, at;

	for (size_t i = 0; i < c->kept; i++) {
		struct span id = span_str(c->rows[i].item.id);
		if (!id.n || table_find(&v->images, id) || view_layer_find(v, id, &at))
			c->rows[n++] = c->rows[i];
		else
			finding_free(&c->rows[i]);
	}
	c->n -= c->kept - n;
	c->kept = n;
}

/* Negative: it has been answered and is gone. */
static int
step_load(struct check *c)
{
	struct err e = {0};
	bool first = c->phase == PHASE_LOAD;

	findings_drop(c, false);
	int r = inspector_load(&c->in, &e);
	if (r < 0) {
		if (!c->quiet)
			query_done(c->room, c->req, e.code, e.text);
		check_free(c);
		return r;
	}
	if (r == 0 && !first)
		forget_gone(c);
	if (r == 0 && first && c->deep)
		count_trees(c);
	c->phase = r ? PHASE_END : c->phase + 1;
	c->at = 0;
	return 0;
}

static bool
is_load(const struct check *c)
{
	return c->phase == PHASE_LOAD || c->phase == PHASE_LOOK;
}

static void
check_step(struct loop_timer *t)
{
	struct check *c = t->arg;
	uint64_t until = loop_now() + STEP_MS;

	if (is_load(c) && step_load(c) < 0)
		return;
	while (c->phase != PHASE_END && !is_load(c) && loop_now() < until) {
		if (step_phase(c)) {
			if (c->tree.busy)
				return;
			continue;
		}
		c->phase++;
		c->at = 0;
	}
	if (c->phase == PHASE_END && c->n && c->rounds < ROUNDS &&
	    look_changed(&c->in.look)) {
		c->rounds++;
		c->phase = PHASE_LOOK;
	}
	if (c->phase == PHASE_END)
		check_finish(c);
	else
		loop_timer_set(&c->room->loop, t, 1);
}

/* ---- the beginning ---- */

/* Two that go deep would take from each other. */
static struct check *
check_new(struct keeper *room, bool deep)
{
	unsigned n = 0;

	for (struct check *c = room->checks; c; c = c->next) {
		n++;
		if (deep && c->deep)
			return NULL;
	}
	struct check *c = n < CHECKS_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (!c || look_open(&c->in.look, &room->store) < 0) {
		free(c);
		return NULL;
	}
	c->room = room;
	c->deep = deep;
	c->in.s = &room->store;
	c->in.age_s = AGE_S;
	c->in.found = check_found;
	c->in.arg = c;
	c->step = (struct loop_timer){.fired = check_step, .arg = c};
	c->next = room->checks;
	room->checks = c;
	loop_timer_set(&room->loop, &c->step, 0);
	return c;
}

void
check_begin(struct keeper *room, const struct msg_check_store *m)
{
	struct check *c = check_new(room, m->deep);

	if (!c) {
		query_done(room, m->req, ERR_IN_USE,
		    "the store is being checked for others already: try again later");
		return;
	}
	c->req = m->req;
	c->mend = (enum check_mend)m->mend;
}

void
check_published(struct keeper *room, const char (*ids)[ID_HEX + 1], size_t n)
{
	char(*only)[ID_HEX + 1] = n ? malloc(n * sizeof(*only)) : NULL;
	struct check *c = only ? check_new(room, false) : NULL;

	if (!c) {
		free(only);
		return;
	}
	memcpy(only, ids, n * sizeof(*only));
	c->quiet = true;
	c->only = only;
	c->n_only = n;
}

void
check_cancel(struct keeper *room, uint64_t req)
{
	for (struct check *c = room->checks; c; c = c->next) {
		if (c->quiet || c->req != req)
			continue;
		query_done(room, req, ERR_DEADLINE, "cancelled");
		check_free(c);
		return;
	}
}

void
checks_end(struct keeper *room)
{
	for (struct check *c = room->checks, *next; c; c = next) {
		next = c->next;
		check_free(c);
	}
	free(ptr_steal(&room->wanted));
	room->n_wanted = 0;
}
