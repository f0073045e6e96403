/* One tar through apply_untar, in a directory beside a sentinel that must not change. */
#ifndef BULKHEAD_TESTS_LAYER_H
#define BULKHEAD_TESTS_LAYER_H

#include "tests/apply/tarball.h"
#include "worker-store/apply/apply.h"

struct layer {
	char base[64]; /* of everything */
	int dir;       /* base */
	int root;      /* base/diff */
	int side;      /* base/side, read and write */
	struct apply_result result;
	struct err err;
};

void layer_open(struct layer *l);
void layer_close(struct layer *l); /* asserts the sentinel, removes all */
/* Untars t in pieces of at most chunk bytes, each in memory of its own. */
int layer_untar(struct layer *l, const struct tarball *t, size_t chunk,
    const struct apply_limits *limits);
/* Whether segments and files on disk give back exactly t. */
bool layer_reassembles(struct layer *l, const struct tarball *t);
/* "type mode uid:gid size mtime link" of a path in diff, not followed; "-" when there is
 * none. */
const char *layer_stat(struct layer *l, const char *path);
/* The path's bytes; NUL-terminated, at most 255. */
const char *layer_cat(struct layer *l, const char *path);
/* Value of an attribute of a path, "-" when there is none. */
const char *layer_xattr(struct layer *l, const char *path, const char *name);

#endif
