/* Tars made by hand, byte by byte where a writer would refuse. */
#ifndef BULKHEAD_TESTS_TARBALL_H
#define BULKHEAD_TESTS_TARBALL_H

#include "common/base/span.h"

struct tarball {
	uint8_t *p;
	size_t n, cap;
	size_t header; /* offset of the last header */
};

struct tar_head {
	const char *name;
	char type; /* 0 stays NUL */
	uint64_t size;
	unsigned mode, uid, gid, major, minor;
	int64_t mtime;
	const char *link, *prefix;
	const char *magic; /* 8 bytes; NULL = ustar */
};

void tar_bytes(struct tarball *t, const void *p, size_t n);
void tar_zeros(struct tarball *t, size_t n);
void tar_pad(struct tarball *t); /* to the next block */
void tar_head(struct tarball *t, struct tar_head h);
/* Overwrites bytes of the last header and sums it again. */
void tar_poke(struct tarball *t, size_t at, const void *p, size_t n);
void tar_free(struct tarball *t);

/* Whole entries. */
void tar_file(struct tarball *t, const char *name, const char *content);
void tar_dir(struct tarball *t, const char *name);
void tar_node(struct tarball *t, const char *name, char type, const char *link);
/* GNU L or K; body as given. */
void tar_long(struct tarball *t, char type, const void *body, size_t n);
/* An x (or g) header of one body. */
void tar_pax(struct tarball *t, char type, const void *body, size_t n);
/* A body of records: key, value, key, value ..., NULL. */
void tar_pax_records(struct tarball *t, ...);
/* One record appended to another tarball used as a buffer. */
void pax_record(struct tarball *body, const char *key, const void *value, size_t n);
void tar_end(struct tarball *t); /* two blocks of zeros */

#endif
