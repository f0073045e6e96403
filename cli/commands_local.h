/* Shared by the files that implement commands. */
#ifndef BULKHEAD_CLI_COMMANDS_LOCAL_H
#define BULKHEAD_CLI_COMMANDS_LOCAL_H

#include "cli/commands.h"
#include "cli/images.h"

/* The name without "docker://". */
const char *command_reference(const char *text);

/* All filters of the command line. */
int command_filter(const struct args *a, struct image_filter *f, struct err *e);

/* Asks and, on failure, prints why. Returns the exit code so far: the first failure
 * stays. */
int command_ask(
    struct command *c, struct ipc_msg *request, session_fn *fn, void *arg, int code);

/* The second half of command_ask: prints why a request failed (r < 0). */
int command_failed(struct command *c, int r, const struct err *e, int code);

/* For requests whose only answer is the last. */
session_fn command_no_answer;

/* An answer that this request cannot have. */
int command_unexpected(struct ipc_msg *m, struct err *e);

int command_pull(struct command *c);
int command_can_pull(struct command *c);
int command_explain(struct command *c);
int command_inspect(struct command *c);
int command_images(struct command *c);
int command_rmi(struct command *c);
int command_tag(struct command *c);
int command_untag(struct command *c);
int command_fsinfo(struct command *c);
int command_status(struct command *c);
int command_ps(struct command *c);
int command_check_store(struct command *c);

/* Has what a check found damaged of this image put again; returns the exit code so far.
 */
int command_mend(struct command *c, const char *name, int code);

/* Prints the finished text or table, by --format; returns the exit code. */
struct jw;
struct table;
int command_finish(struct command *c, struct jw *w, const struct table *t);

#endif
