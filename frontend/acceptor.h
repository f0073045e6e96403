/* A listening socket: one function gets what connects. */
#ifndef BULKHEAD_FRONTEND_ACCEPTOR_H
#define BULKHEAD_FRONTEND_ACCEPTOR_H

#include "common/base/loop.h"

/* Embed it. Set `accepted`, which gets each connection, non-blocking and close-on-exec,
 * and owns it, and arg; the rest is private. */
struct acceptor {
	struct loop *loop;
	struct loop_source source;
	struct loop_timer rest; /* after the machine ran out of descriptors or memory */
	void (*accepted)(void *arg, int fd);
	void *arg;
};

/* fd, a non-blocking listening socket, is taken over, also on failure. 0 or -errno. */
int acceptor_open(struct acceptor *a, struct loop *l, int fd) MUST_CHECK;
void acceptor_close(struct acceptor *a);

#endif
