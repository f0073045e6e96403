/* The headers of a layer's tar against the nodes of its tree, while verify puts that tar
 * together. A hash judges the bytes; it sees no owner, no mode, no link and no node
 * without content.
 *
 * A difference is what can be told for sure. Of the nodes of an archive that the scanner
 * refuses nothing is said, nor where two entries may be for one place (a name twice, an
 * entry behind a symlink): another program untarred it by rules of its own. Not looked
 * at: devices (which an applier leaves out), the root, extended attributes, attributes of
 * nodes with several names (the last header won), times after 2038 (file systems cut
 * them), what is in the tree without being in the tar. */
#ifndef BULKHEAD_APPLY_COMPARE_H
#define BULKHEAD_APPLY_COMPARE_H

#include "worker-store/apply/tar_scan.h"
#include "worker-store/apply/tree.h"

struct compare {
	int root;     /* the caller's */
	bool shifted; /* the tree's owners are not the tar's: they are not compared */
	bool over;    /* of this archive, nothing more will be said */
	struct tar_scan scan;
	uint8_t *head; /* the block or the body that is being gathered */
	size_t head_n, head_want;
	bool body;
	uint64_t skip; /* of a payload */
	struct seen names;
	struct path path;
	struct beneath_parent parent;
	struct err why; /* the first difference; one of a time gives way to another */
	bool why_time;
};

/* 0, or -ENOMEM; compare_free() is due either way. */
int compare_init(struct compare *c, int root, bool shifted) MUST_CHECK;
void compare_free(struct compare *c);

/* The tar's next bytes. 0, or negative with *err: a node could not be looked at. */
int compare_take(
    struct compare *c, const uint8_t *p, size_t n, struct err *err) MUST_CHECK;

/* The tar has ended. 0, or negative with *err: the difference (content). */
int compare_end(struct compare *c, struct err *err) MUST_CHECK;

#endif
