/* A hash room that says what it has not computed. It parses nothing and is trusted with
 * digests, but it is not told which ones are wanted. */
#include "tests/attack/liars/liar.h"

#include <unistd.h>

static bool
other_digest(struct chan *c, struct ipc_msg *m)
{
	m->hashed.digest[0] ^= 1;
	return true;
}

static bool
other_diff_id(struct chan *c, struct ipc_msg *m)
{
	m->hashed.diff_id[31] ^= 1;
	return true;
}

static bool
other_size(struct chan *c, struct ipc_msg *m)
{
	m->hashed.size--;
	return true;
}

static bool
other_diff_size(struct chan *c, struct ipc_msg *m)
{
	m->hashed.diff_size++;
	return true;
}

/* With the ring to the applier only just made. */
static bool
early(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(hashed, .size = 1, .diff_size = 1);

	liar_digest(lie.hashed.digest);
	liar_say(liar_chan(CH_store_hash), &lie);
	return true;
}

static bool
failed_without_class(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(
	    hash_failed, .code = 0, .text = span_str("\x1b[2J\nbulkhead: pulled"));

	*m = lie;
	return true;
}

static bool
plays_applier(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(applied, .bytes = m->hashed.diff_size);

	liar_say(c, &lie);
	return true;
}

const struct lie liar_lies[] = {
    {"other-digest", MSG_hashed, other_digest},
    {"other-diff-id", MSG_hashed, other_diff_id},
    {"other-size", MSG_hashed, other_size},
    {"other-diff-size", MSG_hashed, other_diff_size},
    {"twice", MSG_hashed, liar_twice},
    {"then-crash", MSG_hashed, liar_then_crash},
    {"nothing", MSG_hashed, liar_silent},
    {"early", MSG_apply_ring, early},
    {"failed-without-class", MSG_hashed, failed_without_class},
    {"plays-applier", MSG_hashed, plays_applier},
    {"applier-gets-other-bytes", 0, NULL},
    {0},
};

void
liar_heard(struct chan *c, const struct ipc_msg *m)
{
}

/* RING_TAR's slots are larger than RING_BLOB's: it is the applier's ring. */
void
liar_slot(struct ring *r, uint8_t *slot, size_t n)
{
	if (liar_is("applier-gets-other-bytes") && n &&
	    r->geometry.slot_size == RING_TAR.slot_size)
		memset(slot, 0xff, n < 512 ? n : 512);
}
