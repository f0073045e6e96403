#include "frontend/pace.h"

#include "frontend/fetchers.h"
#include "frontend/metrics.h"

#define SAMPLE_MS 2000

/* The body that is under way, or NULL: before its first byte, and once it has come whole,
 * other limits hold. */
static const struct request *
body_under_way(const struct pull *p)
{
	for (const struct request *q = p->requests; q; q = q->next) {
		if (q->sent && q->bytes > 0 && (q->size == 0 || q->bytes < q->size))
			return q;
	}
	return NULL;
}

static void
pace_check(struct loop_timer *t)
{
	struct pull *p = t->arg;
	const struct request *q = body_under_way(p);
	uint64_t still = loop_now() - p->pace.moved_at;
	char origin[URL_TEXT_MAX];

	if (!q || p->ending || !p->f->progress_ms)
		return;
	if (still < p->f->progress_ms) {
		loop_timer_set(&p->f->loop, t, p->f->progress_ms - still);
		return;
	}
	metrics_count(p->f, METRIC_PROGRESS_TIMEOUTS, 1);
	url_origin(
	    q->fetcher ? &q->fetcher->origin : &q->site->at.url, origin, sizeof(origin));
	pull_fail(p, ERR_DEADLINE,
	    "%s sent no byte of any layer of %s for %llu seconds: that is the setting "
	    "pull_progress_timeout",
	    origin, p->name, (unsigned long long)p->f->progress_ms / 1000);
}

void
pace_moved(struct pull *p, uint64_t more)
{
	struct pace *c = &p->pace;
	uint64_t now = loop_now();

	c->moved_at = now;
	c->bytes += more;
	if (c->sample_at == 0) {
		c->sample_at = now;
		c->sample = c->bytes;
	} else if (now - c->sample_at >= SAMPLE_MS) {
		c->rate = (c->bytes - c->sample) * 1000 / (now - c->sample_at);
		c->sample_at = now;
		c->sample = c->bytes;
	}
	if (p->f->progress_ms && c->timer.at == 0) {
		c->timer.fired = pace_check;
		c->timer.arg = p;
		loop_timer_set(&p->f->loop, &c->timer, p->f->progress_ms);
	}
}

uint64_t
pace_rate(const struct pull *p, uint64_t now)
{
	const struct pace *c = &p->pace;
	uint64_t span = now - c->sample_at;

	/* Young, or nothing came lately: what the last sample does not say. */
	if (c->sample_at && (span > 2 * SAMPLE_MS || (c->rate == 0 && span > 0)))
		return (c->bytes - c->sample) * 1000 / span;
	return c->rate;
}

void
pace_stop(struct pull *p)
{
	loop_timer_clear(&p->f->loop, &p->pace.timer);
}
