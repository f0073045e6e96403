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

struct gunzip {
	int fd;
	bool open, end; /* a member has begun; the file has ended */
	struct inflate_state z;
	uint8_t in[1 << 16];
};

struct gunzip *
gunzip_new(int fd)
{
	struct gunzip *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->fd = fd;
	isal_inflate_init(&g->z);
	g->z.crc_flag = ISAL_GZIP; /* header and trailer of a member are its own affair */
	return g;
}

void
gunzip_free(struct gunzip *g)
{
	free(g);
}

static int
refill(struct gunzip *g)
{
	ssize_t n = fd_read_full(g->fd, g->in, sizeof(g->in));

	if (n < 0)
		return (int)n;
	g->end = n == 0;
	g->z.next_in = g->in;
	g->z.avail_in = (uint32_t)n;
	return 0;
}

ssize_t
gunzip_read(struct gunzip *g, void *p, size_t n)
{
	g->z.next_out = p;
	g->z.avail_out = (uint32_t)n;
	while (g->z.avail_out > 0) {
		if (g->z.avail_in == 0 && !g->end) {
			int r = refill(g);
			if (r < 0)
				return r;
		}
		if (g->z.avail_in == 0 && !g->open)
			break;
		uint32_t in = g->z.avail_in, out = g->z.avail_out;
		g->open = true;
		int r = isal_inflate(&g->z);
		if (r != ISAL_DECOMP_OK && r != ISAL_END_INPUT)
			return -EBADMSG;
		if (g->z.block_state == ISAL_BLOCK_FINISH) {
			isal_inflate_reset(&g->z);
			g->open = false;
		} else if (g->z.avail_in == in && g->z.avail_out == out && g->end) {
			return -EBADMSG; /* cut off */
		}
	}
	return (ssize_t)(n - g->z.avail_out);
}
