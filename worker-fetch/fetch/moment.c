#include "worker-fetch/fetch/moment.h"

/* n digits at p. -1: they are none. */
static int
digits(const uint8_t *p, size_t n)
{
	int v = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		v = v * 10 + (p[i] - '0');
	}
	return v;
}

/* The number of a name of three letters in the list, or -1. */
static int
name_index(const uint8_t *p, const char *names)
{
	for (int i = 0; names[3 * i]; i++) {
		if (memcmp(p, names + 3 * i, 3) == 0)
			return i;
	}
	return -1;
}

/* Days from 1970-01-01 in the Gregorian calendar; March is the first month of its year.
 */
static int64_t
days(int year, int month, int day)
{
	int y = month < 2 ? year - 1 : year, m = (month + 10) % 12;

	return INT64_C(365) * y + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + day -
	       1 - 719468;
}

static bool
is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

bool
moment_parse(struct span text, int64_t *seconds)
{
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	const uint8_t *p = text.p;

	if (text.n != 29 || name_index(p, "SunMonTueWedThuFriSat") < 0)
		return false;
	int month = name_index(p + 8, "JanFebMarAprMayJunJulAugSepOctNovDec");
	int day = digits(p + 5, 2), year = digits(p + 12, 4);
	int hour = digits(p + 17, 2), minute = digits(p + 20, 2),
	    second = digits(p + 23, 2);
	if (p[3] != ',' || p[4] != ' ' || p[7] != ' ' || p[11] != ' ' || p[16] != ' ' ||
	    p[19] != ':' || p[22] != ':' || memcmp(p + 25, " GMT", 4) != 0)
		return false;
	if (month < 0 || year < 1970 || day < 1 ||
	    day > lengths[month] + (month == 1 && is_leap(year)) || hour < 0 ||
	    hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
		return false;
	*seconds = days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
	return true;
}
