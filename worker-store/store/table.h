/* One of the store's .json files in memory: an array of records, each with the fields
 * this room needs and the span of its text. Rewritten by splicing: untouched records stay
 * byte for byte.
 *
 * What counts as damage is what makes upstream's readers fail on the whole file (a member
 * of the wrong type, a malformed digest) and what would let us act on the wrong record (a
 * missing or doubled id, a known member twice or in another case). Damage: refuse, touch
 * nothing. */
#ifndef BULKHEAD_STORE_TABLE_H
#define BULKHEAD_STORE_TABLE_H

#include "common/base/err.h"
#include "worker-store/store/json.h"

enum table_kind {
	TABLE_LAYERS,	  /* layers.json, volatile-layers.json */
	TABLE_IMAGES,	  /* images.json */
	TABLE_CONTAINERS, /* containers.json, volatile-containers.json */
	TABLE_MOUNTS,	  /* mountpoints.json */
};

/* A record of any kind; fields of other kinds and absent ones are empty. `text` fields
 * are without quotes, `json` fields are the member's JSON. */
struct record {
	struct span raw; /* the object */
	uint8_t *own; /* raw, when it is a replacement made here; freed with the table */
	bool gone;    /* left out when written */
	struct span id;							    /* text */
	struct span parent, layer, image, digest, diff_digest, blob_digest; /* text */
	struct span created;						    /* text */
	struct span names, history, mapped, keys; /* json: arrays of strings */
	struct span sizes, digests, flags;	  /* json: objects */
	struct span metadata;			  /* json: string */
	struct span uidmap, gidmap;		  /* json: arrays of objects */
	int64_t diff_size, blob_size, count;
	bool incomplete; /* flags.incomplete */
};

/* The first bytes of an id, so that most comparisons stay in one array. */
struct table_key {
	uint64_t head;
	uint32_t at;
};

struct table {
	enum table_kind kind;
	uint8_t *text;
	struct record *rec;
	size_t n, cap;
	struct table_key *by_id; /* the first `sorted` records, by id */
	size_t sorted;
};

/* Reads and checks a text. `where` is the file's name, for the error. The table starts
 * empty; on error it holds nothing. 0, or negative with e filled (content). */
int table_parse(struct table *t, enum table_kind kind, struct span text,
    const char *where, struct err *e) MUST_CHECK;

/* The same for a file; one that is missing or empty has no records. */
int table_load(struct table *t, enum table_kind kind, int dir, const char *name,
    struct err *e) MUST_CHECK;

/* For CLEANUP. */
void table_free(struct table *t);

/* The record with this id that is not gone, or NULL. */
struct record *table_find(struct table *t, struct span id);

/* Replaces a record's text, or appends one (r == NULL), and parses it again. The buffer's
 * content is taken over. 0 or negative. Appending may move the records. */
int table_put(
    struct table *t, struct record *r, struct buf *text, struct err *e) MUST_CHECK;

/* Appends the whole file's text to out. */
void table_print(const struct table *t, struct buf *out);

/* Whether the name is one of an array of strings; whether two arrays differ is not asked.
 */
bool names_have(struct span names, struct span name);

/* The file's name of a kind, for errors. */
#define FILE_LAYERS "layers.json"
#define FILE_VOLATILE_LAYERS "volatile-layers.json"
#define FILE_IMAGES "images.json"
#define FILE_CONTAINERS "containers.json"
#define FILE_VOLATILE_CONTAINERS "volatile-containers.json"
#define FILE_MOUNTS "mountpoints.json"

#endif
