/* The first byte chooses the request, the rest is what a client sent. */
#include "frontend/cri_codec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must_be_text(struct span s)
{
	if (!span_is_text(s))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cri_request r;
	const char *why = NULL;

	if (size < 1)
		return 0;
	if (cri_decode((enum cri_kind)(data[0] % CRI_KINDS), span_of(data + 1, size - 1),
		&r, &why) < 0) {
		if (!why || r.used)
			abort();
		return 0;
	}
	if (r.used > LIMIT_PROTOBUF_FACTOR * (size - 1) + LIMIT_PROTOBUF_BASE)
		abort();
	must_be_text(r.image);
	must_be_text(r.namespace);
	must_be_text(r.pod);
	must_be_text(r.auth.username);
	must_be_text(r.auth.password);
	must_be_text(r.auth.auth);
	must_be_text(r.auth.server_address);
	must_be_text(r.auth.identity_token);
	must_be_text(r.auth.registry_token);
	cri_request_free(&r);
	return 0;
}
