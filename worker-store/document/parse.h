/* The three parsers behind document_parse. Internal. */
#ifndef BULKHEAD_DOCUMENT_PARSE_H
#define BULKHEAD_DOCUMENT_PARSE_H

#include "common/json/tree.h"
#include "worker-store/document/document.h"
#include "worker-store/document/media.h"

int index_parse(const struct jv *root, const struct media *type,
    const struct document_request *req, struct document_index *out,
    struct err *e) MUST_CHECK;
int manifest_parse(const struct jv *root, const struct media *type,
    struct document_manifest *out, struct err *e) MUST_CHECK;
int config_parse(
    const struct jv *root, struct document_config *out, struct err *e) MUST_CHECK;

/* The type of an index or manifest from its members and the type that came with it, see
 * document.h; schema 1 is refused here. */
int document_type(const struct jv *root, struct span media_type, const struct media **out,
    struct err *e) MUST_CHECK;

/* mediaType, digest, size <= max of a descriptor. */
struct descriptor {
	const struct media *media;
	struct span media_text; /* lives as long as the root */
	uint8_t digest[DIGEST_BYTES];
	uint64_t size;
};
int descriptor_parse(const struct jv *v, const char *what, uint64_t max,
    struct descriptor *out, struct err *e) MUST_CHECK;

#endif
