#include "worker-fetch/fetch/room.h"

#include "common/base/fd.h"
#include "worker-fetch/fetch/body.h"
#include "worker-fetch/fetch/job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PROGRESS_MS 250
#define POLLED (4 + 2 * FETCH_LAYERS)
#define FETCH_LAYERS 14 /* rings polled at once */

enum { ROOM_GOES_ON = 0, ROOM_DONE = 1 }; /* or negative: a violation */

/* ---- setup ---- */

/* The header stays for as long as the fetcher lives: each connection begins with it. */
static int
set_proxy(struct fetcher *f, const struct msg_setup_fetch *m)
{
	size_t cap = sizeof("Basic ") + 4 * ((m->proxy_secret.n + 2) / 3);

	f->origin.proxied = m->proxy;
	if (!m->proxy_secret.n)
		return 0;
	f->proxy_authorization = malloc(cap);
	if (!f->proxy_authorization ||
	    !basic_authorization(m->proxy_secret, f->proxy_authorization, cap))
		return -EPROTO;
	f->origin.proxy_authorization = f->proxy_authorization;
	return 0;
}

/* All of a sealed memfd; the caller frees it. */
static int
read_sealed(int fd, size_t max, struct span *out)
{
	uint8_t *bytes = NULL;
	size_t n = 0;

	if (fd_check_sealed(fd, max, &n) < 0 || fd_read_whole(fd, max, &bytes, &n) < 0)
		return -EPROTO;
	*out = span_of(bytes, n);
	return 0;
}

/* Its certificates are the engine's by now. */
static void
forget_certificates(struct transfer_origin *o)
{
	if (o->clients.n)
		explicit_bzero((void *)(uintptr_t)o->clients.p, o->clients.n);
	free((void *)(uintptr_t)o->clients.p);
	free((void *)(uintptr_t)o->ca.p);
	o->ca = o->clients = span_of(NULL, 0);
}

static int
set_origin(struct fetcher *f, const struct msg_setup_fetch *m, const int fds[2])
{
	char authority[LIMIT_HOST + 16];
	bool six = m->host.n && memchr(m->host.p, ':', m->host.n) && m->host.p[0] != '[';

	snprintf(authority, sizeof(authority), "%s%.*s%s:%u", six ? "[" : "",
	    (int)m->host.n, (const char *)m->host.p, six ? "]" : "", (unsigned)m->port);
	if (url_parse_authority(span_str(authority), m->scheme == SCHEME_HTTPS,
		&f->origin.url, NULL) < 0 ||
	    !span_to_str(m->repository, f->repository, sizeof(f->repository)) ||
	    read_sealed(fds[0], LIMIT_CAS, &f->origin.ca) < 0 ||
	    read_sealed(fds[1], LIMIT_CLIENT_CERTS, &f->origin.clients) < 0)
		return -EPROTO;
	f->origin.verify = m->verify;
	if (set_proxy(f, m) < 0)
		return -EPROTO;
	f->pull = m->pull;
	f->secret_due = m->secret;
	f->ranges = (unsigned)m->ranges;
	return 0;
}

static void
answer_no_socket(struct fetcher *f, enum err_class code, struct span text, bool transient)
{
	struct err e = {.code = code};

	if (!span_to_str(text, e.text, sizeof(e.text)))
		snprintf(e.text, sizeof(e.text), "no connection");
	transfer_engine_no_socket(f->engine, &e, transient);
}

static void
want_socket(void *arg)
{
	struct fetcher *f = arg;
	struct ipc_msg m = IPC_MSG(dial, .id = ++f->dials);

	if (!f->dial.packet || chan_send(&f->dial, &m) < 0)
		answer_no_socket(
		    f, ERR_INTERNAL, span_str("the room that dials is gone"), false);
}

static int
set_up(struct fetcher *f)
{
	struct ipc_msg m;

	if (control_wait(f->control, &m, -1) != 0)
		return -EPROTO;
	int r = -EPROTO;
	if (m.type == MSG_setup_fetch)
		r = set_origin(f, &m.setup_fetch, m.fds);
	ipc_msg_release(&m);
	f->origin.want_socket = want_socket;
	f->origin.arg = f;
	if (r == 0)
		r = transfer_engine_open(f->engine, &f->origin, &f->unusable);
	forget_certificates(&f->origin);
	return f->unusable.code ? 0 : r; /* whoever asks is told */
}

/* ---- messages ---- */

static int
take_peer(struct fetcher *f, struct ipc_msg *m)
{
	static const struct {
		enum ipc_channel kind;
		enum room peer;
	} known[] = {{CH_frontend_fetch, ROOM_FRONTEND}, {CH_fetch_dial, ROOM_DIAL},
	    {CH_fetch_store, ROOM_STORE}};
	struct chan *chans[] = {&f->frontend, &f->dial, &f->store};

	if (m->peer.channel == CH_hash_fetch)
		return job_connect(f, m->peer.token, ipc_msg_take_fd(m, 0));
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (m->peer.channel != known[i].kind || chans[i]->packet)
			continue;
		int r = chan_init(chans[i], ipc_msg_take_fd(m, 0), known[i].kind,
		    ROOM_FETCH, known[i].peer);
		chans[i]->phase = IPC_RUN;
		f->dial_known = f->dial_known || f->dial.packet;
		return r;
	}
	return -EPROTO;
}

/* The one it starts with, or a token that its own token server's fetcher has got. */
static int
take_secret(struct fetcher *f, const struct msg_secret *m)
{
	char text[LIMIT_SECRET + 1];

	if (!span_to_str(m->secret, text, sizeof(text)))
		return -EPROTO;
	if (m->kind == SECRET_BEARER)
		return header_safe(m->secret) && fetcher_add_token(f, text) ? 0 : -EPROTO;
	if (f->secret || !f->secret_due || m->kind == SECRET_NONE)
		return -EPROTO;
	f->secret = strdup(text);
	f->secret_kind = (enum secret_kind)m->kind;
	f->secret_due = false;
	explicit_bzero(text, sizeof(text));
	return f->secret ? 0 : -ENOMEM;
}

static int
on_control(struct fetcher *f, struct ipc_msg *m)
{
	switch (m->type) {
	case MSG_peer:
		return take_peer(f, m);
	case MSG_secret:
		return take_secret(f, &m->secret);
	case MSG_stop:
		return ROOM_DONE;
	default:
		return -EPROTO;
	}
}

static int
on_frontend(struct fetcher *f, struct ipc_msg *m)
{
	switch (m->type) {
	case MSG_get:
		return job_get(f, &m->get);
	case MSG_get_token:
		return job_get_token(f, &m->get_token);
	default:
		return -EPROTO;
	}
}

static int
on_dial(struct fetcher *f, struct ipc_msg *m)
{
	switch (m->type) {
	case MSG_dialed:
		transfer_engine_socket(f->engine, ipc_msg_take_fd(m, 0));
		return 0;
	case MSG_dial_failed:
		answer_no_socket(f, (enum err_class)m->dial_failed.code,
		    m->dial_failed.text, m->dial_failed.transient);
		return 0;
	default:
		return -EPROTO;
	}
}

/* The store says nothing to a fetcher. */
static int
on_store(struct fetcher *f, struct ipc_msg *m)
{
	return -EPROTO;
}

/* Everything a channel holds. ROOM_DONE: its other end is gone. */
static int
drain(struct fetcher *f, struct chan *c, int (*take)(struct fetcher *, struct ipc_msg *))
{
	const char *why = NULL;
	struct ipc_msg m;

	if (!c->packet)
		return 0;
	if (chan_flush(c) < 0)
		return ROOM_DONE;
	for (;;) {
		int r = chan_recv(c, &m, &why);
		if (r == CHAN_EMPTY)
			return 0;
		if (r == CHAN_CLOSED)
			return ROOM_DONE;
		if (r == 0) {
			r = take(f, &m);
			ipc_msg_release(&m);
		}
		if (r != 0) {
			if (r < 0)
				control_log(f->control, LOG_ERROR,
				    "fetch: %s broke the protocol: %s",
				    room_name(c->peer),
				    why ? why : "what it says makes no sense");
			return r;
		}
	}
}

static int
drain_all(struct fetcher *f)
{
	int r = drain(f, f->control, on_control);

	if (r == 0)
		r = drain(f, &f->frontend, on_frontend);
	if (r == 0)
		r = drain(f, &f->store, on_store);
	if (r != 0)
		return r;
	r = drain(f, &f->dial, on_dial);
	if (r == ROOM_DONE) { /* connections in use may still finish the work */
		chan_release(&f->dial);
		answer_no_socket(
		    f, ERR_INTERNAL, span_str("the room that dials is gone"), false);
		r = 0;
	}
	return r;
}

/* ---- waiting ---- */

static void
poll_chan(struct pollfd *fds, size_t *n, const struct chan *c)
{
	if (!c->packet || *n == POLLED)
		return;
	fds[(*n)++] = (struct pollfd){
	    .fd = c->fd, .events = (short)(POLLIN | (chan_wants_write(c) ? POLLOUT : 0))};
}

/* Adds what the layers wait for: their ring's channel, or room in the ring. false: a ring
 * has room by now, do not sleep. */
static bool
poll_feeds(struct fetcher *f, struct pollfd *fds, size_t *n)
{
	bool sleep = true;

	for (struct job *j = f->jobs; j && *n < POLLED; j = j->next) {
		if (j->feed.state == FEED_OPENING)
			poll_chan(fds, n, &j->feed.chan);
		else if (j->feed.state != FEED_OPEN || !j->full || !j->stream)
			continue;
		else if (!ring_arm(&j->feed.ring))
			sleep = false;
		else
			fds[(*n)++] = (struct pollfd){
			    .fd = ring_poll_fd(&j->feed.ring), .events = POLLIN};
	}
	return sleep;
}

static void
disarm_feeds(struct fetcher *f)
{
	for (struct job *j = f->jobs; j; j = j->next) {
		if (j->feed.state == FEED_OPEN && j->full && j->stream)
			ring_disarm(&j->feed.ring);
	}
}

/* One round. ROOM_GOES_ON, ROOM_DONE, or negative. */
static int
round_once(struct fetcher *f)
{
	struct pollfd fds[POLLED];
	size_t n = 0;

	poll_chan(fds, &n, f->control);
	poll_chan(fds, &n, &f->frontend);
	poll_chan(fds, &n, &f->dial);
	poll_chan(fds, &n, &f->store);
	bool sleep = poll_feeds(f, fds, &n);
	int timeout = !sleep ? 0 : f->jobs ? PROGRESS_MS : -1;
	int r = transfer_engine_poll(f->engine, fds, n, timeout);
	disarm_feeds(f);
	if (r < 0)
		return r;
	jobs_sweep(f, false);
	r = drain_all(f);
	if (r != 0)
		return r;
	jobs_start(f);
	jobs_advance(f);
	jobs_progress(f);
	return f->broken ? ROOM_DONE : ROOM_GOES_ON;
}

static void
fetcher_release(struct fetcher *f)
{
	transfer_engine_free(f->engine);
	jobs_sweep(f, true);
	chan_release(&f->frontend);
	chan_release(&f->dial);
	chan_release(&f->store);
	for (unsigned i = 0; i < f->n_tokens; i++)
		free(f->tokens[i]);
	free(f->secret);
	free(f->proxy_authorization);
}

int
fetch_room(struct chan *control, struct transfer_engine *engine)
{
	struct fetcher f = {.control = control, .engine = engine};
	int r = set_up(&f);

	while (r == ROOM_GOES_ON)
		r = round_once(&f);
	fetcher_release(&f);
	if (r == ROOM_DONE)
		return FETCH_EXIT_DONE;
	return r == -EPROTO ? FETCH_EXIT_PROTOCOL : FETCH_EXIT_FAILED;
}
