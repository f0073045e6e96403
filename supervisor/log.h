/* Lines of the log, as text or JSON: pure. */
#ifndef BULKHEAD_SUPERVISOR_LOG_H
#define BULKHEAD_SUPERVISOR_LOG_H

#include "common/base/span.h"

#include <sys/types.h>
#include <time.h>

/* Room for any line that log_text or log_json makes of a text of LIMIT_LOG_TEXT. */
#define LOG_LINE (4 * LIMIT_LOG_TEXT + 512)

struct log_line {
	unsigned level;	  /* 3 error, 4 warning, 6 info, 7 debug */
	const char *room; /* NULL: the supervisor itself */
	uint64_t request; /* 0: about none */
	struct timespec time;
	const char *text;
};

/* "error", "warning", "info", "debug"; what is between counts as the graver one. */
const char *log_level_name(unsigned level);

/* The text on one line: printable ASCII as it is, every other byte as \xNN. What a room
 * has escaped already is not escaped again. Cut with "..." to fit. Returns dst. */
char *log_clean(const char *text, char *dst, size_t cap);

/* One line with its end. "TIME level room [request]: text"; plain: no time and no level,
 * for a journal that has its own. Bytes written, without the NUL. */
size_t log_text(const struct log_line *l, bool plain, char *dst, size_t cap);

/* An object: time (RFC 3339, UTC), level, room, request (if any), msg. */
size_t log_json(const struct log_line *l, char *dst, size_t cap);

/* Whether fd is the stream that JOURNAL_STREAM ("device:inode"; may be NULL) names. */
bool log_is_journal(int fd, const char *stream);

#endif
