/* bulkhead-apply: one layer's tree made, checked, verified or removed, in a process that
 * sees nothing else.
 * "/" is that tree. */
#include "common/ipc/control.h"
#include "common/ipc/ring.h"
#include "common/ipc/values.h"
#include "policy/sandbox/sandbox.h"
#include "worker-store/apply/apply.h"

#include "common/base/fd.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_PROTOCOL = 2 };
#define SEND_MS 10000
/* How long whoever broke the stream may take to tell the store why, before this room
 * reports it. */
#define BROKEN_MS 2000
#define RATE_SLACK_US 20000 /* ahead of the rate that is not worth a sleep */

static struct room_state {
	struct chan control, store, hash;
	struct ring ring;
	size_t taken;	    /* bytes of the ring handed to the untarring, not freed yet */
	uint64_t rate, due; /* verifying: bytes a second; when the next may go, in us */
	bool broken; /* the ring ended early: the fault of a room before this one */
	struct apply_result result;
} s = {.store = {.fd = -1}, .hash = {.fd = -1}, .ring = {.bell = -1}};

static int
protocol(const char *who, const char *why)
{
	control_log(&s.control, LOG_ERROR, "apply: %s broke the protocol: %s", who,
	    why ? why : "not the message that was due");
	return EXIT_PROTOCOL;
}

/* The store hears why; nobody else needs to. */
static int
fail(const struct err *e)
{
	char text[1025];

	span_escape(span_str(e->text), text, sizeof(text));
	struct ipc_msg m = IPC_MSG(apply_failed,
	    .code = e->code ? (uint64_t)e->code : ERR_INTERNAL, .text = span_str(text));
	int r = chan_send_wait(&s.store, &m, SEND_MS);
	(void)r;
	return EXIT_FAILED;
}

static int
done(struct ipc_msg *m)
{
	return chan_send_wait(&s.store, m, SEND_MS) == 0 ? EXIT_SUCCESS : EXIT_FAILED;
}

/* The channels that this mode has, in any order. */
static int
take_peers(bool ring)
{
	struct ipc_msg m;

	while (s.store.fd < 0 || (ring && s.hash.fd < 0)) {
		if (control_wait(&s.control, &m, -1) != 0)
			return EXIT_FAILED;
		bool store = m.type == MSG_peer && m.peer.channel == CH_store_apply;
		bool hash = m.type == MSG_peer && m.peer.channel == CH_hash_apply;
		struct chan *c = store ? &s.store : &s.hash;
		if ((!store && !(hash && ring)) || c->fd >= 0) {
			ipc_msg_release(&m);
			return protocol("supervisor", NULL);
		}
		if (chan_init(c, ipc_msg_take_fd(&m, 0),
			store ? CH_store_apply : CH_hash_apply, ROOM_APPLY,
			store ? ROOM_STORE : ROOM_HASH) < 0)
			return EXIT_FAILED;
	}
	return 0;
}

/* Waits for one of the two messages that c may bring now. */
static int
expect_either(struct chan *c, enum ipc_type one, enum ipc_type other, struct ipc_msg *m,
    const char *who)
{
	const char *why = NULL;
	int r = chan_recv_wait(c, m, -1, &why);

	if (r == CHAN_CLOSED)
		return EXIT_FAILED;
	if (r == 0 && (m->type == one || m->type == other))
		return 0;
	if (r == 0)
		ipc_msg_release(m);
	return protocol(who, why);
}

static int
expect(struct chan *c, enum ipc_type type, struct ipc_msg *m, const char *who)
{
	return expect_either(c, type, type, m, who);
}

/* Nothing comes from store or supervisor during the work but their end. */
static int
wait_for_ring(void)
{
	struct ring *rings[] = {&s.ring};
	struct pollfd others[] = {
	    {.fd = s.store.fd, .events = POLLIN}, {.fd = s.control.fd, .events = POLLIN}};

	int r = ring_wait(rings, 1, others, ARRAY_LEN(others), -1);
	if (r < 0)
		return r;
	return others[0].revents || others[1].revents ? -ECANCELED : 0;
}

static int
peek(struct span *bytes)
{
	int r;

	while ((r = ring_peek(&s.ring, bytes)) == -EAGAIN) {
		r = wait_for_ring();
		if (r < 0)
			return r;
	}
	return r == RING_ABORTED ? -ECONNABORTED : r;
}

static ssize_t
next_chunk(void *arg, const uint8_t **p)
{
	struct span bytes;

	if (s.taken)
		ring_consume(&s.ring, s.taken);
	s.taken = 0;
	int r = peek(&bytes);
	if (r == RING_ENDED)
		return 0;
	if (r < 0) {
		s.broken = true;
		return r;
	}
	s.taken = bytes.n;
	*p = bytes.p;
	return (ssize_t)bytes.n;
}

/* The hash room or a fetcher has failed and says so itself, better than this room could;
 * the store then ends this one. Only if nobody does, the break is reported from here. */
static void
let_others_speak(void)
{
	struct pollfd fds[] = {
	    {.fd = s.store.fd, .events = POLLIN}, {.fd = s.control.fd, .events = POLLIN}};

	if (poll(fds, ARRAY_LEN(fds), BROKEN_MS) != 0)
		exit(EXIT_FAILED);
}

/* Waits: nothing can be made before the answer, and who refuses ends this room. */
static int64_t
more_entries(uint64_t entries)
{
	struct ipc_msg m = IPC_MSG(apply_more, .entries = entries);

	int r = chan_send_wait(&s.store, &m, SEND_MS);
	if (r < 0)
		return r;
	if (expect(&s.store, MSG_apply_grant, &m, "store") != 0 ||
	    m.apply_grant.granted <= entries) {
		s.broken = true;
		return -EPROTO;
	}
	return (int64_t)m.apply_grant.granted;
}

static int
run_untar(int root)
{
	struct apply_source source = {next_chunk, NULL};
	struct ipc_msg m;
	struct err e = {0};

	int r = expect(&s.hash, MSG_apply_ring, &m, "hash");
	if (r != 0)
		return r;
	r = ring_attach(&s.ring, RING_CONSUMER, RING_TAR, m.fds);
	ipc_msg_release(&m);
	if (r < 0)
		return protocol("hash", "no ring");
	r = expect(&s.store, MSG_untar, &m, "store");
	if (r != 0)
		return r;
	FD_AUTO side = ipc_msg_take_fd(&m, 0);
	struct apply_limits limits = {.bytes = m.untar.max_bytes,
	    .entries = m.untar.max_entries,
	    .depth = LIMIT_PATH_DEPTH,
	    .granted = m.untar.granted,
	    .more = more_entries};
	if (apply_untar(root, side, &source, &limits, &s.result, &e) < 0) {
		if (s.broken)
			let_others_speak();
		return fail(&e);
	}
	struct ipc_msg answer =
	    IPC_MSG(applied, .bytes = s.result.bytes, .entries = s.result.entries,
		.devices = s.result.devices_left_out, .xattrs = s.result.xattrs_dropped);
	return done(&answer);
}

/* The store marks one directory, says so, and gets the next. */
static int
mark_opaque(void *arg, int dirfd)
{
	struct ipc_msg m = IPC_MSG(opaque);

	m.fds[0] = dirfd;
	m.nfds = 1;
	int r = chan_send_wait(&s.store, &m, SEND_MS);
	if (r < 0)
		return r;
	struct ipc_msg ok;
	return expect(&s.store, MSG_opaque_ok, &ok, "store") == 0 ? 0 : -EPROTO;
}

static struct span
owners_le(struct apply_owners *o)
{
	for (uint32_t i = 0; i < o->n; i++)
		o->ids[i] = htole32(o->ids[i]);
	return span_of(o->ids, o->n * sizeof(o->ids[0]));
}

/* Again and again, until the store closes its channel. */
static int
run_flush(int root)
{
	struct ipc_msg m, answer = IPC_MSG(flushed);
	struct err e = {0};
	int r;

	do {
		if (syncfs(root) < 0) {
			err_errno(&e, errno, "cannot write to disk");
			return fail(&e);
		}
		if (done(&answer) != EXIT_SUCCESS)
			return EXIT_FAILED;
		r = expect(&s.store, MSG_flush, &m, "store");
	} while (r == 0);
	return r;
}

static int
run_check(int root, struct ipc_msg *m)
{
	struct apply_opaque opaque = {mark_opaque, NULL};
	struct err e = {0};

	FD_AUTO side = ipc_msg_take_fd(m, 0);
	FD_AUTO out = ipc_msg_take_fd(m, 1);
	uint64_t bytes = m->check.bytes;
	struct apply_limits limits = {.bytes = bytes,
	    .entries = LIMIT_LAYER_ENTRIES,
	    .depth = LIMIT_PATH_DEPTH,
	    .unsynced = m->check.durability == DURABILITY_NONE};
	int r = apply_check(root, side, out, &opaque, &limits, &s.result, &e);
	if (r == 0 && s.result.bytes != bytes)
		r = err_set(&e, ERR_CONTENT,
		    "the layer's side file describes %llu bytes of %llu",
		    (unsigned long long)s.result.bytes, (unsigned long long)bytes);
	if (r < 0)
		return fail(&e);
	struct ipc_msg answer = IPC_MSG(checked, .entries = s.result.entries,
	    .tar_split = s.result.tar_split_bytes, .uids = owners_le(&s.result.uids),
	    .gids = owners_le(&s.result.gids));
	return done(&answer);
}

/* A room that flushes sees no layer. */
static int
run_check_or_flush(int root)
{
	struct ipc_msg m;

	int r = expect_either(&s.store, MSG_check, MSG_flush, &m, "store");
	if (r != 0)
		return r;
	return m.type == MSG_flush ? run_flush(root) : run_check(root, &m);
}

/* ---- verifying ---- */

static uint64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Sleeps off what it is ahead of its rate. Time in which it could not run is not made up
 * for. */
static int
keep_rate(size_t n)
{
	struct pollfd fds[] = {
	    {.fd = s.store.fd, .events = POLLIN}, {.fd = s.control.fd, .events = POLLIN}};
	uint64_t now = now_us();

	if (!s.rate)
		return 0;
	if (s.due < now)
		s.due = now;
	s.due += (uint64_t)n * 1000000 / s.rate;
	if (s.due - now < RATE_SLACK_US)
		return 0;
	int r = poll(fds, ARRAY_LEN(fds), (int)((s.due - now) / 1000));
	return r == 0 || (r < 0 && errno == EINTR) ? 0 : -ECANCELED;
}

static int
put(void *arg, const uint8_t *p, size_t n)
{
	while (n > 0) {
		uint8_t *slot;
		int r = ring_reserve(&s.ring, &slot);
		if (r == -EAGAIN)
			r = wait_for_ring();
		else if (r == 0) {
			size_t cap = s.ring.geometry.slot_size - s.taken;
			size_t k = n < cap ? n : cap;
			memcpy(slot + s.taken, p, k);
			s.taken += k;
			p += k;
			n -= k;
			if (s.taken == s.ring.geometry.slot_size) {
				ring_publish(&s.ring, s.taken);
				r = keep_rate(s.taken);
				s.taken = 0;
			}
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* The last slot, whatever is in it, and the end. */
static int
put_end(void)
{
	if (s.taken)
		ring_publish(&s.ring, s.taken);
	int r = keep_rate(s.taken);
	ring_finish(&s.ring, RING_ENDED);
	return r;
}

static int
run_verify(int root)
{
	struct apply_sink sink = {put, NULL};
	struct ipc_msg m;
	struct err e = {0};

	int r = expect(&s.hash, MSG_verify_ring, &m, "hash");
	if (r != 0)
		return r;
	r = ring_attach(&s.ring, RING_PRODUCER, RING_TAR, m.fds);
	ipc_msg_release(&m);
	if (r < 0)
		return protocol("hash", "no ring");
	r = expect(&s.store, MSG_verify, &m, "store");
	if (r != 0)
		return r;
	FD_AUTO split = ipc_msg_take_fd(&m, 0);
	s.rate = m.verify.rate;
	struct apply_limits limits = {.bytes = m.verify.bytes,
	    .entries = LIMIT_LAYER_ENTRIES,
	    .depth = LIMIT_PATH_DEPTH,
	    .shifted = m.verify.shifted};
	r = apply_verify(root, split, &sink, &limits, &s.result, &e);
	if (r == 0)
		r = put_end();
	if (r < 0) {
		ring_finish(&s.ring, RING_ABORTED);
		return e.code ? fail(&e) : EXIT_FAILED;
	}
	struct ipc_msg answer =
	    IPC_MSG(verified, .bytes = s.result.bytes, .entries = s.result.entries);
	return done(&answer);
}

static int
run_remove(int root)
{
	struct ipc_msg m;
	struct err e = {0};
	uint64_t removed;

	int r = expect(&s.store, MSG_erase, &m, "store");
	if (r != 0)
		return r;
	if (apply_remove(root, &removed, &e) < 0)
		return fail(&e);
	struct ipc_msg answer = IPC_MSG(erased, .entries = removed);
	return done(&answer);
}

int
main(void)
{
	struct sandbox_report report = {0};
	const struct sandbox_setup setup = {.report = &report};
	struct err e = {0};

	if (sandbox_enter(ROOM_APPLY, &setup) < 0)
		return EXIT_FAILED;
	if (control_open(&s.control, ROOM_APPLY, (unsigned)report.landlock_abi,
		report.landlock) < 0)
		return EXIT_FAILED;
	int r = take_peers(
	    report.mode == SANDBOX_MODE_APPLY || report.mode == SANDBOX_MODE_VERIFY);
	if (r != 0)
		return r;
	FD_AUTO root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0) {
		err_errno(&e, errno, "cannot open the layer's directory");
		return fail(&e);
	}
	switch (report.mode) {
	case SANDBOX_MODE_APPLY:
		return run_untar(root);
	case SANDBOX_MODE_CHECK:
		return run_check_or_flush(root);
	case SANDBOX_MODE_REMOVE:
		return run_remove(root);
	case SANDBOX_MODE_VERIFY:
		return run_verify(root);
	case SANDBOX_MODE_PLAIN:
		break;
	}
	return protocol("supervisor", "no mode");
}
