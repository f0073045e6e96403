/* Pulls. One decides what is fetched from where, with which credential, and nothing else:
 * it never sees a document or a blob, and what it says about them is not believed: the
 * store checks each against the digest that the name or its parent document gave.
 *
 * A pull has a life of its own; those who want its image wait for it. Equal wishes share
 * one pull: the same name, namespace, platform, verification, mode, credentials and
 * configuration. It ends when the last waiter leaves. */
#ifndef BULKHEAD_FRONTEND_PULL_H
#define BULKHEAD_FRONTEND_PULL_H

#include "frontend/frontend.h"

/* What is wanted. Views: copied by pull_join. name: as a person wrote it; verify: 0 as
 * configured, 1 yes, 2 no; secret: with AUTH_GIVEN, of this kind (SECRET_NONE counts as
 * BASIC: "user:password"; never logged, compared in constant time, wiped at the end);
 * source: what to name in an error about the credentials, such as "--creds" ("" = by
 * auth); secret_for: whose secret it is, host[:port] ("" = the registry's that is named).
 * place: only the n-th of the places where the image can be had (0 = all). */
struct pull_options {
	struct span name, os, architecture, variant, namespace;
	unsigned verify;
	enum pull_mode mode;
	enum fetch_auth auth;
	enum secret_kind secret_kind;
	unsigned place;
	struct span secret, source, secret_for;
};

/* Who waits; the caller's memory, until `done` or pull_leave. Set ops and arg. */
struct waiter {
	struct waiter *next;
	struct pull *pull; /* NULL: it waits for none */
	const struct waiter_ops *ops;
	void *arg;
};

/* The first three may be NULL and may leave with their own waiter only. */
struct waiter_ops {
	/* A joiner gets all layers known so far, from inside pull_join. */
	void (*layer)(struct waiter *w, const struct msg_layer *l);
	void (*progress)(struct waiter *w, const struct msg_progress *m);
	/* inspect --remote; may take the fd. */
	void (*text)(struct waiter *w, struct ipc_msg *m);
	/* The last call: w waits no longer and is the caller's again. image counts when
	 * code is ERR_OK; fresh: it was not in the store before. Never from inside
	 * pull_join or pull_leave. When the store has gone, port_is_open(&f->store) is
	 * false in here. */
	void (*done)(struct waiter *w, enum err_class code, const uint8_t image[32],
	    bool fresh, struct span text);
};

/* Joins an equal pull, or starts one, or queues it. 0 (or PULL_JOINED); negative with *e:
 * w waits for nothing. */
enum { PULL_JOINED = 1 };
int pull_join(struct frontend *f, struct waiter *w, const struct pull_options *o,
    struct err *e) MUST_CHECK;

/* No callback follows. The last one's leaving cancels the pull. Harmless when w waits for
 * nothing. */
void pull_leave(struct waiter *w);

/* As pull_leave, but `done` comes with ERR_DEADLINE: from inside this call when others
 * wait on or nothing has begun, else when the store has cleaned up. */
void pull_cancel(struct waiter *w);

/* How many wait for its end. */
unsigned pull_waiters(const struct pull *p);

/* Messages about pulls, from the store and from the supervisor. One for a pull that has
 * ended is dropped. Negative: the sender broke the protocol. */
int pull_store_message(struct frontend *f, struct ipc_msg *m);
int pull_control_message(struct frontend *f, struct ipc_msg *m);

/* Ends every pull with this answer; for a store that has gone. */
void pull_end_all(struct frontend *f, enum err_class code, const char *text);

#endif
