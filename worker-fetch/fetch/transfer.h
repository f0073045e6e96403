/* HTTP exchanges with one origin over sockets that somebody else connected. No socket, no
 * name, no file, no thread: what libcurl may do here is TLS and HTTP/1.1 on descriptors
 * it is handed.
 *
 * Order of use: transfer_engine_new (before the sandbox), transfer_engine_open (the
 * origin), then transfer_start and transfer_engine_poll in a loop. Nothing here may be
 * called from within a sink, and only transfer_start and transfer_engine_socket from
 * want_socket. Single-threaded. */
#ifndef BULKHEAD_FETCH_TRANSFER_H
#define BULKHEAD_FETCH_TRANSFER_H

#include "common/ref/url.h"
#include "worker-fetch/fetch/response.h"

#include <poll.h>

struct transfer_engine;
struct transfer;

/* Zero stands for the limit of limits.h. Milliseconds. */
struct transfer_times {
	unsigned
	    first_byte; /* from request to the first byte of its answer, TLS included */
	unsigned stall; /* without a byte, while we want some */
	unsigned slow;	/* span in which LIMIT_SLOW_BYTES must come */
	unsigned step;	/* first pause before a second try */
};

struct transfer_origin {
	struct url url; /* its target is ignored */
	bool verify;	/* certificates */
	/* Needed only by transfer_engine_open: PEM; see identity.h. */
	struct span ca, clients;
	bool proxied; /* sockets lead to a proxy, which gets this header if it is not NULL
		       */
	const char *proxy_authorization;
	struct transfer_times times;
	/* The engine lacks a connection: answer, now or later, with
	 * transfer_engine_socket or transfer_engine_no_socket, once a call. */
	void (*want_socket)(void *arg);
	void *arg;
};

enum transfer_kind {
	TRANSFER_MEMORY, /* the whole body, at most cap bytes */
	TRANSFER_STREAM, /* the body to the sink as it comes */
};

enum transfer_outcome {
	TRANSFER_DONE,
	TRANSFER_REDIRECT,  /* to another origin: location */
	TRANSFER_CHALLENGE, /* 401 with WWW-Authenticate: head->challenge */
	TRANSFER_FAILED,    /* err */
};

struct transfer_result {
	enum transfer_outcome outcome;
	const struct response *head; /* status 0: no answer came */
	const struct url *location;
	struct span body; /* of TRANSFER_MEMORY */
	uint64_t bytes;	  /* of the body */
	const struct err *err;
	bool transient; /* of TRANSFER_FAILED: the same may do better later */
};

struct transfer_request {
	enum transfer_kind kind;
	const char *target;	   /* path and query */
	const char *accept;	   /* NULL = any */
	const char *authorization; /* the header's value, or NULL */
	const char *form; /* POST this application/x-www-form-urlencoded, or NULL */
	uint64_t expect;  /* bytes of the body, UINT64_MAX = unknown */
	uint64_t cap;	  /* most bytes of the body */
	/* TRANSFER_STREAM with an `expect`: these bytes of it are wanted, until 0 = all
	 * from there on. A server that sends the whole body is read from its beginning,
	 * and all after `from` goes to the sink; with ranges_only it is an error instead.
	 * if_range: an ETag of the same body, or NULL. */
	uint64_t from, until;
	bool ranges_only;
	const char *if_range;
	/* Takes all bytes (at most 16 KiB) and answers 0; 1 when it has no room now (call
	 * transfer_resume later; the same bytes come again); negative ends the transfer.
	 */
	int (*sink)(void *arg, struct span bytes);
	/* Always called once, from transfer_engine_poll; the transfer is gone after it.
	 */
	void (*done)(void *arg, const struct transfer_result *result);
	void *arg;
};

/* Initialises libcurl and OpenSSL. NULL with the reason. */
struct transfer_engine *transfer_engine_new(struct err *e);

/* Ends every transfer without calling done. */
void transfer_engine_free(struct transfer_engine *en);

/* Names the origin; once. 0, -ENOMEM, or -EINVAL with *e: its client certificates cannot
 * be used. */
int transfer_engine_open(struct transfer_engine *en, const struct transfer_origin *origin,
    struct err *e) MUST_CHECK;

/* A connected socket for the origin; taken over. */
void transfer_engine_socket(struct transfer_engine *en, int fd);

/* No socket can be had: every transfer that waits for one fails with this reason, except
 * those that a connection in use can serve later. transient: one may be had later. */
void transfer_engine_no_socket(
    struct transfer_engine *en, const struct err *why, bool transient);

/* Queues an exchange. Strings are copied. A redirect to the same origin is followed, at
 * most LIMIT_REDIRECTS times. Tried again here is only a stream whose connection broke
 * after it brought something new, from where it broke off, at most LIMIT_RESUMES times:
 * when else to try again is decided where all pulls are known. NULL when memory is short
 * or the target is no path. */
struct transfer *transfer_start(
    struct transfer_engine *en, const struct transfer_request *rq);

/* The head of the answer that is under way; its status is 0 before it is there. */
const struct response *transfer_head(const struct transfer *t);

/* The sink has room again. */
void transfer_resume(struct transfer *t);

/* Ends it without calling done. */
void transfer_cancel(struct transfer *t);

#define TRANSFER_EXTRA 64 /* most descriptors in extra[] */

/* Moves everything on, then sleeps until there is more to do, one of extra[] has an
 * event, or timeout_ms is over. 0 or -errno. */
int transfer_engine_poll(struct transfer_engine *en, struct pollfd *extra, size_t n,
    int timeout_ms) MUST_CHECK;

#endif
