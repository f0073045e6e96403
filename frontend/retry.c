/* What follows from a failure: another endpoint, another try later, or the end of the
 * pull. This is the one place that knows all pulls, so that a registry in trouble meets
 * one patient node and not a hundred hasty fetchers. */
#include "frontend/fetchers.h"

#include "common/base/jitter.h"
#include "common/ipc/control.h"
#include "frontend/metrics.h"
#include "frontend/pulls.h"

#include <stdio.h>

#define RETRY_FIRST_MS 500
#define RETRY_BUSY_MS 2000 /* after 429 and 503 that name no time */
#define RETRY_MOST_MS 30000
#define LOST_MS                                                                 \
	5000 /* from the end of a layer's pipeline to the store's word about it \
	      */

static void
remember(struct frontend *f, const struct site *s, const struct failure *why)
{
	struct url origin;
	uint64_t asked = (uint64_t)why->retry_after * 1000;

	if (asked)
		health_pause(&f->health, why->origin,
		    asked < f->retry_after_ms ? asked : f->retry_after_ms, loop_now());
	site_origin(s, &origin);
	if (why->proven)
		health_wrong(&f->health, &origin, loop_now());
	else if (why->transient || (!why->answered && (why->code == ERR_NETWORK ||
							  why->code == ERR_DEADLINE)))
		health_failed(&f->health, &origin, loop_now());
	else if (why->answered && !why->wrong)
		health_good(&f->health, &origin);
}

/* Milliseconds until the same is tried again at the same endpoint, or -1: it is not. */
static int64_t
retry_in(struct request *q, const struct failure *why)
{
	struct frontend *f = q->site->pull->f;
	uint64_t asked = (uint64_t)why->retry_after * 1000;

	if (q->bytes > q->bytes_then && ++q->resumes <= LIMIT_RESUMES)
		q->tries = 0;
	q->bytes_then = q->bytes;
	if (!why->transient || q->tries >= f->retries || asked > f->retry_after_ms)
		return -1;
	q->tries++;
	if (asked)
		return (int64_t)(asked + jitter_random() % RETRY_FIRST_MS);
	return (int64_t)jitter_ms(q->tries, why->busy ? RETRY_BUSY_MS : RETRY_FIRST_MS,
	    RETRY_MOST_MS, jitter_random());
}

static void
retry_later(struct request *q, uint64_t ms, const struct failure *why)
{
	struct pull *p = q->site->pull;

	metrics_count(p->f, METRIC_RETRIES, 1);
	q->waited += ms;
	q->not_before = loop_now() + ms;
	if (q->waited > LIMIT_RETRY_SECONDS * 1000)
		pull_fail(p, ERR_DEADLINE, "%s: given up after %u s of waiting",
		    why->text, LIMIT_RETRY_SECONDS);
	else if (!request_turn(q, q->site))
		pull_fail(p, ERR_INTERNAL, "out of memory");
	else
		requests_send(p);
}

/* The rooms that have seen wrong bytes end; the store then wants the layer anew. */
static void
layer_again(struct request *q)
{
	struct pull *p = q->site->pull;
	struct ipc_msg m = IPC_MSG(again, .pull = p->id, .index = LAYER_INDEX(q->req));

	q->fetcher = NULL;
	q->done = true; /* until the store wants it */
	port_send(&p->f->store, &m);
}

/* Fetchers of a site that nobody will ask again end at once: rooms are few. */
static void
site_leave(struct site *s)
{
	struct pull *p = s->pull;

	if (p->ending || p->at <= (unsigned)(s - p->sites))
		return;
	for (const struct request *q = p->requests; q; q = q->next) {
		if (q->site == s && !q->done)
			return;
	}
	for (struct fetcher *fe = p->fetchers, *next; fe; fe = next) {
		next = fe->next;
		if (fe->site == s)
			fetcher_end(fe);
	}
}

static void
tell_going_on(struct pull *p, const struct site *next, const struct failure *why)
{
	char to[URL_TEXT_MAX];

	url_origin(&next->at.url, to, sizeof(to));
	control_log_for(&p->f->control.chan,
	    why->code == ERR_CONTENT ? LOG_ERROR : LOG_WARNING, p->id,
	    "pull of %s goes on at %s, because %s", p->name, to, why->text);
	metrics_count(p->f, METRIC_ENDPOINTS_PASSED, 1);
}

static void
go_on_at(struct request *q, struct site *next, const struct failure *why)
{
	struct pull *p = q->site->pull;
	struct site *left = q->site;

	tell_going_on(p, next, why);
	q->tries = 0;
	q->not_before = 0;
	q->done = q->lost = false;
	if (!request_turn(q, next))
		pull_fail(p, ERR_INTERNAL, "out of memory");
	else if (why->wrong && q->kind == FETCH_LAYER)
		layer_again(q);
	else
		requests_send(p);
	site_leave(left);
}

static void
give_up(struct pull *p, const struct failure *why)
{
	char all[900];
	unsigned failed = 0;

	for (unsigned i = 0; i < p->n_sites; i++)
		failed += p->sites[i].code != ERR_OK;
	if (failed < 2) {
		pull_fail(p, why->code, "%s", why->text);
		return;
	}
	sites_explain(p, all, sizeof(all));
	pull_fail(p, why->code, "no endpoint gives it: %s", all);
}

static void
lost_fired(struct loop_timer *t)
{
	struct pull *p = t->arg;

	for (struct request *q = p->requests; q; q = q->next) {
		if (q->lost) {
			pull_fail(p, ERR_INTERNAL, "%s", q->site->cause);
			return;
		}
	}
}

/* The store ends the pull, or has the layer fetched once more: it knows why. */
static void
wait_for_store(struct request *q)
{
	struct pull *p = q->site->pull;

	q->lost = true;
	q->sent = false;
	q->fetcher = NULL;
	p->lost.fired = lost_fired;
	p->lost.arg = p;
	loop_timer_set(&p->f->loop, &p->lost, LOST_MS);
}

void
request_failed(struct request *q, const struct failure *why)
{
	struct pull *p = q->site->pull;
	struct failure full = *why;
	char text[1100];

	if (why->pipeline) {
		site_failed(q->site, why->code, why->text);
		wait_for_store(q);
		return;
	}
	remember(p->f, q->site, why);
	if (why->retry_after)
		snprintf(text, sizeof(text), "%s; it asks to wait %u s", why->text,
		    why->retry_after);
	if (why->retry_after)
		full.text = text;
	site_failed(q->site, why->code, full.text);
	struct site *next = sites_next(q->site, why->code);
	if (next) {
		go_on_at(q, next, &full);
		return;
	}
	int64_t ms = retry_in(q, why);
	if (ms >= 0)
		retry_later(q, (uint64_t)ms, &full);
	else
		give_up(p, &full);
}

void
site_unready(struct site *s, const struct failure *why)
{
	struct pull *p = s->pull;

	remember(p->f, s, why);
	site_failed(s, why->code, why->text);
	struct site *next = sites_next(s, why->code);
	if (!next) {
		give_up(p, why);
		return;
	}
	tell_going_on(p, next, why);
	if (!site_home(next))
		pull_fail(p, ERR_INTERNAL, "out of memory");
}
