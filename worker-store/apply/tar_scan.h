/* The structure of a tar stream, decided from its bytes: where headers and payloads begin
 * and end, what type an entry has, its numbers, its names. Pure; the caller feeds blocks
 * and bodies.
 *
 * Stricter than POSIX.1-2001 pax, ustar and GNU readers on purpose: where two common
 * readers would see different trees, the stream is refused. */
#ifndef BULKHEAD_APPLY_TAR_SCAN_H
#define BULKHEAD_APPLY_TAR_SCAN_H

#include "common/base/err.h"
#include "common/base/limits.h"

#define TAR_BLOCK 512

enum tar_kind {
	TAR_FILE,
	TAR_DIRECTORY,
	TAR_SYMLINK,
	TAR_HARDLINK,
	TAR_CHAR,
	TAR_BLOCKDEV,
	TAR_FIFO,
};

struct tar_entry {
	enum tar_kind kind;
	bool sparse;   /* the payload is a sparse map and data of a larger file */
	uint64_t size; /* payload bytes in the stream, without padding */
	uint32_t mode; /* permission bits, 07777 */
	uint32_t uid, gid;
	int64_t mtime;	       /* seconds, 0..LIMIT_MTIME */
	uint32_t xattrs;       /* SCHILY.xattr records that a decoder will report */
	uint32_t xattrs_empty; /* such records without a value: readers drop them */
	uint64_t major, minor; /* device numbers */
	size_t name_n, link_n;
	char
	    name[LIMIT_PATH + 1]; /* as in the stream, not cleaned; never empty, no NUL */
	char link[LIMIT_PATH + 1]; /* target of a link, else "" */
};

enum tar_step {
	TAR_BODY = 1, /* an extension header: its body of .body bytes, then padding, comes
			 next */
	TAR_GLOBAL,   /* the body just given ended a global header; nothing hangs on it */
	TAR_ENTRY, /* .entry is complete; its payload of .entry.size bytes comes next */
	TAR_ZERO, /* one block of zeros; the next one must be one too, or the stream's end
		   */
	TAR_END,  /* second block of zeros: the end of the archive */
	TAR_MORE, /* the body is taken in; a header block comes next */
};

struct tar_scan {
	struct tar_entry entry;
	uint64_t body; /* bytes of the body that is due, at most LIMIT_PAX_HEADER */
	char ext;      /* type byte of that body's header */
	bool zero;
	bool pax, long_name, long_link; /* which extensions the next entry has */
	uint32_t seen;			/* keys in the pax header, a bit each */
	uint32_t sparse_pairs[2];	/* GNU.sparse.offset and .numbytes records */
	int64_t size, uid, gid, mtime, sparse_major, sparse_minor;
	uint32_t xattr_n;
	uint64_t xattr_bytes;
	struct span
	    xattr_names[LIMIT_XATTRS]; /* into the body, only while it is parsed */
};

/* Takes one header block (TAR_BLOCK bytes). A step, or negative with *err filled. */
int tar_scan_block(struct tar_scan *t, const uint8_t *block, struct err *err) MUST_CHECK;

/* Takes the body that was due (t->body bytes) and rewrites it, same length, for a decoder
 * that shall see nothing else: keys it has no business with begin with '#', and bytes
 * over 0x7f in names become '_' (character-set layers normalise or refuse them; t->entry
 * has the names). TAR_MORE or TAR_GLOBAL, or negative with *err filled. */
int tar_scan_body(struct tar_scan *t, uint8_t *body, struct err *err) MUST_CHECK;

/* Whether the stream may end here, between blocks. 0, or negative with *err filled. */
int tar_scan_eof(const struct tar_scan *t, struct err *err) MUST_CHECK;

/* Bytes of padding after n bytes of payload or body. */
static inline size_t
tar_padding(uint64_t n)
{
	return (size_t)(-n & (TAR_BLOCK - 1));
}

#endif
