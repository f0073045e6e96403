/* What parses prints to the same bytes. The first byte chooses whether the hash behind
 * the rest is put right, so that what lies before it is looked at too. */
#include "worker-store/store/hash.h"
#include "worker-store/store/summary.h"

#include "common/base/pairs.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct summary x;
	static uint8_t again[SUMMARY_MAX];

	if (size < 1)
		return 0;
	size_t n = size - 1;
	uint8_t *bytes = malloc(n + 1);
	memcpy(bytes, data + 1, n);
	if (data[0] & 1 && n >= 32 && sha256(span_of(bytes, n - 32), bytes + n - 32) < 0)
		abort();
	if (summary_parse(span_of(bytes, n), &x)) {
		if (!pairs_check(span_of(x.annotations, x.n_annotations)) ||
		    !span_is_text(span_str(x.user)))
			abort();
		if (summary_print(&x, again) != n || memcmp(again, bytes, n) != 0)
			abort();
	}
	free(bytes);
	return 0;
}
