/* The media types of images, the ones that are taken and the ones that deserve their own
 * refusal. */
#ifndef BULKHEAD_DOCUMENT_MEDIA_H
#define BULKHEAD_DOCUMENT_MEDIA_H

#include "common/base/err.h"
#include "common/base/span.h"
#include "common/ipc/values.h"

enum media_kind {
	MEDIA_UNKNOWN, /* a type of no meaning here */
	MEDIA_NONE,    /* no statement: empty, or a type as general as application/json */
	MEDIA_INDEX,
	MEDIA_MANIFEST,
	MEDIA_CONFIG,
	MEDIA_LAYER,
	MEDIA_SCHEMA1,
	MEDIA_FOREIGN,	 /* a layer that is not in the registry */
	MEDIA_ENCRYPTED, /* a layer for somebody with the key */
};

struct media {
	const char *text; /* static */
	enum media_kind kind;
	bool oci;
	enum compression compression; /* of a layer */
};

/* A type as it stands in a document: exact, no parameters. Never NULL. */
const struct media *media_find(struct span text);

/* A Content-Type header: letters of any case, parameters after ';' ignored. More than one
 * type, or control bytes: -EBADMSG. */
int media_from_header(
    struct span text, const struct media **out, struct err *e) MUST_CHECK;

/* By the text of the table. */
const struct media *media_named(const char *text);

#define MEDIA_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define MEDIA_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define MEDIA_DOCKER_INDEX "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define MEDIA_DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"

#endif
