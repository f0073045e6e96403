#include "worker-store/store/pull.h"

#include "common/base/fd.h"
#include "worker-store/store/slots.h"

#include <stdlib.h>

static size_t
layers_count(const struct pull *p, enum layer_step a, enum layer_step b)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_layers; i++)
		n += p->layers[i].step == a || p->layers[i].step == b;
	return n;
}

static struct pull_layer *
layer_waiting(const struct pull *p)
{
	for (size_t i = 0; i < p->n_layers; i++) {
		struct pull_layer *l = &p->layers[i];
		if (l->step == STEP_WAITING && !layer_elsewhere(l))
			return l;
	}
	return NULL;
}

static bool
layers_may_step(const struct pull *p)
{
	return p->layers_begun && !p->ended && !p->committing && !p->reason.code;
}

/* Every pull whose layers are, or could be, in flight. */
static size_t
claims_make(struct keeper *room, struct slot_claim *v, size_t most)
{
	size_t n = 0;

	for (struct pull *p = room->pulls; p && n < most; p = p->next) {
		unsigned flying = (unsigned)layers_count(p, STEP_STARTED, STEP_CHECKING);
		bool waits = layers_may_step(p) && layer_waiting(p);
		if (p->ended || (!flying && !waits))
			continue;
		v[n++] = (struct slot_claim){.namespace = p->namespace,
		    .id = p->id,
		    .turn = p->turn,
		    .flying = flying,
		    .waits = waits,
		    .arg = p};
	}
	return n;
}

static bool
layers_done(const struct pull *p)
{
	return layers_count(p, STEP_DONE, STEP_PRESENT) == p->n_layers;
}

/* Begins layers as long as there are slots. */
static void
layers_share(struct keeper *room)
{
	static struct slot_claim claims[LIMIT_PULLS];

	for (;;) {
		size_t n = claims_make(room, claims, LIMIT_PULLS);
		int next = slots_next(claims, n, (unsigned)room->max_layers_pull,
		    (unsigned)room->max_layers);
		if (next < 0 || !janitor_ready(room))
			return; /* the janitor calls again */
		struct pull *p = claims[next].arg;
		struct pull_layer *l = layer_waiting(p);
		p->turn = ++room->turn;
		layer_start(l);
		if (l->step == STEP_WAITING && layers_may_step(p))
			return; /* nothing came of it */
		if (layers_may_step(p) && layers_done(p))
			commit_begin(p);
	}
}

void
layers_step(struct pull *p)
{
	if (!layers_may_step(p))
		return;
	if (layers_done(p))
		commit_begin(p);
	else
		layers_share(p->room);
}

static void
layer_reset(struct pull_layer *l)
{
	store_layer_staging_drop(&l->pull->room->store, &l->staged);
	free(ptr_steal(&l->uids));
	free(ptr_steal(&l->gids));
	l->hashed = l->applied = l->checked = l->more_bytes = l->more_inodes = false;
	l->wrong = l->again = l->mismatch = l->doubtful = false;
	l->moved = 0;
	l->step = STEP_WAITING;
}

/* Its rooms are gone, and with them all that they made. */
static void
layer_renew(struct pull_layer *l)
{
	if (!l->again || l->hash.alive || l->inflate.alive || l->apply.alive)
		return;
	helper_drop(&l->hash);
	helper_drop(&l->inflate);
	helper_drop(&l->apply);
	layer_reset(l);
}

/* One that had to wait for another pull's layers goes on. */
void
layers_step_all(struct keeper *room)
{
	for (struct pull *p = room->pulls; p; p = p->next)
		for (size_t i = 0; i < p->n_layers && !p->ended; i++)
			layer_renew(&p->layers[i]);
	for (struct pull *p = room->pulls; p; p = p->next)
		if (layers_may_step(p) && layers_done(p))
			commit_begin(p);
	layers_share(room);
}

void
layer_again(struct pull *p, uint64_t index)
{
	if (index >= p->n_layers || !p->layers[index].wrong || p->ended)
		return;
	p->layers[index].again = true;
	layers_step_all(p->room);
}

/* It never brings an image that was not there. */
static bool
mends_one(struct view *v, const struct pull *p)
{
	char id[ID_HEX + 1];

	return table_find(&v->images,
		   span_str(hex_encode(p->image, sizeof(p->image), id))) != NULL;
}

void
layers_begin(struct pull *p)
{
	CLEANUP(view_free) struct view v = VIEW_NONE;
	struct keeper *room = p->room;
	struct err e = {0};

	if (!p->access_known) {
		pull_fail(p, ERR_INTERNAL,
		    "nobody has said with whose credentials this is fetched");
		return;
	}
	if (view_load(&v, &room->store, &e) < 0) {
		pull_fail(p, e.code, "%s", e.text);
		return;
	}
	if (p->mode == PULL_MEND && !mends_one(&v, p)) {
		pull_fail(p, ERR_NOT_FOUND,
		    "%s is no image of the store: nothing to mend", p->name);
		return;
	}
	for (size_t i = 0; i < p->n_layers; i++) {
		layer_reset(&p->layers[i]);
		layer_look(&v, &p->layers[i]);
	}
	if (!space_reserve(p))
		return;
	for (size_t i = 0; i < p->n_layers; i++)
		layer_tell(&p->layers[i],
		    p->layers[i].step == STEP_PRESENT ? LAYER_PRESENT : LAYER_WAITING, 0);
	p->layers_begun = true;
	p->committing = false;
	layers_step(p);
}

void
layers_kill(struct pull *p)
{
	for (size_t i = 0; i < p->n_layers; i++) {
		struct pull_layer *l = &p->layers[i];
		port_release(&l->hash.port);
		port_release(&l->apply.port);
		port_release(&l->check.port);
	}
}

bool
layers_alive(const struct pull *p)
{
	for (size_t i = 0; i < p->n_layers; i++)
		if (p->layers[i].apply.alive || p->layers[i].check.alive)
			return true;
	return false;
}

void
layers_free(struct pull *p)
{
	for (size_t i = 0; i < p->n_layers; i++) {
		struct pull_layer *l = &p->layers[i];
		helper_drop(&l->hash);
		helper_drop(&l->inflate);
		helper_drop(&l->apply);
		helper_drop(&l->check);
		layer_reset(l);
	}
	space_return(&p->room->space, &p->space);
	free(p->layers);
}
