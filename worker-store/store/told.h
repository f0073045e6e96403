/* What the frontend has been told, an entry an image: enough to see what is new. */
#ifndef BULKHEAD_STORE_TOLD_H
#define BULKHEAD_STORE_TOLD_H

#include "common/base/compiler.h"

enum {
	TOLD_SENT = 1,	    /* the frontend knows it */
	TOLD_DESCRIBED = 2, /* with its user and annotations */
	TOLD_BROKEN = 4,
	TOLD_LOGGED = 8,  /* ... and the log says so */
	TOLD_FAILED = 16, /* sent, and cannot be described */
};

struct told {
	uint64_t key;	   /* rows_key of the record */
	uint64_t pass;	   /* in which it was seen last; 0 = an empty slot */
	uint64_t since_ms; /* broken since then */
	uint8_t id[32];
	uint8_t state;
};

/* Zero-initialised is empty. */
struct told_table {
	struct told *slot;
	size_t cap, n;
};

void told_free(struct told_table *t);

/* The image's entry, or NULL. Valid until the next told_add. */
struct told *told_find(const struct told_table *t, const uint8_t id[32]);

/* The same, made with state 0 if there is none, and seen in this pass (> 0). NULL: no
 * memory. */
struct told *told_add(struct told_table *t, const uint8_t id[32], uint64_t pass);

/* Drops every entry that was not seen in this pass, after a word about it. */
void told_sweep(struct told_table *t, uint64_t pass,
    void (*gone)(void *arg, const struct told *e), void *arg);

#endif
