/* The header of a gzip member (RFC 1952, 2.3), byte by byte. ISA-L has one too, but 2.30
 * computes a header checksum (FHCRC) wrongly when the header arrives in pieces, and
 * ignores the reserved flags; where tools differ, one stream has two meanings. */
#ifndef BULKHEAD_INFLATE_MEMBER_H
#define BULKHEAD_INFLATE_MEMBER_H

#include "common/base/span.h"

struct member {
	int part;      /* of the header, private */
	uint8_t flags; /* those parts still to come */
	uint32_t want; /* bytes left of a part of known length */
	uint32_t value;
	uint32_t crc; /* of the header so far */
};

/* Ready for a header. */
void member_init(struct member *m);

/* Takes the header's bytes from the front of *in. 1: complete, *in is at the deflate
 * data; 0: more is needed, *in is empty; -EPROTO with *why (a fixed text). */
int member_step(struct member *m, struct span *in, const char **why) MUST_CHECK;

#endif
