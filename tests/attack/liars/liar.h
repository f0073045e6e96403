/* A room that has been taken over, for tests: the room's own program, in its own sandbox,
 * with a mouth that is not its own. The linker sends its calls of chan_send(),
 * chan_send_wait(), chan_recv(), chan_init() and ring_publish() through liar.c, which
 * asks the lie that was written into the program (rooms have neither arguments nor an
 * environment) what to say instead. */
#ifndef BULKHEAD_TESTS_LIAR_H
#define BULKHEAD_TESTS_LIAR_H

#include "common/ipc/chan.h"
#include "common/ipc/ring.h"
#include "common/ipc/values.h"

struct lie {
	const char *name;
	enum ipc_type when; /* what the honest room is about to say; 0: anything */
	/* May change the message, or say more on any channel. false: it is not said. */
	bool (*tell)(struct chan *c, struct ipc_msg *m);
};

/* The room's lies, ended by one without a name. The first word of the slot selects one.
 */
extern const struct lie liar_lies[];

/* Whether this is the lie that was written into the program. */
bool liar_is(const char *name);

/* What follows the lie's name in the slot: 64 hex digits as bytes, or text. */
void liar_digest(uint8_t out[32]);
const char *liar_text(void);

/* The channel of that kind which the room opened last, or NULL. */
struct chan *liar_chan(enum ipc_channel kind);

/* Says m as it is, on any channel. Nobody looks at the result: who is owned does not
 * care. */
void liar_say(struct chan *c, const struct ipc_msg *m);

/* Lies of several rooms: the message twice; not at all; and then a crash. */
bool liar_twice(struct chan *c, struct ipc_msg *m);
bool liar_silent(struct chan *c, struct ipc_msg *m);
bool liar_then_crash(struct chan *c, struct ipc_msg *m);

/* One packet as it is. */
void liar_say_raw(struct chan *c, const void *p, size_t n, const int *fds, unsigned nfds);

/* The message with other descriptors than its row has. */
void liar_say_fds(struct chan *c, const struct ipc_msg *m, const int *fds, unsigned nfds);

/* Called with each message that comes in, and each slot that goes out, if the room has
 * such. */
void liar_heard(struct chan *c, const struct ipc_msg *m);
void liar_slot(struct ring *r, uint8_t *slot, size_t n);

#endif
