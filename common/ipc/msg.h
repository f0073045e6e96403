/* Messages as C values: one struct a row of schema.def, their descriptors, encoder and
 * decoder.
 *
 * On the wire a message is msgpack: [id, {key: value, ...}], integers in shortest form,
 * keys ascending, every declared field present, nothing after it. */
#ifndef BULKHEAD_IPC_MSG_H
#define BULKHEAD_IPC_MSG_H

#include "common/base/limits.h"
#include "common/base/span.h"
#include "common/ipc/rooms.h"
#include "common/ipc/schema.def"
#include "common/ipc/channels.def"

#include <sys/types.h>

/* In the tables: any room but the supervisor. */
#define ROOM_ANY ROOM_COUNT

enum ipc_channel {
#define CHANNEL(name, a, b, what) CH_##name,
	IPC_CHANNELS(CHANNEL)
#undef CHANNEL
	    CH_COUNT
};

/* Phases of a channel, as bits; ONCE rides along in a row's phase column. */
#define IPC_START 1u
#define IPC_RUN 2u
#define IPC_ONCE 0x80u

enum ipc_type {
#define M(id, name, channel, sender, phases, fds, cap) MSG_##name = id,
	IPC_MESSAGES(M)
#undef M
};

/* Field kinds as C members. V and T point into the packet they were decoded from (valid
 * until the channel receives again), or at the sender's memory. */
#define MEMBER_U(key, name, max) uint64_t name;
#define MEMBER_I(key, name) int64_t name;
#define MEMBER_B(key, name, len) uint8_t name[len];
#define MEMBER_V(key, name, max) struct span name;
#define MEMBER_L(key, name, max) \
	struct {                 \
		uint32_t n;      \
		uint64_t v[max]; \
	} name;
#define M(id, name, channel, sender, phases, fds, cap)                          \
	struct msg_##name {                                                     \
		FIELDS_##name(                                                  \
		    MEMBER_U, MEMBER_I, MEMBER_B, MEMBER_V, MEMBER_V, MEMBER_L) \
	};
IPC_MESSAGES(M)
#undef M

/* One message. fds: those that travel with it; after a receive they belong to the
 * receiver until stolen (ipc_msg_release closes the rest). */
struct ipc_msg {
	enum ipc_type type;
	int fds[LIMIT_MESSAGE_FDS];
	unsigned nfds;
	union {
#define M(id, name, channel, sender, phases, fds, cap) struct msg_##name name;
		IPC_MESSAGES(M)
#undef M
	};
};

/* `struct ipc_msg m = IPC_MSG(hello, .room = ROOM_DIAL);` Fds are added by hand. */
#define IPC_MSG(name_, ...)                                                            \
	{                                                                              \
		.type = MSG_##name_, .fds = {-1, -1, -1, -1}, .name_ = { __VA_ARGS__ } \
	}

/* Closes the fds that nobody took. */
void ipc_msg_release(struct ipc_msg *m);

/* Takes fd i out of the message. */
int ipc_msg_take_fd(struct ipc_msg *m, unsigned i);

enum ipc_kind { IPC_U, IPC_I, IPC_B, IPC_V, IPC_T, IPC_L };

struct ipc_field {
	const char *name;
	uint64_t limit;	 /* largest value, length or count, by kind */
	uint32_t offset; /* in the message's struct */
	uint8_t key;
	uint8_t kind;
};

struct ipc_row {
	const char *name;
	const struct ipc_field *(*fields)(void); /* nfields of them */
	enum ipc_type type;
	uint32_t cap;
	uint8_t nfields;
	uint8_t channel;
	uint8_t sender; /* enum room; ROOM_ANY = any but the supervisor */
	uint8_t phases; /* IPC_START | IPC_RUN | IPC_ONCE */
	uint8_t fds;
};

/* All rows in the table's order; *n is their number. */
const struct ipc_row *ipc_rows(size_t *n);

/* The row of a message id, or NULL. */
const struct ipc_row *ipc_row_find(uint64_t id);

/* SHA-256 of schema.def, made at build time. */
extern const uint8_t ipc_schema_hash[32];

/* Encodes into buf. Bytes written; -EINVAL when a field breaks its own limit (a bug of
 * the sender's or hostile text it should have cut), -EMSGSIZE when the row's cap or the
 * buffer is too small. */
ssize_t ipc_encode(const struct ipc_msg *m, uint8_t *buf, size_t cap) MUST_CHECK;

/* Decodes one packet strictly. Spans point into it. 0, or -EPROTO with *why set to a
 * fixed text. *out is written only on success; its fds are untouched. */
int ipc_decode(struct span packet, struct ipc_msg *out, const char **why) MUST_CHECK;

#endif
