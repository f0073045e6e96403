/* Layers that are here already, or that another pull is at. */
#include "worker-store/store/check.h"
#include "worker-store/store/pull.h"

/* A layer that is there is the one that the config names. That it is what the manifest's
 * blob unpacks to as well, somebody must have seen, or a manifest of other layers could
 * pass for one of this image. */
static bool
layer_fits(struct view *v, const struct pull *p, const struct pull_layer *l)
{
	if (l->proven || view_maps_blob(v, l->digest, l->diff_id))
		return true;
	if (l->compression == COMPRESSION_NONE &&
	    memcmp(l->digest, l->diff_id, sizeof(l->digest)) == 0)
		return true;
	return view_has_manifest(
	    v, p->image, p->layers[p->n_layers - 1].id, p->manifest.digest);
}

void
layer_look(struct view *v, struct pull_layer *l)
{
	struct pull *p = l->pull;
	bool proven = false; /* does not count yet: present is reused */

	l->hash_only =
	    view_has_layer(v, &p->room->store, l->id, &p->access, &proven) > 0 &&
	    !(p->mode == PULL_MEND && check_wants(p->room, l->id));
	if (l->hash_only && layer_fits(v, p, l))
		l->step = STEP_PRESENT;
}

/* Layers with one ID have one place in their chains. */
static bool
is_at(const struct pull *q, const struct pull_layer *l)
{
	if (!q->layers_begun || q->ended || q->reason.code || l->index >= q->n_layers)
		return false;
	const struct pull_layer *m = &q->layers[l->index];
	return m->step != STEP_PRESENT && !m->hash_only && strcmp(m->id, l->id) == 0 &&
	       memcmp(m->digest, l->digest, sizeof(m->digest)) == 0;
}

bool
layer_elsewhere(struct pull_layer *l)
{
	const struct pull *p = l->pull;

	if (l->hash_only)
		return false;
	for (const struct pull *q = p->room->pulls; q; q = q->next) {
		if (q->id < p->id && strcmp(q->namespace, p->namespace) == 0 &&
		    is_at(q, l)) {
			l->waited = true;
			return true;
		}
	}
	return false;
}

bool
layer_came(struct pull_layer *l)
{
	CLEANUP(view_free) struct view v = VIEW_NONE;

	if (!l->waited || view_load(&v, &l->pull->room->store, NULL) < 0)
		return false;
	l->waited = false;
	layer_look(&v, l);
	if (l->hash_only)
		space_done(&l->pull->room->space, space_of(l), 0, 0);
	return l->step == STEP_PRESENT;
}
