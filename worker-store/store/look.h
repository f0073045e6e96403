/* The store's records as they are now, read again only when a file has changed. No locks:
 * files are replaced by rename, and what belongs together is looked at until it holds
 * still. */
#ifndef BULKHEAD_STORE_LOOK_H
#define BULKHEAD_STORE_LOOK_H

#include "worker-store/store/rows.h"

/* What tells one state of the three files from the next: which file it is, when it was
 * written, and the last writer's token in the locks. */
struct look_id {
	struct {
		uint64_t dev, ino, size, mtime, ctime;
	} file[3];
	uint8_t token[2][64];
};

struct look {
	const struct store *store;
	struct view view;
	struct rows rows;
	bool have;	    /* view and rows are of `at` */
	struct look_id at;  /* what was read */
	struct look_id bad; /* what could not be, for `why`; why.code 0: nothing */
	struct err why;
	int locks[2];	/* to read the tokens: layers.lock, images.lock; -1 */
	uint64_t loads; /* how often something was read */
	uint64_t seed;
};

/* 0 or negative; the store is borrowed. */
int look_open(struct look *l, const struct store *s) MUST_CHECK;
void look_close(struct look *l);

/* Reads what has changed. 0: view and rows are there until the next look_*. Negative with
 * e (content: damaged files; the same damage is not read twice). */
int look_now(struct look *l, struct err *e) MUST_CHECK;

/* Whether look_now would see something new. */
bool look_changed(struct look *l);

/* Frees the view; what it was is still known. */
void look_drop(struct look *l);

/* Forgets that the files were damaged: they are read again. */
void look_forgive(struct look *l);

#endif
