#include "worker-store/apply/tar_split.h"

#include "common/base/limits.h"
#include "worker-store/apply/isal.h"

#include <errno.h>
#include <stdlib.h>

#define STEP (12 * 1024) /* segment bytes encoded at once, a multiple of 3 */
#define FILE_LINE (6 * LIMIT_PATH + 256) /* of a file */

/* Lines are gathered: the compressor copies what comes in small pieces. */
struct tar_split {
	struct gzip *gz;
	uint64_t position;
	size_t n;
	char text[64 * 1024];
};
_Static_assert(sizeof(((struct tar_split *)0)->text) >= STEP / 3 * 4 + FILE_LINE, "room");

struct tar_split *
tar_split_new(int fd)
{
	struct tar_split *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->gz = gzip_new(fd);
	if (!t->gz)
		free(ptr_steal(&t));
	return t;
}

void
tar_split_free(struct tar_split *t)
{
	if (t)
		gzip_free(t->gz);
	free(t);
}

size_t
tar_split_base64(struct span in, char *dst)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *d = dst;
	size_t i = 0;

	while (i + 3 <= in.n) {
		/* Two thirds of a header and its padding. */
		static const uint8_t zeros[24];
		if (i + sizeof(zeros) <= in.n &&
		    memcmp(in.p + i, zeros, sizeof(zeros)) == 0) {
			memset(d, 'A', sizeof(zeros) / 3 * 4);
			i += sizeof(zeros);
			d += sizeof(zeros) / 3 * 4;
			continue;
		}
		uint32_t v =
		    (uint32_t)in.p[i] << 16 | (uint32_t)in.p[i + 1] << 8 | in.p[i + 2];
		d[0] = digits[v >> 18];
		d[1] = digits[v >> 12 & 63];
		d[2] = digits[v >> 6 & 63];
		d[3] = digits[v & 63];
		i += 3;
		d += 4;
	}
	if (i == in.n)
		return (size_t)(d - dst);
	bool two = i + 2 == in.n;
	uint32_t v = (uint32_t)in.p[i] << 16 | (two ? (uint32_t)in.p[i + 1] << 8 : 0);
	d[0] = digits[v >> 18];
	d[1] = digits[v >> 12 & 63];
	d[2] = two ? digits[v >> 6 & 63] : '=';
	d[3] = '=';
	return (size_t)(d - dst) + 4;
}

/* encoding/json escapes <, >, & for HTML's sake and U+2028, U+2029 for JavaScript's. */
static size_t
quote_one(const uint8_t *p, char *d)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t c = *p;

	if (c == '"' || c == '\\') {
		d[0] = '\\';
		d[1] = (char)c;
		return 2;
	}
	if (c == '\n' || c == '\r' || c == '\t') {
		d[0] = '\\';
		d[1] = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
		return 2;
	}
	if (c < 0x20 || c == '<' || c == '>' || c == '&') {
		memcpy(d, "\\u00", 4);
		d[4] = hex[c >> 4];
		d[5] = hex[c & 15];
		return 6;
	}
	d[0] = (char)c;
	return 1;
}

size_t
tar_split_quote(struct span text, char *dst)
{
	char *d = dst;

	*d++ = '"';
	for (size_t i = 0; i < text.n; i++) {
		const uint8_t *p = text.p + i;
		if (p[0] == 0xe2 && text.n - i >= 3 && p[1] == 0x80 &&
		    (p[2] | 1) == 0xa9) {
			memcpy(d, p[2] & 1 ? "\\u2029" : "\\u2028", 6);
			d += 6;
			i += 2;
			continue;
		}
		d += quote_one(p, d);
	}
	*d++ = '"';
	return (size_t)(d - dst);
}

static int
flush(struct tar_split *t)
{
	int r = gzip_write(t->gz, t->text, t->n);

	t->n = 0;
	return r;
}

/* Room for n more bytes. */
static int
make_room(struct tar_split *t, size_t n)
{
	return sizeof(t->text) - t->n < n ? flush(t) : 0;
}

static void
put(struct tar_split *t, const char *text)
{
	size_t n = strlen(text);

	memcpy(t->text + t->n, text, n);
	t->n += n;
}

static void
put_base64(struct tar_split *t, struct span bytes)
{
	t->n += tar_split_base64(bytes, t->text + t->n);
}

static void
put_number(struct tar_split *t, uint64_t v)
{
	char digits[21], *d = digits + sizeof(digits) - 1;

	*d = 0;
	do
		*--d = (char)('0' + v % 10);
	while (v /= 10);
	put(t, d);
}

static void
put_name(struct tar_split *t, struct span name)
{
	if (span_is_text(name)) {
		put(t, ",\"name\":");
		t->n += tar_split_quote(name, t->text + t->n);
		return;
	}
	put(t, ",\"name_raw\":\"");
	put_base64(t, name);
	put(t, "\"");
}

static void
put_position(struct tar_split *t)
{
	put(t, ",\"position\":");
	put_number(t, t->position++);
	put(t, "}\n");
}

int
tar_split_file(struct tar_split *t, struct span name, uint64_t size, uint64_t crc)
{
	if (name.n == 0 || name.n > LIMIT_PATH)
		return -EINVAL;
	int r = make_room(t, FILE_LINE);
	if (r < 0)
		return r;
	put(t, "{\"type\":1");
	put_name(t, name);
	if (size) {
		uint8_t sum[8];
		for (int i = 0; i < 8; i++)
			sum[i] = (uint8_t)(crc >> (56 - 8 * i));
		put(t, ",\"size\":");
		put_number(t, size);
		put(t, ",\"payload\":\"");
		put_base64(t, span_of(sum, sizeof(sum)));
		put(t, "\"");
	} else {
		put(t, ",\"payload\":null");
	}
	put_position(t);
	return 0;
}

int
tar_split_segment(struct tar_split *t, struct span bytes)
{
	int r = make_room(t, FILE_LINE);

	if (r < 0)
		return r;
	put(t, "{\"type\":2,\"payload\":\"");
	for (size_t at = 0; at < bytes.n; at += STEP) {
		struct span part = span_from(bytes, at);
		if (part.n > STEP)
			part.n = STEP;
		r = make_room(t, STEP / 3 * 4 + FILE_LINE);
		if (r < 0)
			return r;
		put_base64(t, part);
	}
	put(t, "\"");
	put_position(t);
	return 0;
}

int
tar_split_finish(struct tar_split *t, uint64_t *bytes)
{
	int r = flush(t);

	return r < 0 ? r : gzip_finish(t->gz, bytes);
}
