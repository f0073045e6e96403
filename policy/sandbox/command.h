/* The bulkhead command confines itself: it has no supervisor. Link `sandbox_command`. */
#ifndef BULKHEAD_SANDBOX_COMMAND_H
#define BULKHEAD_SANDBOX_COMMAND_H

#include "common/base/err.h"

/* After the socket and the files are open and before the first byte of an answer is read:
 * root becomes nobody, no capability, no new file, no exec, no process, by row `cli` of
 * profiles.def. Landlock is used where the kernel has it; without seccomp filters this
 * fails. 0, or negative with *e. */
int sandbox_enter_command(struct err *e) MUST_CHECK;

#endif
