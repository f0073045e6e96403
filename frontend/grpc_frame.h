/* The parts of gRPC over HTTP/2 that need no connection: message framing, grpc-timeout,
 * content types, percent-encoding. As in the protocol's PROTOCOL-HTTP2.md. */
#ifndef BULKHEAD_FRONTEND_GRPC_FRAME_H
#define BULKHEAD_FRONTEND_GRPC_FRAME_H

#include "common/base/span.h"
#include "frontend/call.h"

/* Before each message: one byte "compressed", four bytes length, big-endian. */
#define GRPC_PREFIX 5
void grpc_prefix(uint8_t out[GRPC_PREFIX], size_t n);

/* Memory of all bodies being received. */
struct grpc_memory {
	size_t used, max;
};

/* Why a request is refused. */
struct grpc_refusal {
	enum grpc_code code; /* GRPC_OK: it is not */
	char text[200];
};
void grpc_refuse(struct grpc_refusal *r, enum grpc_code code, const char *fmt, ...)
    PRINTF(3, 4);

/* The one message of a request while it arrives in pieces of any size. Zeroed at first.
 * The length in the prefix allocates nothing: memory follows the bytes that came. */
struct grpc_body {
	struct grpc_memory *memory;
	bool encoded; /* the request names an encoding other than identity */
	uint8_t prefix[GRPC_PREFIX];
	size_t have; /* prefix included */
	uint8_t *p;
	size_t room;
};

/* Adds bytes; r->code is set when the request is over for it (compressed, longer than
 * max, a second message, memory). */
void grpc_body_add(
    struct grpc_body *b, struct span bytes, size_t max, struct grpc_refusal *r);

/* No more bytes come: the message, or r->code when it is not one whole message. */
struct span grpc_body_end(const struct grpc_body *b, struct grpc_refusal *r);
void grpc_body_free(struct grpc_body *b);

/* grpc-timeout ("100m", "3S") in milliseconds, rounded up. */
bool grpc_timeout_parse(struct span text, uint64_t *ms) MUST_CHECK;

/* application/grpc and application/grpc+proto, with or without parameters. */
bool grpc_content_type(struct span text);

/* Text for grpc-message: bytes outside printable ASCII, and '%', as %XX; cut to
 * LIMIT_GRPC_STATUS bytes of text, not inside a character. Fresh memory, or NULL. */
char *grpc_percent_encode(const char *text);

const char *grpc_code_name(enum grpc_code code);

#endif
