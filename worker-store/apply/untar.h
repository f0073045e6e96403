/* One untarring in progress, shared by untar.c (the stream) and untar_entry.c (the tree).
 */
#ifndef BULKHEAD_APPLY_UNTAR_H
#define BULKHEAD_APPLY_UNTAR_H

#include "worker-store/apply/apply.h"
#include "worker-store/apply/path.h"
#include "worker-store/apply/side.h"
#include "worker-store/apply/tar_meta.h"
#include "worker-store/apply/tar_scan.h"
#include "worker-store/apply/tree.h"

struct untar {
	const struct apply_source *source;
	const struct apply_limits *limits;
	struct apply_result *res;
	struct err *err;
	struct span chunk; /* of the source, not consumed yet */
	uint8_t *head;
	size_t head_n;
	struct tar_scan scan;
	struct tar_meta *meta;
	struct tar_attrs decoded;
	struct tree tree;
	struct side_writer side;
	struct seen names, devices;
	struct path path, target;
	uint64_t granted;      /* entries, so far */
	uint64_t payload_left; /* of a sparse entry, with padding */
};

/* All below: 0 or what they say, or negative with u->err filled. */

/* At most max bytes of the stream, in *out; 0 bytes only at its end. */
int untar_take(struct untar *u, size_t max, struct span *out) MUST_CHECK;
/* n bytes of the stream into tar-split segments. */
int untar_raw(struct untar *u, uint64_t n) MUST_CHECK;
int untar_truncated(struct untar *u);
/* Passes on what a side_ function returned. */
int untar_side(struct untar *u, int r) MUST_CHECK;
int untar_owner(struct untar *u, uint32_t uid, uint32_t gid) MUST_CHECK;

/* The payload of a sparse entry, for libarchive. */
ssize_t untar_sparse_payload(void *arg, size_t max, const uint8_t **p);
/* Puts the entry whose headers were read into the tree and passes its payload. */
int untar_entry(struct untar *u) MUST_CHECK;

#endif
