/* Shared by the files that serve commands. */
#ifndef BULKHEAD_FRONTEND_CLIENTS_H
#define BULKHEAD_FRONTEND_CLIENTS_H

#include "frontend/client.h"
#include "frontend/pull.h"
#include "frontend/query.h"

struct client {
	struct client *next;
	struct frontend *f;
	struct port port;
	struct ask *asks;
	unsigned n_asks;
};

/* One request that has no cli_done yet: a query, or one who waits for a pull. */
struct ask {
	struct ask *next;
	struct client *client;
	uint64_t req;
	struct query *query;
	bool check; /* goes on for long: the store is told when nobody wants it */
	struct waiter waiter;
	void *own; /* what else its answer needs; freed with it, by ... */
	void (*own_free)(void *own); /* ... this, or free */
};

/* NULL: the client has been told why. */
struct ask *ask_new(struct client *c, uint64_t req);
void ask_free(struct ask *a);

/* An ask with a query whose answers go back to the client. NULL: it has been told why. */
struct query *ask_query(struct client *c, uint64_t req);

void client_done(struct client *c, uint64_t req, enum err_class code, struct span text);

/* ---- client_names.c: what a name means ---- */

int client_resolve(struct client *c, struct ipc_msg *m);

/* ---- client_explain.c: what would be asked where ---- */

int client_explain(struct client *c, struct ipc_msg *m);

#endif
