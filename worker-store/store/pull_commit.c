#include "worker-store/store/check.h"
#include "worker-store/store/pull.h"
#include "worker-store/store/watch.h"

#include <stdlib.h>

#define RESTARTS_MAX 3

static void
request_make(const struct pull *p, struct commit_request *rq, struct commit_layer *layers)
{
	*rq = (struct commit_request){.name = p->name,
	    .layers = layers,
	    .n_layers = p->n_layers,
	    .config = span_of(p->config.bytes, p->config.n),
	    .manifest = span_of(p->manifest.bytes, p->manifest.n),
	    .created = p->created,
	    .access = p->access,
	    .mend = p->mode == PULL_MEND};
	if (p->is_list)
		rq->list = span_of(p->top.bytes, p->top.n);
	memcpy(rq->config_digest, p->config.digest, DIGEST_BYTES);
	memcpy(rq->manifest_digest, p->manifest.digest, DIGEST_BYTES);
	memcpy(rq->list_digest, p->top.digest, DIGEST_BYTES);
	for (size_t i = 0; i < p->n_layers; i++) {
		struct pull_layer *l = &p->layers[i];
		struct commit_layer *c = &layers[i];
		memcpy(c->diff_id, l->diff_id, DIGEST_BYTES);
		memcpy(c->blob_digest, l->digest, DIGEST_BYTES);
		c->blob_size = l->size;
		c->diff_size = l->diff_size;
		c->compression = l->compression;
		c->uids = l->uids;
		c->n_uids = l->n_uids;
		c->gids = l->gids;
		c->n_gids = l->n_gids;
		c->fetched = l->step == STEP_DONE || l->proven;
		c->staged = l->step == STEP_DONE && !l->hash_only ? &l->staged : NULL;
	}
}

/* Another program took a layer or the image away while this pull went on. */
static void
commit_restart(struct pull *p)
{
	store_commit_drop(&p->room->store, &p->docs);
	if (++p->restarts > RESTARTS_MAX)
		pull_fail(p, ERR_IN_USE,
		    "the store keeps losing layers of %s while it is pulled: another "
		    "program "
		    "removes them",
		    p->name);
	else
		layers_begin(p);
}

/* A lost one is made again, when somebody asks. */
static void
commit_describe(struct pull *p, const struct commit_result *res)
{
	CLEANUP(view_free) struct view v = VIEW_NONE;
	struct store *s = &p->room->store;
	struct err e = {0};

	memcpy(p->summary->config, p->config.digest, DIGEST_BYTES);
	memcpy(p->summary->manifest, p->manifest.digest, DIGEST_BYTES);
	if (memcmp(res->manifest, p->manifest.digest, DIGEST_BYTES) != 0)
		return; /* it had another one before, which stays */
	if (summary_write(s, res->id, p->summary, &e) < 0)
		room_log(p->room, LOG_WARNING, "%s", e.text);
	if (!watch_is_on(p->room) && summary_crowded(s) && view_load(&v, s, NULL) == 0)
		summary_sweep(s, &v);
}

static void
commit_mended(struct pull *p, const struct commit_result *res)
{
	if (p->mode != PULL_MEND)
		return;
	check_satisfied(p->room, res->id);
	for (size_t i = 0; i < p->n_layers; i++)
		if (res->replaced[i])
			check_satisfied(p->room, p->layers[i].id);
}

static void
commit_run_job(struct job *j)
{
	struct pull *p = j->arg;
	struct commit_layer layers[LIMIT_LAYERS] = {0};
	struct commit_request rq;
	struct commit_result res;
	struct err e = {0};

	if (!judge_is_current(p->room, &p->judge)) {
		pull_judge(p, p->manifest.digest);
		return;
	}
	request_make(p, &rq, layers);
	int r = store_commit(&p->room->store, &p->room->hold, &rq, &p->docs, &res, &e);
	if (r < 0)
		pull_fail(p, e.code, "%s: %s", p->name, e.text);
	else if (r > 0)
		commit_restart(p);
	else {
		commit_describe(p, &res);
		commit_mended(p, &res);
		pull_succeed(p, true);
		FAILPOINT(PULL_TOLD);
	}
}

static void
commit_job_failed(struct job *j, const struct err *e)
{
	pull_fail(j->arg, e->code, "%s", e->text);
}

static int
docs_stage(struct pull *p, struct err *e)
{
	struct commit_layer layers[LIMIT_LAYERS] = {0};
	struct commit_request rq;

	if (p->docs.dir[0])
		return 0;
	request_make(p, &rq, layers);
	return store_commit_stage(&p->room->store, &rq, &p->docs, e);
}

/* The layers between this one and the nearest that is in the store. NULL in *present:
 * there is none. false: one of them is not here yet. */
static bool
layers_below(const struct pull_layer *l, const struct staged *above[LIMIT_LAYERS],
    size_t *n, const char **present)
{
	*n = 0;
	*present = NULL;
	for (uint32_t i = l->index; i-- > 0;) {
		const struct pull_layer *b = &l->pull->layers[i];
		if (b->step == STEP_PRESENT || b->hash_only) {
			*present = b->id;
			return true;
		}
		if (b->step == STEP_WAITING)
			return false;
		above[(*n)++] = &b->staged;
	}
	return true;
}

void
commit_prepare(struct pull_layer *l)
{
	const struct staged *above[LIMIT_LAYERS];
	struct pull *p = l->pull;
	const char *present;
	struct err e = {0};
	size_t n;

	/* What goes wrong here goes wrong once more in the commit, or does not any more.
	 */
	if (layers_below(l, above, &n, &present) &&
	    store_layer_dress(&p->room->store, &l->staged, present, above, n, &e) < 0)
		return;
	(void)!docs_stage(p, &e);
}

void
commit_begin(struct pull *p)
{
	struct err e = {0};

	p->committing = true;
	pull_progress(p, p->n_layers, STAGE_COMMIT, 0);
	if (docs_stage(p, &e) < 0 || store_commit_sync(&p->docs, &e) < 0) {
		pull_fail(p, e.code, "%s: %s", p->name, e.text);
		return;
	}
	p->commit = (struct job){.want = HOLD_COMMIT,
	    .run = commit_run_job,
	    .failed = commit_job_failed,
	    .arg = p};
	job_add(p->room, &p->commit);
}

void
commit_cancel(struct pull *p)
{
	job_cancel(&p->commit);
}
