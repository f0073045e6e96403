/* The supervisor's child between clone and exec. */
#ifndef BULKHEAD_SANDBOX_CHILD_H
#define BULKHEAD_SANDBOX_CHILD_H

#include "policy/sandbox/profile.h"

#define CHILD_FDS 4

struct child {
	const struct profile *profile;
	unsigned namespaces; /* in effect: enum profile_namespace */
	bool idle;	     /* at idle priority */
	int program;
	int null;
	int net_host;
	int wait, wait_other; /* a pipe: one byte, and we may go on */
	int fds[CHILD_FDS];   /* at numbers SANDBOX_FD_CONTROL and up; -1: none */
};

/* Never comes back: executes the room, or reports over its control channel and exits. */
NORETURN void child_run(const struct child *c);

#endif
