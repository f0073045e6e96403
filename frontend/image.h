/* One image as the cache keeps it and as clients are told of it. */
#ifndef BULKHEAD_FRONTEND_IMAGE_H
#define BULKHEAD_FRONTEND_IMAGE_H

#include "frontend/cri_codec.h"

struct pins;

/* An entry of the tree of names; the tree is balanced, so no choice of names slows it. */
struct image_name {
	struct span text;
	struct image *image; /* that has the name */
};

/* Valid until the next cache_end, so: until the caller returns to the loop. */
struct image {
	uint8_t id[32];
	char hex[65];
	bool described; /* user and annotations are known */
	bool pinned;
	uint64_t size; /* never 0 */
	struct span user, annotations;
	/* Normalised and sorted: repo:tag first, then repo@digest. */
	struct span *names;
	size_t n_tags, n_digests;
	/* The cache's own. */
	struct image *staged;
	size_t order;
	bool gone;
	char *raw, *text;
	size_t raw_n;
	struct image_name *index;
	uint8_t *packed;
	size_t packed_n;
};

/* What clients are told of an image; the spec with the annotations on demand. */
void image_describe(const struct image *im, bool with_spec, struct cri_image *out);

/* For the cache: names as they come, lines each; then, when everything has been told, all
 * of it in the form that is kept; and the pins anew. 0 or -ENOMEM. NULL and images that
 * have gone are passed over. */
int image_add_names(struct image *im, struct span names) MUST_CHECK;
int image_finish(struct image *im, const struct pins *pins) MUST_CHECK;
int image_pin(struct image *im, const struct pins *pins) MUST_CHECK;
void image_free(struct image *im);

#endif
