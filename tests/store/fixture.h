/* A scratch graph root on a real file system, an image made by mkimage.py, and podman to
 * look. */
#ifndef BULKHEAD_TESTS_STORE_FIXTURE_H
#define BULKHEAD_TESTS_STORE_FIXTURE_H

#include "worker-store/store/store.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#define FIXTURE_LAYERS 8

struct fixture {
	char dir[64]; /* holds G, R, and one directory an image */
	int graph, run;
	struct store s;
	struct hold h;
	struct err e;
};

struct image {
	char dir[128];
	struct commit_request rq;
	struct commit_layer layers[FIXTURE_LAYERS];
	struct staged staged[FIXTURE_LAYERS];
	uint32_t uids[FIXTURE_LAYERS][2], gids[FIXTURE_LAYERS][2];
	uint8_t *docs[3];
};

/* setup/teardown for cmocka; *state is the fixture. */
int fixture_new(void **state);
int fixture_free(void **state);
void fixture_reopen(struct fixture *f);
int graph_clone(const char *path);

/* The output of a shell command; fails the test unless it exits with `want`. %D is the
 * fixture's directory, %P podman on its store. Returns static memory. */
char *sh(struct fixture *f, int want, const char *fmt, ...) PRINTF(3, 4);

void image_make(
    struct fixture *f, struct image *im, const char *tag, int layers, bool list);
void image_stage(struct fixture *f, struct image *im);
void image_free(struct fixture *f, struct image *im);

/* Stages documents, takes the locks, commits, releases. */
int image_commit(struct fixture *f, struct image *im, struct commit_result *res);

/* Locks what is wanted, within 10 s. */
void take(struct fixture *f, unsigned want);

/* Whole text of a file below the fixture's directory; static memory. */
char *slurp(struct fixture *f, const char *path);

void put_file(struct fixture *f, const char *path, const char *text);

#endif
