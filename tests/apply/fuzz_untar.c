/* A whole layer from any bytes, in a directory beside a sentinel. What is accepted must
 * give its bytes back, pass the check, be found undamaged, and be removable. The first
 * byte picks the size of the pieces. */
#include "tests/apply/layer.h"

#include "common/base/fd.h"

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

static int
same(void *arg, const uint8_t *p, size_t n)
{
	struct span *left = arg;

	if (n > left->n || memcmp(p, left->p, n) != 0)
		abort();
	*left = span_from(*left, n);
	return 0;
}

static void
check_and_verify(struct layer *l, struct span left, const struct apply_limits *limits)
{
	struct apply_opaque opaque = {mark, NULL};
	struct apply_sink sink = {same, &left};
	FD_AUTO out = memfd_create("out", 0);

	if (apply_check(l->root, l->side, out, &opaque, limits, &l->result, &l->err) < 0)
		abort();
	if (lseek(out, 0, SEEK_SET) != 0 ||
	    apply_verify(l->root, out, &sink, limits, &l->result, &l->err) < 0 || left.n)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t chunks[] = {1 << 20, 512, 700, 7};
	static struct layer l;
	struct apply_limits limits = {
	    .bytes = 1 << 20, .entries = 1000, .depth = LIMIT_PATH_DEPTH};

	if (geteuid() != 0 || size == 0)
		return 0;
	struct tarball t = {.p = (uint8_t *)(uintptr_t)(data + 1), .n = size - 1};
	layer_open(&l);
	if (layer_untar(&l, &t, chunks[data[0] & 3], &limits) == 0) {
		if (!layer_reassembles(&l, &t))
			abort();
		check_and_verify(&l, span_of(t.p, t.n), &limits);
	} else if (l.err.code != ERR_CONTENT) {
		abort(); /* no bytes may look like a failing disk or a bug */
	}
	layer_close(&l);
	return 0;
}
