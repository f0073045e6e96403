/* Lines for people, or for what reads them. */
#include "supervisor/supervisor.h"

#include "common/base/fd.h"
#include "supervisor/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Embedded, the lines are the command's own stderr: for people. */
static size_t
embedded_line(const struct log_line *l, char *dst, size_t cap)
{
	char text[LIMIT_LOG_TEXT + 256];

	log_clean(l->text, text, sizeof(text));
	return (size_t)snprintf(dst, cap, "bulkhead: %s%s%s\n", l->room ? l->room : "",
	    l->room ? ": " : "", text);
}

/* In one write: lines of others may come between. The journal takes a priority in front
 * of each (sd-daemon(3)). */
static void
line_print(struct supervisor *s, const struct log_line *l)
{
	char line[LOG_LINE];
	size_t at = 0, cap = sizeof(line) - 4;
	static int journal = -1;

	if (journal < 0)
		journal = log_is_journal(STDERR_FILENO, getenv("JOURNAL_STREAM"));
	if (journal && !s->settings.embedded)
		at = (size_t)snprintf(line, 4, "<%u>", l->level & 7);
	if (s->settings.embedded)
		at += embedded_line(l, line, cap);
	else if (s->settings.log_format == LOG_FORMAT_JSON)
		at += log_json(l, line + at, cap);
	else
		at += log_text(l, journal, line + at, cap);
	(void)!fd_write_all(STDERR_FILENO, line, at);
}

static void
line_log(struct supervisor *s, unsigned level, const char *room, uint64_t request,
    const char *text)
{
	struct log_line l = {
	    .level = level, .room = room, .request = request, .text = text};

	if (level > s->settings.log_level)
		return;
	clock_gettime(CLOCK_REALTIME, &l.time);
	line_print(s, &l);
}

void
supervisor_log(struct supervisor *s, unsigned level, const char *fmt, ...)
{
	char text[LIMIT_LOG_TEXT + 256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	line_log(s, level, NULL, 0, text);
}

void
room_log(struct room_entry *r, unsigned level, uint64_t request, struct span text)
{
	char copy[LIMIT_LOG_TEXT + 1];

	/* The message table has seen to it that it fits and holds no NUL. */
	if (span_to_str(text, copy, sizeof(copy)))
		line_log(r->s, level, r->profile->name, request, copy);
}
