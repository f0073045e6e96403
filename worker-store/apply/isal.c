#include "worker-store/apply/isal.h"

#include "common/base/fd.h"

#include <errno.h>
#include <isa-l.h>
#include <stdlib.h>

struct gzip {
	int fd;
	uint64_t bytes;
	struct isal_zstream z;
	uint8_t level[ISAL_DEF_LVL1_DEFAULT];
	uint8_t out[1 << 17];
};

uint64_t
crc64(uint64_t crc, const uint8_t *p, size_t n)
{
	return crc64_iso_refl(crc, p, n);
}

struct gzip *
gzip_new(int fd)
{
	struct gzip *g = malloc(sizeof(*g));

	if (!g)
		return NULL;
	g->fd = fd;
	g->bytes = 0;
	isal_deflate_init(&g->z);
	g->z.level = 1;
	g->z.level_buf = g->level;
	g->z.level_buf_size = sizeof(g->level);
	g->z.gzip_flag = IGZIP_GZIP;
	g->z.flush = NO_FLUSH;
	g->z.next_out = g->out;
	g->z.avail_out = sizeof(g->out);
	return g;
}

void
gzip_free(struct gzip *g)
{
	free(g);
}

static int
drain(struct gzip *g)
{
	size_t n = sizeof(g->out) - g->z.avail_out;
	int r = fd_write_all(g->fd, g->out, n);
	if (r < 0)
		return r;
	g->bytes += n;
	g->z.next_out = g->out;
	g->z.avail_out = sizeof(g->out);
	return 0;
}

/* Until all input is in and, at the end, all output is out. */
static int
run(struct gzip *g)
{
	do {
		if (g->z.avail_out == 0) {
			int r = drain(g);
			if (r < 0)
				return r;
		}
		if (isal_deflate(&g->z) != COMP_OK)
			return -EIO;
	} while (
	    g->z.avail_in || (g->z.end_of_stream ? g->z.internal_state.state != ZSTATE_END
						 : g->z.avail_out == 0));
	return 0;
}

int
gzip_write(struct gzip *g, const void *p, size_t n)
{
	g->z.next_in = (uint8_t *)(uintptr_t)p;
	g->z.avail_in = (uint32_t)n;
	return run(g);
}

int
gzip_finish(struct gzip *g, uint64_t *bytes)
{
	g->z.next_in = NULL;
	g->z.avail_in = 0;
	g->z.end_of_stream = 1;
	int r = run(g);
	if (r < 0)
		return r;
	r = drain(g);
	*bytes = g->bytes;
	return r;
}
