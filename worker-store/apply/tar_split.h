/* The finished tar-split file: gzip over one JSON object a line, as
 * github.com/vbatts/tar-split tar/storage/entry.go has them (type 1 = file, type 2 =
 * segment). */
#ifndef BULKHEAD_APPLY_TAR_SPLIT_H
#define BULKHEAD_APPLY_TAR_SPLIT_H

#include "common/base/span.h"

struct tar_split;
struct tar_split *tar_split_new(int fd); /* NULL: out of memory. fd stays the caller's */
void tar_split_free(struct tar_split *t);
/* 0, or -errno. size 0: no payload, crc unused. */
int tar_split_file(
    struct tar_split *t, struct span name, uint64_t size, uint64_t crc) MUST_CHECK;
int tar_split_segment(struct tar_split *t, struct span bytes) MUST_CHECK;
int tar_split_finish(
    struct tar_split *t, uint64_t *bytes) MUST_CHECK; /* size of the file */

/* A JSON string of valid text, quotes included, escaped as Go's encoding/json does. dst
 * holds 6 * n + 2 bytes. Bytes written; not terminated. */
size_t tar_split_quote(struct span text, char *dst);

/* Base64 with padding (RFC 4648). dst holds (n + 2) / 3 * 4 bytes; not terminated. */
size_t tar_split_base64(struct span in, char *dst);

#endif
