/* What a pull's layers may take of the disk. Refused is who asks for what is not there:
 * nobody waits for the end of another pull, which may never come. Only what is being
 * removed already, the trees of a pull that has failed or an image that was, is waited
 * for. */
#include "worker-store/store/pull.h"

#include "common/ipc/ring.h"

#include <errno.h>

struct space_claim *
space_of(struct pull_layer *l)
{
	return &l->pull->space.of[l->index];
}

/* A present layer takes nothing: its bytes go nowhere. One that another pull is at is
 * that one's to reserve for; if it does not come from there, it is asked for late. */
static void
claims_make(struct pull *p)
{
	space_return(&p->room->space, &p->space);
	p->space.n = p->n_layers;
	for (size_t i = 0; i < p->n_layers; i++) {
		struct pull_layer *l = &p->layers[i];
		uint64_t max = p->room->max_layer;
		if (l->compression == COMPRESSION_NONE || max < l->size)
			max = l->size;
		p->space.of[i] = (struct space_claim){.size = l->size,
		    .most = max,
		    .done = l->hash_only || layer_elsewhere(l)};
	}
}

/* Whether more will be free soon: trees of pulls that are over wait for their rooms, or
 * are being removed. */
static bool
space_is_coming(const struct keeper *room)
{
	bool ended = false;

	for (const struct pull *p = room->pulls; p && !ended; p = p->next)
		ended = p->ended;
	return (ended || room->erase.busy) && !room->stopping;
}

/* Whether who asked waits. If not, it has what it asked for, or the pull has failed. */
static bool
must_wait(struct pull *p, int r, const struct err *e)
{
	if (r == 0)
		return false;
	if (r == -ENOSPC && space_is_coming(p->room)) {
		pull_progress(p, p->n_layers, STAGE_SPACE, 0);
		return true;
	}
	pull_fail(p, e->code, "%s: %s", p->name, e->text);
	return false;
}

bool
space_reserve(struct pull *p)
{
	struct space_free f;
	struct err e = {0};

	claims_make(p);
	int r = store_space(&p->room->store, &f, &e);
	if (r == 0)
		r = space_begin(&p->room->space, &f, &p->space, &e);
	p->space_waits = must_wait(p, r, &e);
	return r == 0;
}

bool
space_reserve_late(struct pull_layer *l)
{
	struct pull *p = l->pull;
	struct space_claim *c = space_of(l);
	struct space_pull one = {.of = {{.size = c->size, .most = c->most}}, .n = 1};
	struct space_free f;
	struct err e = {0};

	if (l->hash_only || !c->done)
		return true;
	int r = store_space(&p->room->store, &f, &e);
	if (r == 0)
		r = space_begin(&p->room->space, &f, &one, &e);
	if (r == 0)
		*c = one.of[0];
	(void)must_wait(p, r, &e);
	return r == 0;
}

/* 0, or -EPROTO: it has all that it may have. */
static int
more_bytes(struct pull_layer *l)
{
	struct pull *p = l->pull;
	struct space_free f;
	struct err e = {0};

	int r = store_space(&p->room->store, &f, &e);
	if (r == 0)
		r = space_more_bytes(&p->room->space, &f, &p->space, l->index, &e);
	if (r == -EPROTO)
		return r;
	l->more_bytes = must_wait(p, r, &e);
	struct ipc_msg m = IPC_MSG(hash_grant, .granted = space_of(l)->bytes);
	return r == 0 ? port_send(&l->hash.port, &m) : 0;
}

static int
more_inodes(struct pull_layer *l)
{
	struct pull *p = l->pull;
	struct space_free f;
	struct err e = {0};

	int r = store_space(&p->room->store, &f, &e);
	if (r == 0)
		r = space_more_inodes(&p->room->space, &f, &p->space, l->index, &e);
	if (r == -EPROTO)
		return r;
	l->more_inodes = must_wait(p, r, &e);
	struct ipc_msg m = IPC_MSG(apply_grant, .granted = space_of(l)->inodes);
	return r == 0 ? port_send(&l->apply.port, &m) : 0;
}

/* What hash has let pass may still lie in the ring to the applier: nothing of it is on
 * the disk, nor taken off what the file system says is free. */
void
space_passed(struct pull_layer *l, uint64_t uncompressed)
{
	const uint64_t ring = (uint64_t)RING_TAR.slot_size * RING_TAR.slots;

	space_used(&l->pull->room->space, space_of(l),
	    uncompressed > ring ? uncompressed - ring : 0);
}

int
space_hash_more(struct pull_layer *l, uint64_t uncompressed)
{
	struct space_claim *c = space_of(l);

	if (l->more_bytes || l->hash_only || uncompressed != c->bytes)
		return -1;
	space_passed(l, uncompressed);
	return more_bytes(l);
}

/* Its word counts for no more than what it has been let to make. */
int
space_apply_more(struct pull_layer *l, uint64_t entries)
{
	if (l->more_inodes || l->applied || entries != space_of(l)->inodes)
		return -1;
	return more_inodes(l);
}

void
space_retry(struct keeper *room)
{
	for (struct pull *p = room->pulls; p; p = p->next) {
		if (p->space_waits && !p->ended)
			layers_begin(p);
		for (size_t i = 0; i < p->n_layers && !p->ended; i++) {
			struct pull_layer *l = &p->layers[i];
			/* Who had all already was told so when it asked. */
			if (l->more_bytes)
				(void)more_bytes(l);
			if (l->more_inodes && !p->ended)
				(void)more_inodes(l);
		}
	}
	layers_step_all(room);
}
