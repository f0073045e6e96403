#include "tests/store/peers.h"

#include "tests/settle.h"

/* What main.c does in the room; room_log is the test's. */
uint64_t
room_token(struct keeper *k)
{
	return ++k->tokens;
}

void
room_stop_check(struct keeper *k)
{
}

void
keeper_begin(
    struct keeper *k, const struct fixture *f, void (*reap)(struct loop_timer *t))
{
	k->store = f->s;
	k->hold = HOLD_NONE;
	k->erase.dir = k->inotify = -1;
	k->job_timer = (struct loop_timer){.fired = job_timer_fired, .arg = k};
	k->reap_timer = (struct loop_timer){.fired = reap, .arg = k};
	assert_int_equal(loop_init(&k->loop), 0);
}

static void
never(struct port *p, const char *why)
{
	fail_msg("a channel of the store ended: %s", why ? why : "closed");
}

void
peer_open(struct keeper *k, struct port *p, struct chan *c, enum ipc_channel kind,
    enum room peer, int (*message)(struct port *, struct ipc_msg *))
{
	int fds[2];

	assert_int_equal(chan_pair(fds), 0);
	assert_int_equal(chan_init(c, fds[0], kind, peer, ROOM_STORE), 0);
	c->phase = IPC_RUN;
	p->message = message;
	p->ended = never;
	p->arg = k;
	assert_int_equal(
	    port_open(p, &k->loop, fds[1], kind, ROOM_STORE, peer, IPC_RUN), 0);
}

void
spin(struct keeper *k, unsigned ms)
{
	assert_int_equal(loop_settle(&k->loop, ms), 0);
}

bool
hear(struct keeper *k, struct chan *c, struct ipc_msg *m, unsigned ms)
{
	const char *why;

	for (uint64_t end = loop_now() + ms; loop_now() <= end;) {
		int r = chan_recv(c, m, &why);
		if (r == 0)
			return true;
		assert_int_equal(r, CHAN_EMPTY);
		spin(k, 2);
	}
	return false;
}
