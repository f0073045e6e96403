/* From a host name to a connected socket. */
#ifndef BULKHEAD_DIAL_DIAL_H
#define BULKHEAD_DIAL_DIAL_H

#include "worker-fetch/dial/address.h"
#include "worker-fetch/dial/resolve.h"

struct dial_rules {
	enum address_class floor; /* nothing less public */
	bool allow_link;	  /* link-local and metadata addresses */
	unsigned deadline_ms;	  /* resolving and connecting together */
};

struct dial_result {
	int fd; /* connected, non-blocking, close-on-exec; the caller's */
	enum address_class class;
	char address[ADDRESS_TEXT];
};

/* Resolves host and connects to the first address that answers, the next one started
 * every 250 ms (RFC 8305, without its sorting). Addresses that the rules refuse are
 * passed over. 0; ERR_NETWORK when the rules refuse all; ERR_NETWORK with
 * the reason. */
int dial_host(const char *host, uint16_t port, const struct dial_rules *rules,
    struct dial_result *out, struct err *e) MUST_CHECK;

/* Whether the rules let a proxy be asked for host: an address or localhost is judged as
 * if it were dialled here; what a name means, the proxy alone knows, and it counts as
 * public. The class in *class. 0 or ERR_NETWORK. */
int dial_behind_proxy(const char *host, uint16_t port, const struct dial_rules *rules,
    enum address_class *class, struct err *e) MUST_CHECK;

/* The second half: to one of these addresses. host is for messages. */
int dial_addresses(const struct addresses *list, const char *host, uint16_t port,
    const struct dial_rules *rules, struct dial_result *out, struct err *e) MUST_CHECK;

#endif
