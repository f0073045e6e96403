/* The self-check behind the manager's watchdog: store and frontend answer from their
 * loops, or the manager hears nothing and starts the service anew. */
#include "supervisor/supervisor.h"

#define CHECK_MS 30000 /* where nobody watches: for the log alone */

static uint64_t
interval(const struct daemon *d)
{
	uint64_t ms = d->watchdog_ms ? d->watchdog_ms : CHECK_MS;

	return ms < 10 ? 10 : ms;
}

static struct lasting *
lasting_of(struct supervisor *s, const struct room_entry *r)
{
	return r == s->store	  ? &s->daemon.store
	       : r == s->frontend ? &s->daemon.frontend
				  : NULL;
}

void
daemon_check_ask(struct supervisor *s, struct room_entry *r)
{
	struct ipc_msg m = IPC_MSG(ping, .seq = s->daemon.ping);
	struct lasting *l = r ? lasting_of(s, r) : NULL;

	if (!l || !r->ready || s->daemon.ping == 0)
		return;
	l->asked = s->daemon.ping;
	port_send(&r->control, &m);
}

static bool
answered(const struct daemon *d, const struct lasting *l)
{
	return l->asked == d->ping && l->pong == d->ping;
}

/* Said once; daemon_pong says when it is over. */
static void
look(
    struct supervisor *s, struct lasting *l, const struct room_entry *r, const char *what)
{
	bool stuck = r && r->ready && l->pong != l->asked;

	if (stuck && !l->stuck)
		supervisor_log(s, 3,
		    "the %s has not answered the self-check for %llu ms%s", what,
		    (unsigned long long)interval(&s->daemon),
		    s->daemon.watchdog_ms
			? ": the service manager gets no keep-alive until it does"
			: "");
	l->stuck = stuck;
}

static void
check_fired(struct loop_timer *t)
{
	struct supervisor *s = t->arg;
	struct daemon *d = &s->daemon;

	look(s, &d->store, s->store, "store worker");
	look(s, &d->frontend, s->frontend, "frontend");
	d->ping++;
	daemon_check_ask(s, s->store);
	daemon_check_ask(s, s->frontend);
	loop_timer_set(&s->loop, t, interval(d));
}

void
daemon_check_begin(struct supervisor *s)
{
	struct daemon *d = &s->daemon;

	d->check = (struct loop_timer){.fired = check_fired, .arg = s};
	loop_timer_set(&s->loop, &d->check, 0);
}

void
daemon_pong(struct supervisor *s, const struct room_entry *r, uint64_t seq)
{
	struct daemon *d = &s->daemon;
	struct lasting *l = lasting_of(s, r);

	if (!l || seq != l->asked || l->pong == seq)
		return;
	l->pong = seq;
	if (l->stuck)
		supervisor_log(s, 4, "the %s answers again",
		    r == s->store ? "store worker" : "frontend");
	l->stuck = false;
	if (d->watchdog_ms && answered(d, &d->store) && answered(d, &d->frontend))
		notify_send(&d->notify, "WATCHDOG=1");
}
