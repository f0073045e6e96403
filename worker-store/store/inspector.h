/* What a check compares: records with each other and with what lies on disk. Pure but for
 * reading; every finding is one line that says what, where, and what to do. */
#ifndef BULKHEAD_STORE_INSPECTOR_H
#define BULKHEAD_STORE_INSPECTOR_H

#include "worker-store/store/look.h"

#include <dirent.h>

struct inspector {
	const struct store *s;
	struct look look;
	struct table containers[4];
	unsigned age_s; /* half-made things that are younger belong to somebody at work */
	uint8_t *of_image, *of_container; /* per layer, as rows.chains */
	void (*found)(void *arg, struct span id, const char *text);
	void *arg;
};

/* 0: the records are loaded. 1: they cannot be, which was a finding. Negative: the check
 * itself failed, e says why. Again after an end of the walk: from the start. */
int inspector_load(struct inspector *in, struct err *e) MUST_CHECK;
void inspector_free(struct inspector *in);

void inspect_image(struct inspector *in, size_t image);
/* Number of layers, and one of them. */
size_t inspect_layers(const struct inspector *in);
void inspect_layer(struct inspector *in, size_t layer);

/* The directories, and one entry of one of them. */
enum { INSPECT_DIRS = 5 };
DIR *inspect_dir(const struct inspector *in, size_t dir);
void inspect_entry(struct inspector *in, size_t dir, const char *name);

#endif
