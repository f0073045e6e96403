/* A whole layer from any bytes, in a directory beside a sentinel. What is accepted must
 * give its bytes back, pass the check, and be removable. The first byte picks the size of
 * the pieces. */
#include "tests/apply/layer.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
mark(void *arg, int dirfd)
{
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t chunks[] = {1 << 20, 512, 700, 7};
	static struct layer l;
	struct apply_limits limits = {
	    .bytes = 1 << 20, .entries = 1000, .depth = LIMIT_PATH_DEPTH};
	struct apply_opaque opaque = {mark, NULL};

	if (geteuid() != 0 || size == 0)
		return 0;
	struct tarball t = {.p = (uint8_t *)(uintptr_t)(data + 1), .n = size - 1};
	layer_open(&l);
	if (layer_untar(&l, &t, chunks[data[0] & 3], &limits) == 0) {
		if (!layer_reassembles(&l, &t))
			abort();
		int out = memfd_create("out", 0);
		if (apply_check(
			l.root, l.side, out, &opaque, &limits, &l.result, &l.err) < 0)
			abort();
		close(out);
	} else if (l.err.code != ERR_CONTENT) {
		abort(); /* no bytes may look like a failing disk or a bug */
	}
	layer_close(&l);
	return 0;
}
