/* The JSON that `bulkhead inspect` prints, made from an image's own documents. Lenient
 * where the parsers are not: a member of the wrong kind is left out, because the store
 * can hold images that other programs took in. */
#ifndef BULKHEAD_DOCUMENT_INSPECT_H
#define BULKHEAD_DOCUMENT_INSPECT_H

#include "common/base/err.h"
#include "common/base/span.h"
#include "common/json/write.h"

/* An array of one object with the members of `podman image inspect`. facts: see facts.h.
 * The text is in *w. 0; -EBADMSG (ERR_CONTENT), -EFBIG, -ENOMEM with *e filled. */
int inspect_local(struct span config, struct span manifest, struct span facts,
    struct jw *w, struct err *e) MUST_CHECK;

/* For an image that is not here: an object of Name, Digest, MediaType, Manifest and
 * Config, the last two as they are. */
int inspect_remote(struct span config, struct span manifest, struct span facts,
    struct jw *w, struct err *e) MUST_CHECK;

/* What verbose ImageStatus tells of an image, as CRI-O has it: an object of labels (left
 * out when there are none) and imageSpec, the config as the OCI image specification has
 * it; and layers, digest and size of each blob. */
int inspect_cri(
    struct span config, struct span manifest, struct jw *w, struct err *e) MUST_CHECK;

#endif
