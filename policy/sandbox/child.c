#include "policy/sandbox/child.h"

#include "common/base/err.h"
#include "policy/sandbox/ticket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Descriptors are first moved above every number that a row uses. */
#define HIGH 64

#define OOM_SCORE "500" /* of 1000 */

NORETURN static void
give_up(int control, const struct profile *p, const char *what)
{
	char packet[256];
	int n = snprintf(packet, sizeof packet, "%croom %s: %s: %s", SANDBOX_FAILED,
	    p->name, what, strerror(errno));
	ssize_t w = send(control, packet, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);

	(void)w; /* nobody is left to tell */
	_exit(ERR_INTERNAL);
}

/* clone3 has set every handler back already; what the supervisor blocks or ignores is
 * left. A room must not die of a terminal's key or a neighbour that has gone. */
static int
reset_signals(void)
{
	struct sigaction act = {.sa_handler = SIG_IGN};
	sigset_t none;

	if (sigaction(SIGINT, &act, NULL) < 0 || sigaction(SIGPIPE, &act, NULL) < 0)
		return -1;
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

static int
set_limit(int which, uint64_t value)
{
	struct rlimit now, l = {value, value};

#ifdef BULKHEAD_SANITIZE
	if (which == RLIMIT_AS)
		return 0; /* the shadow memory alone is terabytes */
#endif
	/* Never up: the service may run under lower limits already. */
	if (getrlimit(which, &now) < 0)
		return -1;
	if (now.rlim_max < value)
		l.rlim_cur = l.rlim_max = now.rlim_max;
	return setrlimit(which, &l);
}

static int
set_limits(const struct profile *p)
{
	if (set_limit(RLIMIT_CORE, 0) < 0)
		return -1;
	for (const struct profile_limit *l = p->limits; l->name; l++)
		if (set_limit(l->which, l->value) < 0)
			return -1;
	return 0;
}

/* Leaves 0, 1, 2, the row's descriptors (-1: none at that number), and the program behind
 * them. */
static int
place_fds(const struct child *c, int *control, int *program)
{
	int high[CHILD_FDS];
	int last = SANDBOX_FD_CONTROL + CHILD_FDS;

	for (int i = 0; i < CHILD_FDS; i++) {
		high[i] = -1;
		if (c->fds[i] >= 0 &&
		    (high[i] = fcntl(c->fds[i], F_DUPFD_CLOEXEC, HIGH)) < 0)
			return -1;
	}
	*control = high[0];
	int null = fcntl(c->null, F_DUPFD_CLOEXEC, HIGH);
	int exe = fcntl(c->program, F_DUPFD_CLOEXEC, HIGH);
	if (null < 0 || exe < 0)
		return -1;
	for (int n = 0; n < 3; n++) {
#ifdef BULKHEAD_SANITIZE
		if (n == 2)
			continue; /* reports of the sanitizers */
#endif
		if (dup2(null, n) < 0)
			return -1;
	}
	for (int i = 0; i < CHILD_FDS; i++) {
		if (high[i] < 0)
			close(SANDBOX_FD_CONTROL + i);
		else if (dup2(high[i], SANDBOX_FD_CONTROL + i) < 0)
			return -1;
	}
	*control = SANDBOX_FD_CONTROL;
	if (dup3(exe, last, O_CLOEXEC) < 0)
		return -1;
	*program = last;
	return (int)syscall(SYS_close_range, last + 1, ~0u, 0);
}

/* The service itself may be one of the last that the kernel kills for want of memory; a
 * room that a hostile layer blows up is to be the first. Raising the own score needs no
 * privilege; where /proc is not to be written the score stays, and nothing else is lost.
 */
static void
die_first(const struct profile *p)
{
	if (!(p->asked_by & ~(1u << ROOM_SUPERVISOR)) && p->room != ROOM_HELPER)
		return;
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, OOM_SCORE, strlen(OOM_SCORE));
	close(fd);
}

/* Where sessions are scheduled as groups, the rank of the room's own group counts, not
 * only its own (enter.c); a kernel without that has no such file. */
static void
yield_group(void)
{
	int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, "19", 2);
	close(fd);
}

void
child_run(const struct child *c)
{
	const struct profile *p = c->profile;
	int control = c->fds[0], program = -1;
	char name[32], go;

	if (reset_signals() < 0)
		give_up(control, p, "signals");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		give_up(control, p, "parent-death signal");
	/* Its own copy of the other end would keep it waiting for ever. */
	close(c->wait_other);
	if (read(c->wait, &go, 1) != 1)
		_exit(ERR_INTERNAL);
	if (setsid() < 0)
		give_up(control, p, "setsid");
	if (!(c->namespaces & NS_NET) && setns(c->net_host, CLONE_NEWNET) < 0)
		give_up(control, p, "joining the host's network namespace");
	if (chdir("/") < 0)
		give_up(control, p, "chdir");
	umask(022);
	die_first(p);
	if (c->idle)
		yield_group();
	if (place_fds(c, &control, &program) < 0)
		give_up(control, p, "descriptors");
	if (set_limits(p) < 0)
		give_up(control, p, "resource limits");
	snprintf(name, sizeof name, "bulkhead-%s", room_name(p->room));
	char *argv[] = {name, NULL};
	char *envp[] = {NULL};
	syscall(SYS_execveat, program, "", argv, envp, AT_EMPTY_PATH);
	give_up(control, p, "exec");
}
