/* A token server's answer: what is accepted may stand in a header. */
#include "worker-fetch/fetch/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct token_answer t;

	if (token_scan(span_of(data, size), &t, NULL) == 0) {
		assert(header_safe(span_str(t.token)) && strlen(t.token) <= LIMIT_SECRET);
		assert(t.expires >= 60 && t.expires <= 86400);
	}
	return 0;
}
