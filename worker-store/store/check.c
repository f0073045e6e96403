#include "worker-store/store/check_run.h"

#include "worker-store/store/query.h"

#include <stdlib.h>

#define CHECKS_MAX 4
#define STEP_MS 5
#define AGE_S 10
#define AGAIN_MS 1000 /* before a room that could not be had is asked for again ... */
#define AGAIN_MAX 5   /* ... so often */
#define BROKEN_MAX 1  /* likewise, after one that broke the protocol: it may be owned */

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

void
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

void
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

static bool
tree_again(struct check *c, enum deep_verdict verdict, const char *why)
{
	static const unsigned most[] = {
	    [DEEP_UNKNOWN] = AGAIN_MAX, [DEEP_BROKEN] = BROKEN_MAX, [DEEP_NOTHING] = 0};
	bool again = c->again < most[verdict];

	if (verdict == DEEP_UNKNOWN || verdict == DEEP_BROKEN)
		room_log(c->room, LOG_WARNING, "verifying layer %.12s: %s%s",
		    (const char *)view_layer(&c->in.look.view, c->at)->id.p, why,
		    again ? "; it is begun again" : "");
	c->again += again;
	return again;
}

static void
tree_done(struct deep *d, enum deep_verdict verdict, const char *why)
{
	struct check *c = d->arg;
	struct span id = view_layer(&c->in.look.view, c->at)->id;
	bool again = tree_again(c, verdict, why);

	loop_timer_set(&c->room->loop, &c->step, again ? AGAIN_MS : 1);
	if (again)
		return;
	if (verdict == DEEP_UNLIKE && tree_counts(c, id))
		inspect_unlike(&c->in, c->at, why);
	if ((verdict == DEEP_UNKNOWN || verdict == DEEP_BROKEN) && tree_counts(c, id))
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
	deep_begin(&c->tree, view_layer(&c->in.look.view, c->at), diff_id, size);
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
