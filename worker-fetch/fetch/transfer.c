#include "worker-fetch/fetch/identity.h"
#include "worker-fetch/fetch/outcome.h"
#include "worker-fetch/fetch/transfer_inner.h"
#include "worker-fetch/fetch/trust.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ASK_AGAIN_MS 5000

/* ---- engine ---- */

static unsigned
or_limit(unsigned ms, unsigned seconds)
{
	return ms ? ms : seconds * 1000;
}

int
transfer_engine_open(
    struct transfer_engine *en, const struct transfer_origin *origin, struct err *e)
{
	struct transfer_times *t = &en->origin.times;

	en->origin = *origin;
	t->first_byte = or_limit(t->first_byte, LIMIT_FIRST_BYTE_SECONDS);
	t->stall = or_limit(t->stall, LIMIT_STALL_SECONDS);
	t->slow = or_limit(t->slow, LIMIT_SLOW_SECONDS);
	t->step = t->step ? t->step : 250;
	if (origin->url.tls && origin->verify)
		en->trust = trust_new(origin->ca);
	if (origin->url.tls && origin->verify && !en->trust)
		return -ENOMEM;
	return identity_new(origin->clients, &en->identity, e);
}

static void
transfer_free(struct transfer *t)
{
	struct transfer **at = &t->engine->list;

	attempt_release(t);
	while (*at && *at != t)
		at = &(*at)->next;
	if (*at)
		*at = t->next;
	free(t->accept);
	if (t->authorization)
		explicit_bzero(t->authorization, strlen(t->authorization));
	free(t->authorization);
	free(t->form);
	free(t->body);
	free(t);
}

void
transfer_engine_free(struct transfer_engine *en)
{
	if (!en)
		return;
	while (en->list)
		transfer_free(en->list);
	wire_free(en->wire);
	trust_free(en->trust);
	identity_free(en->identity);
	free(en);
}

void
transfer_engine_socket(struct transfer_engine *en, int fd)
{
	if (en->asked)
		en->asked--;
	wire_add_socket(en->wire, fd);
}

/* ---- the engine's round ---- */

void
transfer_engine_no_socket(
    struct transfer_engine *en, const struct err *why, bool transient)
{
	if (en->asked)
		en->asked--;
	if (wire_calls(en->wire)) { /* they will hand their connection on */
		en->ask_after = now_ms() + ASK_AGAIN_MS;
		return;
	}
	for (struct transfer *t = en->list, *next; t; t = next) {
		next = t->next;
		if (t->state != QUEUED)
			continue;
		t->err = *why;
		t->transient = transient;
		transfer_finish(t, TRANSFER_FAILED, NULL);
	}
}

static void
launch_queued(struct transfer_engine *en)
{
	uint64_t now = now_ms();
	unsigned waiting = 0;

	for (struct transfer *t = en->list, *next; t; t = next) {
		next = t->next;
		if (t->state != QUEUED || t->not_before > now)
			continue;
		if (wire_calls(en->wire) >= wire_connections(en->wire)) {
			waiting++;
			continue;
		}
		if (!attempt_start(t)) {
			err_set(&t->err, ERR_INTERNAL, "the exchange cannot be started");
			transfer_finish(t, TRANSFER_FAILED, NULL);
		}
	}
	unsigned have = wire_connections(en->wire) + en->asked;
	unsigned more = waiting > en->asked ? waiting - en->asked : 0;
	if (now < en->ask_after)
		return;
	for (; more && have < LIMIT_CONNECTIONS; more--, have++) {
		en->asked++;
		en->origin.want_socket(en->origin.arg);
	}
}

/* Milliseconds until this running transfer has been silent or slow for too long; 0: it
 * has. */
static uint64_t
patience(struct transfer *t, uint64_t now)
{
	const struct transfer_times *times = &t->engine->origin.times;
	bool body = t->head.complete;
	uint64_t silent_since = body ? t->last : t->began;
	uint64_t allowed = body ? times->stall : times->first_byte;
	uint64_t slow;

	if (t->paused) { /* we are the slow ones */
		t->last = t->slow_since = now;
		t->slow_bytes = 0;
		return UINT64_MAX;
	}
	if (now - t->slow_since >= times->slow && t->slow_bytes >= LIMIT_SLOW_BYTES) {
		t->slow_since = now;
		t->slow_bytes = 0;
	}
	slow = t->slow_since + times->slow;
	uint64_t end = silent_since + allowed < slow ? silent_since + allowed : slow;
	return end > now ? end - now : 0;
}

static void
give_up(struct transfer *t)
{
	const struct transfer_times *times = &t->engine->origin.times;
	char place[OUTCOME_PLACE];

	outcome_place(&t->url, place);
	t->transient = true; /* silence: a connection that died, more often than not */
	if (!t->head.complete)
		err_set(&t->err, ERR_DEADLINE, "%s: no answer within %u s", place,
		    times->first_byte / 1000);
	else if (now_ms() - t->last >= times->stall)
		err_set(&t->err, ERR_DEADLINE, "%s: not a byte for %u s", place,
		    times->stall / 1000);
	else {
		t->transient = false;
		err_set(&t->err, ERR_DEADLINE, "%s: fewer than %llu bytes in %u s", place,
		    (unsigned long long)LIMIT_SLOW_BYTES, times->slow / 1000);
	}
	transfer_finish(t, TRANSFER_FAILED, NULL);
}

/* Ends what is silent for too long; the time until the next one might be. */
static int
check_times(struct transfer_engine *en, int timeout_ms)
{
	uint64_t now = now_ms();
	uint64_t least = timeout_ms < 0 ? INT32_MAX : (uint64_t)timeout_ms;

	if (en->ask_after > now && en->ask_after - now < least)
		least = en->ask_after - now;

	for (struct transfer *t = en->list, *next; t; t = next) {
		uint64_t left = UINT64_MAX;
		next = t->next;
		if (t->state == RUNNING && (left = patience(t, now)) == 0) {
			give_up(t);
			continue;
		}
		if (t->state == QUEUED && t->not_before > now)
			left = t->not_before - now;
		least = left < least ? left : least;
	}
	return (int)least;
}

static void
sweep_finished(struct transfer_engine *en)
{
	for (struct transfer *t = en->list, *next; t; t = next) {
		next = t->next;
		if (t->state == FINISHED)
			transfer_free(t);
	}
}

int
transfer_engine_poll(
    struct transfer_engine *en, struct pollfd *extra, size_t n, int timeout_ms)
{
	en->news = false;
	launch_queued(en);
	int r = wire_perform(en->wire);
	if (r < 0)
		return r;
	launch_queued(en);
	timeout_ms = check_times(en, timeout_ms);
	if (en->news) /* let the owner look before anybody sleeps */
		timeout_ms = 0;
	sweep_finished(en);
	return wire_poll(en->wire, extra, n, timeout_ms);
}

/* ---- requests ---- */

struct transfer *
transfer_start(struct transfer_engine *en, const struct transfer_request *rq)
{
	struct transfer *t = calloc(1, sizeof(*t)), **end = &en->list;

	if (!t)
		return NULL;
	t->engine = en;
	t->rq = *rq;
	t->url = en->origin.url;
	t->accept = rq->accept ? strdup(rq->accept) : NULL;
	t->authorization = rq->authorization ? strdup(rq->authorization) : NULL;
	t->form = rq->form ? strdup(rq->form) : NULL;
	response_init(&t->head);
	t->bytes = rq->from;
	t->until = rq->until ? rq->until : rq->expect;
	if (rq->if_range)
		snprintf(t->etag, sizeof(t->etag), "%s", rq->if_range);
	if ((rq->accept && !t->accept) || (rq->authorization && !t->authorization) ||
	    (rq->form && !t->form) ||
	    url_set_target(&t->url, span_str(rq->target), &t->err) < 0) {
		transfer_free(t);
		return NULL;
	}
	while (*end)
		end = &(*end)->next;
	*end = t;
	return t;
}

const struct response *
transfer_head(const struct transfer *t)
{
	return &t->head;
}

void
transfer_resume(struct transfer *t)
{
	if (!t->paused)
		return;
	t->paused = false;
	t->last = t->slow_since = now_ms();
	if (t->call)
		wire_call_resume(t->call);
}

void
transfer_cancel(struct transfer *t)
{
	attempt_release(t);
	t->state =
	    FINISHED; /* freed in the next round: a loop over the list may be at it */
}

/* ---- beginning ---- */

struct transfer_engine *
transfer_engine_new(struct err *e)
{
	struct transfer_engine *en = calloc(1, sizeof(*en));

	if (!en) {
		err_set(e, ERR_INTERNAL, "out of memory");
		return NULL;
	}
	en->wire = wire_new(&attempt_events, e);
	if (!en->wire) {
		free(en);
		return NULL;
	}
	return en;
}
