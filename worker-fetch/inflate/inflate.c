#include "worker-fetch/inflate/inflate.h"

#include "worker-fetch/inflate/decoder.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>

/* The longest magic that is looked for (xz); every valid gzip or zstd stream is longer.
 */
#define MAGIC 6

struct inflate {
	enum inflate_format format;
	void *decoder;
	uint8_t magic[MAGIC];
	size_t have;  /* bytes of magic collected */
	size_t given; /* of them handed to the decoder */
};

static const struct {
	const char *name;
	void *(*make)(void);
	void (*free)(void *s);
	ssize_t (*step)(
	    void *s, struct span *in, uint8_t *out, size_t cap, struct err *e);
	int (*end)(void *s, struct err *e);
} decoders[] = {
    [INFLATE_GZIP] = {"gzip", gzip_new, gzip_free, gzip_step, gzip_end},
    [INFLATE_ZSTD] = {"zstd", zstd_new, zstd_free, zstd_step, zstd_end},
};

static const struct {
	const char *name;
	const char *bytes;
	int format; /* -1: none of ours */
	uint8_t n;
} magics[] = {
    {"gzip", "\x1f\x8b", INFLATE_GZIP, 2},
    {"zstd", "\x28\xb5\x2f\xfd", INFLATE_ZSTD, 4},
    {"bzip2", "BZh", -1, 3},
    {"xz",
	"\xfd"
	"7zXZ\0",
	-1, 6},
    {"lzma", "\x5d\0\0", -1, 3},
    {"lz4", "\x04\x22\x4d\x18", -1, 4},
    {"compress", "\x1f\x9d", -1, 2},
};

int
inflate_new(struct inflate **out, enum inflate_format format)
{
	if ((unsigned)format >= ARRAY_LEN(decoders))
		return -EINVAL;
	struct inflate *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->format = format;
	s->decoder = decoders[format].make();
	if (!s->decoder) {
		free(s);
		return -ENOMEM;
	}
	*out = s;
	return 0;
}

void
inflate_free(struct inflate *s)
{
	if (!s)
		return;
	decoders[s->format].free(s->decoder);
	free(s);
}

/* A zstd stream may begin with a skippable frame: 0x184D2A50 to 0x184D2A5F. */
static bool
skippable(const uint8_t *p)
{
	return (p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18;
}

static int
check_magic(const struct inflate *s, struct err *e)
{
	const char *promised = decoders[s->format].name;

	if (s->format == INFLATE_ZSTD && skippable(s->magic))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(magics); i++) {
		if (memcmp(s->magic, magics[i].bytes, magics[i].n) != 0)
			continue;
		if (magics[i].format == (int)s->format)
			return 0;
		return err_set(e, ERR_CONTENT,
		    "the layer's media type says %s, its bytes are %s%s", promised,
		    magics[i].name,
		    magics[i].format < 0
			? ", which is not supported; push it as gzip or zstd"
			: "; the image has to be pushed again");
	}
	return err_set(e, ERR_CONTENT,
	    "the layer's media type says %s, but its bytes are not %s (they begin with "
	    "%02x%02x%02x%02x)",
	    promised, promised, s->magic[0], s->magic[1], s->magic[2], s->magic[3]);
}

/* 0 when the magic is complete and right, 1 when more bytes are needed. */
static int
collect(struct inflate *s, struct span *in, struct err *e)
{
	if (s->have == MAGIC)
		return 0;
	while (s->have < MAGIC && in->n > 0) {
		s->magic[s->have++] = in->p[0];
		*in = span_from(*in, 1);
	}
	return s->have < MAGIC ? 1 : check_magic(s, e);
}

ssize_t
inflate_step(struct inflate *s, struct span *in, uint8_t *out, size_t cap, struct err *e)
{
	size_t made = 0;
	ssize_t n = 0;
	int r = collect(s, in, e);

	if (r != 0)
		return r < 0 ? r : 0;
	if (s->given < MAGIC) {
		struct span first = span_of(s->magic + s->given, MAGIC - s->given);
		n = decoders[s->format].step(s->decoder, &first, out, cap, e);
		if (n < 0)
			return n;
		s->given = MAGIC - first.n;
		made = (size_t)n;
	}
	if (s->given == MAGIC)
		n = decoders[s->format].step(s->decoder, in, out + made, cap - made, e);
	return n < 0 ? n : (ssize_t)(made + (size_t)n);
}

int
inflate_end(struct inflate *s, struct err *e)
{
	if (s->have < MAGIC)
		return err_set(e, ERR_CONTENT,
		    "the layer has only %zu bytes, which is no %s stream", s->have,
		    decoders[s->format].name);
	return decoders[s->format].end(s->decoder, e);
}
