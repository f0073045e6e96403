/* Property: what decodes re-encodes to the same bytes, and msgpack-c reads it too. */
#include "common/ipc/msg.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t again[LIMIT_PACKET];
	struct ipc_msg m = {0};
	const char *why;

	if (ipc_decode(span_of(data, size), &m, &why) < 0)
		return 0;
	ssize_t n = ipc_encode(&m, again, sizeof(again));
	if (n < 0 || (size_t)n != size || memcmp(again, data, size) != 0)
		abort();
	return 0;
}
