/* An inflater that its layer has taken over: it may write any bytes, which are hashed
 * after it. */
#include "tests/attack/liars/liar.h"

#include <stdlib.h>
#include <unistd.h>

static bool
always(struct chan *c, struct ipc_msg *m)
{
	return true;
}

const struct lie liar_lies[] = {
    {"other-bytes", 0, always},
    {"all-zero", 0, always},
    {"dies", 0, always},
    {"ends", 0, always},
    {"cut", 0, always},
    {"bad-index", 0, always},
    {"plays-hash", 0, always},
    {"wants-rooms", 0, always},
    {0},
};

void
liar_heard(struct chan *c, const struct ipc_msg *m)
{
}

void
liar_slot(struct ring *r, uint8_t *slot, size_t n)
{
	struct ipc_msg hashed = IPC_MSG(hashed, .size = 1);
	struct ipc_msg want = IPC_MSG(want, .room = ROOM_DOCUMENT, .pull = 1);

	if (liar_is("other-bytes"))
		slot[n - 1] ^= 1;
	else if (liar_is("all-zero"))
		memset(slot, 0, n);
	else if (liar_is("dies"))
		abort();
	else if (liar_is("ends"))
		_exit(0);
	else if (liar_is("cut")) {
		ring_finish(r, RING_ENDED);
		_exit(0);
	} else if (liar_is("bad-index"))
		memset(r->data, 0xff, 64);
	else if (liar_is("plays-hash"))
		liar_say(liar_chan(CH_hash_inflate), &hashed);
	else if (liar_is("wants-rooms"))
		liar_say(liar_chan(CH_control), &want);
}
