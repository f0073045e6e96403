/* The storing side's core: a containers/storage overlay graph root, worked on through
 * directory descriptors only. No path from outside, no thread, no exec, no walk through a
 * layer's tree. What the functions make belongs to whom the process's fsuid says (0 in
 * the room).
 *
 * Contract on disk: the one of containers/storage for the native overlay driver; other
 * programs use the same store at the same time. Errors: struct err with the class of the
 * command's exit code (damaged JSON = content, no space, in use, not found). */
#ifndef BULKHEAD_STORE_STORE_H
#define BULKHEAD_STORE_STORE_H

#include "common/base/failpoint.h"
#include "common/base/limits.h"
#include "worker-store/store/ids.h"
#include "worker-store/store/lock.h"
#include "worker-store/store/space.h"
#include "worker-store/store/table.h"

#define STAGING_NAME 32	      /* hex digits of a staging directory's name */
#define STAGING_EMPTY "empty" /* a directory in it with nothing in it, ever */

struct store {
	int graph; /* <G>, through a clone of its mount */
	int run;   /* <R>, or -1; what is in it comes and goes */
	int overlay, links, layers, images, containers;
	int own;     /* <G>/bulkhead */
	int staging; /* <G>/bulkhead/<random> */
	int trash;   /* in it: what an apply room is to remove */
	int lock;    /* <G>/bulkhead/<random>.lock, held */
	int journal; /* in staging: journal.h */
	off_t noted; /* bytes of it that stay to the end of this process */
	char name[STAGING_NAME + 1];
	unsigned serial; /* makes names within staging */
	uint8_t key[32]; /* of the proofs of access, which the supervisor computes */
};
#define STORE_CLOSED                                                                   \
	(struct store)                                                                 \
	{                                                                              \
		.graph = -1, .run = -1, .overlay = -1, .links = -1, .layers = -1,      \
		.images = -1, .containers = -1, .own = -1, .staging = -1, .trash = -1, \
		.lock = -1, .journal = -1,                                             \
	}

/* Makes what is missing of the graph root's directories, with the modes of the format,
 * the marker that says native overlay, the containers' lock file, <G>/bulkhead and its
 * key. graph: O_PATH will do. Refused: a root that others may write, one that belongs to
 * another driver's way of whiteouts
 * (.has-mount-program "true"). Called with everything else still off. 0 or negative. */
int store_prepare(int graph, struct err *e) MUST_CHECK;

/* Opens a prepared graph root and makes this process's staging in it. run: the run root,
 * or -1 if there is none. overlay_by_path: <G>/overlay as its path leads to it, or -1:
 * must be the same directory as through the clone, otherwise a mount of its own sits
 * there (EXDEV later). The fds stay the caller's. 0 or negative with s closed. */
int store_open(
    struct store *s, int graph, int run, int overlay_by_path, struct err *e) MUST_CHECK;

/* Closes all; removes the staging as far as it is empty. What lies in the trash has to be
 * removed before, else the next sweep finds it. */
void store_close(struct store *s);

/* The locks of this store, for hold_try and hold_wait. */
void store_locks(const struct store *s, struct lock_at files[LOCK_N]);
#define HOLD_COMMIT (1u << LOCK_LAYERS | 1u << LOCK_IMAGES | 1u << LOCK_CONTAINERS)
#define HOLD_NAMES (1u << LOCK_IMAGES)

/* Moves the staging of processes that are gone into this one's trash, and what their
 * journals name and nothing needs (journal.h). Takes and releases the store's locks;
 * needs no deadline to be useful: -EAGAIN (with h kept for another try) when the locks
 * are busy. 0: done; s->trash may hold something. */
#define SWEPT_MAX 256
struct swept {
	unsigned stores, layers, images; /* dead ones; what was removed of theirs */
	char published[SWEPT_MAX]
		      [ID_HEX + 1]; /* what they were at, and has a record ... */
	unsigned n_published;	    /* ... the first ones of it */
};
int store_sweep(
    struct store *s, struct hold *h, struct swept *out, struct err *e) MUST_CHECK;

/* Whether the trash holds anything for an apply room in remove mode. */
bool store_trash_full(const struct store *s);

/* Takes the trash out of use, so that nothing is put into it while a room empties it, and
 * starts an empty one. name "": that; else the one of an earlier call once more. Its fd,
 * or negative. store_trash_gone removes the emptied directory. */
int store_trash_take(struct store *s, char name[16], struct err *e) MUST_CHECK;
void store_trash_gone(struct store *s, const char *name);

/* ---- staging of a layer ---- */

/* One layer being built: <staging>/<name>/diff and the two side files. The fds are its
 * owner's. */
struct staged {
	char name[16];		 /* "" = none */
	int dir;		 /* <staging>/<name> */
	int diff;		 /* the applier's root */
	int split;		 /* the final tar-split file, write */
	char link[LINK_LEN + 1]; /* its short link, if nobody takes that before */
};
#define STAGED_NONE                                \
	(struct staged)                            \
	{                                          \
		.dir = -1, .diff = -1, .split = -1 \
	}

int store_layer_staging_new(struct store *s, struct staged *l, struct err *e) MUST_CHECK;

/* The layer's side file, made by the call above: for an applier to write, or its checker
 * to read. fd or negative. */
int store_layer_side(
    const struct store *s, const struct staged *l, bool write, struct err *e) MUST_CHECK;

/* What lies beside `diff`, and the owner and mode of that, once the applier is gone: not
 * synced here, because the check's sync of the file system takes it along, and the commit
 * looks at all of it again under the locks. present: the nearest layer below that is in
 * the store, or NULL; above: the n staged ones between it and this one, nearest to this
 * one first. 0 or negative. */
int store_layer_dress(struct store *s, struct staged *l, const char *present,
    const struct staged *const *above, size_t n, struct err *e) MUST_CHECK;

/* Sends what is left of it to the trash and closes the fds. Safe on one that was
 * committed. */
void store_layer_staging_drop(struct store *s, struct staged *l);

/* Sets the overlay marker on a directory of a staged layer, given by descriptor: it must
 * be a directory on the graph root's device. 0 or negative. */
int store_mark_opaque(const struct store *s, int dir, struct err *e) MUST_CHECK;

/* ---- reading ---- */

/* The records of one moment, read without locks (files are replaced by rename). */
struct view {
	struct table layers, volatile_layers, images;
};
#define VIEW_NONE                                                        \
	(struct view)                                                    \
	{                                                                \
		.layers.kind = TABLE_LAYERS, .images.kind = TABLE_IMAGES \
	}
int view_load(struct view *v, const struct store *s, struct err *e) MUST_CHECK;
void view_free(struct view *v);

/* The image a text means: a whole ID (with or without "sha256:"), a recorded name,
 * repo@digest of an image that has a name of that repo and that digest, or the first
 * digits (3 at least) of one ID only. NULL with e filled: not found, or ambiguous
 * (usage). */
struct record *view_find(struct view *v, struct span ref, struct err *e);

/* Bytes of an image: the uncompressed lengths of its layers and its documents. *layers
 * (may be NULL) counts the layers found. */
uint64_t view_image_size(struct view *v, const struct record *image, unsigned *layers);

/* All layers, counted through: those of layers.json, then the volatile ones. */
size_t view_layers(const struct view *v);
struct record *view_layer(const struct view *v, size_t i);
bool view_layer_find(struct view *v, struct span id, size_t *i);
/* Whether `from` is the layer, or lies above it. */
bool view_lies_on(struct view *v, struct span from, struct span layer);

/* The image's names as text, one at a time. */
struct name_iter {
	struct json_iter it;
	char text[LIMIT_NAME + 1];
};
struct name_iter image_names(const struct record *image);
bool name_next(struct name_iter *it); /* skips what does not fit into LIMIT_NAME */

/* The digests an image answers to: `digest` and those of its manifests, each once. Fills
 * at most max; returns how many there are. */
size_t image_digests(
    const struct record *image, uint8_t (*out)[DIGEST_BYTES], size_t max);

/* The digest of the manifest that an image was stored with; false if its record is odd.
 */
bool image_manifest_digest(const struct record *image, uint8_t digest[DIGEST_BYTES]);

/* The digest of its config: the image ID, but for images that others pulled in parts.
 * false: it has none. */
bool image_config_digest(const struct record *image, uint8_t digest[DIGEST_BYTES]);

/* A document of an image by key; the fd is open for reading and the size is the recorded
 * one. 0 or negative with *fd -1. */
int store_item_open(const struct store *s, const struct record *image, const char *key,
    int *fd, uint64_t *size, struct err *e) MUST_CHECK;

/* Whether the layer is there and complete: 1, 0, or negative. *proven tells whether its
 * record holds a proof of access for this puller: it is public, or `proof` is among its
 * values. */
struct access {
	bool public;
	uint8_t proof[16];
};
int view_has_layer(struct view *v, const struct store *s, const char *id,
    const struct access *a, bool *proven);

/* Whether some layer's record says that the blob of this digest unpacks to that DiffID:
 * who wrote it has seen both. */
bool view_maps_blob(const struct view *v, const uint8_t blob[DIGEST_BYTES],
    const uint8_t diff_id[DIGEST_BYTES]);

/* Whether the image of this ID, with that top layer, was stored with the manifest. */
bool view_has_manifest(struct view *v, const uint8_t image[DIGEST_BYTES],
    const char *top_layer, const uint8_t manifest[DIGEST_BYTES]);

struct fsinfo {
	uint64_t images, layers, bytes; /* recorded: image layers and documents */
	uint64_t total, free;		/* of the file system */
	uint64_t inodes, inodes_free;
};
int store_fsinfo(
    struct view *v, const struct store *s, struct fsinfo *out, struct err *e) MUST_CHECK;

/* What layers may still take of the file system: all that is free but a little for the
 * records, so that what fills it up can be removed again. 0 or negative. */
int store_space(const struct store *s, struct space_free *out, struct err *e) MUST_CHECK;

/* ---- committing ---- */

struct commit_layer {
	uint8_t diff_id[DIGEST_BYTES];
	struct staged *staged; /* NULL: must be there already */
	/* Of a staged layer, all computed by the hash room: */
	uint8_t blob_digest[DIGEST_BYTES];
	uint64_t blob_size, diff_size;
	const uint32_t *uids, *gids;
	size_t n_uids, n_gids;
	unsigned compression; /* 0 none, 2 gzip, 4 zstd */
	bool fetched;	      /* this pull has had the blob: its proof may be recorded */
};

struct commit_request {
	const char *name; /* canonical, with tag or digest */
	struct commit_layer *layers;
	size_t n_layers;
	struct span config, manifest, list; /* exact bytes; list.n == 0: none */
	uint8_t config_digest[DIGEST_BYTES], manifest_digest[DIGEST_BYTES];
	uint8_t list_digest[DIGEST_BYTES];
	struct stamp created; /* the config's; s < 0 = none: now */
	struct access access;
	/* Signatures the verdict rests on, as they are to be stored; none: n_signatures
	 * == 0. */
	const struct span *signatures;
	size_t n_signatures;
	/* The image is there and damaged: its names stay as they are, its documents are
	 * put again, and staged layers take the place of damaged ones. */
	bool mend;
};

struct commit_result {
	char id[ID_HEX + 1];
	unsigned new_layers;
	bool changed;		     /* anything was written at all */
	bool replaced[LIMIT_LAYERS]; /* a damaged layer, by a staged one */
	/* The manifest that the image's record now leads to; one that was there before
	 * stays. */
	uint8_t manifest[DIGEST_BYTES];
};

/* Without locks: stages the documents an image of this ID does not have yet, and writes
 * the journal. 0 or negative. Undone by store_commit or store_commit_drop. */
struct commit_staged {
	char dir[16]; /* in staging; "" = none */
	int fd;
};
#define COMMIT_NOTHING         \
	(struct commit_staged) \
	{                      \
		.fd = -1       \
	}
int store_commit_stage(struct store *s, const struct commit_request *rq,
    struct commit_staged *docs, struct err *e) MUST_CHECK;
/* What was staged is on disk after it. */
int store_commit_sync(const struct commit_staged *docs, struct err *e) MUST_CHECK;
void store_commit_drop(struct store *s, struct commit_staged *docs);

/* All layers and the image record, under a hold of HOLD_COMMIT that stays the caller's.
 * The trees and the tar-split files must be durable already. 0: the image was read back
 * and is whole. 1: the store has changed since the documents were staged or since a layer
 * was found present; start over from store_commit_stage (or from the look at the layers).
 * Negative: e says why, and nothing of the image is visible, unless only reading it back
 * has failed: then it is there, whole and on the disk. */
int store_commit(struct store *s, const struct hold *h, const struct commit_request *rq,
    struct commit_staged *docs, struct commit_result *res, struct err *e) MUST_CHECK;

/* ---- names and removal ---- */

/* Called for each name taken away (deleted 0) and each image or layer gone (deleted 1).
 */
typedef void removed_fn(void *arg, bool deleted, const char *text);

/* Under HOLD_NAMES. The name is canonical; another image that has it loses it in the same
 * save. */
int store_tag(struct store *s, const struct hold *h, const char *id, const char *name,
    struct err *e) MUST_CHECK;

/* Takes one name (or, name "", all) away; the image stays. */
int store_untag(struct store *s, const struct hold *h, const char *id, const char *name,
    removed_fn *fn, void *arg, struct err *e) MUST_CHECK;

/* Under HOLD_COMMIT: the image and the layers nobody else needs. In use by a container,
 * or a layer of it mounted: -EBUSY, class in use. The trees are in the trash afterwards.
 */
int store_remove_image(struct store *s, const struct hold *h, const char *id,
    removed_fn *fn, void *arg, struct err *e) MUST_CHECK;

/* Under HOLD_COMMIT: those of the layers, base first, that have a record and that no
 * image, container or layer needs, nor anybody has mounted. */
int store_remove_unneeded(struct store *s, const struct hold *h, char (*ids)[ID_HEX + 1],
    size_t n, struct err *e) MUST_CHECK;

/* Under HOLD_COMMIT: a layer and all above it, which no image may need. In use by a
 * container, or mounted: -EBUSY, class in use, and all of them stay. */
int store_remove_layer(struct store *s, const struct hold *h, const char *id,
    removed_fn *fn, void *arg, struct err *e) MUST_CHECK;

#endif
