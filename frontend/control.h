/* The daemon's control socket: every connection is a client. */
#ifndef BULKHEAD_FRONTEND_CONTROL_H
#define BULKHEAD_FRONTEND_CONTROL_H

#include "frontend/frontend.h"

/* Accepts clients on a listening SEQPACKET socket (taken over, also on failure), at most
 * LIMIT_CONTROL_CLIENTS at once; one too many is told so. A further socket replaces the
 * one before. 0 or -errno. */
int control_listen(struct frontend *f, int fd) MUST_CHECK;

/* No new clients. */
void control_stop(struct frontend *f);

#endif
