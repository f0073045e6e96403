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
	enum render_kind kind; /* of an inspect */
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
 * locks this is to be asked again: the text may mean another image than before. */
struct record *query_find(struct query *q, struct view *v);

/* Negative with e: the configuration pins it; under that name, "" = any of them. */
int query_refuse_pinned(const struct keeper *room, const struct record *image,
    const char *name, struct err *e) MUST_CHECK;

/* Every repository of its names with every digest it answers to, each once. */
typedef void name_fn(void *arg, const char *name);
void repo_digests(const struct record *image, name_fn *fn, void *arg);

void inspect_begin(struct query *q);

#endif
