#include "worker-fetch/inflate/room.h"

#include "common/ipc/values.h"
#include "worker-fetch/inflate/pump.h"

#include <errno.h>

#define SEND_MS 10000

static int
meet(struct chan *control, struct chan *hash)
{
	struct ipc_msg m;
	int e = control_wait(control, &m, -1);

	if (e == CHAN_CLOSED)
		return INFLATE_EXIT_FAILED;
	if (e != 0 || m.type != MSG_peer || m.peer.channel != CH_hash_inflate)
		return INFLATE_EXIT_PROTOCOL;
	int fd = ipc_msg_take_fd(&m, 0);
	e = chan_init(hash, fd, CH_hash_inflate, ROOM_INFLATE, ROOM_HASH);
	return e < 0 ? INFLATE_EXIT_FAILED : 0;
}

static int
take_ring(struct chan *hash, enum ipc_type type, struct ring *ring, uint64_t *compression)
{
	struct ipc_msg m;
	const char *why;
	bool in = type == MSG_inflate_in;
	int e = chan_recv_wait(hash, &m, -1, &why);

	if (e == CHAN_CLOSED)
		return INFLATE_EXIT_FAILED;
	if (e != 0)
		return INFLATE_EXIT_PROTOCOL;
	e = -EPROTO;
	if (m.type == type)
		e = ring_attach(ring, in ? RING_CONSUMER : RING_PRODUCER,
		    in ? RING_BLOB : RING_TAR, m.fds);
	if (e == 0 && in)
		*compression = m.inflate_in.compression;
	ipc_msg_release(&m);
	return e == 0 ? 0 : e == -EPROTO ? INFLATE_EXIT_PROTOCOL : INFLATE_EXIT_FAILED;
}

static int
nap(struct pump *p, struct chan *control)
{
	struct ring *wait = pump_waits(p);
	struct pollfd extra = {.fd = control->fd, .events = POLLIN};
	int e = ring_wait(&wait, 1, &extra, 1, -1);

	if (e < 0)
		return e;
	return extra.revents ? -EPIPE : 0; /* nothing but the end can come */
}

static int
pump_run(struct pump *p, struct chan *control, struct err *err)
{
	for (;;) {
		int e = pump_step(p, err);
		if (e < 0)
			return e;
		if (e == PUMP_DONE)
			return 0;
		e = e == PUMP_IDLE ? nap(p, control) : 0;
		if (e < 0)
			return e;
	}
}

static int
refuse(struct chan *hash, struct ring *out, const struct err *err)
{
	if (err->code != ERR_OK) {
		struct ipc_msg m = IPC_MSG(inflate_failed, .code = (uint64_t)err->code,
		    .text = span_of(err->text, strnlen(err->text, 512)));
		int e = chan_send_wait(hash, &m, SEND_MS);
		(void)e; /* the aborted ring says it too */
	}
	ring_finish(out, RING_ABORTED);
	return INFLATE_EXIT_FAILED;
}

static int
work(struct chan *control, struct chan *hash, struct pump *p)
{
	struct err err = {0};
	uint64_t compression = COMPRESSION_NONE;
	int e = take_ring(hash, MSG_inflate_in, p->in, &compression);

	if (e == 0)
		e = take_ring(hash, MSG_inflate_out, p->out, NULL);
	if (e == 0 && compression != COMPRESSION_GZIP && compression != COMPRESSION_ZSTD)
		e = INFLATE_EXIT_PROTOCOL;
	if (e != 0)
		return e;
	e = inflate_new(
	    &p->inflate, compression == COMPRESSION_GZIP ? INFLATE_GZIP : INFLATE_ZSTD);
	if (e < 0)
		err_errno(&err, -e, "starting to inflate");
	else
		e = pump_run(p, control, &err);
	return e < 0 ? refuse(hash, p->out, &err) : INFLATE_EXIT_DONE;
}

int
inflate_room(struct chan *control)
{
	struct chan hash = {.fd = -1};
	struct ring in = RING_CLOSED, out = RING_CLOSED;
	struct pump pump = {.in = &in, .out = &out};
	control->phase = IPC_RUN; /* no set-up message for this room */
	int e = meet(control, &hash);

	if (e == 0)
		e = work(control, &hash, &pump);
	inflate_free(pump.inflate);
	ring_close(&in);
	ring_close(&out);
	chan_release(&hash);
	return e;
}
