/* A registry's error body: whatever comes out is printable. */
#include "worker-fetch/fetch/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
printable(const char *s)
{
	for (; *s; s++)
		assert(*s >= 0x20 && *s < 0x7f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error_answer a;

	error_scan(span_of(data, size), &a);
	printable(a.code);
	printable(a.message);
	return 0;
}
