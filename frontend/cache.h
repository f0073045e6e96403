/* The images of the store as the store told them: a snapshot in memory that answers
 * without asking anybody, kept current by cache_image, cache_names, cache_gone and
 * applied as a whole at each cache_end. */
#ifndef BULKHEAD_FRONTEND_CACHE_H
#define BULKHEAD_FRONTEND_CACHE_H

#include "frontend/call.h"
#include "frontend/image.h"

struct cache_totals {
	uint64_t generation, broken, images, layers, bytes, total, free, inodes,
	    inodes_free;
	char root[LIMIT_PATH + 1];
};

/* A message of the four. 0; -EPROTO when the store broke the rules, -ENOMEM. */
int cache_message(struct frontend *f, struct ipc_msg *m) MUST_CHECK;

/* The store has gone: what it told so far keeps answering; the next store tells all of it
 * again, and what it does not tell is gone then. */
void cache_store_gone(struct frontend *f);

/* Patterns of pinned images (common/ref/pins.h), a line each; bad ones are logged and
 * left out. Called again after each reload. 0 or -ENOMEM. */
int cache_set_pins(struct frontend *f, struct span lines) MUST_CHECK;

/* Whether the first cache_end has come: before, nothing is known. */
bool cache_ready(const struct frontend *f);

/* Calls ready once, from the loop, when cache_ready. Forget it to take it back. */
struct cache_waiter {
	struct cache_waiter *next;
	void (*ready)(struct cache_waiter *w);
	void *arg;
	bool waits; /* the cache's own */
};
void cache_wait(struct frontend *f, struct cache_waiter *w);
void cache_forget(struct frontend *f, struct cache_waiter *w);

/* The image that text means: a whole ID, a name (docker.io and localhost, where podman
 * puts what it builds, may be left out, and the tag "latest"), a repository with a
 * digest, the first digits of an ID; "sha256:" before an ID may stand. NULL with *e:
 * ERR_NOT_FOUND, or ERR_USAGE when text is no reference or means more than one image. */
const struct image *cache_find(struct frontend *f, struct span text, struct err *e);
const struct image *cache_find_id(struct frontend *f, const uint8_t id[32]);

/* The answer to ListImages: one blob that all share, made once after each change; the
 * caller unrefs it. NULL when memory is short. */
struct blob *cache_list(struct frontend *f);

/* The same in parts, for StreamImages: bytes [*at, returned end) of the blob are the next
 * at most `images` images from *next on, within `bytes` bytes unless a single one is
 * longer. */
size_t cache_list_part(
    struct frontend *f, size_t *next, size_t at, size_t images, size_t bytes);

size_t cache_count(const struct frontend *f);
const struct cache_totals *cache_totals(const struct frontend *f);

void cache_free(struct frontend *f);

#endif
