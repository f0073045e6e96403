#include "worker-store/apply/split_read.h"

#include "common/base/base64.h"
#include "worker-store/apply/isal.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_CAP (64u << 10)

static int
damaged(struct err *err, const char *what)
{
	return err_set(err, ERR_CONTENT, "its tar-split file is damaged: %s", what);
}

int
split_read_open(struct split_reader *r, int fd)
{
	*r = (struct split_reader){.cap = FIRST_CAP};
	r->gz = gunzip_new(fd);
	r->buf = malloc(r->cap);
	return r->gz && r->buf ? 0 : -ENOMEM;
}

void
split_read_free(struct split_reader *r)
{
	gunzip_free(r->gz);
	free(r->buf);
	*r = (struct split_reader){0};
}

/* ---- one line: an object of texts and numbers, nothing nested ---- */

struct cursor {
	uint8_t *p, *end;
};

static bool
eat(struct cursor *c, char what)
{
	if (c->p == c->end || *c->p != (uint8_t)what)
		return false;
	c->p++;
	return true;
}

static bool
eat_number(struct cursor *c, uint64_t *v)
{
	const uint8_t *from = c->p;

	for (*v = 0; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++) {
		if (*v > (UINT64_MAX - 9) / 10)
			return false;
		*v = *v * 10 + (*c->p - '0');
	}
	return c->p > from;
}

/* The four digits behind \u. */
static bool
eat_unit(struct cursor *c, uint32_t *v)
{
	uint8_t bytes[2];

	if (c->end - c->p < 4 || !hex_decode(span_of(c->p, 4), bytes, sizeof(bytes)))
		return false;
	*v = (uint32_t)bytes[0] << 8 | bytes[1];
	c->p += 4;
	return true;
}

/* Never longer than the six or twelve bytes it was written with. */
static uint8_t *
put_utf8(uint8_t *d, uint32_t v)
{
	if (v < 0x80) {
		*d++ = (uint8_t)v;
		return d;
	}
	unsigned more = v < 0x800 ? 1 : v < 0x10000 ? 2 : 3;
	*d++ = (uint8_t)(0xff00 >> (more + 1) | v >> 6 * more);
	while (more--)
		*d++ = (uint8_t)(0x80 | (v >> 6 * more & 63));
	return d;
}

static bool
eat_escape(struct cursor *c, uint8_t **d)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	uint32_t v, low;

	if (c->p == c->end)
		return false;
	const char *simple = *c->p ? strchr(from, *c->p) : NULL;
	if (simple) {
		c->p++;
		*(*d)++ = (uint8_t)to[simple - from];
		return true;
	}
	if (!eat(c, 'u') || !eat_unit(c, &v))
		return false;
	if (v >= 0xd800 && v < 0xdc00) {
		if (!eat(c, '\\') || !eat(c, 'u') || !eat_unit(c, &low) || low < 0xdc00 ||
		    low > 0xdfff)
			return false;
		v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
	}
	if (v >= 0xdc00 && v < 0xe000)
		return false;
	*d = put_utf8(*d, v);
	return true;
}

/* A JSON string, decoded in place. */
static bool
eat_text(struct cursor *c, struct span *out)
{
	if (!eat(c, '"'))
		return false;
	uint8_t *d = c->p, *from = c->p;
	while (c->p < c->end && *c->p != '"') {
		uint8_t b = *c->p++;
		if (b < 0x20 || (b == '\\' && !eat_escape(c, &d)))
			return false;
		if (b != '\\')
			*d++ = b;
	}
	*out = span_of(from, (size_t)(d - from));
	return eat(c, '"');
}

/* Base64 with padding, decoded in place: what is written never passes what is read. */
static bool
decode64(struct span *text)
{
	ssize_t n = base64_decode(*text, (uint8_t *)(uintptr_t)text->p, text->n);

	if (n >= 0)
		text->n = (size_t)n;
	return n >= 0;
}

struct line {
	uint64_t type, size, position;
	struct span name, raw, payload;
	bool has_name, has_raw, has_payload;
};

/* The value of one member; null is as good as none. */
static bool
eat_member(struct cursor *c, struct line *l, struct span key)
{
	if (c->end - c->p >= 4 && memcmp(c->p, "null", 4) == 0) {
		c->p += 4;
		return true;
	}
	if (span_is(key, "type"))
		return eat_number(c, &l->type);
	if (span_is(key, "size"))
		return eat_number(c, &l->size);
	if (span_is(key, "position"))
		return eat_number(c, &l->position);
	if (span_is(key, "name"))
		return l->has_name = eat_text(c, &l->name);
	if (span_is(key, "name_raw"))
		return l->has_raw = eat_text(c, &l->raw) && decode64(&l->raw);
	if (span_is(key, "payload"))
		return l->has_payload = eat_text(c, &l->payload) && decode64(&l->payload);
	return false;
}

static bool
eat_line(struct cursor *c, struct line *l)
{
	struct span key;

	if (!eat(c, '{'))
		return false;
	do {
		if (!eat_text(c, &key) || !eat(c, ':') || !eat_member(c, l, key))
			return false;
	} while (eat(c, ','));
	return eat(c, '}') && c->p == c->end;
}

static int
parse(struct span text, struct split_record *rec, struct err *err)
{
	uint8_t *p = (uint8_t *)(uintptr_t)text.p;
	struct cursor c = {p, p + text.n};
	struct line l = {0};

	*rec = (struct split_record){0};
	if (!eat_line(&c, &l))
		return damaged(err, "a line is not what tar-split writes");
	if (l.type == 2 && l.has_payload) {
		rec->data = l.payload;
		return 1;
	}
	rec->file = true;
	rec->size = l.size;
	rec->data = l.has_name ? l.name : l.raw;
	if (l.type != 1 || rec->data.n == 0)
		return damaged(err, "a line is neither an entry nor a segment");
	if (l.size == 0)
		return 1;
	if (l.size > LIMIT_LAYER_HARD || l.payload.n != 8)
		return damaged(err, "an entry has no checksum, or an impossible size");
	for (size_t i = 0; i < 8; i++)
		rec->crc = rec->crc << 8 | l.payload.p[i];
	return 1;
}

/* ---- lines ---- */

static int
more(struct split_reader *r, struct err *err)
{
	memmove(r->buf, r->buf + r->at, r->n - r->at);
	r->n -= r->at;
	r->at = 0;
	if (r->n == r->cap) {
		if (r->cap >= LIMIT_TAR_SPLIT_LINE)
			return damaged(err, "a line is longer than any can be");
		assert(r->cap);
		uint8_t *p = realloc(r->buf, 2 * r->cap);
		if (!p)
			return err_errno(err, ENOMEM, "reading a tar-split file");
		r->buf = p;
		r->cap *= 2;
	}
	ssize_t n = gunzip_read(r->gz, r->buf + r->n, r->cap - r->n);
	if (n == -EBADMSG)
		return damaged(err, "it is not whole");
	if (n < 0)
		return err_errno(err, (int)-n, "cannot read its tar-split file");
	r->end = (size_t)n < r->cap - r->n;
	r->n += (size_t)n;
	return 0;
}

int
split_read(struct split_reader *r, struct split_record *rec, struct err *err)
{
	size_t seen = 0;

	for (;;) {
		uint8_t *from = r->buf + r->at;
		uint8_t *nl = r->n - r->at > seen
				  ? memchr(from + seen, '\n', r->n - r->at - seen)
				  : NULL;
		if (nl) {
			r->at = (size_t)(nl + 1 - r->buf);
			return parse(span_of(from, (size_t)(nl - from)), rec, err);
		}
		seen = r->n - r->at;
		if (r->end)
			return seen ? damaged(err, "its last line is cut off") : 0;
		int v = more(r, err);
		if (v < 0)
			return v;
	}
}
