/* One pull: decides what is fetched from where, with which credential, and nothing else.
 * It never sees a document or a blob, and what it says about them is not believed: the
 * store checks each against the digest that the name or its parent document gave. */
#ifndef BULKHEAD_FRONTEND_PULL_H
#define BULKHEAD_FRONTEND_PULL_H

#include "frontend/frontend.h"

/* Starts a pull (or can-pull, or inspect --remote) for a client's request. On failure
 * nothing is left and *e says why. */
int pull_start(struct client *c, const struct msg_cli_pull *m, struct err *e) MUST_CHECK;

/* The client no longer wants it: the store is told, the pull ends when it answers. */
void pull_cancel(struct frontend *f, uint64_t client_req);

/* Messages about pulls, from the store and from the supervisor. One for a pull that has
 * ended is dropped. Negative: the sender broke the protocol. */
int pull_store_message(struct frontend *f, struct ipc_msg *m);
int pull_control_message(struct frontend *f, struct ipc_msg *m);

/* Ends every pull with this answer; for a store or a client that has gone. */
void pull_end_all(struct frontend *f, enum err_class code, const char *text);

#endif
