/* bulkheadd: the supervisor. Started by the command for itself (--embedded: the command's
 * channel is fd 3) it lives until the command goes; else it is the daemon. */
#include "supervisor/supervisor.h"

#include "common/base/fd.h"
#include "supervisor/config_command.h"
#include "supervisor/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLI_FD 3
#define RUN_DIR "/run/bulkhead"
#define UID_LOCKS RUN_DIR "/uids"

/* Ctrl-C reaches the whole process group; only the command acts on it, and its end is
 * ours. */
static void
signals_quiet(void)
{
	static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGPIPE, SIGTSTP};

	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		signal(ignored[i], SIG_IGN);
}

/* The directory of our own program: the rooms lie beside it, or in libexec of the same
 * prefix. */
static int
programs_find(char *dir, size_t cap, struct err *e)
{
	char own[LIMIT_PATH + 1], room[LIMIT_PATH + 128];
	static const char *const places[] = {"", "/../libexec/bulkhead"};

	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
	if (n <= 0)
		return err_errno(e, errno, "cannot find the own program");
	own[n] = 0;
	*strrchr(own, '/') = 0;
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		snprintf(dir, cap, "%s%s", own, places[i]);
		snprintf(room, sizeof(room), "%s%s/bulkhead-store", own, places[i]);
		if (access(room, X_OK) == 0)
			return 0;
	}
	return err_set(e, ERR_INTERNAL,
	    "the rooms' programs (bulkhead-store ...) are neither in %s nor in its "
	    "../libexec/bulkhead: the installation is incomplete",
	    own);
}

static int
on_sigterm_add(struct supervisor *s, struct loop_source *source)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	source->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return source->fd < 0 ? -errno : loop_add(&s->loop, source);
}

static void
on_sigterm(struct loop_source *source, uint32_t events)
{
	struct supervisor *s = source->arg;

	loop_remove(&s->loop, source);
	supervisor_stop(s, 128 + SIGTERM);
}

/* The configuration may ask for lesser forms, or for other uids: then the host is made
 * once more. The readers of the configuration itself have run with whatever this kernel
 * offers. */
static int
host_again(struct supervisor *s, struct sandbox_options *o, struct err *e)
{
	if (!s->host.degraded && !s->settings.allow_degraded &&
	    s->settings.uid_base == o->uid_base)
		return 0;
	if (setns(s->host.net_host, CLONE_NEWNET) < 0)
		return err_errno(e, errno, "returning to the network namespace");
	sandbox_host_release(&s->host);
	o->allow_degraded = s->settings.allow_degraded;
	o->uid_base = (uid_t)s->settings.uid_base;
	return sandbox_host_init(&s->host, o, e);
}

/* A host whose readers of the configuration run with whatever this kernel offers. */
static int
host_first(struct sandbox_host *h, struct sandbox_options *o, char *programs, size_t cap,
    struct err *e)
{
	int r = programs_find(programs, cap, e);
	if (r < 0)
		return r;
	if (mkdir(RUN_DIR, 0700) < 0 && errno != EEXIST)
		return err_errno(e, errno, "cannot make %s", RUN_DIR);
	*o = (struct sandbox_options){.programs = programs,
	    .uids = UID_LOCKS,
	    .uid_base = UIDS_BASE,
	    .allow_degraded = DEGRADED_KERNEL | DEGRADED_SECCOMP | DEGRADED_LANDLOCK |
			      DEGRADED_APPLY_USERNS};
	return sandbox_host_init(h, o, e);
}

/* For `bulkheadd config`. */
static int
host_readers(struct sandbox_host *h, struct err *e)
{
	char programs[LIMIT_PATH + 64];
	struct sandbox_options o = {0};

	return host_first(h, &o, programs, sizeof(programs), e);
}

/* Everything up to the loop. */
static int
supervisor_prepare(struct supervisor *s, struct err *e)
{
	char programs[LIMIT_PATH + 64];
	struct sandbox_options o = {0};

	if (geteuid() != 0)
		return err_set(
		    e, ERR_USAGE, "needs root: it starts rooms of their own users");
	int r = host_first(&s->host, &o, programs, sizeof(programs), e);
	struct configured all = {&s->settings, &s->registries, &s->secrets, &s->policy};
	if (r == 0)
		r = settings_read(&all, &s->host, e);
	if (r == 0)
		r = host_again(s, &o, e);
	if (r == 0)
		r = files_check_overlay(s->settings.graph_root, e);
	if (r == 0)
		r = sandbox_graph(
		    &s->host, s->settings.graph_root, s->settings.run_root, e);
	if (r == 0)
		r = files_check_graph(s->host.graph, s->settings.graph_root, e);
	if (r == 0)
		r = sandbox_host_confine(&s->host, e);
	return r;
}

/* The channel that the command has passed. */
static int
embedded_open(struct supervisor *s, struct err *e)
{
	struct stat st;

	signals_quiet();
	if (fstat(CLI_FD, &st) < 0 || !S_ISSOCK(st.st_mode))
		return err_set(e, ERR_USAGE,
		    "--embedded is how the bulkhead command starts bulkheadd for itself: "
		    "run that instead");
	s->cli = CLI_FD;
	fcntl(CLI_FD, F_SETFD, FD_CLOEXEC);
	return 0;
}

static int
embedded_start(struct supervisor *s, struct loop_source *term, struct err *e)
{
	s->store = room_start(s, ROOM_STORE, SANDBOX_MODE_PLAIN, 0, 0, -1, e);
	if (!s->store)
		return -EIO;
	s->frontend = room_start(s, ROOM_FRONTEND, SANDBOX_MODE_PLAIN, 0, 0, -1, e);
	if (!s->frontend)
		return -EIO;
	int r = rooms_connect(s->frontend, s->store, CH_frontend_store, 0, 0);
	if (r < 0)
		return err_errno(e, r, "connecting frontend and store");
	room_give(s->frontend, CH_cli, 0, 0, fd_steal(&s->cli));
	r = on_sigterm_add(s, term);
	return r < 0 ? err_errno(e, r, "signals") : 0;
}

/* Nobody is left behind: what still lives is killed, and all are reaped before we go. */
static void
rooms_end(struct supervisor *s)
{
	int status;

	for (struct room_entry *r = s->rooms; r; r = r->next)
		room_kill(r);
	for (struct room_entry *r = s->rooms; r; r = r->next)
		(void)!sandbox_reap(&s->host, &r->sandbox, &status);
}

int
main(int argc, char **argv)
{
	static struct supervisor s = {.cli = -1, .policy = {.fd = -1}};
	struct loop_source term = {
	    .fd = -1, .events = EPOLLIN, .ready = on_sigterm, .arg = &s};
	struct err e = {0};

	umask(022);
	s.environment = (const char *const *)environ;
	if (argc > 1 && strcmp(argv[1], "config") == 0)
		return config_command(argc - 1, argv + 1, host_readers);
	int r = settings_parse(&s.settings, argc, argv, &e);
	if (r == 0)
		r = s.settings.embedded ? embedded_open(&s, &e)
					: daemon_open(&s.daemon, &e);
	if (r == 0)
		r = supervisor_prepare(&s, &e);
	if (r == 0 && (r = loop_init(&s.loop)) < 0)
		err_errno(&e, r, "event loop");
	if (r == 0)
		r = s.settings.embedded ? embedded_start(&s, &term, &e)
					: daemon_start(&s, &e);
	if (r < 0) {
		daemon_close(&s.daemon);
		char text[sizeof(e.text)];
		fprintf(stderr, "bulkhead: %s\n",
		    span_escape(span_str(e.text), text, sizeof(text)));
		return e.code ? (int)e.code : ERR_INTERNAL;
	}
	r = loop_run(&s.loop);
	rooms_end(&s);
	daemon_close(&s.daemon);
	registry_rows_release(&s.registries);
	secrets_release(&s.secrets);
	sandbox_host_release(&s.host);
	return r < 0 ? ERR_INTERNAL : s.exit_code;
}
