/* The two bodies that a fetcher reads itself. Everything else it only passes on. */
#ifndef BULKHEAD_FETCH_BODY_H
#define BULKHEAD_FETCH_BODY_H

#include "common/base/err.h"
#include "common/base/limits.h"

struct token_answer {
	char token[LIMIT_SECRET + 1]; /* header-safe: printable ASCII without space */
	unsigned expires; /* seconds, 60 to 86400; 60 when the server says nothing */
};

/* A token server's answer (distribution token specification; at most LIMIT_TOKEN_BODY):
 * `token`, or `access_token`, which must agree if both are there. 0, or ERR_AUTH with the
 * reason. */
int token_scan(struct span body, struct token_answer *t, struct err *e) MUST_CHECK;

struct error_answer {
	char code[64];	   /* errors[0].code; "" when there is none */
	char message[512]; /* errors[0].message or the body's first line of text; escaped
			    */
};

/* A registry's error body (distribution specification, "Error Codes"), possibly cut.
 * Never fails: what cannot be read is "". */
void error_scan(struct span body, struct error_answer *out);

/* "Basic <base64(user:password)>" into dst. false when it does not fit or holds control
 * bytes. */
bool basic_authorization(struct span user_password, char *dst, size_t cap) MUST_CHECK;

/* Whether every byte may stand in a header's value as one word (0x21 to 0x7e), and there
 * is one. */
bool header_safe(struct span s);

/* RFC 4648 4, padded. Bytes written without the NUL; dst needs 4 * ((n + 2) / 3) + 1. */
size_t base64_encode(struct span s, char *dst);

#endif
