#include "tests/hash/chain.h"

#include "common/base/fd.h"
#include "common/ipc/ring.h"
#include "worker-fetch/hash/room.h"
#include "worker-fetch/inflate/room.h"
#include "policy/sandbox/profile.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void
must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(99);
}

/* A pair of channel ends; [1] is the other party's. */
struct link {
	int ends[2];
};

static struct link
link_make(void)
{
	struct link l;
	must(chan_pair(l.ends) == 0, "socketpair");
	return l;
}

static struct chan
open_end(int fd, enum ipc_channel kind, enum room self, enum room peer)
{
	struct chan c;
	must(chan_init(&c, fd, kind, self, peer) == 0, "chan_init");
	return c;
}

static void
take_ring(int fd, enum ipc_channel kind, enum room self, struct ring *r,
    enum ring_role role, struct ring_geometry g, int keep[RING_FDS])
{
	struct chan c = open_end(fd, kind, self, ROOM_HASH);
	struct ipc_msg m;
	const char *why = "?";

	int e = chan_recv_wait(&c, &m, 20000, &why);
	if (e == CHAN_CLOSED)
		_exit(1);
	must(e == 0, why);
	must(ring_attach(r, role, g, m.fds) == 0, "ring_attach");
	for (int i = 0; keep && i < RING_FDS; i++)
		keep[i] = ipc_msg_take_fd(&m, (unsigned)i);
	ipc_msg_release(&m);
}

static void
lie(const int fds[RING_FDS])
{
	uint64_t head = 77;
	must(pwrite(fds[0], &head, sizeof(head), 0) == sizeof(head), "pwrite");
}

static void
stall(int bell)
{
	for (;;) {
		(void)!send(bell, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	}
}

static int
play_fetch(int fd, const struct chain_plan *p)
{
	struct ring r, *wait = &r;
	uint8_t *slot;
	uint64_t sent = 0;
	int fds[RING_FDS];
	struct ring_geometry g = p->again ? RING_TAR : RING_BLOB;
	size_t piece = p->piece ? p->piece : g.slot_size;

	take_ring(fd, p->again ? CH_hash_apply : CH_hash_fetch,
	    p->again ? ROOM_APPLY : ROOM_FETCH, &r, RING_PRODUCER, g, fds);
	fd_close(&fds[1]);
	for (;;) {
		int e = ring_reserve(&r, &slot);
		if (e == -EAGAIN)
			e = ring_wait(&wait, 1, NULL, 0, 20000);
		else if (e == 0) {
			ssize_t n = read(p->blob, slot, piece);
			if (n <= 0)
				break;
			ring_publish(&r, (size_t)n);
			sent += (uint64_t)n;
		}
		if (e < 0)
			return 1;
		if (p->fault == CHAIN_FETCH_DIES && sent > p->size / 2)
			_exit(1);
		if (p->fault == CHAIN_FETCH_ABORTS && sent > p->size / 2) {
			ring_finish(&r, RING_ABORTED);
			return 0;
		}
		if (p->fault == CHAIN_FETCH_STALLS && sent > 0)
			stall(fds[2]);
		if (p->fault == CHAIN_FETCH_LIES)
			lie(fds);
	}
	ring_finish(&r, RING_ENDED);
	return 0;
}

static int
play_apply(int fd, enum chain_fault fault, uint64_t *bytes)
{
	struct ring r, *wait = &r;
	struct span s;

	take_ring(fd, CH_hash_apply, ROOM_APPLY, &r, RING_CONSUMER, RING_TAR, NULL);
	for (;;) {
		int e = ring_peek(&r, &s);
		if (e == -EAGAIN)
			e = ring_wait(&wait, 1, NULL, 0, 20000);
		else if (e == 0) {
			*bytes += s.n;
			ring_consume(&r, s.n);
			if (fault == CHAIN_APPLY_DIES)
				_exit(1);
		} else if (e == RING_ENDED)
			return 0;
		if (e != 0) {
			*bytes = UINT64_MAX;
			return 1;
		}
	}
}

static void
send_peer(struct chan *control, enum ipc_channel channel, int fd)
{
	struct ipc_msg m = IPC_MSG(peer, .channel = channel, .pull = 1, .token = 1);
	m.fds[0] = fd;
	m.nfds = 1;
	must(chan_send(control, &m) == 0, "peer");
	close(fd);
}

/* The sockets of one run: [0] stays here until it is passed on, [1] is the room's. */
struct wires {
	struct link control_hash, control_inflate, store, fetch, inflate, apply;
};

/* A child inherits every end that is open; none may keep another's alive. */
static int
keep_one(struct wires *w, int fd)
{
	int *all = (int *)w, mine = dup(fd);

	for (size_t i = 0; i < sizeof(*w) / sizeof(int); i++)
		fd_close(&all[i]);
	return mine;
}

/* One second, so that a test can wait for it; a program of its own has its own. */
static int
impatient_hash(struct chan *control)
{
	return hash_room(control, 1);
}

static int
patient_hash(struct chan *control)
{
	return hash_room(control, LIMIT_RING_STALL_SECONDS);
}

static bool
fetch_ends(enum chain_fault fault)
{
	return fault == CHAIN_FETCH_STALLS || fault == CHAIN_FETCH_DIES ||
	       fault == CHAIN_FETCH_ABORTS;
}

/* A room of the real code: forked off without a sandbox, or its own program in one. */
struct real_room {
	pid_t pid;
	struct sandbox_room boxed;
	struct chan control;
};

static void
start(struct real_room *r, const struct chain_plan *p, struct wires *w,
    struct link *control, enum room self, int (*code)(struct chan *control))
{
	struct err e = {0};
	struct ipc_msg m;
	const char *why = "?";

	if (p->host) {
		bool again = p->again && self == ROOM_HASH;
		int s = sandbox_spawn(p->host,
		    profile_find(self, again ? SANDBOX_MODE_VERIFY : SANDBOX_MODE_PLAIN),
		    -1, &r->boxed, &e);
		must(s == 0, e.text);
		r->pid = r->boxed.pid;
		r->control =
		    open_end(dup(r->boxed.control), CH_control, ROOM_SUPERVISOR, self);
		must(chan_recv_wait(&r->control, &m, 20000, &why) == 0, why);
		must(m.type == MSG_hello && m.hello.room == self, "hello");
		return;
	}
	r->pid = fork();
	must(r->pid >= 0, "fork");
	if (r->pid == 0) {
		struct chan c = open_end(
		    keep_one(w, control->ends[1]), CH_control, self, ROOM_SUPERVISOR);
		_exit(code(&c));
	}
	r->control =
	    open_end(fd_steal(&control->ends[0]), CH_control, ROOM_SUPERVISOR, self);
	fd_close(&control->ends[1]);
}

/* As waitpid says it. */
static int
reap(struct real_room *r, const struct chain_plan *p)
{
	int status = 0;

	if (r->pid <= 0)
		return 0;
	chan_release(&r->control);
	if (!p->host) {
		waitpid(r->pid, &status, 0);
		return status;
	}
	fd_close(&r->boxed.control);
	struct pollfd wait = {.fd = r->boxed.pidfd, .events = POLLIN};
	must(poll(&wait, 1, 20000) == 1, "a room that does not end");
	must(sandbox_reap(p->host, &r->boxed, &status) == 0, "sandbox_reap");
	return status >= 256 ? status - 256 : status << 8;
}

static void
grant(struct chan *store, const struct chain_plan *p, struct chain_result *out,
    uint64_t counted)
{
	uint64_t had = p->granted * (out->asked + 1), more = had + p->granted;
	struct ipc_msg m =
	    IPC_MSG(hash_grant, .granted = more < p->max_bytes ? more : p->max_bytes);

	must(counted <= had, "more than was granted");
	if (out->asked++ == p->grants)
		chan_release(store);
	else
		must(chan_send(store, &m) == 0, "hash_grant");
}

static void
read_answers(struct chan *store, const struct chain_plan *p, struct chain_result *out)
{
	struct ipc_msg m;
	const char *why = "?";

	for (;;) {
		int e = chan_recv_wait(store, &m, 20000, &why);
		if (e == CHAN_CLOSED)
			return;
		must(e == 0, why);
		if (m.type == MSG_hash_progress)
			out->progress++;
		if (m.type == MSG_hash_more)
			grant(store, p, out, m.hash_more.uncompressed);
		if (m.type == MSG_hashed) {
			out->hashed = true;
			out->answer = m.hashed;
		}
		if (m.type == MSG_hash_failed) {
			out->failed = true;
			out->code = m.hash_failed.code;
			must(
			    span_to_str(m.hash_failed.text, out->text, sizeof(out->text)),
			    "text");
		}
	}
}

static double
now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double
children_cpu(void)
{
	struct rusage u;
	getrusage(RUSAGE_CHILDREN, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void
send_layer(struct chan *store, const struct chain_plan *p)
{
	struct ipc_msg m = IPC_MSG(hash_layer, .compression = p->compression,
	    .size = p->size, .max_bytes = p->max_bytes, .discard = p->discard,
	    .again = p->again, .granted = p->granted ? p->granted : p->max_bytes);
	must(chan_send(store, &m) == 0, "hash_layer");
}

static void
be_store(const struct chain_plan *p, struct chain_result *out, struct chan *hash, int end)
{
	struct chan store = open_end(end, CH_store_hash, ROOM_STORE, ROOM_HASH);

	send_layer(&store, p);
	if (p->fault == CHAIN_STORE_DIES)
		chan_release(&store);
	if (p->fault == CHAIN_SUPERVISOR_STOPS) {
		struct ipc_msg stop = IPC_MSG(stop);
		must(chan_send(hash, &stop) == 0, "stop");
	}
	if (store.fd >= 0)
		read_answers(&store, p, out);
	chan_release(&store);
}

static void
introduce(const struct chain_plan *p, struct wires *w, struct real_room *hash,
    struct real_room *inflate)
{
	send_peer(&hash->control, CH_store_hash, fd_steal(&w->store.ends[1]));
	send_peer(&hash->control, CH_hash_fetch, fd_steal(&w->fetch.ends[0]));
	if (p->compression != COMPRESSION_NONE)
		send_peer(&hash->control, CH_hash_inflate, fd_steal(&w->inflate.ends[0]));
	send_peer(&hash->control, CH_hash_apply, fd_steal(&w->apply.ends[0]));
	if (p->compression != COMPRESSION_NONE && inflate->pid > 0)
		send_peer(
		    &inflate->control, CH_hash_inflate, fd_steal(&w->inflate.ends[1]));
	fd_close(&w->inflate.ends[0]);
	fd_close(&w->inflate.ends[1]);
}

static pid_t
start_fetch(const struct chain_plan *p, struct wires *w)
{
	int *end = p->again ? &w->apply.ends[1] : &w->fetch.ends[1];
	pid_t pid = fork();

	if (pid == 0)
		_exit(play_fetch(keep_one(w, *end), p));
	fd_close(end);
	return pid;
}

static pid_t
start_apply(const struct chain_plan *p, struct wires *w, uint64_t *bytes)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(play_apply(keep_one(w, w->apply.ends[1]), p->fault, bytes));
	fd_close(&w->apply.ends[1]);
	return pid;
}

void
chain_run(const struct chain_plan *p, struct chain_result *out)
{
	struct wires w = {
	    link_make(), link_make(), link_make(), link_make(), link_make(), link_make()};
	struct real_room hash = {0}, inflate = {0};
	double cpu = children_cpu(), wall = now(CLOCK_MONOTONIC);
	uint64_t *bytes =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must(bytes != MAP_FAILED, "mmap");
	*out = (struct chain_result){0};
	start(&hash, p, &w, &w.control_hash, ROOM_HASH,
	    fetch_ends(p->fault) ? impatient_hash : patient_hash);
	fd_close(&w.control_hash.ends[0]);
	fd_close(&w.control_hash.ends[1]);
	if (p->fault != CHAIN_INFLATE_DIES)
		start(&inflate, p, &w, &w.control_inflate, ROOM_INFLATE, inflate_room);
	fd_close(&w.control_inflate.ends[0]);
	fd_close(&w.control_inflate.ends[1]);
	pid_t fetcher = start_fetch(p, &w);
	pid_t applier = p->discard || p->again ? 0 : start_apply(p, &w, bytes);
	introduce(p, &w, &hash, &inflate);
	be_store(p, out, &hash.control, fd_steal(&w.store.ends[0]));
	out->hash_status = reap(&hash, p);
	if (p->fault == CHAIN_FETCH_STALLS)
		kill(fetcher, SIGKILL);
	waitpid(fetcher, NULL, 0);
	if (applier > 0)
		waitpid(applier, &out->apply_status, 0);
	out->inflate_status = reap(&inflate, p);
	out->apply_bytes = *bytes;
	munmap(bytes, 4096);
	out->wall = now(CLOCK_MONOTONIC) - wall;
	out->cpu = children_cpu() - cpu;
}
