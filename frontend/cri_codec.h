/* CRI messages as C values. What a client sends is decoded within a bound of memory, and
 * every text in it is UTF-8 without NUL; what goes out is packed once. */
#ifndef BULKHEAD_FRONTEND_CRI_CODEC_H
#define BULKHEAD_FRONTEND_CRI_CODEC_H

#include "frontend/call.h"

enum cri_kind {
	CRI_VERSION,
	CRI_LIST_IMAGES,
	CRI_STREAM_IMAGES,
	CRI_IMAGE_STATUS,
	CRI_PULL_IMAGE,
	CRI_REMOVE_IMAGE,
	CRI_IMAGE_FS_INFO,
	CRI_KINDS
};

struct cri_auth {
	bool given; /* the message was there, be it empty */
	struct span username, password, auth, server_address, identity_token,
	    registry_token;
};

/* What is read of any of the requests; a field that the kind lacks is empty. The spans
 * are valid until cri_request_free. */
struct cri_request {
	struct span image; /* of the image's spec, or of the filter's */
	struct span namespace, pod;
	struct cri_auth auth;
	bool verbose;
	/* The codec's own. */
	void *message;
	size_t used, cap;
	bool refused;
};

/* 0; -EPROTO: not such a message; -EINVAL: a text with a NUL; -ENOMEM: decoded it would
 * take more than LIMIT_PROTOBUF_FACTOR times its size and LIMIT_PROTOBUF_BASE. On failure
 * *why is a fixed text and nothing is to be freed. */
int cri_decode(enum cri_kind kind, struct span bytes, struct cri_request *out,
    const char **why) MUST_CHECK;

/* Frees the request and wipes it: it may have held secrets. Safe on a zeroed one. */
void cri_request_free(struct cri_request *r);

/* One image as clients see it. */
struct cri_image {
	struct span id;
	const struct span *tags, *digests;
	size_t n_tags, n_digests;
	uint64_t size;
	bool has_uid, pinned, with_spec;
	int64_t uid;
	struct span username;
	/* For the spec: pairs of (u32 little-endian length, bytes) for key and value.
	 * What is cut short or no text is left out. */
	struct span annotations;
};

/* ListImagesResponse with this one image: such messages one after the other are the whole
 * list, and StreamImagesResponse reads the same. *bytes is the caller's to free. 0 or
 * -ENOMEM. */
int cri_pack_image(const struct cri_image *image, uint8_t **bytes, size_t *n) MUST_CHECK;

/* Answers; NULL when memory is short. image NULL: absent. info: JSON text, n = 0: none.
 */
struct blob *cri_pack_status(const struct cri_image *image, struct span info);
struct blob *cri_pack_pulled(struct span image_ref);
struct blob *cri_pack_empty(void);
struct blob *cri_pack_version(void);
struct blob *cri_pack_fs_info(
    int64_t nanoseconds, struct span mountpoint, uint64_t bytes, uint64_t inodes);

#endif
