/* Writing a tree beneath one directory. Parents are resolved by openat2 inside the root,
 * links in them included; a last component is never followed. The parent of the entry
 * before stays open, because archives come directory by directory. */
#ifndef BULKHEAD_APPLY_TREE_H
#define BULKHEAD_APPLY_TREE_H

#include "worker-store/apply/path.h"

#include <sys/stat.h>
#include <time.h>

struct tree {
	int root;
	int parent;	     /* O_PATH, of the path below; -1: none yet */
	bool parent_linked;  /* a symlink of this layer led there */
	bool parent_special; /* what is made in it may inherit a group or a setgid bit */
	uid_t uid;	     /* owner that new nodes get by themselves */
	gid_t gid;
	struct path path; /* of parent: text and n only */
	/* Directories' times, set when all children are there: offsets into names. */
	struct tree_dir {
		struct timespec times[2];
		uint32_t name, n;
	} * dirs;
	size_t dirs_n, dirs_cap;
	char *names;
	size_t names_n, names_cap;
};

struct tree_attrs {
	uint32_t uid, gid, mode;
	struct timespec times[2]; /* atime, mtime */
};

/* 0, or negative with *err. root stays the caller's. */
int tree_open(struct tree *t, int root, struct err *err) MUST_CHECK;
void tree_free(struct tree *t);

/* Makes p's parent the current one, creating what is missing (0755). 0, -ENOTDIR without
 * *err when something that is no directory is in the way, or negative with *err. */
int tree_enter(struct tree *t, const struct path *p, struct err *err) MUST_CHECK;

/* All below work in the current parent; base is one component. A whiteout of this layer
 * that is in the way goes; anything else there ends the layer (but a directory over a
 * directory). */

/* Creates a regular file, open for writing. The fd, or negative with *err. */
int tree_file(
    struct tree *t, const char *base, uint32_t mode, struct err *err) MUST_CHECK;
/* Owner, mode and times of that file, after its content and before its capabilities. */
int tree_file_finish(
    struct tree *t, int fd, const struct tree_attrs *a, struct err *err) MUST_CHECK;
int tree_directory(struct tree *t, const struct path *p, const struct tree_attrs *a,
    struct err *err) MUST_CHECK;
int tree_symlink(struct tree *t, const char *base, const char *target,
    const struct tree_attrs *a, struct err *err) MUST_CHECK;
int tree_fifo(struct tree *t, const char *base, const struct tree_attrs *a,
    struct err *err) MUST_CHECK;
int tree_whiteout(struct tree *t, const char *base, const struct tree_attrs *a,
    struct err *err) MUST_CHECK;
/* A second name for a node of this tree. */
int tree_hardlink(struct tree *t, const char *base, const struct path *target,
    const struct tree_attrs *a, struct err *err) MUST_CHECK;
/* Opens base, a regular file or a directory just made, for its attributes. The fd;
 * -EMEDIUMTYPE without *err when it is neither; or negative with *err. */
int tree_reopen(struct tree *t, const char *base, struct err *err) MUST_CHECK;

/* Owner and mode of the root itself, and its times at the end. */
int tree_root(struct tree *t, const struct tree_attrs *a, struct err *err) MUST_CHECK;

/* Sets the times of all directories. 0, or negative with *err. */
int tree_finish(struct tree *t, struct err *err) MUST_CHECK;

/* Opens path (clean, "" = the root) beneath root without crossing a symlink; flags as for
 * open. follow: symlinks are resolved inside the root, but not a last component with
 * O_NOFOLLOW. The fd, or -errno. */
int beneath_open(int root, const char *path, int flags, bool follow) MUST_CHECK;

/* The directory that the entry before was in. Starts with fd -1; fd_close(&fd) ends it.
 */
struct beneath_parent {
	int fd;		  /* O_PATH; negative: none */
	bool linked;	  /* a symlink led there */
	struct path path; /* of it: text and n only */
};

/* Makes it p's parent; follow: links on the way are resolved inside the root. 0, or
 * -errno. */
int beneath_enter(
    int root, struct beneath_parent *at, const struct path *p, bool follow) MUST_CHECK;

#endif
