/* The bulkhead command. The only file of it that touches ambient things. */
#include "cli/commands.h"
#include "cli/connect.h"
#include "cli/spawn.h"
#include "common/base/fd.h"
#include "policy/sandbox/command.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The service removes its staging and ends its rooms. */
#define GOODBYE_MS 30000

#ifdef BULKHEAD_SANITIZE
/* The leak checker reads /proc, which a confined process may not. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

static int
complain(const struct err *e)
{
	struct session s = {.err = stderr};

	session_complain(&s, e);
	return (int)e->code;
}

/* Signals are read, never delivered: the command always ends by itself. */
static int
take_signals(struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_errno(e, errno, "blocking signals");
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_errno(e, errno, "signalfd") : fd;
}

static void
measure(struct session *s)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0)
		return;
	s->progress.width = size.ws_col;
	s->progress.rows = size.ws_row;
}

static enum progress_mode
progress_mode(const struct args *a)
{
	enum { AUTO, PLAIN, JSON, NONE };
	const char *term = getenv("TERM");

	if ((a->command != CMD_PULL && a->command != CMD_CHECK) || a->flag[OPT_QUIET])
		return PROGRESS_NONE;
	switch (a->choice[OPT_PROGRESS]) {
	case PLAIN:
		return PROGRESS_PLAIN;
	case JSON:
		return PROGRESS_JSON;
	case NONE:
		return PROGRESS_NONE;
	}
	bool bars = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
	return bars ? PROGRESS_BARS : PROGRESS_PLAIN;
}

/* How the service ended. It exits with the classes of struct err, and has given its
 * reason whenever that is not 0. */
static int
service_status(const struct session *s, int status, int code, struct err *e)
{
	if (WIFSIGNALED(status))
		return err_set(e, ERR_INTERNAL, "the service was killed by signal %d",
		    WTERMSIG(status));
	int own = WEXITSTATUS(status);
	if (!s->closed)
		return code;
	if (own == 0)
		return err_set(e, ERR_INTERNAL, "the service ended before it answered");
	return own < ERR_INTERNAL ? own : ERR_INTERNAL;
}

/* Waits for the service. Returns the exit code. */
static int
say_goodbye(const struct session *s, struct service *service, int code)
{
	struct err e = {0};
	int status = 0;

	if (service->pid < 0) { /* a daemon's life is its own */
		if (!s->closed)
			return code;
		err_set(&e, ERR_INTERNAL,
		    "the daemon ended the conversation: it was stopped, restarted or is "
		    "overloaded; try again");
		return complain(&e);
	}
	int r = service_wait(service, GOODBYE_MS, &status);

	if (r == -ETIMEDOUT)
		err_set(&e, ERR_INTERNAL,
		    "the service (process %d) has not ended; it may still remove what it "
		    "began",
		    (int)service->pid);
	else if (r < 0)
		err_errno(&e, -r, "waiting for the service");
	else
		code = service_status(s, status, code, &e);
	if (!e.code || s->interrupted)
		return code;
	complain(&e);
	return code > 0 ? code : (int)e.code;
}

static int
converse(struct command *c, struct service *service, int signals)
{
	struct session s;
	struct err e = {0};

	if (session_open(&s, fd_steal(&service->channel), signals, stdout, stderr) < 0) {
		err_set(&e, ERR_INTERNAL, "out of memory");
		return complain(&e);
	}
	s.resized = measure;
	measure(&s);
	/* cppcheck-suppress autoVariables ; taken back below */
	c->session = &s;
	int code = command_run(c);
	c->session = NULL;
	session_close(&s);
	return say_goodbye(&s, service, code);
}

/* The daemon's, or one of this command's own. */
static int
reach_service(struct service *service, const struct args *a, struct err *e)
{
	bool must = false;
	const char *path = args_socket(a, &must);

	if (path) {
		service->channel = control_connect(path, must, e);
		if (service->channel >= 0)
			return 0;
		if (e->code)
			return -ECONNREFUSED;
	}
	return service_start(service, a, e);
}

static int
serve(struct command *c)
{
	CLEANUP(fd_close) int signals = -1;
	struct service service = SERVICE_NONE;
	struct err e = {0};

	signals = take_signals(&e);
	if (signals < 0 || reach_service(&service, c->args, &e) < 0)
		return complain(&e);
	/* gmtime_r looks for a time zone file once. */
	tzset();
	if (sandbox_enter_command(&e) < 0) {
		fd_close(&service.channel);
		if (service.pid >= 0)
			(void)!service_wait(&service, GOODBYE_MS, &(int){0});
		return complain(&e);
	}
	int code = converse(c, &service, signals);
	fd_close(&service.pidfd);
	return code;
}

/* What was asked for on the command line stays out of /proc/PID/cmdline. */
static void
wipe_secret(const struct args *a)
{
	if (a->text[OPT_CREDS])
		explicit_bzero(
		    (char *)(uintptr_t)a->text[OPT_CREDS], strlen(a->text[OPT_CREDS]));
}

static int
run(int argc, char **argv)
{
	static struct args args;
	static struct command c = {.args = &args};
	struct err e = {0};

	if (args_parse(argc, argv, &args, &e) < 0)
		return complain(&e);
	if (args.flag[OPT_HELP]) {
		args_help(stdout, args.command);
		return 0;
	}
	if (args.command == CMD_VERSION) {
		command_version(args.choice[OPT_FORMAT], stdout);
		return 0;
	}
	if (command_check(&c, &e) < 0)
		return complain(&e);
	wipe_secret(&args);
	c.progress = progress_mode(&args);
	c.now = time(NULL);
	int code = serve(&c);
	explicit_bzero(c.secret, sizeof(c.secret));
	return code;
}

int
main(int argc, char **argv)
{
	struct err e = {0};

	/* Whole lines at once: the service writes to the same terminal. */
	setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
	int code = run(argc, argv);

	/* A result that never arrived is a failure, also of a command that did its work.
	 */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		err_errno(&e, errno, "writing the result");
		return code ? code : complain(&e);
	}
	return code;
}
