#include "supervisor/supervisor.h"

#include <stdarg.h>
#include <stdio.h>

void
supervisor_log(struct supervisor *s, unsigned level, const char *fmt, ...)
{
	char text[LIMIT_LOG_TEXT + 256], safe[LIMIT_LOG_TEXT + 256];
	va_list ap;

	if (level > s->settings.log_level)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(
	    stderr, "bulkhead: %s\n", span_escape(span_str(text), safe, sizeof(safe)));
}
