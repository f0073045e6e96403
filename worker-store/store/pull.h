/* The storing side of a pull: documents -> verdict -> layers -> commit. What a pull
 * believes, it believes of bytes that this room has hashed, of rooms that saw nothing but
 * those bytes, and of hash rooms. */
#ifndef BULKHEAD_STORE_PULL_H
#define BULKHEAD_STORE_PULL_H

#include "worker-store/store/judge.h"
#include "worker-store/store/summary.h"

/* An index, manifest or config: its exact bytes, hashed and compared before anything
 * else. */
struct document {
	enum document_kind kind;
	bool known; /* digest and size were named before it came */
	uint8_t digest[DIGEST_BYTES];
	uint64_t size; /* 0 = not named */
	char media[LIMIT_MEDIA_TYPE + 1];
	uint8_t *bytes;
	size_t n;
	int fd; /* the same, sealed; -1 = none */
};

enum layer_step { STEP_WAITING, STEP_STARTED, STEP_CHECKING, STEP_DONE, STEP_PRESENT };

struct pull_layer {
	struct pull *pull;
	uint32_t index;
	enum layer_step step;
	uint8_t digest[DIGEST_BYTES], diff_id[DIGEST_BYTES];
	uint64_t size;
	unsigned compression;
	char id[ID_HEX + 1];
	struct staged staged;
	struct helper hash, inflate, apply, check;
	bool waited;	/* for another pull that is at the same */
	bool hash_only; /* it is there: its blob is fetched to be hashed, not applied */
	bool proven;	/* this pull has hashed the blob to that DiffID */
	bool hashed, applied, checked;
	/* Its bytes were not what was asked for; from elsewhere they are to come again.
	 */
	bool wrong, again;
	bool mismatch;		      /* the blob came whole, and is another */
	bool doubtful;		      /* pull.reason is a word of its rooms */
	bool more_bytes, more_inodes; /* its room waits for a grant */
	uint64_t moved; /* uncompressed bytes that its hash room has told of */
	uint64_t diff_size, applied_bytes;
	uint32_t *uids, *gids;
	size_t n_uids, n_gids;
};

struct fetcher {
	struct fetcher *next;
	struct pull *pull;
	struct port port;
};

struct pull {
	struct pull *next;
	struct keeper *room;
	uint64_t id;
	bool started; /* the frontend has spoken of it, not only the supervisor */
	bool ended;   /* pull_end is sent; waits for its rooms */
	char name[LIMIT_NAME + 1];
	bool pinned;
	uint8_t pin[DIGEST_BYTES];
	char os[65], architecture[65], variant[65];
	char namespace[LIMIT_NAMESPACE + 1]; /* layers are shared out between these */
	uint64_t turn;			     /* when a layer of it began last */
	enum pull_mode mode;
	struct access access;
	bool access_known;
	struct fetcher *fetchers;
	struct document top, manifest, config;
	bool is_list;		/* top is an index, manifest another document */
	struct document *asked; /* of the fetchers, under number doc_req */
	uint64_t doc_req;
	struct helper reader;
	bool
	    answered; /* the reader has answered: the next step follows when it is gone */
	struct judge judge;
	bool local; /* the image was there, nothing is fetched */
	uint8_t image[DIGEST_BYTES];
	struct stamp created;
	struct summary *summary; /* as manifest and config have it */
	size_t n_layers;
	struct pull_layer *layers;
	struct space_pull space; /* of `layers`, one each */
	bool space_waits; /* its layers begin when space that is being freed is free */
	bool layers_begun;
	bool committing;
	unsigned restarts;
	struct job commit;
	struct commit_staged docs;
	struct err reason; /* a failure that may only be another's echo */
	struct loop_timer patience;
	struct loop_timer arrival; /* of the document that is asked for */
};

/* Numbers with this bit are the store's own, for rooms that belong to no pull. */
#define PULL_OF_STORE (UINT64_C(1) << 63)

/* The pull of that number, made if it is not known yet: the supervisor's messages about
 * it may overtake the frontend's. NULL for one that is over, or without memory. */
struct pull *pull_get(struct keeper *room, uint64_t id);

/* Messages of the frontend. Negative: it broke the protocol. */
int pull_message(struct keeper *room, struct ipc_msg *m);
void pull_peer(struct keeper *room, struct ipc_msg *m);
void pull_access(struct keeper *room, const struct msg_access *a);

/* Ends it: rooms killed, staging to the trash when they are gone, pull_end to the
 * frontend. */
void pull_fail(struct pull *p, enum err_class code, const char *fmt, ...) PRINTF(3, 4);
/* The same a second later, unless a better reason comes until then: a room that gives up
 * because its neighbour did is often heard first. */
void pull_fail_later(struct pull *p, const char *text);
void pull_succeed(struct pull *p, bool fresh);
void pulls_end(struct keeper *room, const char *why);
/* A new frontend numbers its pulls anew: numbers of those that are over mean nothing now.
 */
void pulls_forget(struct keeper *room);
/* Frees those that are over and have no room left. */
void pulls_reap(struct keeper *room);

/* ---- between the parts ---- */

/* pull_docs.c: asks for the document, of the store itself if it is there. */
void docs_begin(struct pull *p);
void docs_message(struct pull *p, struct ipc_msg *m); /* `document` of a fetcher */
void docs_late(struct loop_timer *t);		      /* pull.arrival */
void docs_render(struct pull *p); /* inspect --remote: the answer, then the end */
void document_free(struct document *d);

/* Has the pull's name and this manifest judged, and goes on with the layers. */
void pull_judge(struct pull *p, const uint8_t digest[DIGEST_BYTES]);

/* pull_layer.c */
/* The frontend's number of a layer's request. */
#define LAYER_REQ(index) (UINT64_C(1) << 40 | (index))
/* Asks for the rooms of a waiting layer. It waits still if nothing came of that. */
void layer_start(struct pull_layer *l);
/* Tells the frontend. */
void layer_tell(const struct pull_layer *l, enum layer_state state, uint64_t token);

/* pull_layers.c */
/* The frontend has it fetched from elsewhere. */
void layer_again(struct pull *p, uint64_t index);
/* Starts what may start; after each change of a layer, and when the janitor is ready. */
void layers_step(struct pull *p);
void layers_step_all(struct keeper *room); /* of every pull that is at its layers */
void layers_begin(struct pull *p);
void layers_kill(struct pull *p);
bool layers_alive(const struct pull *p);
void layers_free(struct pull *p);

/* pull_space.c: reserves for the layers that are missing. false: it has failed, or waits
 * and layers_begin is called again. */
bool space_reserve(struct pull *p);
/* The same for one that begins, if that was left to another pull. */
bool space_reserve_late(struct pull_layer *l);
struct space_claim *space_of(struct pull_layer *l);
/* Its hash room has let so many bytes pass. */
void space_passed(struct pull_layer *l, uint64_t uncompressed);
/* Its room asks for more. Negative: it broke the protocol. */
int space_hash_more(struct pull_layer *l, uint64_t uncompressed);
int space_apply_more(struct pull_layer *l, uint64_t entries);
/* Space was freed, or will not be: who waits for it asks again. */
void space_retry(struct keeper *room);

/* pull_same.c: whether it is there (step, hash_only), and may be used as it is. */
void layer_look(struct view *v, struct pull_layer *l);
/* Whether an older pull of the same namespace is at this very layer: then it waits for
 * that one's end, and is looked for once more. Never for a younger one, so no two wait
 * for each other; never for another namespace's, whose registry may be as slow as it
 * likes. */
bool layer_elsewhere(struct pull_layer *l);
/* It has waited, and is there now. */
bool layer_came(struct pull_layer *l);

/* pull_commit.c */
void commit_begin(struct pull *p);
/* The layer's applier is gone: writes what its commit will need beside the tree, so that
 * the check's sync takes it along and no lock is held meanwhile. */
void commit_prepare(struct pull_layer *l);
void commit_cancel(struct pull *p);
void pull_progress(struct pull *p, size_t index, enum pull_stage stage, uint64_t bytes);

#endif
