/* One compressed stream in, its bytes out: gzip (RFC 1952, one member or several) or zstd
 * (RFC 8878, frames and skippable frames). Nothing but a whole, valid stream of exactly
 * the promised format ends well. Output is bounded by what the caller offers, memory by
 * the format: 32 KiB of window for gzip, at most 2^LIMIT_ZSTD_WINDOW_LOG for zstd. */
#ifndef BULKHEAD_INFLATE_INFLATE_H
#define BULKHEAD_INFLATE_INFLATE_H

#include "common/base/err.h"
#include "common/base/span.h"

#include <sys/types.h>

enum inflate_format { INFLATE_GZIP, INFLATE_ZSTD };

struct inflate;

/* *out, to be freed with inflate_free. 0; -ENOMEM; -EINVAL: no such format. */
int inflate_new(struct inflate **out, enum inflate_format format) MUST_CHECK;
void inflate_free(struct inflate *s);

/* Takes bytes from the front of *in and writes at most cap bytes to out. Stops when *in
 * is empty and nothing more can be written without more input, or when out is full; so
 * after a step that filled out, call again even with an empty *in. Always makes progress
 * unless both ends are empty. Returns the bytes written, or negative with *e. */
ssize_t inflate_step(struct inflate *s, struct span *in, uint8_t *out, size_t cap,
    struct err *e) MUST_CHECK;

/* No byte follows, and the last step wrote less than it could: is the stream whole?
 * 0, or negative with *e. */
int inflate_end(struct inflate *s, struct err *e) MUST_CHECK;

#endif
