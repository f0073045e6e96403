/* The clients of the control channel: the command of an embedded service, or every one
 * that connects to a daemon's control socket. */
#ifndef BULKHEAD_FRONTEND_CLIENT_H
#define BULKHEAD_FRONTEND_CLIENT_H

#include "frontend/frontend.h"

/* Makes a client of a connected SEQPACKET socket (fd is taken over). In an embedded
 * service its end is the end of the frontend. 0 or -errno. */
int client_open(struct frontend *f, int fd) MUST_CHECK;

/* Forgets every client: their pulls are left, their queries forgotten. */
void client_close_all(struct frontend *f);

#endif
