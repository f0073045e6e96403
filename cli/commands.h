/* What each command asks the service and prints. */
#ifndef BULKHEAD_CLI_COMMANDS_H
#define BULKHEAD_CLI_COMMANDS_H

#include "cli/args.h"
#include "cli/session.h"

struct command {
	const struct args *args;
	struct session *session;
	enum progress_mode progress;
	int64_t now; /* seconds since 1970 */
	/* "USER:PASSWORD", kept here because argv is wiped; n 0 = none. */
	uint8_t secret[LIMIT_SECRET];
	size_t secret_size;
};

/* Everything that can be refused before a process is started: names, filters, platform,
 * credentials (copied into c->secret). 0, or negative with *e. */
int command_check(struct command *c, struct err *e) MUST_CHECK;

/* Runs it over c->session. Errors are printed. Returns the exit code. */
int command_run(struct command *c);

/* The version; needs no session. */
void command_version(bool json, FILE *to);

/* How a command that was ended by a signal exits. */
static inline int
command_exit_signal(int signo)
{
	return 128 + signo;
}

#endif
