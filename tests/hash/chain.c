#include "tests/hash/chain.h"

#include "common/base/fd.h"
#include "common/ipc/ring.h"
#include "worker-fetch/hash/room.h"
#include "worker-fetch/inflate/room.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
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

static int
play_fetch(int fd, const struct chain_plan *p)
{
	struct ring r, *wait = &r;
	uint8_t *slot;
	uint64_t sent = 0;
	int fds[RING_FDS];
	size_t piece = p->piece ? p->piece : RING_BLOB.slot_size;

	take_ring(fd, CH_hash_fetch, ROOM_FETCH, &r, RING_PRODUCER, RING_BLOB, fds);
	fd_close(&fds[1]);
	fd_close(&fds[2]);
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

/* The children inherit every end that is open; none may keep another's alive. */
static pid_t
start(int *kept, size_t nkept, int (*room)(struct chan *control), enum room self)
{
	pid_t pid = fork();
	must(pid >= 0, "fork");
	if (pid != 0)
		return pid;
	int control = dup(kept[0]);
	for (size_t i = 0; i < nkept; i++)
		close(kept[i]);
	struct chan c = open_end(control, CH_control, self, ROOM_SUPERVISOR);
	_exit(room(&c));
}

static void
read_answers(struct chan *store, struct chain_result *out)
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
	    .size = p->size, .max_bytes = p->max_bytes);
	must(chan_send(store, &m) == 0, "hash_layer");
}

static void
conduct(
    const struct chain_plan *p, struct chain_result *out, int hash_control, int store_end)
{
	struct chan hash = open_end(hash_control, CH_control, ROOM_SUPERVISOR, ROOM_HASH);
	struct chan store = open_end(store_end, CH_store_hash, ROOM_STORE, ROOM_HASH);

	send_layer(&store, p);
	if (p->fault == CHAIN_STORE_DIES)
		chan_release(&store);
	if (p->fault == CHAIN_SUPERVISOR_STOPS) {
		struct ipc_msg stop = IPC_MSG(stop);
		must(chan_send(&hash, &stop) == 0, "stop");
	}
	if (store.fd >= 0)
		read_answers(&store, out);
	chan_release(&store);
	chan_release(&hash);
}

void
chain_run(const struct chain_plan *p, struct chain_result *out)
{
	struct link ctl_hash = link_make(), ctl_inflate = link_make(),
		    store = link_make();
	struct link fetch = link_make(), inflate = link_make(), apply = link_make();
	int fds[] = {ctl_hash.ends[1], ctl_hash.ends[0], ctl_inflate.ends[0],
	    ctl_inflate.ends[1], store.ends[0], store.ends[1], fetch.ends[0],
	    fetch.ends[1], inflate.ends[0], inflate.ends[1], apply.ends[0],
	    apply.ends[1]};
	int swapped[ARRAY_LEN(fds)];
	double cpu = children_cpu(), wall = now(CLOCK_MONOTONIC);
	uint64_t *bytes =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must(bytes != MAP_FAILED, "mmap");
	*out = (struct chain_result){0};
	pid_t hash = start(fds, ARRAY_LEN(fds), hash_room, ROOM_HASH);
	memcpy(swapped, fds, sizeof(fds));
	swapped[0] = fds[3];
	swapped[3] = fds[0];
	pid_t inflater = p->fault == CHAIN_INFLATE_DIES
			     ? -1
			     : start(swapped, ARRAY_LEN(fds), inflate_room, ROOM_INFLATE);
	pid_t fetcher = fork();
	if (fetcher == 0) {
		int mine = dup(fetch.ends[1]);
		for (size_t i = 0; i < ARRAY_LEN(fds); i++)
			close(fds[i]);
		_exit(play_fetch(mine, p));
	}
	pid_t applier = fork();
	if (applier == 0) {
		int mine = dup(apply.ends[1]);
		for (size_t i = 0; i < ARRAY_LEN(fds); i++)
			close(fds[i]);
		_exit(play_apply(mine, p->fault, bytes));
	}
	close(ctl_hash.ends[1]);
	close(ctl_inflate.ends[1]);
	close(fetch.ends[1]);
	close(apply.ends[1]);

	struct chan to_hash =
	    open_end(dup(ctl_hash.ends[0]), CH_control, ROOM_SUPERVISOR, ROOM_HASH);
	struct chan to_inflate =
	    open_end(ctl_inflate.ends[0], CH_control, ROOM_SUPERVISOR, ROOM_INFLATE);
	send_peer(&to_hash, CH_store_hash, store.ends[1]);
	send_peer(&to_hash, CH_hash_fetch, fetch.ends[0]);
	if (p->compression != COMPRESSION_NONE)
		send_peer(&to_hash, CH_hash_inflate, inflate.ends[0]);
	else
		close(inflate.ends[0]);
	send_peer(&to_hash, CH_hash_apply, apply.ends[0]);
	if (p->compression != COMPRESSION_NONE && inflater > 0)
		send_peer(&to_inflate, CH_hash_inflate, inflate.ends[1]);
	else
		close(inflate.ends[1]);
	chan_release(&to_hash);
	conduct(p, out, ctl_hash.ends[0], store.ends[0]);
	waitpid(hash, &out->hash_status, 0);
	waitpid(fetcher, NULL, 0);
	waitpid(applier, &out->apply_status, 0);
	chan_release(&to_inflate); /* the end of an inflater that nobody needed */
	if (inflater > 0)
		waitpid(inflater, &out->inflate_status, 0);
	out->apply_bytes = *bytes;
	munmap(bytes, 4096);
	out->wall = now(CLOCK_MONOTONIC) - wall;
	out->cpu = children_cpu() - cpu;
}
