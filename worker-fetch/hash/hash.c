#include "worker-fetch/hash/hash.h"

#include "common/base/limits.h"

#include <errno.h>
#include <inttypes.h>

int
hash_init(struct hash *h, const struct hash_plan *plan, struct hash_rings *rings)
{
	struct ring *tar = plan->discard ? NULL : &rings->tar;
	struct ring *out = plan->compressed ? &rings->squeezed : tar;

	*h = (struct hash){.plan = *plan, .rings = rings, .granted = plan->max_bytes};
	int r = leg_init(&h->blob, &rings->feed, out);
	if (r < 0)
		return r;
	h->blob.from = "fetch";
	h->blob.to = plan->compressed ? "inflate" : "apply";
	h->blob.limit = plan->size;
	h->blob.patient = true;
	if (!plan->compressed) {
		if (plan->max_bytes < plan->size)
			h->blob.limit = plan->max_bytes;
		return 0;
	}
	r = leg_init(&h->tree, &rings->expanded, tar);
	if (r < 0) {
		leg_release(&h->blob);
		return r;
	}
	h->tree.from = "inflate";
	h->tree.to = "apply";
	return 0;
}

void
hash_release(struct hash *h)
{
	leg_release(&h->blob);
	leg_release(&h->tree);
}

uint64_t
hash_allowed(const struct hash_plan *plan, uint64_t size)
{
	uint64_t most = LIMIT_RATIO_FREE;

	if (size > UINT64_MAX / LIMIT_RATIO)
		most = UINT64_MAX;
	else if (size * LIMIT_RATIO > most)
		most = size * LIMIT_RATIO;
	return most < plan->max_bytes ? most : plan->max_bytes;
}

static int
tree_over(const struct hash *h, struct err *e)
{
	if (h->tree.limit == h->plan.max_bytes)
		return err_set(e, ERR_CONTENT,
		    "the layer unpacks to more than %" PRIu64
		    " bytes, the limit for one layer; raise max_layer_size if you trust "
		    "it",
		    h->plan.max_bytes);
	return err_set(e, ERR_CONTENT,
	    "the layer is a decompression bomb: %" PRIu64
	    " bytes unpack to more than %" PRIu64,
	    h->blob.bytes, h->tree.limit);
}

static int
blob_over(const struct hash *h, struct err *e)
{
	if (h->blob.limit < h->plan.size)
		return err_set(e, ERR_CONTENT,
		    "the layer has %" PRIu64 " bytes, more than the limit of %" PRIu64
		    " for one layer; raise max_layer_size if you trust it",
		    h->plan.size, h->plan.max_bytes);
	return err_set(e, ERR_CONTENT,
	    "the registry sent more than the %" PRIu64 " bytes that the manifest says",
	    h->plan.size);
}

static int
step_blob(struct hash *h, struct err *e)
{
	int r = h->lost ? LEG_IDLE : leg_step(&h->blob, e);

	h->lost = h->lost || r == LEG_LOST;
	return r == LEG_OVER ? blob_over(h, e) : r;
}

void
hash_grant(struct hash *h, uint64_t granted)
{
	h->granted = granted;
	h->dry = false;
}

static int
step_tree(struct hash *h, struct err *e)
{
	uint64_t before = h->tree.bytes, allowed = hash_allowed(&h->plan, h->blob.bytes);

	h->tree.limit = allowed < h->granted ? allowed : h->granted;
	int r = leg_step(&h->tree, e);
	h->dry = r == LEG_OVER && h->granted < allowed;
	if (h->dry)
		return h->tree.bytes > before ? LEG_MOVED : LEG_IDLE;
	if (r == LEG_OVER)
		return tree_over(h, e);
	if (r == LEG_ENDED && !h->blob.ended)
		return err_set(e, ERR_INTERNAL,
		    "the inflate room ended its stream before it had all of it");
	return r;
}

int
hash_step(struct hash *h, struct err *e)
{
	/* The tree first: what leaves the room makes space for what comes in. */
	int tree = h->plan.compressed ? step_tree(h, e) : LEG_ENDED;
	if (tree < 0)
		return tree;
	int blob = step_blob(h, e);
	if (blob < 0)
		return blob;
	if (tree == LEG_ENDED && blob == LEG_ENDED)
		return HASH_DONE;
	return tree == LEG_MOVED || blob == LEG_MOVED ? HASH_MOVED : HASH_IDLE;
}

size_t
hash_waits(struct hash *h, struct ring *waits[2])
{
	size_t n = 0;

	if (!h->blob.ended && !h->lost)
		waits[n++] = leg_waits(&h->blob);
	if (h->plan.compressed && !h->tree.ended && !h->dry)
		waits[n++] = leg_waits(&h->tree);
	return n;
}

int
hash_end(struct hash *h, struct hash_result *out)
{
	out->size = h->blob.bytes;
	int r = digest_end(&h->blob.digest, out->digest);
	if (r < 0)
		return r;
	if (h->plan.compressed) {
		out->diff_size = h->tree.bytes;
		return digest_end(&h->tree.digest, out->diff_id);
	}
	out->diff_size = out->size;
	memcpy(out->diff_id, out->digest, DIGEST_LEN);
	return 0;
}

void
hash_abort(struct hash *h)
{
	if (h->plan.compressed)
		ring_finish(&h->rings->squeezed, RING_ABORTED);
	if (!h->plan.discard)
		ring_finish(&h->rings->tar, RING_ABORTED);
}
