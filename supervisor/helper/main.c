/* bulkhead-helper: becomes one credential helper, a program of somebody else's, with what
 * that needs and nothing more. */
#include "common/base/fd.h"
#include "common/ipc/control.h"
#include "policy/sandbox/sandbox.h"

#include <errno.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_PROTOCOL = 2, EXIT_NO_PROGRAM = 127 };

#define VARIABLES 256

/* The variables of the message, as execve wants them; false: they do not end where they
 * should. */
static bool
variables(struct span text, char **env, size_t cap)
{
	size_t n = 0;

	while (text.n) {
		const uint8_t *end = memchr(text.p, 0, text.n);
		if (!end || n == cap - 1)
			return false;
		env[n++] = (char *)(uintptr_t)text.p;
		text = span_from(text, (size_t)(end - text.p) + 1);
	}
	env[n] = NULL;
	return true;
}

static int
run(struct chan *control, const struct ipc_msg *m)
{
	const struct msg_run_helper *h = &m->run_helper;
	char path[LIMIT_PATH + LIMIT_HELPER_NAME + 32], name[LIMIT_HELPER_NAME + 32];
	char get[] = "get", *argv[] = {name, get, NULL};
	char *env[VARIABLES];

	snprintf(name, sizeof(name), "docker-credential-%.*s", (int)h->name.n,
	    (const char *)h->name.p);
	snprintf(path, sizeof(path), "%.*s/%s", (int)h->directory.n,
	    (const char *)h->directory.p, name);
	if (!variables(h->environment, env, ARRAY_LEN(env)))
		return EXIT_PROTOCOL;
	if (dup2(m->fds[0], 0) < 0 || dup2(m->fds[1], 1) < 0 || chdir("/tmp") < 0 ||
	    syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return EXIT_FAILED;
	execve(path, argv, env);
	control_log(control, LOG_WARNING, "running %s: %s", path, strerror(errno));
	return EXIT_NO_PROGRAM;
}

int
main(void)
{
	static struct chan control;
	static struct ipc_msg m;
	struct sandbox_report report = {0};
	const struct sandbox_setup setup = {.report = &report};

	if (sandbox_enter(ROOM_HELPER, &setup) < 0)
		return EXIT_FAILED;
	if (control_open(&control, ROOM_HELPER, (unsigned)report.landlock_abi,
		report.landlock) < 0)
		return EXIT_FAILED;
	if (control_wait(&control, &m, -1) != 0 || m.type != MSG_run_helper)
		return EXIT_PROTOCOL;
	return run(&control, &m);
}
