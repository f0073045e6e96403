/* Names of entries, made lexical: what they mean before any file system is asked. Pure.
 */
#ifndef BULKHEAD_APPLY_PATH_H
#define BULKHEAD_APPLY_PATH_H

#include "common/base/err.h"
#include "common/base/limits.h"

/* A clean relative path: no leading or doubled slash, no ".", no "..". */
struct path {
	size_t n;      /* 0: the root itself */
	size_t parent; /* length of the part before the last slash, 0 for a child of the
			  root */
	uint32_t depth;
	char text[LIMIT_PATH + 1];
};

enum path_class {
	PATH_PLAIN,
	PATH_WHITEOUT, /* last component .wh.NAME: path_unwhite() gives what it hides */
	PATH_OPAQUE,   /* last component .wh..wh..opq: the parent hides all below it */
};

/* Cleans raw. 0, or negative with *err: empty, NUL, "..", too long, too deep. */
int path_clean(
    struct span raw, uint32_t depth, struct path *out, struct err *err) MUST_CHECK;

/* OCI image-spec layer.md, "Whiteouts". A class, or negative with *err: a whiteout of
 * nothing, of
 * "." or "..", of another whiteout, or ".wh." in front of a directory in the path. */
int path_classify(const struct path *p, struct err *err) MUST_CHECK;

/* Takes ".wh." off the last component. */
void path_unwhite(struct path *p);

static inline const char *
path_base(const struct path *p)
{
	return p->text + p->parent + (p->parent > 0);
}

/* A set of strings by 64-bit hash, for "seen before". Two names with one hash count as
 * equal: it can refuse a layer made to collide, never miss a repetition. */
struct seen {
	uint64_t *slots;
	size_t cap, n;
};

/* 1 when it was there already, 0 when it is new and now in, -ENOMEM. */
int seen_add(struct seen *s, const char *text, size_t n) MUST_CHECK;
bool seen_has(const struct seen *s, const char *text, size_t n);
void seen_free(struct seen *s);

#endif
