/* The side file of a layer: what untar tells check, and nobody else reads.
 *
 * "BHSIDE1\n", then records: kind (1 byte), length of the payload (4 bytes,
 * little-endian), payload. The first three kinds, in stream order, are tar-split's
 * material: the stream is the concatenation of all segments and all files' contents.
 * SIDE_END is last. */
#ifndef BULKHEAD_APPLY_SIDE_H
#define BULKHEAD_APPLY_SIDE_H

#include "worker-store/apply/apply.h"

#define SIDE_MAGIC "BHSIDE1\n"
#define SIDE_HEAD 5 /* kind and length */

enum side_kind {
	SIDE_SEGMENT = 1, /* 1..LIMIT_TAR_SPLIT_SEGMENT bytes of the stream */
	SIDE_FILE =
	    2, /* u64 size (> 0), u64 CRC-64, name as in the tar (1..LIMIT_PATH) */
	SIDE_NODE = 3,	 /* name of an entry whose payload, if any, is in segments */
	SIDE_OPAQUE = 4, /* clean path of an opaque directory, empty for the root */
	SIDE_END =
	    5, /* struct apply_result: SIDE_END_WORDS u64, n uids, n gids (u32 each) */
};

#define SIDE_END_WORDS 8
#define SIDE_PAYLOAD_MAX LIMIT_TAR_SPLIT_SEGMENT

struct side_record {
	enum side_kind kind;
	uint64_t size, crc; /* SIDE_FILE */
	struct span data;   /* segment bytes, name or path; valid until the next read */
};

/* The writer. Buffers; errors come with the call that flushes. */
struct side_writer {
	int fd;
	uint8_t *buf;
	size_t n;	/* bytes in buf */
	size_t segment; /* where the open segment's record begins in buf, or n when none
			   is open */
};

int side_open(
    struct side_writer *w, int fd) MUST_CHECK; /* 0, -ENOMEM; fd stays the caller's */
void side_free(struct side_writer *w);
int side_raw(struct side_writer *w, const uint8_t *p, size_t n) MUST_CHECK;
int side_cut(struct side_writer *w) MUST_CHECK; /* ends the open segment */
int side_file(
    struct side_writer *w, struct span name, uint64_t size, uint64_t crc) MUST_CHECK;
int side_name(struct side_writer *w, enum side_kind kind, struct span name) MUST_CHECK;
int side_end(
    struct side_writer *w, const struct apply_result *r) MUST_CHECK; /* and flush */

/* The reader trusts nothing: it refuses kinds, lengths and orders that the writer never
 * makes. */
struct side_reader {
	int fd;
	uint8_t *buf;
	size_t at, n;
	bool started, ended;
	struct apply_result result; /* after SIDE_END: what that record says */
};

int side_read_open(struct side_reader *r, int fd) MUST_CHECK; /* 0, -ENOMEM */
void side_read_free(struct side_reader *r);
/* 1 with a record, 0 at the end (after SIDE_END and nothing more), negative with *err. */
int side_read(struct side_reader *r, struct side_record *rec, struct err *err) MUST_CHECK;

#endif
