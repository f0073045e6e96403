/* One check under way: what check.c, which looks, and check_mend.c, which mends and
 * tells, share. */
#ifndef BULKHEAD_STORE_CHECK_RUN_H
#define BULKHEAD_STORE_CHECK_RUN_H

#include "worker-store/store/check.h"
#include "worker-store/store/deep.h"

#define ROWS_MAX 1000 /* findings that are told; the others are counted */
#define ROUNDS 3      /* as often it is begun again when the records change */

struct finding {
	struct mend_item item;
	bool deep; /* of a phase that is not begun again */
	char *text;
};

/* The deep ones come first and once; then all that is quick, in a state of the records
 * that holds still. */
enum phase {
	PHASE_LOAD,
	PHASE_DOCUMENTS,
	PHASE_TREES,
	PHASE_LOOK,
	PHASE_IMAGES,
	PHASE_LAYERS,
	PHASE_DIRS,
	PHASE_END
};

struct check {
	struct check *next;
	struct keeper *room;
	uint64_t req;
	bool deep, quiet; /* quiet: nobody asked, it is for the log */
	enum check_mend mend;
	struct inspector in;
	struct loop_timer step;
	enum phase phase;
	size_t at; /* image, layer or directory */
	DIR *dir;
	unsigned rounds;
	struct finding *rows;
	size_t n, kept;
	struct job job;
	struct deep tree;
	unsigned again; /* tries of this layer */
	uint64_t bytes, bytes_all, layers, layers_all;
	char (*only)[ID_HEX + 1]; /* quiet: what it is about */
	size_t n_only;
};

/* Takes a finding; kept until the end: what was true only of a moment is not told. */
void check_found(void *arg, const struct damage *d, const char *text);

/* The look is over: mends if wanted, tells, and frees it. */
void check_finish(struct check *c);
void check_free(struct check *c);

#endif
