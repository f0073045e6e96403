/* What is told of an image beyond its record: who it runs as, its manifest's annotations.
 * Only document rooms that the store fed have said so. Kept in <graph
 * root>/bulkhead/summaries/<image ID>, so that nothing is parsed again:
 *
 *   "BHSUMM" 1 0 | config digest 32 | manifest digest 32 | length of the user u32 LE |
 *   length of the annotations u32 LE | both | SHA-256 of all before
 *
 * A file that is lost, torn or of another version is none: it is made again. */
#ifndef BULKHEAD_STORE_SUMMARY_H
#define BULKHEAD_STORE_SUMMARY_H

#include "worker-store/store/store.h"

struct summary {
	uint8_t config[DIGEST_BYTES], manifest[DIGEST_BYTES];
	char user[LIMIT_CONFIG_TEXT + 1];
	size_t n_annotations;
	uint8_t annotations[LIMIT_ANNOTATIONS]; /* common/base/pairs.h */
};

#define SUMMARY_MAX \
	(8 + 2 * DIGEST_BYTES + 8 + LIMIT_CONFIG_TEXT + LIMIT_ANNOTATIONS + 32)

/* Both pure. false: it is none. */
bool summary_parse(struct span bytes, struct summary *out) MUST_CHECK;
size_t summary_print(const struct summary *x, uint8_t out[SUMMARY_MAX]);

/* Takes what a document room said, which may be anything; false when it is not what an
 * honest one says. */
bool summary_user(struct summary *x, struct span user) MUST_CHECK;
bool summary_annotations(struct summary *x, struct span pairs) MUST_CHECK;

/* The summary of this image as its record is now. 0; 1: there is none; negative: it
 * cannot be read. */
int summary_load(
    const struct store *s, const struct record *image, struct summary *out) MUST_CHECK;

/* id: of the image. Not synced. 0 or negative. */
int summary_write(
    struct store *s, const char *id, const struct summary *x, struct err *e) MUST_CHECK;

/* 0, also when there is none; -errno. */
int summary_remove(const struct store *s, const char *id) MUST_CHECK;

/* Removes those of images that the view does not have. */
void summary_sweep(const struct store *s, struct view *v);

/* Whether there are so many that a sweep is due even if nobody is idle. */
bool summary_crowded(const struct store *s);

#endif
