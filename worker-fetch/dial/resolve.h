/* Names to addresses, through glibc's own files and dns, within a deadline that no
 * resolv.conf can stretch. */
#ifndef BULKHEAD_DIAL_RESOLVE_H
#define BULKHEAD_DIAL_RESOLVE_H

#include "common/base/err.h"
#include "common/base/limits.h"

#include <netinet/in.h>

union address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct addresses {
	union address at[LIMIT_ADDRESSES];
	size_t n;
	size_t left_out; /* more than that many were answered */
};

/* Fills *out with the addresses of host in the order to try them. Literals and localhost
 * (with everything under it, RFC 6761 6.3) ask nobody. 0; ERR_NETWORK when there is no
 * such name, it has no address, or the name server fails, each told apart, or
 * none answered within deadline_ms. Descriptor 0 must be /dev/null, as in every
 * room; uses SIGALRM and the real-time interval timer; single-threaded. */
int resolve_host(const char *host, uint16_t port, unsigned deadline_ms,
    struct addresses *out, struct err *e) MUST_CHECK;

/* Whether host is an address or localhost, which ask nobody: then that is *out. */
bool resolve_literal(const char *host, uint16_t port, struct addresses *out);

#endif
