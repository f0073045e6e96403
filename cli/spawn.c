#include "cli/spawn.h"
#include "common/base/fd.h"
#include "common/base/loop.h"
#include "common/ipc/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "bulkheadd"
#define CHANNEL_FD 3
#define ARGV_MAX 40

struct line {
	const char *argv[ARGV_MAX];
	size_t n;
	char *owned[ARGV_MAX];
	size_t nowned;
};

static void
line_release(struct line *l)
{
	for (size_t i = 0; i < l->nowned; i++)
		free(l->owned[i]);
}

/* The directory of this program, without links. */
static int
own_directory(char dir[LIMIT_PATH + 1])
{
	ssize_t n = readlink("/proc/self/exe", dir, LIMIT_PATH);

	if (n < 0)
		return -errno;
	dir[n] = 0;
	char *slash = strrchr(dir, '/');
	if (!slash)
		return -ENOENT;
	*slash = 0;
	return 0;
}

/* Beside the command in a build tree, in ../sbin when installed. */
static int
find_program(char path[LIMIT_PATH + 32], struct err *e)
{
	static const char *const places[] = {"", "/../sbin"};
	char dir[LIMIT_PATH + 1];
	int r = own_directory(dir);

	if (r < 0)
		return err_errno(e, -r, "finding " PROGRAM);
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		snprintf(path, LIMIT_PATH + 32, "%s%s/%s", dir, places[i], PROGRAM);
		if (access(path, X_OK) == 0)
			return 0;
	}
	return err_set(e, ERR_INTERNAL,
	    PROGRAM " is neither in %s nor in %s/../sbin: install bulkhead whole", dir,
	    dir);
}

static void
add(struct line *l, const char *word)
{
	assert(l->n < ARGV_MAX - 1);
	l->argv[l->n++] = word;
}

/* The service runs in "/": its paths are absolute. */
static int
add_path(struct line *l, const char *option, const char *path)
{
	CLEANUP(free_ptr) char *cwd = NULL;
	char *whole = NULL;

	if (!path)
		return 0;
	if (path[0] != '/' && !(cwd = getcwd(NULL, 0)))
		return -errno;
	if (asprintf(&whole, "%s%s%s", cwd ? cwd : "", cwd ? "/" : "", path) < 0)
		return -ENOMEM;
	l->owned[l->nowned++] = whole;
	add(l, option);
	add(l, whole);
	return 0;
}

/* Where the other programs look for credentials, as this environment has it
 * (containers-auth.json(5)): a variable and what is added to it, or what takes its place.
 */
static const struct auth_place {
	const char *variable, *below, *otherwise;
} auth_places[] = {
    {"XDG_RUNTIME_DIR", "/containers/auth.json", NULL},
    {"XDG_CONFIG_HOME", "/containers/auth.json", "/.config/containers/auth.json"},
    {"DOCKER_CONFIG", "/config.json", "/.docker/config.json"},
    {"", "", "/.dockercfg"},
};

/* otherwise is below HOME; the first place has one of the user's number. "" = nowhere. */
static int
auth_place(const struct auth_place *a, char *dst, size_t cap)
{
	const char *value = getenv(a->variable), *home = getenv("HOME");
	int n = 0;

	*dst = 0;
	if (value && *value)
		n = snprintf(dst, cap, "%s%s", value, a->below);
	else if (!a->otherwise)
		n = snprintf(
		    dst, cap, "/run/containers/%u/auth.json", (unsigned)geteuid());
	else if (home && *home)
		n = snprintf(dst, cap, "%s%s", home, a->otherwise);
	return n < 0 || (size_t)n >= cap ? -ENAMETOOLONG : 0;
}

static int
add_auth_files(struct line *l)
{
	const char *named = getenv("REGISTRY_AUTH_FILE");
	char path[LIMIT_PATH + 1];
	int r = 0;

	if (named && *named)
		return add_path(l, "--authfile", named);
	for (size_t i = 0; i < ARRAY_LEN(auth_places) && r == 0; i++) {
		r = auth_place(&auth_places[i], path, sizeof(path));
		if (r == 0 && *path)
			r = add_path(l, "--auth-search", path);
	}
	return r;
}

static int
build_line(struct line *l, const char *program, const struct args *a)
{
	static const struct {
		enum cli_option id;
		const char *option;
	} paths[] = {
	    {OPT_ROOT, "--root"},
	    {OPT_RUNROOT, "--runroot"},
	    {OPT_CONFIG, "--config"},
	    {OPT_AUTHFILE, "--authfile"},
	    {OPT_CERT_DIR, "--cert-dir"},
	};
	static const char *const levels[] = {"warning", "error", "info", "debug"};
	int r = 0;

	add(l, program);
	add(l, "--embedded");
	for (size_t i = 0; i < ARRAY_LEN(paths) && r == 0; i++)
		r = add_path(l, paths[i].option, a->text[paths[i].id]);
	if (r == 0 && !a->text[OPT_AUTHFILE])
		r = add_auth_files(l);
	if (a->given[OPT_LOG_LEVEL]) {
		add(l, "--log-level");
		add(l, levels[a->choice[OPT_LOG_LEVEL]]);
	}
	return r;
}

/* In the child: never returns. What fails goes to the parent as an errno. */
NORETURN static void
become_service(const struct line *l, char *const *env, int channel, int failure)
{
	int error = 0;
	sigset_t none;

	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	/* The command acts on these and the service on the command's end: also in the
	 * moments before the service says so itself. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* The failure pipe leaves the number that the channel needs. */
	failure = fcntl(failure, F_DUPFD_CLOEXEC, CHANNEL_FD + 1);
	if (null < 0 || failure < 0 || setsid() < 0 || dup2(null, 0) < 0 ||
	    dup2(null, 1) < 0 || dup2(channel, CHANNEL_FD) < 0 ||
	    (channel == CHANNEL_FD && fcntl(CHANNEL_FD, F_SETFD, 0) < 0) ||
	    syscall(SYS_close_range, CHANNEL_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0 ||
	    chdir("/") < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		error = errno;
	if (!error) {
		execve(l->argv[0], (char *const *)l->argv, env);
		error = errno;
	}
	(void)!write(failure, &error, sizeof(error));
	_exit(127);
}

#ifdef BULKHEAD_SANITIZE
/* Builds with sanitizers carry their options to every room. */
static char *const *
service_environment(void)
{
	return environ;
}
#else
/* What `proxy = "environment"` asks for, and no more. */
static char *const *
service_environment(void)
{
	static const char *const names[] = {"HTTP_PROXY", "http_proxy", "HTTPS_PROXY",
	    "https_proxy", "NO_PROXY", "no_proxy"};
	static char *list[ARRAY_LEN(names) + 1];
	size_t n = 0;

	for (char **at = environ; *at; at++) {
		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			size_t len = strlen(names[i]);
			if (strncmp(*at, names[i], len) == 0 && (*at)[len] == '=' &&
			    n < ARRAY_LEN(names))
				list[n++] = *at;
		}
	}
	list[n] = NULL;
	return list;
}
#endif

/* 0 when the program runs: its exec has closed the pipe. */
static int
exec_result(int fd)
{
	int error = 0;
	ssize_t n = fd_read_full(fd, &error, sizeof(error));

	if (n < 0)
		return (int)n;
	return n == (ssize_t)sizeof(error) ? -error : 0;
}

static int
fork_service(struct service *s, const struct line *l, struct err *e)
{
	int pair[2], failure[2];
	int r = chan_pair(pair);

	if (r < 0)
		return err_errno(e, -r, "socketpair");
	FD_AUTO ours = pair[0], theirs = pair[1];
	if (pipe2(failure, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	FD_AUTO result = failure[0], report = failure[1];

	s->pid = fork();
	if (s->pid < 0)
		return err_errno(e, errno, "fork");
	if (s->pid == 0)
		become_service(l, service_environment(), theirs, report);
	fd_close(&report);
	r = exec_result(result);
	if (r == 0 && (s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0)) < 0)
		r = -errno;
	if (r < 0) {
		waitpid(s->pid, NULL, 0);
		return err_errno(e, -r, "starting %s", l->argv[0]);
	}
	s->channel = fd_steal(&ours);
	return 0;
}

int
service_start(struct service *s, const struct args *a, struct err *e)
{
	char program[LIMIT_PATH + 32];
	CLEANUP(line_release) struct line l = {0};

	*s = SERVICE_NONE;
	int r = find_program(program, e);
	if (r < 0)
		return r;
	r = build_line(&l, program, a);
	return r < 0 ? err_errno(e, -r, "the command line of " PROGRAM)
		     : fork_service(s, &l, e);
}

int
service_wait(struct service *s, int ms, int *status)
{
	uint64_t end = loop_now() + (uint64_t)ms;
	struct pollfd fd = {.fd = s->pidfd, .events = POLLIN};

	for (;;) {
		pid_t pid = waitpid(s->pid, status, WNOHANG);
		if (pid < 0 && errno != EINTR)
			return -errno;
		if (pid > 0)
			return 0;
		uint64_t now = loop_now();
		if (now >= end)
			return -ETIMEDOUT;
		if (poll(&fd, 1, (int)(end - now)) < 0 && errno != EINTR)
			return -errno;
	}
}
