/* Image records: what a commit, a tag or an untag makes of one. */
#ifndef BULKHEAD_STORE_IMAGE_H
#define BULKHEAD_STORE_IMAGE_H

#include "worker-store/store/store.h"

/* A document to store with an image: big data, in upstream's word. */
struct item {
	char key[128];
	struct span bytes;
	char digest[DIGEST_TEXT + 1];
};

struct image_plan {
	const struct store *store;
	const struct record *old;		/* the image's record, or NULL */
	char id[ID_HEX + 1], layer[ID_HEX + 1]; /* layer "" = none */
	struct item items[8];
	size_t n;     /* those that the image does not have yet */
	bool replace; /* `digest`, `metadata` and the verified mark are (re)written */
	bool mend;    /* nothing that is there stays */
	struct buf signatures; /* all of them, concatenated */
	struct buf metadata;
};

/* What a pull has to add to the image of its ID: old is the record, or NULL; the plan
 * refers to it and to the request. */
int image_plan(struct image_plan *p, const struct store *s,
    const struct commit_request *rq, const struct record *old, struct err *e) MUST_CHECK;
void image_plan_free(struct image_plan *p);

/* The record after the plan, with the name in front. Refuses what passes the caps of
 * names and manifests. *changed: differs from the old one. */
int image_record(struct buf *out, const struct image_plan *p,
    const struct commit_request *rq, const struct record *old, bool *changed,
    struct err *e) MUST_CHECK;

/* A record with a name added in front (upstream's add operation, its history too), or
 * taken away (name "" = all). */
int image_add_name(struct buf *out, const struct record *old, const char *name,
    struct err *e) MUST_CHECK;
int image_drop_name(struct buf *out, const struct record *old, const char *name,
    struct err *e) MUST_CHECK;

/* Takes the name away from every record but `keep` (may be NULL). 1 if any had it, 0,
 * negative. */
int images_drop_name(struct table *images, const struct record *keep, const char *name,
    struct err *e) MUST_CHECK;

/* The recorded size of an item; false when there is none. */
bool image_item_size(const struct record *image, const char *key, int64_t *size);

/* The recorded digest of an item; false when there is none, or of another algorithm. */
bool image_item_digest(
    const struct record *image, const char *key, uint8_t digest[DIGEST_BYTES]);

/* Keys of an image that start with "manifest-". */
size_t image_manifests(struct span keys);

/* The containers' records, of graph root and run root, plain and volatile. */
int containers_load(struct table t[4], const struct store *s, struct err *e) MUST_CHECK;

/* What a change looks at, under h: all records, the containers and the mounts; layers
 * that others left incomplete are gone. records_free also after an error. 0 or negative.
 */
int records_load(struct store *s, const struct hold *h, struct view *v,
    struct table containers[4], struct table *mounts, struct err *e) MUST_CHECK;
void records_free(struct view *v, struct table containers[4], struct table *mounts);

#endif
