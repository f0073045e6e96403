/* CRC-64, gzip and gunzip through ISA-L, and nothing else of it. */
#ifndef BULKHEAD_APPLY_ISAL_H
#define BULKHEAD_APPLY_ISAL_H

#include "common/base/span.h"

#include <sys/types.h>

/* CRC-64 of ISO 3309, reflected, as tar-split stores it; crc of nothing is 0. */
uint64_t crc64(uint64_t crc, const uint8_t *p, size_t n);

/* One gzip member, written to fd as it grows. */
struct gzip;
struct gzip *gzip_new(int fd); /* NULL: out of memory. fd stays the caller's */
void gzip_free(struct gzip *g);
int gzip_write(struct gzip *g, const void *p, size_t n) MUST_CHECK; /* 0, -errno */
int gzip_finish(
    struct gzip *g, uint64_t *bytes) MUST_CHECK; /* size of the file; 0, -errno */

/* What a gzip file, of one member or more, holds. */
struct gunzip;
struct gunzip *gunzip_new(int fd); /* NULL: out of memory. fd stays the caller's */
void gunzip_free(struct gunzip *g);
/* Bytes, fewer than n only at the end; -EBADMSG: it is no gzip, or a damaged or cut one;
 * or -errno. */
ssize_t gunzip_read(struct gunzip *g, void *p, size_t n) MUST_CHECK;

#endif
