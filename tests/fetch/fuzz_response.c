/* A response's head, split at line feeds as libcurl does. */
#include "worker-fetch/fetch/response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct response r;
	struct span rest = span_of(data, size);

	response_init(&r);
	while (rest.n) {
		const uint8_t *nl = memchr(rest.p, '\n', rest.n);
		size_t n = nl ? (size_t)(nl - rest.p) + 1 : rest.n;
		if (response_line(&r, span_of(rest.p, n), NULL) < 0)
			return 0;
		assert(r.lines <= LIMIT_HEADERS && r.bytes <= LIMIT_HEADER_BYTES);
		assert(!(r.chunked && r.has_length));
		rest = span_from(rest, n);
	}
	assert(response_retry_after(&r, 0) <= LIMIT_RETRY_AFTER_SAID);
	assert(!r.has_range ||
	       (r.range_first <= r.range_last && r.range_last < r.range_total));
	assert(strlen(r.etag) <= LIMIT_ETAG && !strpbrk(r.etag, " \r\n"));
	assert(
	    strlen(r.media_type) <= LIMIT_MEDIA_TYPE && !strpbrk(r.media_type, " ;\r\n"));
	return 0;
}
