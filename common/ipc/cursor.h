/* A bounded reader of msgpack over bytes in hand: no tree, no allocation. Shortest forms
 * only. After the first violation it stays failed. */
#ifndef BULKHEAD_IPC_CURSOR_H
#define BULKHEAD_IPC_CURSOR_H

#include "common/base/span.h"

struct cursor {
	struct span left;
	const char *why; /* NULL while all is well */
};

/* Each returns a value, or zero with c->why set. */
uint64_t cursor_uint(struct cursor *c);
int64_t cursor_int(struct cursor *c);
struct span cursor_bin(struct cursor *c);
struct span cursor_str(struct cursor *c);
uint32_t cursor_array(struct cursor *c);
uint32_t cursor_map(struct cursor *c);

/* Fails the cursor (the first reason stays). */
void cursor_fail(struct cursor *c, const char *why);

#endif
