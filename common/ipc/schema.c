/* The table of schema.def as descriptors. */
#include "common/ipc/msg.h"

#include <stddef.h>

#define START IPC_START
#define RUN IPC_RUN
#define ONCE IPC_ONCE

#define ROW_U(k, n, max) {#n, max, offsetof(this_msg, n), k, IPC_U},
#define ROW_I(k, n) {#n, 0, offsetof(this_msg, n), k, IPC_I},
#define ROW_B(k, n, len) {#n, len, offsetof(this_msg, n), k, IPC_B},
#define ROW_V(k, n, max) {#n, max, offsetof(this_msg, n), k, IPC_V},
#define ROW_T(k, n, max) {#n, max, offsetof(this_msg, n), k, IPC_T},
#define ROW_L(k, n, max) {#n, max, offsetof(this_msg, n), k, IPC_L},

/* A function a message, because only a scope of its own can give offsetof the struct's
 * name inside the field list. */
#define M(id, name, channel, sender, phases, fds, cap)                            \
	static const struct ipc_field *fields_##name(void)                        \
	{                                                                         \
		typedef struct msg_##name this_msg __attribute__((unused));       \
		static const struct ipc_field list[] = {FIELDS_##name(            \
		    ROW_U, ROW_I, ROW_B, ROW_V, ROW_T, ROW_L){NULL, 0, 0, 0, 0}}; \
		return list;                                                      \
	}
IPC_MESSAGES(M)
#undef M

#define ONE(...) +1
#define COUNT(name) (0 FIELDS_##name(ONE, ONE, ONE, ONE, ONE, ONE))

static const struct ipc_row rows[] = {
#define M(id, name, channel, sender, phases, fds, cap)                                 \
	{#name, fields_##name, MSG_##name, (uint32_t)(cap), COUNT(name), CH_##channel, \
	    ROOM_##sender, phases, fds},
    IPC_MESSAGES(M)
#undef M
};

const struct ipc_row *
ipc_rows(size_t *n)
{
	*n = ARRAY_LEN(rows);
	return rows;
}

const struct ipc_row *
ipc_row_find(uint64_t id)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if ((uint64_t)rows[i].type == id)
			return &rows[i];
	}
	return NULL;
}
