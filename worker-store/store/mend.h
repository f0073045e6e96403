/* Putting right what a check has found, under the store's locks: what can be made again
 * from what is left is; else the damaged layers and images go, and what needs them, in
 * the order in which others remove them; never what a container uses, what is mounted, or
 * what the caller keeps. Everything is looked at anew: the finding may be old. */
#ifndef BULKHEAD_STORE_MEND_H
#define BULKHEAD_STORE_MEND_H

#include "worker-store/store/inspector.h"

enum mend_state {
	MEND_LEFT, /* nothing was done */
	MEND_DONE,
	MEND_REMOVED,
	MEND_KEPT, /* in use, pinned, or it failed: why */
};

struct mend_item {
	enum damage_kind kind;
	char id[ID_HEX + 1];
	size_t dir; /* of DAMAGE_ORPHAN */
	char name[256];
	enum mend_state state;
	char why[300];
};

struct mend_ops {
	/* Negative with *e: the image must stay. */
	int (*keep)(void *arg, const struct record *image, struct err *e);
	removed_fn *removed;
	void *arg;
};

/* remove: also what takes images or layers away. Fills state and why of each item. 0, or
 * negative when the store cannot be changed at all. */
int store_mend(struct store *s, const struct hold *h, struct mend_item *v, size_t n,
    bool remove, const struct mend_ops *ops, struct err *e) MUST_CHECK;

/* Whether the image's chain goes over the layer. */
bool image_needs_layer(struct view *v, const struct record *image, struct span layer);

#endif
