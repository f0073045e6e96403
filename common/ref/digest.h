/* Digests as text, "sha256:" and 64 lower-case hex digits, and as 32 raw bytes. Nothing
 * here computes one. OCI image-spec 1.1, descriptor.md "Digests". */
#ifndef BULKHEAD_REF_DIGEST_H
#define BULKHEAD_REF_DIGEST_H

#include "common/base/span.h"

#define DIGEST_BYTES 32
#define DIGEST_TEXT 71 /* characters of the text, without the NUL */

/* 0; -ENOTSUP for a well-formed digest of an algorithm other than sha256; -EINVAL for
 * anything else. out is written on 0 only. */
int digest_parse(struct span text, uint8_t out[DIGEST_BYTES]) MUST_CHECK;

/* Writes the text and a NUL into dst (DIGEST_TEXT + 1 bytes). Returns dst. */
char *digest_print(const uint8_t digest[DIGEST_BYTES], char *dst);

/* An image ID as people write it: 3 to 64 lower-case hex digits, perhaps after "sha256:".
 */
#define ID_PREFIX_MIN 3
#define ID_HEX 64
struct id_prefix {
	char hex[ID_HEX + 1];
	size_t n; /* digits; ID_HEX = the whole ID */
};

/* Whether text has that form; out is written only then. A short one can also be the name
 * of a repository ("cafe"): who looks it up tries the name first. */
bool id_prefix_parse(struct span text, struct id_prefix *out) MUST_CHECK;

#endif
