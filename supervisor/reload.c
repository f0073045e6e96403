/* SIGHUP: all files are read once more, while everything goes on, and either all of what
 * they say holds from then on, or nothing of it. */
#include "supervisor/supervisor.h"

#include "common/base/fd.h"
#include "supervisor/conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct reload {
	struct conf_reading *reading; /* NULL once it is over */
	bool again;		      /* told so meanwhile: what was read may be old */
	struct settings settings;
	struct registry_rows registries;
	struct secrets secrets;
	struct policy_file policy;
};

static void
reload_free(struct supervisor *s)
{
	struct reload *n = s->daemon.reload;

	if (!n)
		return;
	if (n->reading)
		conf_cancel(n->reading);
	registry_rows_release(&n->registries);
	secrets_release(&n->secrets);
	fd_close(&n->policy.fd);
	free(n);
	s->daemon.reload = NULL;
}

void
daemon_reload_cancel(struct supervisor *s)
{
	reload_free(s);
}

/* A policy that cannot be used refuses the reload, as any other file does; but where none
 * could be used before, the rest may change. */
static int
policy_check(const struct supervisor *s, const struct reload *n, struct err *e)
{
	const struct err *why = &n->policy.problem;

	if (!why->code || s->policy.problem.code)
		return 0;
	return err_set(e, why->code, "%s", why->text);
}

void
daemon_policy_log(struct supervisor *s)
{
	if (s->policy.problem.code)
		supervisor_log(s, 3, "every pull is refused: %s", s->policy.problem.text);
}

static void
change_log(
    void *arg, const char *key, const char *before, const char *after, bool restart)
{
	struct supervisor *s = arg;

	if (restart)
		supervisor_log(
		    s, 4, "reload: %s stays %s: %s needs a restart", key, before, after);
	else
		supervisor_log(s, 6, "reload: %s is now %s, was %s", key, after, before);
}

/* Nothing in here can fail. No pointer leads into the settings. */
static unsigned
adopt(struct supervisor *s, struct reload *n)
{
	unsigned changes = settings_changes(&s->settings, &n->settings, change_log, s);

	if (n->policy.fd >= 0 &&
	    memcmp(n->policy.sha256, s->policy.sha256, sizeof(s->policy.sha256)) != 0) {
		supervisor_log(
		    s, 6, "reload: the policy file %s has new content", n->policy.path);
		changes++;
	}
	if (!registry_rows_equal(&n->registries, &s->registries)) {
		supervisor_log(
		    s, 6, "reload: registries.conf or its drop-ins say something else");
		changes++;
	}
	registry_rows_release(&s->registries);
	s->registries = n->registries;
	n->registries = (struct registry_rows){0};
	settings_keep_running(&n->settings, &s->settings);
	s->settings = n->settings;
	secrets_release(&s->secrets);
	s->secrets = n->secrets;
	n->secrets = (struct secrets){0};
	fd_close(&s->policy.fd);
	s->policy = n->policy;
	n->policy.fd = -1;
	daemon_policy_log(s);
	s->daemon.generation++;
	return changes;
}

static void
rooms_tell(struct supervisor *s)
{
	struct ipc_msg m = IPC_MSG(reload_store, .max_layer = s->settings.max_layer,
	    .max_image = s->settings.max_image, .policy_file = span_str(s->policy.path),
	    .pins = span_str(s->settings.pins), .max_layers = s->settings.max_layers,
	    .max_layers_pull = s->settings.max_layers_pull,
	    .durability = s->settings.durability, .check_rate = s->settings.check_rate);

	memcpy(m.reload_store.policy, s->policy.sha256, sizeof(m.reload_store.policy));
	if (s->store && s->store->ready)
		port_send(&s->store->control, &m);
	if (s->frontend && s->frontend->ready)
		setup_frontend(s->frontend);
}

/* The first READY=1 is that of daemon_serves. */
static void
reload_told(struct supervisor *s, const char *text)
{
	if (s->daemon.ready)
		daemon_status(s, "READY=1\n", text);
}

void
daemon_reload_holds(struct supervisor *s)
{
	if (!s->daemon.telling)
		return;
	s->daemon.telling = false;
	reload_told(s, "Serving images");
}

static void
read_note(void *arg, const char *text)
{
	supervisor_log(arg, 4, "%s", text);
}

static void
read_done(void *arg, int r, const struct err *why)
{
	struct supervisor *s = arg;
	struct reload *n = s->daemon.reload;
	struct err e = *why;
	bool again = n->again;

	n->reading = NULL;
	if (!again && r == 0)
		r = policy_check(s, n, &e);
	if (!again && r < 0) {
		supervisor_log(s, 3, "reload: refused, nothing has changed: %s", e.text);
	} else if (!again) {
		unsigned changes = adopt(s, n);
		s->daemon.telling = true;
		rooms_tell(s);
		supervisor_log(
		    s, 6, "reload: done, %u change%s", changes, changes == 1 ? "" : "s");
	}
	reload_free(s);
	if (again)
		daemon_reload(s);
	else if (r < 0)
		reload_told(s, "Serving images; the last reload was refused");
	else if (s->daemon.telling && !(s->frontend && s->frontend->ready))
		daemon_reload_holds(s);
}

void
daemon_reload(struct supervisor *s)
{
	struct reload *n;
	struct timespec now;
	char lines[128];

	if (s->daemon.reload) {
		s->daemon.reload->again = true;
		return;
	}
	s->daemon.telling = false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (s->daemon.ready)
		notify_send(&s->daemon.notify,
		    notify_reloading(lines, sizeof(lines),
			(uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000));
	n = calloc(1, sizeof(*n));
	if (n) {
		s->daemon.reload = n;
		n->policy.fd = -1;
		n->settings = s->settings;
		struct configured all = {
		    &n->settings, &n->registries, &n->secrets, &n->policy};
		n->reading =
		    conf_begin(&s->loop, &s->host, &all, read_done, read_note, s);
	}
	if (n && n->reading)
		return;
	supervisor_log(s, 3, "reload: refused, nothing has changed: no memory");
	reload_free(s);
	reload_told(s, "Serving images");
}
