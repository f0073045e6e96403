/* The apply room: one layer's tar becomes a tree, or a staged tree is checked, or one is
 * removed, or the tar of one that is there is put together again.
 *
 * Four functions over descriptors and callbacks, no state between them. What they read
 * (the tar, the side file, the tree) is hostile; what they answer is bounded by struct
 * apply_limits. All paths are names inside the given root and are never followed out of
 * it. They need no /proc.
 *
 * Rules: OCI image-spec layer.md; the choices that it leaves open (duplicate names,
 * devices, xattrs, sparse files) are in the README's table. */
#ifndef BULKHEAD_APPLY_H
#define BULKHEAD_APPLY_H

#include "common/base/err.h"
#include "common/base/limits.h"

#include <sys/types.h>

/* Lowered by configuration and by tests. */
struct apply_limits {
	uint64_t
	    bytes; /* of the uncompressed stream; also the sum of apparent file sizes */
	uint64_t entries; /* of the archive, global headers included */
	uint32_t depth;	  /* components of one name, at most LIMIT_PATH_DEPTH */
	bool unsynced;	  /* of a check: the tree is not made durable */
	bool shifted;	  /* of a verification: the tree's owners are not the tar's */
	/* Entries that may be made before `more` is asked for the next; it answers how
	 * many in all, or a negative errno that untar forwards unchanged. NULL: all. */
	uint64_t granted;
	int64_t (*more)(uint64_t entries);
};

#define APPLY_LIMITS_DEFAULT                                 \
	((struct apply_limits){.bytes = LIMIT_LAYER_DEFAULT, \
	    .entries = LIMIT_LAYER_ENTRIES,                  \
	    .depth = LIMIT_PATH_DEPTH})

struct apply_owners {
	uint32_t n;
	uint32_t ids[LIMIT_OWNERS]; /* ascending, distinct */
};

struct apply_result {
	uint64_t bytes;	     /* length of the uncompressed stream, to its last byte */
	uint64_t entries;    /* of the archive */
	uint64_t tree_bytes; /* sum of the regular files' apparent sizes */
	uint64_t devices_left_out;
	uint64_t xattrs_dropped;
	uint64_t opaque;	  /* directories marked opaque */
	uint64_t tar_split_bytes; /* check only: size of the finished file */
	struct apply_owners uids,
	    gids; /* for `uidset` and `gidset` of the layer record */
	/* An entry spelled "/" asked for these on the root itself (untar sets them too).
	 */
	bool root_given;
	uint32_t root_mode, root_uid, root_gid;
};

/* Where the uncompressed stream comes from: the next chunk in *p, valid until the next
 * call. Its length, 0 at the end, or a negative errno that untar forwards unchanged. */
struct apply_source {
	ssize_t (*next)(void *arg, const uint8_t **p);
	void *arg;
};

/* Writes the layer beneath root (a directory fd, empty, not O_PATH) and streams the side
 * file (tar-split's raw material, opaque directories, counts; see side.h) to side. Reads
 * the source to its end. Sets the process umask to 0 while it runs; single-threaded,
 * needs CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETFCAP over the tree. A tree after a
 * failure is only fit for apply_remove. 0, or negative with *err filled. */
int apply_untar(int root, int side, const struct apply_source *source,
    const struct apply_limits *limits, struct apply_result *result,
    struct err *err) MUST_CHECK;

/* Opaque directories, one call each; the callee must not keep dirfd (opened for reading).
 * 0, or negative to end the check. */
struct apply_opaque {
	int (*mark)(void *arg, int dirfd);
	void *arg;
};

/* Checks an untarred tree against its side file, in a process that never saw the tar:
 * each file that tar-split will read must be beneath root, reached without symlinks,
 * regular and of the recorded size. Writes the finished .tar-split.gz to out (empty, at
 * offset 0), hands over the opaque directories, then makes root's file system durable,
 * unless limits->unsynced.
 * side is read from its start. 0, or negative with *err filled: then out holds nothing of
 * use. */
int apply_check(int root, int side, int out, const struct apply_opaque *opaque,
    const struct apply_limits *limits, struct apply_result *result,
    struct err *err) MUST_CHECK;

/* Where a tar goes that is put together again: all of p, or a negative errno that verify
 * forwards unchanged. */
struct apply_sink {
	int (*put)(void *arg, const uint8_t *p, size_t n);
	void *arg;
};

/* Puts the tar of a layer together from its tar-split file (read from where its offset
 * is) and the tree, as its readers do, links inside the tree followed. What comes out is
 * for somebody else to hash; this only sees what is plainly wrong, in content and then in
 * what compare.h looks at: 0, or negative with *err (unless the sink failed) naming the
 * first such node. limits: `bytes` of the tar, `entries`, `shifted`. result: the first
 * two. */
int apply_verify(int root, int split, const struct apply_sink *sink,
    const struct apply_limits *limits, struct apply_result *result,
    struct err *err) MUST_CHECK;

/* Removes everything beneath dir (not dir itself): any depth, any number of entries, in
 * constant memory and with two descriptors; follows no symlink, enters no other mount.
 * Nobody else may be in the tree. *removed counts the nodes. 0, or negative with *err. */
int apply_remove(int dir, uint64_t *removed, struct err *err) MUST_CHECK;

#endif
