#include "worker-store/apply/tar_split.h"

#include "common/base/limits.h"
#include "worker-store/apply/isal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define STEP (48 * 1024) /* segment bytes encoded at once, a multiple of 3 */

struct tar_split {
	struct gzip *gz;
	uint64_t position;
	char text[STEP / 3 * 4];
};

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

	for (; i + 3 <= in.n; i += 3, d += 4) {
		uint32_t v =
		    (uint32_t)in.p[i] << 16 | (uint32_t)in.p[i + 1] << 8 | in.p[i + 2];
		d[0] = digits[v >> 18];
		d[1] = digits[v >> 12 & 63];
		d[2] = digits[v >> 6 & 63];
		d[3] = digits[v & 63];
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

static size_t
put_name(char *d, struct span name)
{
	if (span_is_text(name)) {
		memcpy(d, ",\"name\":", 8);
		return 8 + tar_split_quote(name, d + 8);
	}
	memcpy(d, ",\"name_raw\":\"", 13);
	size_t n = 13 + tar_split_base64(name, d + 13);
	d[n] = '"';
	return n + 1;
}

int
tar_split_file(struct tar_split *t, struct span name, uint64_t size, uint64_t crc)
{
	_Static_assert(sizeof(t->text) > 6 * LIMIT_PATH + 256, "one line fits");
	char *d = t->text, *end = t->text + sizeof(t->text);

	if (name.n == 0 || name.n > LIMIT_PATH)
		return -EINVAL;
	d += sprintf(d, "{\"type\":1");
	d += put_name(d, name);
	if (size) {
		uint8_t sum[8];
		for (int i = 0; i < 8; i++)
			sum[i] = (uint8_t)(crc >> (56 - 8 * i));
		d += snprintf(
		    d, (size_t)(end - d), ",\"size\":%" PRIu64 ",\"payload\":\"", size);
		d += tar_split_base64(span_of(sum, sizeof(sum)), d);
		*d++ = '"';
	} else {
		d += sprintf(d, ",\"payload\":null");
	}
	d +=
	    snprintf(d, (size_t)(end - d), ",\"position\":%" PRIu64 "}\n", t->position++);
	return gzip_write(t->gz, t->text, (size_t)(d - t->text));
}

int
tar_split_segment(struct tar_split *t, struct span bytes)
{
	static const char head[] = "{\"type\":2,\"payload\":\"";
	char tail[64];

	int r = gzip_write(t->gz, head, sizeof(head) - 1);
	for (size_t at = 0; r == 0 && at < bytes.n; at += STEP) {
		struct span part = span_from(bytes, at);
		if (part.n > STEP)
			part.n = STEP;
		r = gzip_write(t->gz, t->text, tar_split_base64(part, t->text));
	}
	if (r < 0)
		return r;
	int n =
	    snprintf(tail, sizeof(tail), "\",\"position\":%" PRIu64 "}\n", t->position++);
	return gzip_write(t->gz, tail, (size_t)n);
}

int
tar_split_finish(struct tar_split *t, uint64_t *bytes)
{
	return gzip_finish(t->gz, bytes);
}
