/* The second opinion: libarchive decodes the entries with extended headers that tar_scan
 * let through.
 *
 * It is given the headers only, as tar_scan_body() rewrote them, and asked to skip
 * payloads; just a sparse file's payload does it read, to find the regions. Whatever it
 * sees differently from tar_scan (position, type, name, number), and every warning of
 * its, ends the layer. */
#ifndef BULKHEAD_APPLY_TAR_META_H
#define BULKHEAD_APPLY_TAR_META_H

#include "worker-store/apply/tar_scan.h"

#include <sys/types.h>
#include <time.h>

/* Hands out at most max bytes of the sparse payload. Bytes, or negative errno (kept). */
typedef ssize_t (*tar_payload_fn)(void *arg, size_t max, const uint8_t **p);

struct tar_attrs {
	struct timespec atime, mtime; /* both clamped to 1970 */
	uint64_t real_size; /* apparent size: of a sparse file more than the payload */
};

struct tar_meta;

/* NULL: out of memory. payload is called from tar_meta_next and tar_meta_region only. */
struct tar_meta *tar_meta_new(tar_payload_fn payload, void *arg);
void tar_meta_free(struct tar_meta *m);

/* Decodes one entry from its headers. e is what tar_scan saw. 0, or negative with *err.
 */
int tar_meta_next(struct tar_meta *m, struct span headers, const struct tar_entry *e,
    struct tar_attrs *out, struct err *err) MUST_CHECK;

/* The entry's extended attributes, e->xattrs of them, in stream order reversed or not: no
 * order is promised. 1 with one, 0 when there is none left. Valid until the next
 * tar_meta_next. */
int tar_meta_xattr(struct tar_meta *m, const char **name, struct span *value);

/* The sparse file's regions with data, ascending and inside real_size. 1, 0 at the end,
 * negative with *err. *p is valid until the next call. */
int tar_meta_region(
    struct tar_meta *m, struct span *p, uint64_t *at, struct err *err) MUST_CHECK;

/* The archive ended: nothing may be left unread. 0, or negative with *err. */
int tar_meta_end(struct tar_meta *m, struct err *err) MUST_CHECK;

#endif
