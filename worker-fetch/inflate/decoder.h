/* What inflate.c asks of each format. Private to this folder. */
#ifndef BULKHEAD_INFLATE_DECODER_H
#define BULKHEAD_INFLATE_DECODER_H

#include "common/base/err.h"
#include "common/base/span.h"

#include <sys/types.h>

/* As inflate_new, inflate_step and inflate_end; the first bytes are known to be of the
 * format. */
void *gzip_new(void);
void gzip_free(void *s);
ssize_t gzip_step(void *s, struct span *in, uint8_t *out, size_t cap, struct err *e);
int gzip_end(void *s, struct err *e);

void *zstd_new(void);
void zstd_free(void *s);
ssize_t zstd_step(void *s, struct span *in, uint8_t *out, size_t cap, struct err *e);
int zstd_end(void *s, struct err *e);

#endif
