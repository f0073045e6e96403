/* The records of pax extended headers, for tar_scan.c alone. */
#ifndef BULKHEAD_APPLY_TAR_PAX_H
#define BULKHEAD_APPLY_TAR_PAX_H

#include "worker-store/apply/tar_scan.h"

enum pax_key {
	PAX_PATH,
	PAX_LINKPATH,
	PAX_SIZE,
	PAX_UID,
	PAX_GID,
	PAX_MTIME,
	PAX_ATIME,
	PAX_CTIME,
	PAX_SPARSE_MAJOR,
	PAX_SPARSE_MINOR,
	PAX_SPARSE_NAME,
	PAX_SPARSE_REALSIZE,
	PAX_SPARSE_SIZE,
	PAX_SPARSE_NUMBLOCKS,
	PAX_SPARSE_MAP,
	PAX_SPARSE_OFFSET,
	PAX_SPARSE_NUMBYTES,
	PAX_XATTR,
	PAX_OTHER,
};
#define PAX_BIT(k) (UINT32_C(1) << (k))

/* Parses the t->body bytes of a pax header into t, and rewrites them as tar_scan_body()
 * says. global: only records that change no entry are accepted. 0, or negative with *err
 * filled. */
int tar_pax_parse(
    struct tar_scan *t, uint8_t *p, bool global, struct err *err) MUST_CHECK;

static inline int
bad(struct err *err, const char *what)
{
	return err_set(err, ERR_CONTENT, "layer refused: %s", what);
}

static inline bool
put_text(struct span s, char *dst, size_t *n)
{
	*n = s.n;
	return s.n > 0 && span_to_str(s, dst, LIMIT_PATH + 1);
}

#endif
