/* The head of an HTTP/1.1 response, line by line, and what it may not say (RFC 9112; the
 * request smuggling rules of its sections 6.3 and 11.2, stricter than a browser's). */
#ifndef BULKHEAD_FETCH_RESPONSE_H
#define BULKHEAD_FETCH_RESPONSE_H

#include "worker-fetch/fetch/challenge.h"

struct response {
	int status;	/* of the last status line; 0 before the first */
	bool complete;	/* the empty line after the final head was seen */
	unsigned lines; /* all lines, interim responses and trailers included */
	size_t bytes;	/* of them */
	bool has_length;
	uint64_t length; /* Content-Length */
	bool chunked;
	bool challenged; /* there was a WWW-Authenticate */
	bool has_location;
	bool has_range;
	uint64_t range_first, range_last, range_total; /* Content-Range */
	int64_t retry_after;	   /* seconds; -1 when there is none */
	int64_t retry_at, date;	   /* seconds since 1970; -1 when there is none */
	char etag[LIMIT_ETAG + 1]; /* a strong one with its quotes; else "" */
	char media_type[LIMIT_MEDIA_TYPE +
			1];	      /* lower case, without parameters; "" = none */
	char location[LIMIT_URL + 1]; /* only of a redirect */
	char digest[80]; /* Docker-Content-Digest if well-formed, advisory; else "" */
	struct challenge challenge; /* only of a 401 */
};

void response_init(struct response *r);

/* Takes one header line, with or without its line end. 0, or negative with the reason: a
 * content or transfer coding that would have to be undone, lengths that disagree, folded
 * lines, control bytes, too many lines or bytes, a second Location, an upgrade. */
int response_line(struct response *r, struct span line, struct err *e) MUST_CHECK;

/* Whether the status sends us elsewhere with a Location. */
bool response_is_redirect(const struct response *r);

/* Holds the announced length against what is wanted: expect, or UINT64_MAX when only the
 * cap is known. 0, or ERR_CONTENT. */
int response_check_length(
    const struct response *r, uint64_t expect, uint64_t cap, struct err *e) MUST_CHECK;

/* Whether the same request may do better later: 408, 429 and 5xx. */
bool response_is_transient(const struct response *r);

/* Seconds that Retry-After asks to wait, at most LIMIT_RETRY_AFTER_SAID; 0: it asks for
 * nothing. A date counts from the answer's own Date, else from now (seconds since 1970).
 */
unsigned response_retry_after(const struct response *r, int64_t now);

#endif
