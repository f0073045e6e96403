/* What the image records of a view say to those who list images. One record that is
 * broken is told apart from the good ones and spoils nothing. Pure. */
#ifndef BULKHEAD_STORE_ROWS_H
#define BULKHEAD_STORE_ROWS_H

#include "worker-store/store/buf.h"
#include "worker-store/store/store.h"

/* A layer and all below it. */
enum chain_state {
	CHAIN_UNKNOWN,
	CHAIN_WALKING, /* a layer that is below itself */
	CHAIN_WHOLE,
	CHAIN_MISSING,
	CHAIN_INCOMPLETE, /* one is being made or deleted, or was left so */
	CHAIN_DEEP,	  /* more layers than any version of upstream could have made */
};
struct chain {
	uint64_t bytes; /* uncompressed */
	uint32_t depth; /* layers */
	enum chain_state state;
};

/* A name of some image, as it is spelled in the file. */
struct owner {
	struct span name;
	uint32_t image;
};

/* A view's records taken together: borrowed from it, to be freed before it. */
struct rows {
	struct view *v;
	struct chain *chains; /* of its layers, then of its volatile ones */
	uint32_t *path;	      /* as many; for the walk */
	struct owner *owners; /* hash table of all names */
	size_t mask;
	uint8_t *loses; /* per image: 1 = a name of it stands once more, further on */
	uint64_t seed;
};

/* 0 or -ENOMEM. Negative leaves nothing behind. */
int rows_init(struct rows *r, struct view *v, uint64_t seed) MUST_CHECK;
void rows_free(struct rows *r);

/* The chain with this layer on top; a missing one for an ID that has no record. */
struct chain rows_chain(struct rows *r, struct span layer);

/* Whether the image has this name: of two records with one name the later one keeps it,
 * as upstream repairs it. name: as it is spelled in the record. */
bool rows_has_name(const struct rows *r, size_t image, struct span name);

/* A number that is another one, but for chance, when what the record says is: its text,
 * its layers' sizes, names lost to others. */
uint64_t rows_key(struct rows *r, size_t image);

/* At most this many lines of names and of digests are told of one image. */
#define ROW_LINES 4096

struct image_row {
	uint8_t id[DIGEST_BYTES];
	uint8_t digest[DIGEST_BYTES]; /* zero: it has none of SHA-256 */
	struct stamp created;
	uint64_t size; /* of documents and layers, never 0 */
	unsigned layers;
	struct buf names;   /* a line each ('\n' at its end), as recorded */
	struct buf digests; /* likewise: each repository of them with each digest */
};

/* Fills a row (to be freed in any case). 0; 1 when the record is broken and not to be
 * told: `why`, printable, says what is wrong with it; or -ENOMEM. */
int rows_read(
    struct rows *r, size_t image, struct image_row *row, char why[300]) MUST_CHECK;
void image_row_free(struct image_row *row);

/* Takes the next line off a list of lines; false at its end. */
bool line_next(struct span *lines, struct span *line);
/* Whether a list of lines has this one. */
bool lines_have(struct span lines, struct span line);

#endif
