/* The one encoder (msgpack-c packs) and the one decoder (our cursor reads). */
#include "common/ipc/cursor.h"
#include "common/ipc/msg.h"

#include <errno.h>
#include <msgpack.h>
#include <unistd.h>

#include "common/base/fd.h"

void
ipc_msg_release(struct ipc_msg *m)
{
	for (unsigned i = 0; i < m->nfds; i++)
		fd_close(&m->fds[i]);
	m->nfds = 0;
}

int
ipc_msg_take_fd(struct ipc_msg *m, unsigned i)
{
	assert(i < m->nfds);
	return fd_steal(&m->fds[i]);
}

/* ---- encoding ---- */

struct out {
	uint8_t *buf;
	size_t n, cap;
};

static int
out_write(void *arg, const char *p, size_t n)
{
	struct out *o = arg;

	if (n > o->cap - o->n)
		return -1;
	memcpy(o->buf + o->n, p, n);
	o->n += n;
	return 0;
}

/* The union's members all start where the union starts. */
static const uint8_t *
msg_body(const struct ipc_msg *m)
{
	return (const uint8_t *)&m->hello;
}

static int
pack_list(msgpack_packer *pk, const uint8_t *at, uint64_t limit)
{
	uint32_t n;
	uint64_t v;

	memcpy(&n, at, sizeof(n));
	if (n > limit)
		return -EINVAL;
	int r = msgpack_pack_array(pk, n);
	for (uint32_t i = 0; i < n; i++) {
		memcpy(&v, at + 8 + 8 * (size_t)i, sizeof(v));
		r |= msgpack_pack_uint64(pk, v);
	}
	return r ? -EMSGSIZE : 0;
}

static int
pack_span(msgpack_packer *pk, const struct ipc_field *f, struct span s)
{
	int r;

	if (s.n > f->limit || (f->kind == IPC_T && !span_is_text(s)))
		return -EINVAL;
	if (f->kind == IPC_T)
		r = msgpack_pack_str(pk, s.n);
	else
		r = msgpack_pack_bin(pk, s.n);
	if (s.n)
		r |= f->kind == IPC_T ? msgpack_pack_str_body(pk, s.p, s.n)
				      : msgpack_pack_bin_body(pk, s.p, s.n);
	return r ? -EMSGSIZE : 0;
}

static int
pack_field(msgpack_packer *pk, const struct ipc_field *f, const uint8_t *body)
{
	const uint8_t *at = body + f->offset;
	uint64_t u;
	int64_t i;
	struct span s;

	if (msgpack_pack_uint8(pk, f->key))
		return -EMSGSIZE;
	switch ((enum ipc_kind)f->kind) {
	case IPC_U:
		memcpy(&u, at, sizeof(u));
		if (u > f->limit)
			return -EINVAL;
		return msgpack_pack_uint64(pk, u) ? -EMSGSIZE : 0;
	case IPC_I:
		memcpy(&i, at, sizeof(i));
		return msgpack_pack_int64(pk, i) ? -EMSGSIZE : 0;
	case IPC_B:
		if (msgpack_pack_bin(pk, f->limit) ||
		    msgpack_pack_bin_body(pk, at, f->limit))
			return -EMSGSIZE;
		return 0;
	case IPC_V:
	case IPC_T:
		memcpy(&s, at, sizeof(s));
		return pack_span(pk, f, s);
	case IPC_L:
		return pack_list(pk, at, f->limit);
	}
	return -EINVAL;
}

ssize_t
ipc_encode(const struct ipc_msg *m, uint8_t *buf, size_t cap)
{
	const struct ipc_row *row = ipc_row_find(m->type);
	if (!row)
		return -EINVAL;
	struct out o = {buf, 0, cap < row->cap ? cap : row->cap};
	msgpack_packer pk;

	msgpack_packer_init(&pk, &o, out_write);
	if (msgpack_pack_array(&pk, 2) || msgpack_pack_uint64(&pk, row->type) ||
	    msgpack_pack_map(&pk, row->nfields))
		return -EMSGSIZE;
	for (unsigned i = 0; i < row->nfields; i++) {
		int r = pack_field(&pk, &row->fields()[i], msg_body(m));
		if (r < 0)
			return r;
	}
	return (ssize_t)o.n;
}

/* ---- decoding ---- */

static void
read_list(struct cursor *c, const struct ipc_field *f, uint8_t *at)
{
	uint32_t n = cursor_array(c);
	if (n > f->limit) {
		cursor_fail(c, "list too long");
		return;
	}
	memcpy(at, &n, sizeof(n));
	for (uint32_t i = 0; i < n && !c->why; i++) {
		uint64_t v = cursor_uint(c);
		memcpy(at + 8 + 8 * (size_t)i, &v, sizeof(v));
	}
}

static void
read_span(struct cursor *c, const struct ipc_field *f, uint8_t *at)
{
	struct span s = f->kind == IPC_T ? cursor_str(c) : cursor_bin(c);

	if (f->kind == IPC_B && !c->why && s.n != f->limit)
		cursor_fail(c, "wrong length");
	if (s.n > f->limit)
		cursor_fail(c, "too long");
	if (f->kind == IPC_T && !span_is_text(s))
		cursor_fail(c, "not UTF-8 text");
	if (c->why)
		return;
	if (f->kind == IPC_B)
		memcpy(at, s.p, s.n);
	else
		memcpy(at, &s, sizeof(s));
}

static void
read_field(struct cursor *c, const struct ipc_field *f, uint8_t *body)
{
	uint8_t *at = body + f->offset;

	if (cursor_uint(c) != f->key)
		cursor_fail(c, "unknown, missing or misplaced key");
	if (c->why)
		return;
	switch ((enum ipc_kind)f->kind) {
	case IPC_U: {
		uint64_t u = cursor_uint(c);
		if (u > f->limit)
			cursor_fail(c, "over its limit");
		memcpy(at, &u, sizeof(u));
		return;
	}
	case IPC_I: {
		int64_t i = cursor_int(c);
		memcpy(at, &i, sizeof(i));
		return;
	}
	case IPC_B:
	case IPC_V:
	case IPC_T:
		read_span(c, f, at);
		return;
	case IPC_L:
		read_list(c, f, at);
		return;
	}
}

int
ipc_decode(struct span packet, struct ipc_msg *out, const char **why)
{
	struct cursor c = {packet, NULL};
	struct ipc_msg m = {0};

	if (cursor_array(&c) != 2)
		cursor_fail(&c, "not a message");
	uint64_t id = cursor_uint(&c);
	const struct ipc_row *row = ipc_row_find(id);
	if (!row)
		cursor_fail(&c, "unknown message");
	else if (packet.n > row->cap)
		cursor_fail(&c, "packet over its cap");
	else if (cursor_map(&c) != row->nfields)
		cursor_fail(&c, "wrong number of fields");
	for (unsigned i = 0; row && !c.why && i < row->nfields; i++)
		read_field(&c, &row->fields()[i], (uint8_t *)&m.hello);
	if (!c.why && c.left.n)
		cursor_fail(&c, "bytes left over");
	if (c.why || !row) {
		*why = c.why;
		return -EPROTO;
	}
	m.type = row->type;
	memcpy(m.fds, out->fds, sizeof(m.fds));
	m.nfds = out->nfds;
	*out = m;
	return 0;
}
