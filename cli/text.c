#include "cli/text.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

static bool
plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f;
}

void
text_safe(FILE *to, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (plain(s.p[i]))
			fputc(s.p[i], to);
		else
			fprintf(to, "\\x%02x", s.p[i]);
	}
}

char *
text_safe_dup(struct span s)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return NULL;
	text_safe(f, s);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

void
text_json(FILE *to, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		/* U+0080..U+009F are control characters to a terminal as well. */
		bool c1 =
		    c == 0xc2 && i + 1 < s.n && s.p[i + 1] >= 0x80 && s.p[i + 1] < 0xa0;
		if (c1)
			fprintf(to, "\\u%04x", s.p[++i]);
		else if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
			fprintf(to, "\\u%04x", c);
		else
			fputc(c, to);
	}
}

char *
text_size(uint64_t bytes, char dst[TEXT_SIZE])
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	double v = (double)bytes;
	size_t u = 0;

	while (v >= (u ? 999.5 : 1000) && u + 1 < ARRAY_LEN(units)) {
		v /= 1000;
		u++;
	}
	snprintf(dst, TEXT_SIZE, "%.3g %s", v, units[u]);
	return dst;
}

char *
text_age(int64_t then, int64_t now, char dst[TEXT_AGE])
{
	static const struct {
		int64_t below, unit;
		const char *one, *many;
	} steps[] = {
	    {60, 1, "1 second", "seconds"},
	    {3600, 60, "About a minute", "minutes"},
	    {48 * 3600, 3600, "About an hour", "hours"},
	    {14 * 86400, 86400, "1 day", "days"},
	    {60 * 86400, 7 * 86400, "1 week", "weeks"},
	    {730 * 86400, 30 * 86400, "1 month", "months"},
	    {INT64_MAX, INT64_C(365) * 86400, "1 year", "years"},
	};
	int64_t age = 0;
	size_t i = 0;

	/* Too far apart for the type: older than anything. */
	if (now > then && __builtin_sub_overflow(now, then, &age))
		age = INT64_MAX;
	if (age < 1) {
		snprintf(dst, TEXT_AGE, "Less than a second ago");
		return dst;
	}
	while (i + 1 < ARRAY_LEN(steps) && age >= steps[i].below)
		i++;
	int64_t n = age / steps[i].unit;
	if (n == 1)
		snprintf(dst, TEXT_AGE, "%s ago", steps[i].one);
	else
		snprintf(dst, TEXT_AGE, "%lld %s ago", (long long)n, steps[i].many);
	return dst;
}

char *
text_time(int64_t seconds, char dst[TEXT_TIME])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	dst[0] = 0;
	if (!gmtime_r(&t, &tm) || tm.tm_year < -1900 || tm.tm_year > 8099)
		return dst;
	snprintf(dst, TEXT_TIME, "%04d-%02d-%02dT%02d:%02d:%02dZ",
	    (tm.tm_year + 1900) % 10000, (tm.tm_mon + 1) % 100, tm.tm_mday % 100,
	    tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
	return dst;
}

void
table_init(struct table *t, size_t columns)
{
	*t = (struct table){.columns = columns};
}

void
table_release(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct table){0};
}

void
table_cell(struct table *t, const char *text)
{
	if (t->error)
		return;
	if (t->n == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 64;
		char **cells = reallocarray(t->cells, cap, sizeof(*cells));
		if (!cells) {
			t->error = -ENOMEM;
			return;
		}
		t->cells = cells;
		t->cap = cap;
	}
	t->cells[t->n] = text_safe_dup(span_str(text));
	if (t->cells[t->n])
		t->n++;
	else
		t->error = -ENOMEM;
}

static size_t
column_width(const struct table *t, size_t column)
{
	size_t width = 0;

	for (size_t i = column; i < t->n; i += t->columns) {
		size_t n = strlen(t->cells[i]);
		width = n > width ? n : width;
	}
	return width;
}

int
table_print(const struct table *t, FILE *to)
{
	size_t *widths = calloc(t->columns, sizeof(*widths));

	if (!widths || t->error) {
		free(widths);
		return t->error ? t->error : -ENOMEM;
	}
	for (size_t c = 0; c < t->columns; c++)
		widths[c] = column_width(t, c);
	for (size_t i = 0; i < t->n; i++) {
		size_t c = i % t->columns;
		if (c + 1 < t->columns)
			fprintf(to, "%-*s  ", (int)widths[c], t->cells[i]);
		else
			fprintf(to, "%s\n", t->cells[i]);
	}
	free(widths);
	return 0;
}
