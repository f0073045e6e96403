/* Registries that may be insecure, by the configuration's own rules. Pure. */
#ifndef BULKHEAD_FRONTEND_INSECURE_H
#define BULKHEAD_FRONTEND_INSECURE_H

#include "common/ref/ref.h"

/* Whether a rule is about a registry: host[:port] as in names, a host for all of its
 * ports, or a range of addresses, "10.0.0.0/8", "2001:db8::/32". A range is about hosts
 * that are written as an address, never about a name: who answers for the name would
 * decide what it resolves to, and with it whether a certificate is asked for. */
bool insecure_matches(struct span rule, const char *domain);

/* Whether the host is loopback by its spelling: localhost, 127.0.0.0/8, ::1. */
bool host_is_loopback(const char *host);

#endif
