/* libcurl behind a narrow door: single HTTP/1.1 exchanges over sockets that are handed
 * in, all callbacks in plain C types. Policy (retries, sizes, time, redirects) is
 * transfer.c's. */
#ifndef BULKHEAD_FETCH_WIRE_H
#define BULKHEAD_FETCH_WIRE_H

#include "common/ref/url.h"

#include <poll.h>

struct identity;
struct trust;
struct wire;	  /* the connections to one origin */
struct wire_call; /* one exchange */

enum wire_end {
	WIRE_OK,
	WIRE_STARVED,	/* it wanted a connection, and there was none */
	WIRE_BROKEN,	/* the connection ended; another may do better */
	WIRE_UNTRUSTED, /* the certificate was refused */
	WIRE_FAILED,
};

struct wire_events {
	/* One header line. false ends the exchange. */
	bool (*header)(void *arg, struct span line);
	/* Some of the body, at most 16 KiB. 0: taken; 1: no room, pause; negative: end.
	 */
	int (*body)(void *arg, struct span bytes);
	/* How it ended, from within wire_perform, or as WIRE_FAILED when one of the above
	 * ended it. The call is still to be freed. */
	void (*ended)(void *arg, enum wire_end how, const char *detail);
};

struct wire_spec {
	const struct url *url;
	struct trust
	    *trust; /* NULL: certificates are not verified; must outlive the wire */
	struct identity
	    *identity;	     /* client certificates, or NULL; must outlive the wire */
	unsigned connect_ms; /* for the TLS handshake */
	bool proxied;	     /* the sockets lead to a proxy ... */
	const char *proxy_authorization; /* ... that wants to see this, or NULL */
	const char *accept;		 /* never NULL */
	const char *authorization;	 /* or NULL */
	const char *form;		 /* POST this, or NULL */
	uint64_t from,
	    until; /* ask for these bytes; until 0: to the end; both 0: no Range */
	const char *if_range; /* the ETag under which a range is wanted, or NULL */
	void *arg;	      /* of the events */
};

/* Initialises libcurl, before the sandbox. NULL with the reason. */
struct wire *wire_new(const struct wire_events *events, struct err *e);

/* Every call must have been freed. */
void wire_free(struct wire *w);

/* A connected socket, taken over. */
void wire_add_socket(struct wire *w, int fd);

/* Connections at hand, in use or not. */
unsigned wire_connections(const struct wire *w);

/* Calls between start and free. */
unsigned wire_calls(const struct wire *w);

/* NULL when libcurl refuses an option or memory is short. */
struct wire_call *wire_call_start(struct wire *w, const struct wire_spec *spec);
void wire_call_resume(struct wire_call *c);

/* Ends it if it has not ended. NULL is fine. */
void wire_call_free(struct wire_call *c);

/* Moves all calls on as far as they go without waiting. 0 or -errno. */
int wire_perform(struct wire *w) MUST_CHECK;

/* Sleeps until a call can move, an extra descriptor has an event, or the time is over. 0,
 * -errno. */
int wire_poll(struct wire *w, struct pollfd *extra, size_t n, int timeout_ms) MUST_CHECK;
#define WIRE_EXTRA 64 /* most extra descriptors */

#endif
