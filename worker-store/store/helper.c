#include "worker-store/store/keeper.h"

#include <signal.h>
#include <stdio.h>

static void
helper_list(struct helper *h)
{
	h->next = h->room->helpers;
	h->room->helpers = h;
}

static void
helper_unlist(struct helper *h)
{
	if (!h->room)
		return;
	loop_timer_clear(&h->room->loop, &h->limit);
	for (struct helper **at = &h->room->helpers; *at; at = &(*at)->next) {
		if (*at == h) {
			*at = h->next;
			return;
		}
	}
}

static void
helper_fail(struct helper *h, const char *text)
{
	if (h->failed)
		return;
	h->failed = true;
	if (h->ops->failed)
		h->ops->failed(h, text);
}

static void
helper_broke(struct helper *h, const char *why)
{
	char text[256];

	snprintf(text, sizeof(text), "the %s room broke the protocol: %s",
	    room_name(h->kind), why);
	h->broke = true;
	helper_kill(h);
	helper_fail(h, text);
}

/* A room that has one document, or one question, has nothing to wait for. */
static void
limit_fired(struct loop_timer *t)
{
	struct helper *h = t->arg;
	char text[160];

	h->late = true;
	snprintf(text, sizeof(text),
	    "the %s room had not done its work after %d s and was ended",
	    room_name(h->kind), LIMIT_ANSWER_SECONDS);
	helper_kill(h);
	helper_fail(h, text);
}

static void
helper_new(struct keeper *room, struct helper *h, enum room kind, uint64_t pull,
    uint64_t token, const struct helper_ops *ops)
{
	void *arg = h->arg;

	*h = (struct helper){.room = room,
	    .ops = ops,
	    .kind = kind,
	    .pull = pull,
	    .token = token,
	    .alive = true,
	    .limit = {.fired = limit_fired, .arg = h},
	    .arg = arg};
	helper_list(h);
	if (kind == ROOM_DOCUMENT || kind == ROOM_VERDICT)
		loop_timer_set(&room->loop, &h->limit,
		    room->answer_ms ? room->answer_ms : LIMIT_ANSWER_SECONDS * 1000);
}

void
helper_want(struct keeper *room, struct helper *h, enum room kind, uint64_t pull,
    uint64_t token, unsigned arg, const struct helper_ops *ops)
{
	struct ipc_msg m =
	    IPC_MSG(want, .room = kind, .pull = pull, .token = token, .arg = arg);

	helper_new(room, h, kind, pull, token, ops);
	port_send(&room->control, &m);
}

void
helper_want_rehash(struct keeper *room, struct helper *h, uint64_t pull, uint64_t token,
    const struct helper_ops *ops)
{
	struct ipc_msg m =
	    IPC_MSG(want, .room = ROOM_HASH, .pull = pull, .token = token, .again = 1);

	helper_new(room, h, ROOM_HASH, pull, token, ops);
	port_send(&room->control, &m);
}

void
helper_want_apply(struct keeper *room, struct helper *h, enum apply_mode mode,
    uint64_t pull, uint64_t token, int dir, const struct helper_ops *ops)
{
	struct ipc_msg m =
	    IPC_MSG(want_apply, .mode = mode, .pull = pull, .token = token);

	helper_new(room, h, ROOM_APPLY, pull, token, ops);
	m.fds[0] = dir;
	m.nfds = 1;
	port_send(&room->control, &m);
}

void
helper_expect(struct keeper *room, struct helper *h, enum room kind, uint64_t pull,
    uint64_t token, const struct helper_ops *ops)
{
	helper_new(room, h, kind, pull, token, ops);
}

void
helper_kill(struct helper *h)
{
	if (!h->room)
		return;
	port_release(&h->port);
	if (!h->alive || h->kind == ROOM_INFLATE)
		return;
	struct ipc_msg m =
	    IPC_MSG(end, .pull = h->pull, .room = h->kind, .token = h->token);
	port_send(&h->room->control, &m);
}

void
helper_drop(struct helper *h)
{
	if (!h->room)
		return;
	port_release(&h->port);
	helper_unlist(h);
	h->room = NULL;
	h->alive = false;
}

static int
helper_message(struct port *p, struct ipc_msg *m)
{
	struct helper *h = p->arg;

	return h->failed ? 0 : h->ops->message(h, m);
}

/* Its end as a process is what counts; that of the channel comes just before. */
static void
helper_ended(struct port *p, const char *why)
{
	struct helper *h = p->arg;

	port_release(p);
	if (why)
		helper_broke(h, why);
}

static struct helper *
helper_find(struct keeper *room, enum room kind, uint64_t pull, uint64_t token)
{
	for (struct helper *h = room->helpers; h; h = h->next)
		if (h->kind == kind && h->pull == pull && h->token == token)
			return h;
	return NULL;
}

static bool
peer_kind(uint64_t channel, enum room *kind)
{
	static const struct {
		enum ipc_channel channel;
		enum room kind;
	} kinds[] = {
	    {CH_store_document, ROOM_DOCUMENT},
	    {CH_store_verdict, ROOM_VERDICT},
	    {CH_store_hash, ROOM_HASH},
	    {CH_store_apply, ROOM_APPLY},
	};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (kinds[i].channel == channel) {
			*kind = kinds[i].kind;
			return true;
		}
	}
	return false;
}

bool
helper_peer(struct keeper *room, struct ipc_msg *m)
{
	enum room kind;

	if (!peer_kind(m->peer.channel, &kind))
		return false;
	struct helper *h = helper_find(room, kind, m->peer.pull, m->peer.token);
	if (!h || h->failed || port_is_open(&h->port))
		return true; /* for one that is no longer wanted */
	h->port.message = helper_message;
	h->port.ended = helper_ended;
	h->port.arg = h;
	if (port_open(&h->port, &room->loop, ipc_msg_take_fd(m, 0),
		(enum ipc_channel)m->peer.channel, ROOM_STORE, kind, IPC_START) < 0)
		helper_fail(h, "no memory for a channel");
	h->opened = true;
	if (!h->failed && h->ops->ask)
		h->ops->ask(h);
	return true;
}

/* The process is reaped, so what it has sent is all in the socket. */
static void
helper_drain(struct helper *h)
{
	while (port_is_open(&h->port)) {
		struct ipc_msg m;
		const char *why = NULL;
		int r = chan_recv(&h->port.chan, &m, &why);
		if (r == CHAN_EMPTY || r == CHAN_CLOSED) {
			port_release(&h->port);
			return;
		}
		if (r == 0) {
			r = helper_message(&h->port, &m);
			ipc_msg_release(&m);
		}
		if (r < 0)
			helper_broke(h, why ? why : "sent what cannot be");
	}
}

bool
helper_gone(struct keeper *room, const struct msg_gone *g)
{
	struct helper *h = helper_find(room, (enum room)g->room, g->pull, g->token);
	char text[128];

	if (!h)
		return false;
	helper_drain(h);
	h->alive = false;
	loop_timer_set(&room->loop, &room->reap_timer, 1);
	helper_unlist(h);
	if (g->status == 0 && !h->failed) {
		if (h->ops->gone)
			h->ops->gone(h);
		return true;
	}
	h->broke |= g->status == STATUS_PROTOCOL ||
		    (g->status > 256 && g->status != 256 + SIGKILL);
	snprintf(text, sizeof(text), "the %s room ended with %s %u", room_name(h->kind),
	    g->status >= 256 ? "signal" : "status", (unsigned)g->status & 255);
	helper_fail(h, text);
	return true;
}

bool
helper_refused(struct keeper *room, const struct msg_refused *r)
{
	struct helper *h = helper_find(room, (enum room)r->room, r->pull, r->token);
	char text[1200], why[1024];

	if (!h)
		return false;
	port_release(&h->port);
	h->alive = false;
	h->opened = false; /* its end may have been here already, and it was not */
	loop_timer_set(&room->loop, &room->reap_timer, 1);
	helper_unlist(h);
	snprintf(text, sizeof(text), "cannot start a %s room: %s", room_name(h->kind),
	    span_escape(r->text, why, sizeof(why)));
	helper_fail(h, text);
	return true;
}
