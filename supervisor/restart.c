/* Store and frontend live as long as the daemon: what ends is started again. */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

/* Both live: they can talk. */
static int
rooms_join(struct supervisor *s)
{
	return s->store && s->frontend
		   ? rooms_connect(s->frontend, s->store, CH_frontend_store, 0, 0)
		   : 0;
}

static int
lasting_start(struct supervisor *s, struct lasting *l, struct err *e)
{
	bool store = l == &s->daemon.store;
	struct room_entry **at = store ? &s->store : &s->frontend;

	l->begun = loop_now();
	l->asked = l->pong = 0;
	l->stuck = l->serves = false;
	*at = room_start(
	    s, store ? ROOM_STORE : ROOM_FRONTEND, SANDBOX_MODE_PLAIN, 0, 0, -1, e);
	if (!*at)
		return -EIO;
	int r = rooms_join(s);
	if (r < 0) {
		room_kill(*at); /* its end is seen, and another one tried */
		return err_errno(e, -r, "connecting frontend and store");
	}
	return 0;
}

static void
lasting_again(struct supervisor *s, struct lasting *l)
{
	uint64_t ms = backoff_next(&l->backoff, loop_now() - l->begun);

	loop_timer_set(&s->loop, &l->timer, ms);
}

/* Killed, and not reaped: one of them may still write into what the dead store staged,
 * which the next one clears away first. */
static bool
orphans_live(const struct supervisor *s)
{
	for (const struct room_entry *r = s->rooms; r; r = r->next) {
		if (r->orphan)
			return true;
	}
	return false;
}

static void
timer_fired(struct loop_timer *t)
{
	struct supervisor *s = t->arg;
	struct lasting *l =
	    t == &s->daemon.store.timer ? &s->daemon.store : &s->daemon.frontend;
	struct err e = {0};

	if (l == &s->daemon.store && orphans_live(s)) {
		loop_timer_set(&s->loop, t, BACKOFF_FIRST_MS);
		return;
	}
	l->count++;
	if (lasting_start(s, l, &e) == 0)
		return;
	supervisor_log(s, 3, "%s", e.text);
	if (l == &s->daemon.store ? !s->store : !s->frontend)
		lasting_again(s, l);
}

int
daemon_rooms_start(struct supervisor *s, struct err *e)
{
	struct daemon *d = &s->daemon;

	d->store.timer = (struct loop_timer){.fired = timer_fired, .arg = s};
	d->frontend.timer = (struct loop_timer){.fired = timer_fired, .arg = s};
	int r = lasting_start(s, &d->store, e);
	return r == 0 ? lasting_start(s, &d->frontend, e) : r;
}

static void
lasting_gone(struct supervisor *s, struct lasting *l, const char *what, int status)
{
	char text[128];

	lasting_again(s, l);
	snprintf(text, sizeof(text), "the %s ended (%s %d), it is started again", what,
	    status >= 256 ? "signal" : "status", status & 255);
	supervisor_log(s, 3, "%s in %llu ms", text, (unsigned long long)l->backoff.last);
	daemon_status(s, "", text);
}

/* All pulls are lost: the frontend learns that from its channel. What they staged, the
 * next store removes. */
void
daemon_store_gone(struct supervisor *s, int status)
{
	s->store = NULL;
	s->have_access_key = false; /* the next one says when it can hear of fetchers */
	rooms_orphan(s, 1u << ROOM_STORE | 1u << ROOM_FRONTEND);
	pulls_forget(s, true);
	if (s->daemon.ending == ENDING_CALLS) /* nothing can end well any more */
		store_sweep_start(s);
	else
		lasting_gone(s, &s->daemon.store, "store worker", status);
}

/* The store sees the end of its channel, ends its pulls and their rooms. */
void
daemon_frontend_gone(struct supervisor *s, int status)
{
	s->frontend = NULL;
	rooms_orphan(s, 1u << ROOM_FRONTEND);
	pulls_forget(s, false);
	daemon_reload_holds(s);
	if (s->stopping || s->sweeping)
		return;
	if (s->daemon.ending)
		daemon_calls_over(s);
	else
		lasting_gone(s, &s->daemon.frontend, "frontend", status);
}

/* Its copies are of one open file each: one that was taken over can have shut them down,
 * or changed their flags, for all. */
static void
listener_check(struct supervisor *s, enum listen_kind kind)
{
	struct listeners *all = &s->daemon.listeners;
	struct listener *l = &all->of[kind];
	struct err e = {0};

	(void)!fcntl(l->fd, F_SETFL, O_NONBLOCK);
	if (listener_lives(l))
		return;
	supervisor_log(
	    s, 4, "%s takes no connections any more: it is made anew", l->path);
	if (listener_renew(all, kind, &e) < 0)
		supervisor_log(s, 3, "%s", e.text);
}

void
daemon_serve(struct supervisor *s)
{
	for (int k = 0; k < LISTENERS; k++) {
		struct ipc_msg m = IPC_MSG(listen, .kind = (uint64_t)k);
		struct listener *l = &s->daemon.listeners.of[k];
		if (l->fd >= 0 && s->daemon.frontend.count > 0)
			listener_check(s, (enum listen_kind)k);
		if (l->fd < 0)
			continue;
		m.fds[0] = l->fd;
		m.nfds = 1;
		port_send(&s->frontend->control, &m);
	}
}
