/* The list of images: collected from answers, filtered, printed. */
#ifndef BULKHEAD_CLI_IMAGES_H
#define BULKHEAD_CLI_IMAGES_H

#include "common/base/err.h"
#include "common/base/limits.h"
#include "common/ref/digest.h"

#include <stdio.h>

struct image_name {
	char *text;  /* owned; as the store has it */
	bool digest; /* a repo digest, not a name */
};

struct image {
	uint8_t id[DIGEST_BYTES], digest[DIGEST_BYTES]; /* digest all zero: unknown */
	int64_t created;				/* seconds since 1970 */
	uint64_t size, layers;
	struct image_name *names; /* owned */
	size_t nnames;
};

struct image_list {
	struct image *v; /* owned */
	size_t n, cap, names;
};

/* Most names of all images together that a list takes. */
#define IMAGE_LIST_NAMES (4 * LIMIT_STORE_RECORDS)

/* Appends an image without names. 0, -ENOMEM, or -E2BIG beyond LIMIT_STORE_RECORDS. */
int image_list_add(struct image_list *l, const struct image *image) MUST_CHECK;

/* Appends a name to the last image. 0, -ENOMEM, -E2BIG, or -EINVAL without an image. */
int image_list_name(struct image_list *l, struct span name, bool digest) MUST_CHECK;

/* Newest first, equal ages by ID. */
void image_list_sort(struct image_list *l);
void image_list_release(struct image_list *l);

/* What `--filter` demands: every kind given must hold, of several references one. */
#define IMAGE_PATTERNS 17
struct image_filter {
	const char *patterns[IMAGE_PATTERNS]; /* not owned */
	size_t npatterns;
	struct id_prefix id;
	bool has_id, has_dangling, dangling;
};

/* Adds "KEY=VALUE". 0, or negative with a reason of class ERR_USAGE. */
int image_filter_add(struct image_filter *f, const char *text, struct err *e) MUST_CHECK;

/* Adds a pattern for names: `*`, `?` and `[...]` stop at slashes; tried against the whole
 * name, the name without tag or digest, and both again without host and without host and
 * path. */
int image_filter_reference(
    struct image_filter *f, const char *pattern, struct err *e) MUST_CHECK;

bool image_filter_match(const struct image_filter *f, const struct image *image);

/* Whether the filter's patterns let this name through. */
bool image_filter_name(const struct image_filter *f, const char *name);

/* Where the tag or the digest of a name begins: its ":" or "@", or the end. */
size_t image_name_end(const char *name);

struct image_view {
	bool digests, no_trunc, noheading;
	int64_t now;
};

/* One line a name, or one with <none>. With a filter of references only names that it
 * matches show. 0 or -ENOMEM. */
int images_print_table(const struct image_list *l, const struct image_filter *f,
    const struct image_view *view, FILE *to) MUST_CHECK;

/* One ID a line: 12 digits, or with no_trunc sha256: and 64. */
void images_print_ids(const struct image_list *l, const struct image_filter *f,
    const struct image_view *view, FILE *to);

/* An array of objects. 0 or -errno. */
int images_print_json(
    const struct image_list *l, const struct image_filter *f, FILE *to) MUST_CHECK;

#endif
