#include "worker-store/apply/side.h"

#include "common/base/fd.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

/* Room for one full segment behind another record's tail, so that segments end where the
 * format wants it, not where a buffer does. */
#define WRITE_BUF (2 * LIMIT_TAR_SPLIT_SEGMENT)
#define READ_BUF (SIDE_HEAD + SIDE_PAYLOAD_MAX)

static uint8_t *
put_u32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static uint8_t *
put_u64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static uint32_t
get_u32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t
get_u64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

int
side_open(struct side_writer *w, int fd)
{
	*w = (struct side_writer){.fd = fd};
	w->buf = malloc(WRITE_BUF);
	if (!w->buf)
		return -ENOMEM;
	memcpy(w->buf, SIDE_MAGIC, strlen(SIDE_MAGIC));
	w->n = w->segment = strlen(SIDE_MAGIC);
	return 0;
}

void
side_free(struct side_writer *w)
{
	free(w->buf);
	*w = (struct side_writer){.fd = -1};
}

/* Writes out what is complete; an open segment moves to the front. */
static int
flush(struct side_writer *w)
{
	int r = fd_write_all(w->fd, w->buf, w->segment);
	if (r < 0)
		return r;
	w->n -= w->segment;
	memmove(w->buf, w->buf + w->segment, w->n);
	w->segment = 0;
	return 0;
}

int
side_cut(struct side_writer *w)
{
	if (w->segment == w->n)
		return 0;
	w->buf[w->segment] = SIDE_SEGMENT;
	put_u32(w->buf + w->segment + 1, (uint32_t)(w->n - w->segment - SIDE_HEAD));
	w->segment = w->n;
	return 0;
}

int
side_raw(struct side_writer *w, const uint8_t *p, size_t n)
{
	while (n > 0) {
		if (w->segment == w->n && WRITE_BUF - w->n <= SIDE_HEAD) {
			int r = flush(w);
			if (r < 0)
				return r;
		}
		if (w->segment == w->n)
			w->n += SIDE_HEAD;
		size_t room = LIMIT_TAR_SPLIT_SEGMENT - (w->n - w->segment - SIDE_HEAD);
		if (room > WRITE_BUF - w->n)
			room = WRITE_BUF - w->n;
		if (room > n)
			room = n;
		memcpy(w->buf + w->n, p, room);
		w->n += room;
		p += room;
		n -= room;
		int r = 0;
		if (w->n - w->segment == SIDE_HEAD + LIMIT_TAR_SPLIT_SEGMENT)
			r = side_cut(w);
		else if (w->n == WRITE_BUF)
			r = flush(w);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A record of n payload bytes at the end of the buffer; *p is where they go. */
static int
record(struct side_writer *w, enum side_kind kind, size_t n, uint8_t **p)
{
	int r = side_cut(w);
	if (r < 0)
		return r;
	if (WRITE_BUF - w->n < SIDE_HEAD + n) {
		r = flush(w);
		if (r < 0)
			return r;
	}
	w->buf[w->n] = (uint8_t)kind;
	*p = put_u32(w->buf + w->n + 1, (uint32_t)n);
	w->n += SIDE_HEAD + n;
	w->segment = w->n;
	return 0;
}

int
side_file(struct side_writer *w, struct span name, uint64_t size, uint64_t crc)
{
	uint8_t *p;
	int r = record(w, SIDE_FILE, 16 + name.n, &p);
	if (r < 0)
		return r;
	p = put_u64(put_u64(p, size), crc);
	memcpy(p, name.p, name.n);
	return 0;
}

int
side_name(struct side_writer *w, enum side_kind kind, struct span name)
{
	uint8_t *p;
	int r = record(w, kind, name.n, &p);
	if (r < 0)
		return r;
	if (name.n)
		memcpy(p, name.p, name.n);
	return 0;
}

int
side_end(struct side_writer *w, const struct apply_result *res)
{
	uint64_t root = (uint64_t)res->root_given << 12 | res->root_mode;
	uint64_t owner = (uint64_t)res->root_uid << 32 | res->root_gid;
	uint64_t words[SIDE_END_WORDS] = {res->bytes, res->entries, res->tree_bytes,
	    res->devices_left_out, res->xattrs_dropped, root, owner,
	    (uint64_t)res->uids.n << 32 | res->gids.n};
	uint8_t *p;

	int r = record(w, SIDE_END, sizeof(words) + 4 * (res->uids.n + res->gids.n), &p);
	if (r < 0)
		return r;
	for (size_t i = 0; i < SIDE_END_WORDS; i++)
		p = put_u64(p, words[i]);
	for (uint32_t i = 0; i < res->uids.n; i++)
		p = put_u32(p, res->uids.ids[i]);
	for (uint32_t i = 0; i < res->gids.n; i++)
		p = put_u32(p, res->gids.ids[i]);
	return flush(w);
}

int
side_read_open(struct side_reader *r, int fd)
{
	*r = (struct side_reader){.fd = fd};
	r->buf = malloc(READ_BUF);
	return r->buf ? 0 : -ENOMEM;
}

void
side_read_free(struct side_reader *r)
{
	free(ptr_steal(&r->buf));
}

static int
bad(struct err *err, const char *what)
{
	return err_set(err, ERR_CONTENT, "the layer's side file is invalid: %s", what);
}

/* At least want bytes from r->at on. 1, 0 when the file ends before, negative with *err.
 */
static int
fill(struct side_reader *r, size_t want, struct err *err)
{
	if (r->n - r->at >= want)
		return 1;
	memmove(r->buf, r->buf + r->at, r->n - r->at);
	r->n -= r->at;
	r->at = 0;
	ssize_t got = fd_read_full(r->fd, r->buf + r->n, READ_BUF - r->n);
	if (got < 0)
		return err_errno(err, (int)got, "cannot read the layer's side file");
	r->n += (size_t)got;
	return r->n >= want;
}

static bool
owners(struct apply_owners *o, uint64_t n, const uint8_t **p)
{
	o->n = (uint32_t)n;
	for (uint32_t i = 0; i < o->n; i++, *p += 4) {
		o->ids[i] = get_u32(*p);
		if (i && o->ids[i] <= o->ids[i - 1])
			return false;
	}
	return true;
}

static int
parse_end(struct side_reader *r, struct span in, struct err *err)
{
	struct apply_result *res = &r->result;
	uint64_t w[SIDE_END_WORDS];

	if (in.n < sizeof(w))
		return bad(err, "a short end record");
	for (size_t i = 0; i < SIDE_END_WORDS; i++)
		w[i] = get_u64(in.p + 8 * i);
	uint64_t uids = w[7] >> 32, gids = (uint32_t)w[7];
	if (uids > LIMIT_OWNERS || gids > LIMIT_OWNERS ||
	    in.n != sizeof(w) + 4 * (uids + gids) || w[5] >> 13)
		return bad(err, "an end record out of bounds");
	*res = (struct apply_result){.bytes = w[0],
	    .entries = w[1],
	    .tree_bytes = w[2],
	    .devices_left_out = w[3],
	    .xattrs_dropped = w[4],
	    .root_given = w[5] >> 12,
	    .root_mode = w[5] & 07777,
	    .root_uid = (uint32_t)(w[6] >> 32),
	    .root_gid = (uint32_t)w[6]};
	const uint8_t *p = in.p + sizeof(w);
	if (!owners(&res->uids, uids, &p) || !owners(&res->gids, gids, &p))
		return bad(err, "owners out of order");
	r->ended = true;
	return 0;
}

static int
parse(struct side_reader *r, struct side_record *rec, struct span in, struct err *err)
{
	switch (rec->kind) {
	case SIDE_SEGMENT:
		rec->data = in;
		return in.n ? 0 : bad(err, "an empty segment");
	case SIDE_FILE:
		if (in.n <= 16)
			return bad(err, "a short file record");
		rec->size = get_u64(in.p);
		rec->crc = get_u64(in.p + 8);
		rec->data = span_from(in, 16);
		if (rec->size == 0 || rec->size > LIMIT_LAYER_HARD)
			return bad(err, "a file of impossible size");
		break;
	case SIDE_NODE:
		rec->data = in;
		if (in.n == 0)
			return bad(err, "an entry without a name");
		break;
	case SIDE_OPAQUE:
		rec->data = in;
		break;
	case SIDE_END:
		return parse_end(r, in, err);
	default:
		return bad(err, "an unknown record");
	}
	if (rec->data.n > LIMIT_PATH ||
	    (rec->data.n && memchr(rec->data.p, 0, rec->data.n)))
		return bad(err, "a name with a NUL or over 4095 bytes");
	return 0;
}

static int
read_magic(struct side_reader *r, struct err *err)
{
	size_t n = strlen(SIDE_MAGIC);
	int got = fill(r, n, err);

	if (got < 0)
		return got;
	if (!got || memcmp(r->buf, SIDE_MAGIC, n) != 0)
		return bad(err, "not a side file");
	r->at = n;
	r->started = true;
	return 0;
}

int
side_read(struct side_reader *r, struct side_record *rec, struct err *err)
{
	int got = r->started ? 0 : read_magic(r, err);
	if (got < 0)
		return got;
	got = fill(r, r->ended ? 1 : SIDE_HEAD, err);
	if (got < 0)
		return got;
	if (r->ended)
		return got ? bad(err, "bytes after its end") : 0;
	if (!got)
		return bad(err, "it ends early");
	size_t n = get_u32(r->buf + r->at + 1);
	if (n > SIDE_PAYLOAD_MAX)
		return bad(err, "a record out of bounds");
	got = fill(r, SIDE_HEAD + n, err);
	if (got < 0)
		return got;
	if (!got)
		return bad(err, "it ends inside a record");
	*rec = (struct side_record){.kind = r->buf[r->at]};
	struct span in = span_of(r->buf + r->at + SIDE_HEAD, n);
	r->at += SIDE_HEAD + n;
	got = parse(r, rec, in, err);
	return got < 0 ? got : 1;
}
