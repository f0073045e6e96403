/* Starts the service for this one command: bulkheadd --embedded, found beside the
 * command. */
#ifndef BULKHEAD_CLI_SPAWN_H
#define BULKHEAD_CLI_SPAWN_H

#include "cli/args.h"

#include <sys/types.h>

struct service {
	int channel; /* SEQPACKET to the frontend */
	pid_t pid;   /* -1: a daemon, not ours */
	int pidfd;
};
#define SERVICE_NONE                                  \
	(struct service)                              \
	{                                             \
		.channel = -1, .pid = -1, .pidfd = -1 \
	}

/* The service runs in a session of its own, with an empty environment, this process's
 * stderr and nothing else of it. 0, or negative with *e. */
int service_start(struct service *s, const struct args *a, struct err *e) MUST_CHECK;

/* Waits up to ms for it to end. 0: *status is that of waitpid; -ETIMEDOUT; -errno. */
int service_wait(struct service *s, int ms, int *status) MUST_CHECK;

#endif
