#include "common/base/pairs.h"
#include "worker-store/document/document.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses the Content-Type, the rest is the document. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = {"", "application/vnd.oci.image.index.v1+json",
	    "application/vnd.docker.distribution.manifest.list.v2+json",
	    "application/vnd.oci.image.manifest.v1+json",
	    "application/vnd.docker.distribution.manifest.v2+json",
	    "application/json; a=b"};
	static struct document_answer out;
	struct err e = {0};

	if (!size)
		return 0;
	struct document_request req = {.kind = DOC_MANIFEST,
	    .media_type = span_str(types[data[0] % ARRAY_LEN(types)]),
	    .os = span_str("linux"),
	    .architecture = span_str(data[0] & 64 ? "arm" : "amd64"),
	    .variant = span_str(data[0] & 64 ? "v7" : "")};
	int r = document_parse(&req, span_of(data + 1, size - 1), &out, &e);
	if (r && e.code == ERR_OK)
		abort(); /* a refusal without a reason */
	if (!r && out.is == DOCUMENT_IS_MANIFEST &&
	    (out.manifest.nlayers < 1 || out.manifest.nlayers > LIMIT_LAYERS))
		abort();
	if (!r && out.is == DOCUMENT_IS_MANIFEST &&
	    !pairs_check(span_of(out.manifest.annotations, out.manifest.n_annotations)))
		abort();
	if (!r && out.is == DOCUMENT_IS_INDEX && !out.index.media_type)
		abort();
	return 0;
}
