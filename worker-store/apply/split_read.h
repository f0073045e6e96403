/* Reading a tar-split file (tar_split.h has what it is) that this program or another one
 * wrote, and that may have been damaged since. Pure but for reading the descriptor. */
#ifndef BULKHEAD_APPLY_SPLIT_READ_H
#define BULKHEAD_APPLY_SPLIT_READ_H

#include "common/base/err.h"
#include "common/base/limits.h"

/* One line. A segment, or an entry with the name as the tar has it; size 0: its payload,
 * if it has one, is in segments. */
struct split_record {
	bool file;
	uint64_t size, crc;
	struct span data; /* bytes, or the name; valid until the next read */
};

struct gunzip;
struct split_reader {
	struct gunzip *gz;
	uint8_t *buf; /* lines, decoded where they stand */
	size_t at, n, cap;
	bool end;
};

int split_read_open(struct split_reader *r, int fd) MUST_CHECK; /* 0, -ENOMEM */
void split_read_free(struct split_reader *r);

/* 1 with a record, 0 at the end, negative with *err: damaged (content), or unreadable. */
int split_read(
    struct split_reader *r, struct split_record *rec, struct err *err) MUST_CHECK;

#endif
