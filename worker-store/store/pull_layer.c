#include "worker-store/store/pull.h"

#include "common/base/fd.h"
#include "worker-store/store/dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void
layer_tell(const struct pull_layer *l, enum layer_state state, uint64_t token)
{
	const struct pull *p = l->pull;
	struct ipc_msg m = IPC_MSG(layer, .pull = p->id, .index = l->index,
	    .count = p->n_layers, .size = l->size, .state = state, .token = token);

	memcpy(m.layer.digest, l->digest, sizeof(l->digest));
	port_send(&p->room->frontend, &m);
}

void
pull_progress(struct pull *p, size_t index, enum pull_stage stage, uint64_t bytes)
{
	struct ipc_msg m = IPC_MSG(
	    progress, .pull = p->id, .index = index, .stage = stage, .bytes = bytes);

	port_send(&p->room->frontend, &m);
}

/* ---- the end of its rooms ---- */

/* Bytes that are not the layer's, or not a layer: which of the two nobody knows before
 * the last of them. Only the frontend knows whether another endpoint has better ones. */
static void
layer_wrong(struct pull_layer *l, const char *text)
{
	struct pull *p = l->pull;
	struct ipc_msg m = IPC_MSG(wrong, .pull = p->id, .req = LAYER_REQ(l->index),
	    .code = ERR_CONTENT, .text = span_str(text), .proven = l->mismatch);

	l->wrong = true;
	if (l->doubtful) { /* what a room said that had to stop because of it */
		p->reason = (struct err){0};
		loop_timer_clear(&p->room->loop, &p->patience);
	}
	l->doubtful = false;
	helper_kill(&l->hash);
	helper_kill(&l->apply);
	port_send(&p->room->frontend, &m);
}

/* A room that stops because a neighbour did says "internal": the neighbour's own reason,
 * or the frontend's, is on its way. final: no other bytes would do. */
static void
layer_failed_so(struct pull_layer *l, uint64_t code, struct span text, bool final)
{
	char why[1024], full[1200];

	snprintf(full, sizeof(full), "layer %u of %s: %s", l->index + 1, l->pull->name,
	    text.n ? span_escape(text, why, sizeof(why)) : "its room gave no reason");
	if (l->wrong)
		return; /* its rooms end one after the other */
	if (code == ERR_INTERNAL || code == ERR_OK) {
		l->doubtful = !l->pull->reason.code;
		pull_fail_later(l->pull, full);
	} else if (code == ERR_CONTENT && l->step == STEP_STARTED && !final) {
		layer_wrong(l, full);
	} else {
		pull_fail(l->pull, (enum err_class)code, "%s", full);
	}
}

static void
layer_failed(struct pull_layer *l, uint64_t code, struct span text)
{
	layer_failed_so(l, code, text, false);
}

static void
room_failed(struct helper *h, const char *text)
{
	struct pull_layer *l = h->arg;

	layer_failed(l, ERR_INTERNAL, span_str(text));
}

/* ---- the check: another room, that never saw the tar ---- */

static void
check_ask(struct helper *h)
{
	struct pull_layer *l = h->arg;
	struct pull *p = l->pull;
	struct err e = {0};
	struct ipc_msg m =
	    IPC_MSG(check, .bytes = l->diff_size, .durability = p->room->durability);

	FD_AUTO side = store_layer_side(&p->room->store, &l->staged, false, &e);
	if (side < 0) {
		pull_fail(p, e.code, "%s", e.text);
		return;
	}
	m.fds[0] = side;
	m.fds[1] = l->staged.split;
	m.nfds = 2;
	port_send(&h->port, &m);
}

/* u32, little endian, ascending. */
static int
owners_take(struct span bytes, uint32_t **ids, size_t *n)
{
	if (bytes.n % 4 || *ids)
		return -1;
	*n = bytes.n / 4;
	*ids = calloc(*n ? *n : 1, sizeof(**ids));
	for (size_t i = 0; *ids && i < *n; i++) {
		const uint8_t *b = bytes.p + 4 * i;
		(*ids)[i] = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
			    (uint32_t)b[3] << 24;
		if (i && (*ids)[i] <= (*ids)[i - 1])
			return -1;
	}
	return *ids ? 0 : -1;
}

static int
check_message(struct helper *h, struct ipc_msg *m)
{
	struct pull_layer *l = h->arg;
	struct ipc_msg ok = IPC_MSG(opaque_ok);
	struct err e = {0};

	if (l->pull->ended)
		return 0;
	switch (m->type) {
	case MSG_opaque:
		if (l->checked)
			return -1;
		if (store_mark_opaque(&l->pull->room->store, m->fds[0], &e) == 0)
			return port_send(&h->port, &ok);
		if (e.code == ERR_CONTENT)
			return -1;
		pull_fail(l->pull, e.code, "%s: %s", l->pull->name, e.text);
		return 0;
	case MSG_checked:
		l->checked = true;
		FAILPOINT(LAYER_CHECKED);
		if (owners_take(m->checked.uids, &l->uids, &l->n_uids) < 0)
			return -1;
		return owners_take(m->checked.gids, &l->gids, &l->n_gids);
	case MSG_apply_failed:
		layer_failed(l, m->apply_failed.code, m->apply_failed.text);
		return 0;
	default:
		return -1;
	}
}

static void
layer_done(struct pull_layer *l)
{
	l->step = STEP_DONE;
	layer_tell(l, LAYER_DONE, 0);
	layers_step_all(l->pull->room);
}

static void
check_gone(struct helper *h)
{
	struct pull_layer *l = h->arg;
	struct err e = {0};

	if (l->pull->ended || l->pull->reason.code)
		return;
	if (!l->checked) {
		layer_failed(l, ERR_INTERNAL, span_str(""));
		return;
	}
	/* The checker's sync of all came after its last word; this one is for sure. */
	if (disk_sync(l->staged.split) < 0) {
		err_errno(&e, errno, "cannot sync a tar-split file");
		pull_fail(l->pull, e.code, "%s: %s", l->pull->name, e.text);
		return;
	}
	layer_done(l);
}

static void
check_start(struct pull_layer *l)
{
	static const struct helper_ops ops = {
	    check_ask, check_message, check_gone, room_failed};
	struct keeper *room = l->pull->room;

	l->step = STEP_CHECKING;
	commit_prepare(l);
	l->check.arg = l;
	pull_progress(l->pull, l->index, STAGE_CHECK, l->size);
	helper_want_apply(room, &l->check, APPLY_CHECK, l->pull->id, room_token(room),
	    l->staged.diff, &ops);
}

/* ---- fetch -> hash -> inflate -> hash -> apply ---- */

/* What the hash room counted and computed is what the documents promised, and what the
 * applier took in; all three have ended well. */
static void
layer_ready(struct pull_layer *l)
{
	if (l->wrong || l->pull->ended || l->step != STEP_STARTED || l->hash.alive ||
	    l->apply.alive || l->inflate.alive)
		return;
	if (l->pull->reason.code)
		return; /* it answered, and then failed: the pull only waits for why */
	if (!l->hashed || (!l->applied && !l->hash_only)) {
		layer_failed(l, ERR_INTERNAL, span_str(""));
		return;
	}
	if (l->hash_only) {
		l->proven = true;
		layer_done(l);
		return;
	}
	if (l->applied_bytes != l->diff_size) {
		layer_failed_so(l, ERR_CONTENT,
		    span_str("its applier read another number of bytes than were hashed"),
		    true);
		return;
	}
	check_start(l);
}

static void
part_gone(struct helper *h)
{
	layer_ready(h->arg);
}

static int
on_hashed(struct pull_layer *l, const struct msg_hashed *m)
{
	char want[DIGEST_TEXT + 1], text[200];

	if (l->hashed)
		return -1;
	if (m->size != l->size || memcmp(m->digest, l->digest, sizeof(l->digest)) != 0) {
		snprintf(text, sizeof(text), "its bytes do not hash to %s of %llu bytes",
		    digest_print(l->digest, want), (unsigned long long)l->size);
		l->mismatch = true;
		layer_failed(l, ERR_CONTENT, span_str(text));
		return 0;
	}
	if (memcmp(m->diff_id, l->diff_id, sizeof(l->diff_id)) != 0) {
		snprintf(text, sizeof(text),
		    "uncompressed it does not hash to the config's DiffID %s",
		    digest_print(l->diff_id, want));
		layer_failed_so(l, ERR_CONTENT, span_str(text), true);
		return 0;
	}
	l->hashed = true;
	l->diff_size = m->diff_size;
	return 0;
}

static void
layer_moved(struct pull_layer *l, uint64_t uncompressed)
{
	if (l->hash_only || uncompressed <= l->moved)
		return;
	flush_moved(l->pull->room, uncompressed - l->moved);
	l->moved = uncompressed;
}

static int
hash_message(struct helper *h, struct ipc_msg *m)
{
	struct pull_layer *l = h->arg;

	if (l->pull->ended)
		return 0;
	switch (m->type) {
	case MSG_hash_progress:
		space_passed(l, m->hash_progress.uncompressed);
		layer_moved(l, m->hash_progress.uncompressed);
		pull_progress(l->pull, l->index, STAGE_FETCH,
		    m->hash_progress.compressed < l->size ? m->hash_progress.compressed
							  : l->size);
		return 0;
	case MSG_hash_more:
		return space_hash_more(l, m->hash_more.uncompressed);
	case MSG_hashed:
		return on_hashed(l, &m->hashed);
	case MSG_hash_failed:
		layer_failed(l, m->hash_failed.code, m->hash_failed.text);
		return 0;
	default:
		return -1;
	}
}

static void
apply_ask(struct helper *h)
{
	struct pull_layer *l = h->arg;
	struct pull *p = l->pull;
	struct err e = {0};
	const struct space_claim *c = space_of(l);
	struct ipc_msg m = IPC_MSG(untar, .max_bytes = c->most,
	    .max_entries = LIMIT_LAYER_ENTRIES, .granted = c->inodes);

	FD_AUTO side = store_layer_side(&p->room->store, &l->staged, true, &e);
	if (side < 0) {
		pull_fail(p, e.code, "%s", e.text);
		return;
	}
	m.fds[0] = side;
	m.nfds = 1;
	port_send(&h->port, &m);
}

static int
apply_message(struct helper *h, struct ipc_msg *m)
{
	struct pull_layer *l = h->arg;

	if (l->pull->ended)
		return 0;
	switch (m->type) {
	case MSG_applied:
		l->applied = true;
		FAILPOINT(LAYER_APPLIED);
		l->applied_bytes = m->applied.bytes;
		space_done(&l->pull->room->space, space_of(l), m->applied.bytes,
		    m->applied.entries);
		if (m->applied.devices || m->applied.xattrs)
			room_log(l->pull->room, LOG_WARNING,
			    "%s, layer %u: %llu device nodes and %llu extended "
			    "attributes left out",
			    l->pull->name, l->index + 1,
			    (unsigned long long)m->applied.devices,
			    (unsigned long long)m->applied.xattrs);
		return 0;
	case MSG_apply_more:
		return space_apply_more(l, m->apply_more.entries);
	case MSG_apply_failed:
		layer_failed(l, m->apply_failed.code, m->apply_failed.text);
		return 0;
	default:
		return -1;
	}
}

/* The ring to the applier exists now: the applier can be asked for, and the blob. One
 * that is only hashed has no applier. */
static void
hash_ask(struct helper *h)
{
	static const struct helper_ops apply_ops = {
	    apply_ask, apply_message, part_gone, room_failed};
	struct pull_layer *l = h->arg;
	struct pull *p = l->pull;
	const struct space_claim *c = space_of(l);
	struct ipc_msg m = IPC_MSG(hash_layer, .compression = l->compression,
	    .size = l->size, .max_bytes = c->most, .discard = l->hash_only,
	    .granted = l->hash_only ? c->most : c->bytes);

	if (p->ended)
		return;
	port_send(&h->port, &m);
	l->apply.arg = l;
	if (!l->hash_only)
		helper_want_apply(p->room, &l->apply, APPLY_UNTAR, p->id, h->token,
		    l->staged.diff, &apply_ops);
	layer_tell(l, LAYER_WANTED, h->token);
}

void
layer_start(struct pull_layer *l)
{
	static const struct helper_ops hash_ops = {
	    hash_ask, hash_message, part_gone, room_failed};
	static const struct helper_ops inflate_ops = {NULL, NULL, part_gone, room_failed};
	struct pull *p = l->pull;
	uint64_t token = room_token(p->room);
	struct err e = {0};

	bool came = layer_came(l);
	if (!space_reserve_late(l))
		return;
	if (came) {
		layer_tell(l, LAYER_PRESENT, 0);
		return;
	}
	if (!l->hash_only &&
	    store_layer_staging_new(&p->room->store, &l->staged, &e) < 0) {
		pull_fail(p, e.code, "%s", e.text);
		return;
	}
	l->step = STEP_STARTED;
	l->hash.arg = l->inflate.arg = l;
	helper_want(
	    p->room, &l->hash, ROOM_HASH, p->id, token, l->compression, &hash_ops);
	if (l->compression != COMPRESSION_NONE)
		helper_expect(
		    p->room, &l->inflate, ROOM_INFLATE, p->id, token, &inflate_ops);
}
