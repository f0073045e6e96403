#include "tests/inflate/compare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	compare_pieces(INFLATE_GZIP, data, size);
	return 0;
}
