#include "worker-fetch/inflate/decoder.h"

#include "common/base/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
#include <zstd.h>
#include <zstd_errors.h>

struct zstd {
	ZSTD_DCtx *ctx;
	bool between; /* a frame is complete and no byte of another has come */
};

void *
zstd_new(void)
{
	struct zstd *z = calloc(1, sizeof(*z));

	if (!z)
		return NULL;
	z->ctx = ZSTD_createDCtx();
	if (!z->ctx || ZSTD_isError(ZSTD_DCtx_setParameter(
			   z->ctx, ZSTD_d_windowLogMax, LIMIT_ZSTD_WINDOW_LOG))) {
		zstd_free(z);
		return NULL;
	}
	return z;
}

void
zstd_free(void *s)
{
	struct zstd *z = s;

	ZSTD_freeDCtx(z->ctx);
	free(z);
}

static int
explain(size_t r, struct err *e)
{
	switch (ZSTD_getErrorCode(r)) {
	case ZSTD_error_frameParameter_windowTooLarge:
		return err_set(e, ERR_CONTENT,
		    "the zstd stream needs a window larger than 2^%d bytes; compress it "
		    "with "
		    "--long=%d or less",
		    LIMIT_ZSTD_WINDOW_LOG, LIMIT_ZSTD_WINDOW_LOG);
	case ZSTD_error_dictionary_wrong:
		return err_set(e, ERR_CONTENT,
		    "the zstd stream asks for a dictionary, which a layer cannot have");
	case ZSTD_error_prefix_unknown:
		return err_set(e, ERR_CONTENT,
		    "the zstd stream has bytes behind its end that are no other frame");
	case ZSTD_error_memory_allocation:
		return err_set(e, ERR_INTERNAL, "no memory for the zstd stream's window");
	default:
		return err_set(e, ERR_CONTENT, "the zstd stream is damaged: %s",
		    ZSTD_getErrorName(r));
	}
}

ssize_t
zstd_step(void *s, struct span *in, uint8_t *out, size_t cap, struct err *e)
{
	struct zstd *z = s;
	ZSTD_inBuffer from = {in->p, in->n, 0};
	ZSTD_outBuffer to = {out, cap, 0};

	while (to.pos < cap && !(z->between && from.pos == from.size)) {
		size_t in_before = from.pos, out_before = to.pos;
		size_t r = ZSTD_decompressStream(z->ctx, &to, &from);
		if (ZSTD_isError(r))
			return explain(r, e);
		z->between = r == 0;
		if (from.pos == in_before && to.pos == out_before)
			break;
	}
	*in = span_from(*in, from.pos);
	return (ssize_t)to.pos;
}

int
zstd_end(void *s, struct err *e)
{
	struct zstd *z = s;

	if (!z->between)
		return err_set(
		    e, ERR_CONTENT, "the zstd stream ends in the middle of a frame");
	return 0;
}
