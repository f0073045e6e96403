/* Names the store gives: layer IDs, short link ids, big-data files, times. */
#ifndef BULKHEAD_STORE_IDS_H
#define BULKHEAD_STORE_IDS_H

#include "common/ref/digest.h"

#define LINK_LEN 26 /* a short link id */

/* A moment as messages carry it. */
struct stamp {
	int64_t s;
	uint32_t ns;
};

/* 64 lower-case hex digits: safe as a path component. */
bool id_is(struct span text);

/* algorithm:hex as upstream's digest.Validate accepts it (sha256, sha384, sha512). */
bool digest_well_formed(struct span text);

/* The ID of the layer with this DiffID on top of parent (NULL = a base layer): upstream's
 * rule, hex(DiffID), else SHA-256 of "parent+hex(DiffID)". dst has ID_HEX + 1 bytes. 0 or
 * negative. */
int layer_id(const char *parent, const uint8_t diff_id[32], char *dst) MUST_CHECK;

/* A fresh short link id: LINK_LEN base32 characters and a NUL. 0 or -errno. */
int link_id_new(char dst[LINK_LEN + 1]) MUST_CHECK;
bool link_id_is(struct span text);

/* 2n random hex digits and a NUL. */
int random_hex(char *dst, size_t n) MUST_CHECK;

/* The file that holds the big-data item of a key (upstream's makeBigDataBaseName). false
 * when it does not fit into cap bytes, or would be no plain file name. */
bool item_file(struct span key, char *dst, size_t cap) MUST_CHECK;

/* RFC 3339 with nine fraction digits at most, clamped to the years 1970..9999. dst: 31
 * bytes. */
char *stamp_print(struct stamp t, char dst[31]);

/* RFC 3339 of any offset, years 0..9999. */
bool stamp_parse(struct span text, struct stamp *t) MUST_CHECK;

/* Now. */
struct stamp stamp_now(void);

#endif
