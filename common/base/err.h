/* What went wrong, in one line for a person, with the exit class of the command.
 *
 * Functions return 0, a negative errno or class to forward unchanged, or a positive
 * answer of their own. Where a person will read the reason, they also fill a struct err.
 */
#ifndef BULKHEAD_BASE_ERR_H
#define BULKHEAD_BASE_ERR_H

#include "common/base/span.h"

/* The exit codes of the command, and the `code` of every answer on a channel. */
enum err_class {
	ERR_OK = 0,
	ERR_NOT_FOUND = 1,
	ERR_IN_USE = 2,
	ERR_POLICY = 3,
	ERR_AUTH = 4,
	ERR_NETWORK = 5,
	ERR_NO_SPACE = 6,
	ERR_CONTENT = 7, /* damaged or hostile content */
	ERR_DEADLINE = 8,
	ERR_BLOCKED =
	    9, /* by registries.conf; no exit code: commands are told ERR_POLICY */
	ERR_USAGE = 64,
	ERR_INTERNAL = 125,
};

struct err {
	enum err_class code;
	char text[1024];
};

/* Fills *e (if e is not NULL and holds nothing yet: the first reason wins) and returns
 * -EPROTO (content), -ENOSPC, ... : always negative, so that `return err_set(...)` ends a
 * function. */
int err_set(struct err *e, enum err_class code, const char *fmt, ...) PRINTF(3, 4);

/* As err_set with ": strerror" appended; ENOSPC, EDQUOT become ERR_NO_SPACE. Returns
 * -errnum. */
int err_errno(struct err *e, int errnum, const char *fmt, ...) PRINTF(3, 4);

#endif
