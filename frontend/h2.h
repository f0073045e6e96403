/* One HTTP/2 connection, the server's side: bytes in, bytes out, requests as callbacks.
 * No socket, no loop. What RFC 9113 demands of a request's fields is checked here (a
 * stream that breaks it is reset and never seen above), except :authority: clients on
 * unix sockets send paths there. */
#ifndef BULKHEAD_FRONTEND_H2_H
#define BULKHEAD_FRONTEND_H2_H

#include "common/base/span.h"

struct h2; /* one connection */

/* One request. The owner embeds it; zeroed before h2_ops.open returns it. */
struct h2_stream {
	struct h2 *h2;
	int32_t id;
	/* h2.c's own: */
	unsigned pseudo; /* which pseudo fields came */
	unsigned fields; /* how many fields */
	size_t bytes;	 /* of all fields, counted as HPACK does */
	bool regular, malformed;
};

struct h2_field {
	const char *name; /* lower case */
	struct span value;
};

enum h2_error { /* RFC 9113, 7 */
	H2_NO_ERROR = 0,
	H2_PROTOCOL_ERROR = 1,
	H2_INTERNAL_ERROR = 2,
	H2_REFUSED_STREAM = 7,
	H2_CANCEL = 8,
	H2_ENHANCE_YOUR_CALM = 11,
};

/* What the owner does. Every callback comes from inside h2_input or h2_output; all but
 * h2_free, h2_input and h2_output may be called from them. */
struct h2_ops {
	/* A request begins; NULL refuses it (the client may try again). */
	struct h2_stream *(*open)(void *owner);
	/* One field of it, ":method" and ":path" among them. */
	void (*field)(struct h2_stream *s, struct span name, struct span value);
	/* All fields came. too_large: more than LIMIT_GRPC_HEADERS or _FIELDS, `field`
	 * was not told of the rest. */
	void (*headers)(struct h2_stream *s, bool too_large);
	void (*data)(struct h2_stream *s, struct span bytes);
	void (*end)(struct h2_stream *s); /* the client has sent all */
	/* Bytes of the answer's body, at most n: how many; 0 with !*end: none yet, see
	 * h2_more. *end: these were the last; h2_trailers was called before. */
	size_t (*fill)(struct h2_stream *s, uint8_t *p, size_t n, bool *end);
	void (*closed)(struct h2_stream *s); /* it is the owner's to free */
};

/* NULL: no memory. */
struct h2 *h2_new(const struct h2_ops *ops, void *owner);

/* `closed` comes for no stream: the owner knows which are left. NULL will do. */
void h2_free(struct h2 *h);

/* Bytes from the client. NULL, or why the connection is over: take what h2_output has
 * left, then close. */
const char *h2_input(struct h2 *h, struct span bytes);

/* The next bytes for the client, valid until the next call; none: nothing to send now. */
struct span h2_output(struct h2 *h);

/* Whether a frame came at all. */
bool h2_greeted(const struct h2 *h);

/* Nothing more will come or go. */
bool h2_done(const struct h2 *h);

/* Starts the answer, once a stream: with a body that `fill` gives, or, without one, all
 * of it. */
void h2_respond(struct h2_stream *s, const struct h2_field *fields, size_t n, bool body);

/* To be called in `fill`, before it says *end. */
void h2_trailers(struct h2_stream *s, const struct h2_field *fields, size_t n);

/* `fill` has bytes again, or the end. */
void h2_more(struct h2_stream *s);

void h2_reset(struct h2_stream *s, enum h2_error code);

/* The client is told to open no more streams; those that are there go on. */
void h2_goaway(struct h2 *h);

/* Asks whether the client is still there: it has to send something. */
void h2_ping(struct h2 *h);

#endif
