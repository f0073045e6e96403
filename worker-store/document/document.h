/* What one document says: an index (or Docker manifest list), a manifest, or an image
 * config. OCI image-spec 1.1, Docker image manifest v2 schema 2. Pure: bytes in, struct
 * out. That the bytes are those of a digest is the caller's affair. */
#ifndef BULKHEAD_DOCUMENT_H
#define BULKHEAD_DOCUMENT_H

#include "common/base/err.h"
#include "common/base/limits.h"
#include "common/base/span.h"
#include "common/ipc/values.h"
#include "common/ref/digest.h"

#define DOCUMENT_PLATFORM_TEXT 64

struct document_request {
	enum document_kind kind;
	/* The registry's Content-Type, or what the parent's descriptor says; empty =
	 * unknown. */
	struct span media_type;
	/* Which instance of an index: Go's names. An empty variant is "none asked for".
	 */
	struct span os, architecture, variant;
};

/* The instance that an index has for the platform. */
struct document_index {
	uint8_t digest[DIGEST_BYTES];
	uint64_t size;
	const char *media_type; /* a manifest's type; static */
};

struct document_layer {
	uint8_t digest[DIGEST_BYTES];
	uint64_t size;
	enum compression compression;
};

struct document_manifest {
	const char *media_type;	 /* static */
	const char *config_type; /* static */
	uint8_t config[DIGEST_BYTES];
	uint64_t config_size;
	unsigned nlayers; /* 1 .. LIMIT_LAYERS, the lowest first */
	struct document_layer layers[LIMIT_LAYERS];
	/* Of an OCI manifest, in the order of the document (common/base/pairs.h); what
	 * does not fit is left out. */
	size_t n_annotations;
	uint8_t annotations[LIMIT_ANNOTATIONS];
};

struct document_config {
	unsigned ndiff_ids; /* 1 .. LIMIT_LAYERS */
	uint8_t diff_ids[LIMIT_LAYERS][DIGEST_BYTES];
	int64_t created; /* seconds, 0 .. 253402300799; -1 when there is none */
	uint32_t created_ns;
	/* No control characters in these; "" when absent. */
	char os[DOCUMENT_PLATFORM_TEXT + 1];
	char architecture[DOCUMENT_PLATFORM_TEXT + 1];
	char variant[DOCUMENT_PLATFORM_TEXT + 1];
	char user[LIMIT_CONFIG_TEXT + 1]; /* as written; a numeric part is a valid id */
	unsigned labels, env, ports, volumes, history; /* how many */
};

enum document_what { DOCUMENT_IS_INDEX, DOCUMENT_IS_MANIFEST, DOCUMENT_IS_CONFIG };

struct document_answer {
	enum document_what is;
	union {
		struct document_index index;
		struct document_manifest manifest;
		struct document_config config;
	};
};

/* DOC_TOP: index or manifest; DOC_MANIFEST: a manifest only, an index here would be
 * nested; DOC_CONFIG: a config. The type is what the body's mediaType says, or the
 * request's, which must agree if both are there; the members present must be those of the
 * type.
 *
 * An index is searched as containers/image does: the wanted variants in their order of
 * preference (arm v7, v6, v5, none; arm64 v8, none; no variant asked for: none, then v8
 * on arm64; a variant nobody knows: itself, none), and for each the first entry in the
 * index; last, in an OCI index only, the first entry without a platform. Annotations play
 * no part.
 *
 * 0; -ENOENT (ERR_NOT_FOUND): no instance for the platform, *e names those there are;
 * -EBADMSG (ERR_CONTENT): refused; -ENOMEM. *out is written on 0 only. */
int document_parse(const struct document_request *req, struct span bytes,
    struct document_answer *out, struct err *e) MUST_CHECK;

#endif
