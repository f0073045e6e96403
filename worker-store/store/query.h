/* Requests of the frontend that are no pulls. */
#ifndef BULKHEAD_STORE_QUERY_H
#define BULKHEAD_STORE_QUERY_H

#include "worker-store/store/judge.h"
#include "worker-store/store/pull.h"

struct query {
	struct query *next;
	struct keeper *room;
	uint64_t req;
	enum ipc_type type;
	char ref[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
	char *meanings, *name_meanings; /* of short ones, lines; owned */
	char meant[LIMIT_NAME + 1]; /* the name by which ref was found; "" = by none */
	enum render_kind kind;	    /* of an inspect */
	bool force, over;
	char id[ID_HEX + 1];
	struct job job;
	struct judge judge;
	struct helper reader;
	int docs[3]; /* config, manifest, facts */
	bool answered;
};

/* The answer to a request. */
void query_done(struct keeper *room, uint64_t req, enum err_class code, const char *text);

/* Says `done`; the query is freed by the next reaping. */
void query_end(struct query *q, enum err_class code, const char *text);

/* The image that q->ref means now, its ID in q->id; NULL: the query is over. Under the
 * locks this is to be asked again: the text may mean another image than before. What only
 * looks takes the first that a short name may mean; what changes something refuses it
 * when it could be another. */
struct record *query_find(struct query *q, struct view *v);

/* The canonical name a person's text means; false when it is none. */
bool query_normalise(const char *text, char dst[LIMIT_NAME + 1], struct err *e);

/* The name of the image that the text is; false, and dst "": it is none of them. */
bool query_own_name(
    const struct record *image, const char *text, char dst[LIMIT_NAME + 1]);

/* The name that an untag takes away, "" = all. 0, or negative with *e. */
int query_untag_name(struct query *q, const struct record *image,
    char dst[LIMIT_NAME + 1], struct err *e) MUST_CHECK;

/* Negative with e: the configuration pins it; under that name, "" = any of them. */
int query_refuse_pinned(const struct keeper *room, const struct record *image,
    const char *name, struct err *e) MUST_CHECK;

/* Every repository of its names with every digest it answers to, each once. */
typedef void name_fn(void *arg, const char *name);
void repo_digests(const struct record *image, name_fn *fn, void *arg);

void inspect_begin(struct query *q);

#endif
