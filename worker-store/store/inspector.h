/* What a check compares: records with each other and with what lies on disk. Pure but for
 * reading; every finding is one line that says what, where, and what to do. */
#ifndef BULKHEAD_STORE_INSPECTOR_H
#define BULKHEAD_STORE_INSPECTOR_H

#include "worker-store/store/look.h"

#include <dirent.h>

/* What is wrong, as far as it matters for who mends it. */
enum damage_kind {
	DAMAGE_OTHER,  /* nothing that could be mended here */
	DAMAGE_IMAGE,  /* documents or record of image `id` */
	DAMAGE_LAYER,  /* tree or tar-split of layer `id` */
	DAMAGE_DRESS,  /* link, short link or lower of layer `id`: made again from the
			  others */
	DAMAGE_HALF,   /* layer `id` is marked incomplete */
	DAMAGE_ORPHAN, /* `name` of directory `dir`, which no record speaks of */
};

struct damage {
	enum damage_kind kind;
	struct span id; /* of a layer or image; "" = none, or an odd one */
	size_t dir;	/* of INSPECT_DIRS */
	const char *name;
};

struct inspector {
	const struct store *s;
	struct look look;
	struct table containers[4];
	unsigned age_s; /* half-made things that are younger belong to somebody at work */
	uint8_t *of_image, *of_container; /* per layer, as rows.chains */
	void (*found)(void *arg, const struct damage *d, const char *text);
	void *arg;
};

/* 0: the records are loaded. 1: they cannot be, which was a finding. Negative: the check
 * itself failed, e says why. Again after an end of the walk: from the start. */
int inspector_load(struct inspector *in, struct err *e) MUST_CHECK;
void inspector_free(struct inspector *in);

void inspect_image(struct inspector *in, size_t image);
/* The image's documents once more, byte by byte: one that its digest does not fit. */
void inspect_documents(struct inspector *in, size_t image);
/* Number of layers, and one of them. */
size_t inspect_layers(const struct inspector *in);
void inspect_layer(struct inspector *in, size_t layer);

/* Whether the layer's tar can be put together again, by what the records say: it has a
 * DiffID, and is no container's. */
bool inspect_verifiable(const struct inspector *in, size_t layer,
    uint8_t diff_id[DIGEST_BYTES], uint64_t *diff_size);
/* Says that what its tree and tar-split give is not what the DiffID names. */
void inspect_unlike(struct inspector *in, size_t layer, const char *why);
/* The same without damage: it could not be found out. */
void inspect_unknown(struct inspector *in, size_t layer, const char *why);

/* The directories, and one entry of one of them. */
enum {
	INSPECT_OVERLAY,
	INSPECT_LINKS,
	INSPECT_IMAGES,
	INSPECT_LAYERS,
	INSPECT_OWN,
	INSPECT_DIRS
};
DIR *inspect_dir(const struct inspector *in, size_t dir);
void inspect_entry(struct inspector *in, size_t dir, const char *name);

#endif
