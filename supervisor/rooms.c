#include "supervisor/supervisor.h"

#include "common/base/failpoint.h"
#include "common/base/fd.h"
#include "policy/sandbox/status.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

void
fetch_info_free(struct fetch_info *f)
{
	if (!f)
		return;
	if (f->secret)
		explicit_bzero(f->secret, f->secret_size);
	free(f->secret);
	if (f->proxy_secret)
		explicit_bzero(f->proxy_secret, f->proxy_secret_size);
	free(f->proxy_secret);
	certs_close(&f->certs);
	free(f);
}

static void
room_free(struct room_entry *r)
{
	for (struct room_entry **at = &r->s->rooms; *at; at = &(*at)->next) {
		if (*at == r) {
			*at = r->next;
			break;
		}
	}
	for (unsigned i = 0; i < r->npeers; i++)
		fd_close(&r->peers[i].fd);
	fetch_info_free(r->fetch);
	free(r);
}

void
room_kill(struct room_entry *r)
{
	r->killed = true;
	syscall(SYS_pidfd_send_signal, r->sandbox.pidfd, SIGKILL, NULL, 0);
}

struct room_entry *
room_find(struct supervisor *s, enum room room, uint64_t pull, uint64_t token)
{
	for (struct room_entry *r = s->rooms; r; r = r->next) {
		if (r->profile->room == room && r->pull == pull && r->token == token &&
		    !r->idle && !r->orphan && !r->spare)
			return r;
	}
	return NULL;
}

/* ---- handing out channels ---- */

static void
room_send_peer(struct room_entry *r, struct pending *p)
{
	struct ipc_msg m =
	    IPC_MSG(peer, .channel = p->channel, .pull = p->pull, .token = p->token);

	m.fds[0] = p->fd;
	m.nfds = 1;
	port_send(&r->control, &m);
	fd_close(&p->fd);
}

void
room_give(
    struct room_entry *r, enum ipc_channel channel, uint64_t pull, uint64_t token, int fd)
{
	struct pending p = {channel, pull, token, fd};

	if (r->ready)
		room_send_peer(r, &p);
	else if (r->npeers < ROOM_PEERS)
		r->peers[r->npeers++] = p;
	else
		fd_close(&p.fd);
}

int
rooms_connect(struct room_entry *a, struct room_entry *b, enum ipc_channel channel,
    uint64_t pull, uint64_t token)
{
	int fds[2];

	int r = chan_pair(fds);
	if (r < 0)
		return r;
	room_give(a, channel, pull, token, fds[0]);
	room_give(b, channel, pull, token, fds[1]);
	FAILPOINT(ROOM_WIRED);
	return 0;
}

/* ---- HELLO ---- */

static void
room_fail(struct room_entry *r, const char *why)
{
	/* At the end the store takes away what the janitor was about to stand on. */
	bool news =
	    !r->killed && !(r->s->stopping && r->profile->mode == SANDBOX_MODE_REMOVE);

	supervisor_log(r->s, news ? 3 : 7, "%s: %s", r->profile->name, why);
	if (!r->ready)
		err_set(&r->unready, ERR_INTERNAL, "%s", why);
	if (r->idle)
		status_room(r, why);
	room_kill(r);
}

/* The room says it is confined; the kernel has to agree before it gets anything. */
static int
room_hello(struct room_entry *r, const struct msg_hello *h)
{
	struct err e = {0};

	if (memcmp(h->schema, ipc_schema_hash, sizeof(h->schema)) != 0) {
		room_fail(r, "is of another build: install all programs together");
		return 0;
	}
	if (h->room != r->profile->room)
		return -EPROTO;
	if (sandbox_verify(&r->s->host, &r->sandbox, &e) < 0) {
		room_fail(r, e.text);
		return 0;
	}
	r->landlock_abi = (unsigned)h->landlock_abi;
	if (!span_to_str(h->landlock, r->landlock, sizeof(r->landlock)))
		return -EPROTO;
	r->confined = true;
	if (r->spare)
		return 0;
	if (!r->idle)
		return room_begin(r);
	r->ready = true;
	r->control.chan.phase = IPC_RUN;
	status_room(r, NULL);
	return 0;
}

int
room_begin(struct room_entry *r)
{
	r->ready = true;
	r->control.chan.phase = IPC_RUN;
	int rc = room_setup(r);
	for (unsigned i = 0; rc == 0 && i < r->npeers; i++)
		room_send_peer(r, &r->peers[i]);
	if (rc == 0) {
		r->npeers = 0;
		room_begun(r);
	}
	return rc;
}

static int
control_message(struct port *p, struct ipc_msg *m)
{
	struct room_entry *r = p->arg;

	if (m->type == MSG_hello)
		return room_hello(r, &m->hello);
	int rc = request_handle(r, m);
	spares_settle(r->s);
	return rc;
}

static void
control_ended(struct port *p, const char *why)
{
	struct room_entry *r = p->arg;

	port_release(p);
	if (!why)
		return;
	r->violated = true;
	room_fail(r, why);
}

/* The first packet: HELLO, or the report of a child that did not come as far as its
 * program. */
static void
early_ready(struct loop_source *source, uint32_t events)
{
	struct room_entry *r = source->arg;
	char text[1024];
	int fd = fd_steal(&r->sandbox.control);

	loop_remove(&r->s->loop, &r->early);
	if (sandbox_failure(fd, text, sizeof(text))) {
		room_fail(r, text);
		fd_close(&fd);
		return;
	}
	r->control.message = control_message;
	r->control.ended = control_ended;
	r->control.arg = r;
	if (port_open(&r->control, &r->s->loop, fd, CH_control, ROOM_SUPERVISOR,
		r->profile->room, IPC_START) < 0)
		room_fail(r, "no memory for its channel");
}

/* ---- the end ---- */

/* What it wrote before it ended still counts. */
static void
control_drain(struct room_entry *r)
{
	struct ipc_msg m;
	const char *why = NULL;
	int rc = 0;

	if (r->early.fd >= 0)
		early_ready(&r->early, EPOLLIN);
	while (port_is_open(&r->control) && rc == 0) {
		rc = chan_recv(&r->control.chan, &m, &why);
		if (rc != 0)
			break;
		rc = control_message(&r->control, &m);
		ipc_msg_release(&m);
	}
	if (rc == -EPROTO && port_is_open(&r->control))
		control_ended(&r->control, why ? why : "sent what cannot be");
}

static void
room_ended(struct loop_source *source, uint32_t events)
{
	struct room_entry *r = source->arg;
	struct supervisor *s = r->s;
	int status = 125;

	loop_remove(&s->loop, &r->ended);
	control_drain(r);
	port_release(&r->control);
	int rc = sandbox_reap(&s->host, &r->sandbox, &status);
	if (rc < 0)
		supervisor_log(
		    s, 3, "%s: cannot be reaped: %s", r->profile->name, strerror(-rc));
	/* It may have ended before it could be killed, even well. */
	if (r->violated)
		status = STATUS_PROTOCOL;
	FAILPOINT(ROOM_REAPED);
	room_gone(r, status);
	FAILPOINT(ROOM_GONE);
	room_free(r);
	spares_settle(s); /* a search may have ended with it, and taken a fetcher */
}

struct room_entry *
room_start(struct supervisor *s, enum room room, enum sandbox_mode mode, uint64_t pull,
    uint64_t token, int dir, struct err *e)
{
	struct room_entry *r = calloc(1, sizeof(*r));

	if (!r) {
		err_errno(e, ENOMEM, "%s", room_name(room));
		return NULL;
	}
	*r = (struct room_entry){.s = s,
	    .profile = profile_find(room, mode),
	    .pull = pull,
	    .token = token,
	    .early = {.fd = -1},
	    .ended = {.fd = -1}};
	assert(r->profile);
	s->host.hurry = s->settings.check_rate == 0;
	if (sandbox_spawn(&s->host, r->profile, dir, &r->sandbox, e) < 0) {
		free(r);
		return NULL;
	}
	r->early = (struct loop_source){
	    .fd = r->sandbox.control, .events = EPOLLIN, .ready = early_ready, .arg = r};
	r->ended = (struct loop_source){
	    .fd = r->sandbox.pidfd, .events = EPOLLIN, .ready = room_ended, .arg = r};
	r->next = s->rooms;
	s->rooms = r;
	int rc = loop_add(&s->loop, &r->ended);
	if (rc == 0)
		rc = loop_add(&s->loop, &r->early);
	if (rc < 0) { /* cannot be watched: not kept */
		int status;
		err_errno(e, rc, "cannot watch %s", r->profile->name);
		loop_remove(&s->loop, &r->ended);
		room_kill(r);
		(void)!sandbox_reap(&s->host, &r->sandbox, &status);
		room_free(r);
		return NULL;
	}
	FAILPOINT(ROOM_STARTED);
	return r;
}
