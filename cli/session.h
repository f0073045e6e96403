/* One conversation with the service: requests go out one at a time, their answers come
 * back until the last, signals and the clock are served meanwhile. Takes descriptors,
 * touches nothing else. */
#ifndef BULKHEAD_CLI_SESSION_H
#define BULKHEAD_CLI_SESSION_H

#include "cli/progress.h"
#include "common/base/err.h"
#include "common/ipc/chan.h"

struct session {
	struct chan chan;
	int signals; /* signalfd: INT, TERM, HUP, WINCH; not owned; -1 = none */
	FILE *out, *err;
	struct progress progress;
	uint64_t req;	   /* of the request under way */
	bool closed;	   /* the service has gone: it said why, or was killed */
	int interrupted;   /* the first signal that ended the command; 0 = none */
	uint64_t patience; /* when an interrupted request is given up (loop_now) */
	/* Called on SIGWINCH; may be NULL. */
	void (*resized)(struct session *s);
};

/* How long a cancelled request may take to end. */
#define SESSION_PATIENCE_MS 20000

/* fd is taken over. 0 or -ENOMEM. */
int session_open(struct session *s, int fd, int signals, FILE *out, FILE *err) MUST_CHECK;
void session_close(struct session *s);

/* One answer that is not the last. Negative (with *e) = the service breaks its word: the
 * session is over. The message's fds are closed after the call unless taken. */
typedef int session_fn(void *arg, struct ipc_msg *m, struct err *e);

/* Gives the request a number, sends it, hands each answer to fn until the last. On a
 * signal the request is cancelled, once; a second signal, or no end within
 * SESSION_PATIENCE_MS, gives it up. 0 when the service says done; negative with *e, its
 * class being the service's; -ECANCELED when interrupted; -EPIPE (class ERR_INTERNAL)
 * when the service is gone or breaks the protocol. */
int session_ask(struct session *s, struct ipc_msg *request, session_fn *fn, void *arg,
    struct err *e) MUST_CHECK;

/* Prints "bulkhead: TEXT" for an error, made safe; further lines are indented. Silent
 * once the service is gone: who waits for its end knows more. */
void session_complain(struct session *s, const struct err *e);

#endif
