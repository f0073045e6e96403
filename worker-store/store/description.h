/* One image being described: its documents, a room for each, the summary. */
#ifndef BULKHEAD_STORE_DESCRIPTION_H
#define BULKHEAD_STORE_DESCRIPTION_H

#include "worker-store/store/keeper.h"
#include "worker-store/store/summary.h"

struct asker {
	struct asker *next;
	uint64_t req;
};

struct description {
	struct description *next;
	struct describer *of;
	struct keeper *room;
	/* Once a run. e: why not; code 0: the summary is written and told. */
	void (*ended)(struct description *x);
	/* Instead of it: a room could not be had, there may be too many just now. */
	void (*no_room)(struct description *x, const char *why);
	char id[ID_HEX + 1]; /* "" = over */
	uint64_t key;	     /* of the record it was begun with */
	bool running;
	unsigned tries;
	uint64_t rest_until_ms;
	enum document_kind kind; /* the one that is being read */
	int fd;
	bool answered;
	struct err e;
	struct helper reader;
	struct summary summary;
	struct asker *askers;
};

/* From the beginning. */
void description_run(struct description *x);

/* The image's record as it is now, until the caller returns to the loop. NULL with e
 * filled: it is not there, or the records cannot be read. key: another one when the
 * record is (rows_key). */
const struct record *record_now(
    struct keeper *room, const char *id, uint64_t *key, struct err *e);

#endif
