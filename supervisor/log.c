#include "supervisor/log.h"

#include "common/base/limits.h"

#include <stdio.h>
#include <sys/stat.h>

const char *
log_level_name(unsigned level)
{
	return level <= 3   ? "error"
	       : level <= 5 ? "warning"
	       : level == 6 ? "info"
			    : "debug";
}

char *
log_clean(const char *text, char *dst, size_t cap)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	assert(cap >= 8);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = c >= 0x20 && c < 0x7f;
		if (n + (plain ? 1 : 4) + 4 > cap) {
			memcpy(dst + n, "...", 3);
			n += 3;
			break;
		}
		if (plain) {
			dst[n++] = (char)c;
			continue;
		}
		memcpy(dst + n, (char[]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4);
		n += 4;
	}
	dst[n] = 0;
	return dst;
}

/* What snprintf would have written, as far as it fits; the line ends whatever happens. */
static size_t
line_end(char *dst, size_t cap, int n)
{
	size_t at = n < 0 ? 0 : (size_t)n;

	if (at + 2 > cap)
		at = cap - 2;
	dst[at++] = '\n';
	dst[at] = 0;
	return at;
}

static void
time_text(const struct timespec *t, char *dst, size_t cap)
{
	struct tm tm;
	char whole[32];

	gmtime_r(&t->tv_sec, &tm);
	strftime(whole, sizeof(whole), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(dst, cap, "%s.%03ldZ", whole, t->tv_nsec / 1000000 % 1000);
}

size_t
log_text(const struct log_line *l, bool plain, char *dst, size_t cap)
{
	char head[80] = "", request[40] = "", when[48], text[LIMIT_LOG_TEXT + 256];

	if (!plain) {
		time_text(&l->time, when, sizeof(when));
		snprintf(head, sizeof(head), "%s %s ", when, log_level_name(l->level));
	}
	if (l->request)
		snprintf(
		    request, sizeof(request), " [%llu]", (unsigned long long)l->request);
	return line_end(dst, cap,
	    snprintf(dst, cap, "%s%s%s: %s", head, l->room ? l->room : "supervisor",
		request, log_clean(l->text, text, sizeof(text))));
}

/* Of printable ASCII only the quotation mark and the backslash need care. */
static void
json_text(const char *text, char *dst)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			*dst++ = '\\';
		*dst++ = *text;
	}
	*dst = 0;
}

size_t
log_json(const struct log_line *l, char *dst, size_t cap)
{
	char when[48], request[48] = "", text[LIMIT_LOG_TEXT + 256];
	char quoted[2 * sizeof(text)];

	time_text(&l->time, when, sizeof(when));
	if (l->request)
		snprintf(request, sizeof(request), "\"request\":%llu,",
		    (unsigned long long)l->request);
	json_text(log_clean(l->text, text, sizeof(text)), quoted);
	return line_end(dst, cap,
	    snprintf(dst, cap,
		"{\"time\":\"%s\",\"level\":\"%s\",\"room\":\"%s\",%s\"msg\":\"%s\"}",
		when, log_level_name(l->level), l->room ? l->room : "supervisor", request,
		quoted));
}

bool
log_is_journal(int fd, const char *stream)
{
	unsigned long long device, inode;
	struct stat st;
	char end;

	return stream && sscanf(stream, "%llu:%llu%c", &device, &inode, &end) == 2 &&
	       fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}
