/* The daemon's beginning and end. */
#include "supervisor/supervisor.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LISTEN_FIRST 3 /* sd_listen_fds(3) */
#define GRACE_MS                                                               \
	10000 /* for calls in flight at the end; the frontend's own is shorter \
	       */

/* Blocked from the first moment on: who ends us during the start gets an orderly end,
 * too.
 */
static int
signals_block(struct daemon *d, struct err *e)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	d->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return d->signals.fd < 0 ? err_errno(e, errno, "signals") : 0;
}

int
daemon_open(struct daemon *d, struct err *e)
{
	const struct listen_env env = {
	    getenv("LISTEN_PID"), getenv("LISTEN_FDS"), getenv("LISTEN_FDNAMES")};

	listeners_init(&d->listeners);
	d->notify.fd = -1;
	d->lock = -1;
	d->opened = true;
	d->generation = 1;
	int passed = listen_env_count(&env, getpid(), e);
	if (passed < 0)
		return passed;
	int r = listeners_take(&d->listeners, &env, LISTEN_FIRST, passed, e);
	if (r == 0)
		r = listeners_make(&d->listeners, e);
	if (r == 0)
		r = notify_open(&d->notify, getenv("NOTIFY_SOCKET"), e);
	if (r == 0)
		r = signals_block(d, e);
	/* Half of what the manager allows. */
	d->watchdog_ms =
	    notify_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"), getpid()) /
	    2000;
	if (chdir("/") < 0 && r == 0)
		r = err_errno(e, errno, "/");
	return r;
}

void
daemon_close(struct daemon *d)
{
	if (!d->opened)
		return;
	listeners_unlink(&d->listeners);
	listeners_release(&d->listeners);
	notify_close(&d->notify);
	fd_close(&d->lock);
}

/* Two daemons on one graph root would each clear away what the other stages. The lock is
 * on the directory, so that it leaves nothing behind, and goes with us whatever happens.
 */
static int
graph_claim(struct supervisor *s, struct err *e)
{
	int fd = openat(s->host.graph, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(e, errno, "opening %s", s->settings.graph_root);
	s->daemon.lock = fd;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return err_errno(e, errno, "locking %s", s->settings.graph_root);
	return err_set(e, ERR_IN_USE,
	    "another bulkheadd serves the graph root %s already: stop it first, or name "
	    "another one with --root",
	    s->settings.graph_root);
}

static int
sockets_bind(struct supervisor *s, struct err *e)
{
	const char *const paths[LISTENERS] = {
	    [LISTEN_CRI] = s->settings.listen,
	    [LISTEN_CONTROL] = s->settings.control_socket,
	    [LISTEN_METRICS] = s->settings.metrics_socket,
	};
	int r = 0;

	for (int k = 0; r == 0 && k < LISTENERS; k++)
		r = listener_bind(&s->daemon.listeners, (enum listen_kind)k, paths[k], e);
	return r;
}

void
daemon_status(struct supervisor *s, const char *prefix, const char *text)
{
	char lines[512];

	notify_send(&s->daemon.notify, notify_status(lines, sizeof(lines), prefix, text));
}

static void
sockets_log(struct supervisor *s)
{
	for (int k = 0; k < LISTENERS; k++) {
		const struct listener *l = &s->daemon.listeners.of[k];
		if (l->fd >= 0)
			supervisor_log(s, 6, "%s socket: %s%s",
			    listener_name((enum listen_kind)k), l->path,
			    l->passed ? " (passed by the service manager)" : "");
	}
}

void
daemon_serves(struct supervisor *s, const struct room_entry *r)
{
	struct daemon *d = &s->daemon;

	(r == s->store ? &d->store : &d->frontend)->serves = true;
	if (d->ending || !d->store.serves || !d->frontend.serves)
		return;
	daemon_status(s, d->ready ? "" : "READY=1\n", "Serving images");
	if (d->ready) {
		supervisor_log(s, 6, "serving again");
		return;
	}
	d->ready = true;
	sockets_log(s);
	supervisor_log(s, 6, "ready: graph root %s", s->settings.graph_root);
	daemon_check_begin(s);
	spares_begin(s);
}

/* ---- the end ---- */

/* No calls any more: the store ends its pulls, removes its staging and goes. */
static void
end_store(struct supervisor *s)
{
	struct daemon *d = &s->daemon;

	d->ending = ENDING_STORE;
	loop_timer_clear(&s->loop, &d->grace);
	loop_timer_clear(&s->loop, &d->store.timer);
	if (s->store)
		supervisor_stop(s, 0);
	else /* what a dead one left has to go as well */
		store_sweep_start(s);
}

void
daemon_calls_over(struct supervisor *s)
{
	if (s->daemon.ending == ENDING_CALLS)
		end_store(s);
}

static void
grace_fired(struct loop_timer *t)
{
	struct supervisor *s = t->arg;

	supervisor_log(s, 4, "calls in flight have not ended within %d seconds: cut off",
	    GRACE_MS / 1000);
	end_store(s);
}

static void
daemon_end(struct supervisor *s)
{
	struct daemon *d = &s->daemon;
	struct ipc_msg stop = IPC_MSG(stop);

	d->ending = ENDING_CALLS;
	daemon_status(s, "STOPPING=1\n", "Stopping");
	supervisor_log(s, 6, "stopping");
	daemon_reload_cancel(s);
	listeners_unlink(&d->listeners);
	loop_timer_clear(&s->loop, &d->check);
	loop_timer_clear(&s->loop, &d->frontend.timer);
	if (!s->frontend || !s->frontend->ready) {
		end_store(s);
		return;
	}
	port_send(&s->frontend->control, &stop);
	loop_timer_set(&s->loop, &d->grace, GRACE_MS);
}

/* Each further one is less patient. */
static void
on_end_signal(struct supervisor *s)
{
	switch (s->daemon.ending) {
	case ENDING_NOT:
		daemon_end(s);
		break;
	case ENDING_CALLS:
		supervisor_log(s, 4, "told to stop again: calls in flight are cut off");
		end_store(s);
		break;
	case ENDING_STORE:
		supervisor_log(s, 4, "told to stop at once: the next start clears away");
		loop_quit(&s->loop);
		break;
	}
}

static void
signals_ready(struct loop_source *source, uint32_t events)
{
	struct supervisor *s = source->arg;
	struct signalfd_siginfo info;

	while (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo != SIGHUP)
			on_end_signal(s);
		else if (!s->daemon.ending)
			daemon_reload(s);
	}
}

int
daemon_start(struct supervisor *s, struct err *e)
{
	struct daemon *d = &s->daemon;

	d->grace = (struct loop_timer){.fired = grace_fired, .arg = s};
	d->signals = (struct loop_source){
	    .fd = d->signals.fd, .events = EPOLLIN, .ready = signals_ready, .arg = s};
	int r = graph_claim(s, e);
	if (r == 0)
		r = sockets_bind(s, e);
	if (r < 0)
		return r;
	r = loop_add(&s->loop, &d->signals);
	if (r < 0)
		return err_errno(e, -r, "signals");
	daemon_policy_log(s);
	return daemon_rooms_start(s, e);
}
