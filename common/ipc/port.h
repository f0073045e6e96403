/* A channel in an event loop: receives, gates, hands each message to one function, writes
 * when the socket takes it again. */
#ifndef BULKHEAD_IPC_PORT_H
#define BULKHEAD_IPC_PORT_H

#include "common/base/loop.h"
#include "common/ipc/chan.h"

struct port {
	struct chan chan;
	struct loop_source source;
	struct loop *loop;
	/* One message; its fds are closed after the call unless taken. A negative answer
	 * ends the port as a violation does. The function may release the port. */
	int (*message)(struct port *p, struct ipc_msg *m);
	/* The peer has gone (why NULL) or broke the protocol (why says how). Release the
	 * port here. */
	void (*ended)(struct port *p, const char *why);
	void *arg;
};

/* Opens the channel on fd (taken over), in the given phase, and joins the loop. message,
 * ended and arg are the caller's to set before. 0 or -errno; on failure the fd is closed.
 */
int port_open(struct port *p, struct loop *l, int fd, enum ipc_channel kind,
    enum room self, enum room peer, unsigned phase) MUST_CHECK;

/* Leaves the loop and closes. Safe on a zeroed or released port. */
void port_release(struct port *p);

bool port_is_open(const struct port *p);

/* chan_send, and asks the loop for the rest. A peer that is gone or stuck is not an error
 * here: its end is delivered by the loop. Negative only for a message that breaks its own
 * row. */
int port_send(struct port *p, const struct ipc_msg *m);

#endif
