#include "frontend/health.h"

#include <stdio.h>

static struct origin_health *
row_find(const struct health *h, const char *origin)
{
	for (size_t i = 0; i < LIMIT_ORIGINS; i++) {
		if (strcmp(h->rows[i].origin, origin) == 0)
			return (struct origin_health *)(uintptr_t)&h->rows[i];
	}
	return NULL;
}

static const struct origin_health *
row_of(const struct health *h, const struct url *origin)
{
	static const struct origin_health none;
	char text[URL_TEXT_MAX];
	const struct origin_health *row =
	    row_find(h, url_origin(origin, text, sizeof(text)));

	return row ? row : &none;
}

static uint64_t
row_end(const struct origin_health *row)
{
	return row->bad_until > row->paused_until ? row->bad_until : row->paused_until;
}

/* Its row, made if there is none: the one whose trouble ends first makes room. */
static struct origin_health *
row_get(struct health *h, const struct url *origin)
{
	char text[URL_TEXT_MAX];
	struct origin_health *row = row_find(h, url_origin(origin, text, sizeof(text)));

	if (row)
		return row;
	row = &h->rows[0];
	for (size_t i = 1; i < LIMIT_ORIGINS; i++) {
		if (row_end(&h->rows[i]) < row_end(row))
			row = &h->rows[i];
	}
	*row = (struct origin_health){0};
	snprintf(
	    row->origin, sizeof(row->origin), "%.*s", (int)sizeof(row->origin) - 1, text);
	return row;
}

void
health_failed(struct health *h, const struct url *origin, uint64_t now)
{
	struct origin_health *row = row_get(h, origin);
	uint64_t ms = HEALTH_MOST_MS;

	/* Those that failed together count once. */
	if (row->bad_until > now)
		return;
	if (row->failures < 16 && (uint64_t)HEALTH_FIRST_MS << row->failures < ms)
		ms = (uint64_t)HEALTH_FIRST_MS << row->failures;
	row->failures++;
	row->bad_until = now + ms;
}

void
health_wrong(struct health *h, const struct url *origin, uint64_t now)
{
	struct origin_health *row = row_get(h, origin);

	row->failures++;
	row->bad_until = now + HEALTH_WRONG_MS;
}

void
health_good(struct health *h, const struct url *origin)
{
	char text[URL_TEXT_MAX];
	struct origin_health *row = row_find(h, url_origin(origin, text, sizeof(text)));

	if (!row)
		return;
	row->failures = 0;
	row->bad_until = 0;
}

bool
health_is_bad(const struct health *h, const struct url *origin, uint64_t now)
{
	return row_of(h, origin)->bad_until > now;
}

void
health_pause(struct health *h, const struct url *origin, uint64_t ms, uint64_t now)
{
	struct origin_health *row = row_get(h, origin);

	if (row->paused_until < now + ms)
		row->paused_until = now + ms;
}

uint64_t
health_pause_left(const struct health *h, const struct url *origin, uint64_t now)
{
	uint64_t until = row_of(h, origin)->paused_until;

	return until > now ? until - now : 0;
}
