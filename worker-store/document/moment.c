#include "worker-store/document/moment.h"

#include <errno.h>
#include <stdio.h>

struct parts {
	int year, month, day, hour, minute, second;
	size_t fraction; /* digits, from offset 20 on */
	int offset;	 /* minutes east */
	size_t zone;	 /* offset in the text */
};

static bool
number(struct span t, size_t at, size_t digits, int max, int *out)
{
	int v = 0;

	if (t.n < at + digits)
		return false;
	for (size_t i = at; i < at + digits; i++) {
		if (t.p[i] < '0' || t.p[i] > '9')
			return false;
		v = v * 10 + (t.p[i] - '0');
	}
	*out = v;
	return v <= max;
}

static bool
leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int
days_in(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && leap(year));
}

static bool
parse_zone(struct span t, struct parts *p)
{
	int hours, minutes;
	size_t at = p->zone;

	if (t.n == at + 1 && t.p[at] == 'Z')
		return true;
	if (t.n != at + 6 || (t.p[at] != '+' && t.p[at] != '-') || t.p[at + 3] != ':')
		return false;
	if (!number(t, at + 1, 2, 23, &hours) || !number(t, at + 4, 2, 59, &minutes))
		return false;
	p->offset = (hours * 60 + minutes) * (t.p[at] == '-' ? -1 : 1);
	return true;
}

static bool
parse_parts(struct span t, struct parts *p)
{
	*p = (struct parts){0};
	if (t.n < 20 || t.n > 64 || t.p[4] != '-' || t.p[7] != '-' || t.p[10] != 'T' ||
	    t.p[13] != ':' || t.p[16] != ':')
		return false;
	if (!number(t, 0, 4, 9999, &p->year) || !number(t, 5, 2, 12, &p->month) ||
	    !number(t, 8, 2, 31, &p->day) || !number(t, 11, 2, 23, &p->hour) ||
	    !number(t, 14, 2, 59, &p->minute) || !number(t, 17, 2, 59, &p->second))
		return false;
	if (p->month < 1 || p->day < 1 || p->day > days_in(p->year, p->month))
		return false;
	p->zone = 19;
	if (t.p[19] == '.') {
		while (20 + p->fraction < t.n && t.p[20 + p->fraction] >= '0' &&
		       t.p[20 + p->fraction] <= '9')
			p->fraction++;
		if (!p->fraction)
			return false;
		p->zone = 20 + p->fraction;
	}
	return parse_zone(t, p);
}

/* Days from 1970-01-01 to the date, proleptic Gregorian. */
static int64_t
days_since_epoch(int year, int month, int day)
{
	int64_t days = 0;

	for (int m = 1; m < month; m++)
		days += days_in(year, m);
	int64_t y = year - 1;
	int64_t before = year > 0 ? y * 365 + y / 4 - y / 100 + y / 400 : -366;
	return before + days + day - 1 - 719162;
}

int
moment_parse(struct span text, struct moment *out)
{
	struct parts p;
	uint32_t nsec = 0;

	if (!parse_parts(text, &p))
		return -EINVAL;
	for (size_t i = 0; i < 9; i++)
		nsec = nsec * 10 + (i < p.fraction ? text.p[20 + i] - (uint32_t)'0' : 0);
	out->sec = days_since_epoch(p.year, p.month, p.day) * 86400 + p.hour * 3600 +
		   p.minute * 60 + p.second - p.offset * 60;
	out->nsec = nsec;
	return 0;
}

struct moment
moment_clamp(struct moment m)
{
	if (m.sec < 0)
		return (struct moment){0, 0};
	if (m.sec > MOMENT_MAX)
		return (struct moment){MOMENT_MAX, 0};
	return m;
}

char *
moment_normalise(struct span text, char *dst)
{
	struct parts p;
	size_t n = 19;

	if (!parse_parts(text, &p)) {
		dst[0] = 0;
		return dst;
	}
	size_t digits = p.fraction < 9 ? p.fraction : 9; /* Go keeps nanoseconds */
	while (digits && text.p[19 + digits] == '0')
		digits--;
	if (digits)
		n = 20 + digits;
	memcpy(dst, text.p, n);
	if (p.offset == 0) {
		dst[n++] = 'Z';
	} else {
		memcpy(dst + n, text.p + p.zone, 6);
		n += 6;
	}
	dst[n] = 0;
	return dst;
}
