/* Valid messages made from the table alone, so that a new row is tested the day it is
 * written. */
#ifndef BULKHEAD_TESTS_IPC_SAMPLE_H
#define BULKHEAD_TESTS_IPC_SAMPLE_H

#include "common/ipc/msg.h"

/* How full each field of a sample is. */
enum sample { SAMPLE_EMPTY, SAMPLE_SOME, SAMPLE_FULL };

/* Fills a message of this row. Spans point to static memory. */
static inline void
sample_fill(const struct ipc_row *row, enum sample how, struct ipc_msg *m)
{
	static uint8_t bytes[LIMIT_PACKET];
	const struct ipc_field *f = row->fields();

	memset(bytes, 'x', sizeof(bytes));
	memset(m, 0, sizeof(*m));
	m->type = row->type;
	for (int i = 0; i < LIMIT_MESSAGE_FDS; i++)
		m->fds[i] = -1;
	for (unsigned i = 0; i < row->nfields; i++) {
		uint8_t *at = (uint8_t *)&m->hello + f[i].offset;
		uint64_t some = f[i].limit < 3 ? f[i].limit : 3;
		uint64_t n = how == SAMPLE_EMPTY  ? 0
			     : how == SAMPLE_SOME ? some
						  : f[i].limit;
		int64_t v = how == SAMPLE_EMPTY	 ? 0
			    : how == SAMPLE_SOME ? -77
						 : INT64_MIN;
		struct span s = {bytes, n};
		uint32_t count = (uint32_t)n;
		switch ((enum ipc_kind)f[i].kind) {
		case IPC_U:
			memcpy(at, &n, sizeof(n));
			break;
		case IPC_I:
			memcpy(at, &v, sizeof(v));
			break;
		case IPC_B:
			memset(at, how == SAMPLE_EMPTY ? 0 : 0xa5, f[i].limit);
			break;
		case IPC_V:
		case IPC_T:
			memcpy(at, &s, sizeof(s));
			break;
		case IPC_L:
			memcpy(at, &count, sizeof(count));
			for (uint32_t k = 0; k < count; k++) {
				uint64_t item = how == SAMPLE_FULL ? UINT64_MAX - k : k;
				memcpy(at + 8 + 8 * (size_t)k, &item, sizeof(item));
			}
			break;
		}
	}
}

#endif
