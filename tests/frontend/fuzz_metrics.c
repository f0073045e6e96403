/* A request for the metrics as any program may send it: whatever it is, the answer to it
 * is decided once, and more bytes never take it back. */
#include "frontend/metrics.h"

#include <stdlib.h>

uint64_t
frontend_next_id(struct frontend *f)
{
	return ++f->last_id;
}

void
frontend_log(struct frontend *f, const char *fmt, ...)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > LIMIT_METRICS_REQUEST)
		size = LIMIT_METRICS_REQUEST;
	enum metrics_request whole = metrics_request(span_of(data, size));
	enum metrics_request before = REQUEST_PART;

	for (size_t n = 0; n <= size && size < 600; n++) {
		uint8_t *part = malloc(n ? n : 1); /* no byte behind it */
		if (!part)
			return 0;
		if (n)
			memcpy(part, data, n);
		enum metrics_request r = metrics_request(span_of(part, n));
		free(part);
		if (before != REQUEST_PART && r != before)
			abort();
		before = r;
	}
	if (size < 600 && before != whole)
		abort();
	return 0;
}
