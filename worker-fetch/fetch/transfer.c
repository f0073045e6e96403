#include "worker-fetch/fetch/transfer.h"

#include "worker-fetch/fetch/outcome.h"
#include "worker-fetch/fetch/trust.h"
#include "worker-fetch/fetch/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RESUMES 50 /* of one stream, each after new bytes */
#define ASK_AGAIN_MS 5000
#define NO_SOCKET_TRIES 8 /* connections that were idle and turned out to be dead */

enum state { QUEUED, RUNNING, FINISHED };

struct transfer {
	struct transfer_engine *engine;
	struct transfer *next;
	struct transfer_request rq;
	struct url url;
	char *accept, *authorization, *form;
	enum state state;
	uint64_t not_before; /* QUEUED: when to try (again) */
	unsigned tries, resumes, starved_tries, hops;
	/* of this attempt */
	struct wire_call *call;
	struct response head;
	struct err err;
	bool paused;
	bool enough; /* the rest of an error's body is not wanted */
	uint64_t began, last, slow_since, slow_bytes;
	uint64_t from; /* bytes we had when it began */
	uint64_t skip; /* of those, still to be thrown away */
	/* of all attempts */
	uint64_t bytes;
	uint8_t *body;
	size_t body_n, body_cap;
};

struct transfer_engine {
	struct wire *wire;
	struct trust *trust; /* with TLS and verification */
	struct transfer_origin origin;
	struct transfer *list; /* oldest first */
	unsigned asked;	       /* sockets on their way */
	bool news;	       /* something ended in this round */
	uint64_t ask_after;    /* no connection could be had: not again before */
};

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- engine ---- */

static unsigned
or_limit(unsigned ms, unsigned seconds)
{
	return ms ? ms : seconds * 1000;
}

int
transfer_engine_open(struct transfer_engine *en, const struct transfer_origin *origin)
{
	struct transfer_times *t = &en->origin.times;

	en->origin = *origin;
	t->first_byte = or_limit(t->first_byte, LIMIT_FIRST_BYTE_SECONDS);
	t->stall = or_limit(t->stall, LIMIT_STALL_SECONDS);
	t->slow = or_limit(t->slow, LIMIT_SLOW_SECONDS);
	t->step = t->step ? t->step : 250;
	if (origin->url.tls && origin->verify)
		en->trust = trust_new(origin->ca);
	return origin->url.tls && origin->verify && !en->trust ? -ENOMEM : 0;
}

static void
attempt_release(struct transfer *t)
{
	wire_call_free(t->call);
	t->call = NULL;
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
	free(en);
}

void
transfer_engine_socket(struct transfer_engine *en, int fd)
{
	if (en->asked)
		en->asked--;
	wire_add_socket(en->wire, fd);
}

/* ---- what the wire brings ---- */

static bool
wanted(const struct transfer *t)
{
	return t->head.status == 200 || (t->head.status == 206 && t->from > 0);
}

/* The head has been seen whole; its body begins. Tells whether that is the body asked
 * for. */
static int
check_head(struct transfer *t)
{
	uint64_t expect = t->rq.expect;

	if (t->head.status == 200) {
		t->skip = t->bytes; /* it begins again; what we have is thrown away */
		if (t->url.tls && expect == UINT64_MAX && !t->head.has_length &&
		    !t->head.chunked)
			return err_set(&t->err, ERR_NETWORK,
			    "the registry's answer has no length: it could be cut on its "
			    "way");
		return response_check_length(&t->head, expect, t->rq.cap, &t->err);
	}
	if (!t->head.has_range || t->head.range_first != t->bytes ||
	    t->head.range_total != expect)
		return err_set(&t->err, ERR_CONTENT,
		    "the registry continues the transfer at another place than asked");
	return response_check_length(&t->head, expect - t->bytes, t->rq.cap, &t->err);
}

static bool
on_header(void *arg, struct span line)
{
	struct transfer *t = arg;
	bool before = t->head.complete;

	t->last = now_ms();
	if (response_line(&t->head, line, &t->err) < 0)
		return false;
	return before || !t->head.complete || !wanted(t) || check_head(t) == 0;
}

static int
append(struct transfer *t, struct span s, uint64_t cap)
{
	if (t->body_n + s.n > cap)
		return err_set(&t->err, ERR_CONTENT,
		    "the answer is longer than the %llu bytes allowed",
		    (unsigned long long)cap);
	if (t->body_n + s.n > t->body_cap) {
		size_t want = t->body_cap ? t->body_cap * 2 : 16384;
		while (want < t->body_n + s.n)
			want *= 2;
		uint8_t *more = realloc(t->body, want);
		if (!more)
			return err_set(&t->err, ERR_INTERNAL, "out of memory");
		t->body = more;
		t->body_cap = want;
	}
	memcpy(t->body + t->body_n, s.p, s.n);
	t->body_n += s.n;
	return 0;
}

/* A body that only explains a status: a part of it will do. */
static int
take_error_body(struct transfer *t, struct span s)
{
	size_t room = LIMIT_ERROR_BODY - t->body_n;
	int r = append(t, span_of(s.p, s.n < room ? s.n : room), LIMIT_ERROR_BODY);

	t->enough = t->body_n == LIMIT_ERROR_BODY;
	return t->enough ? -ECANCELED : r;
}

static int
check_size(struct transfer *t, size_t more)
{
	if (t->rq.expect != UINT64_MAX && t->bytes + more > t->rq.expect)
		return err_set(&t->err, ERR_CONTENT,
		    "the registry sends more than the %llu bytes that the manifest names",
		    (unsigned long long)t->rq.expect);
	if (t->bytes + more > t->rq.cap)
		return err_set(&t->err, ERR_CONTENT,
		    "the registry sends more than the %llu bytes allowed",
		    (unsigned long long)t->rq.cap);
	return 0;
}

/* The sink takes all or nothing; a part already skipped must not be skipped again after a
 * pause. */
static int
stream(struct transfer *t, struct span s)
{
	uint64_t skip = t->skip < s.n ? t->skip : s.n;
	struct span rest = span_from(s, skip);
	int r = check_size(t, rest.n);

	if (r == 0 && rest.n)
		r = t->rq.sink(t->rq.arg, rest);
	if (r != 0) {
		t->paused = r > 0;
		return r > 0 ? r
			     : err_set(&t->err, ERR_INTERNAL,
				   "the layer's pipeline has ended");
	}
	t->skip -= skip;
	t->bytes += rest.n;
	return 0;
}

static int
on_body(void *arg, struct span s)
{
	struct transfer *t = arg;

	t->last = now_ms();
	t->slow_bytes += s.n;
	if (!wanted(t))
		return take_error_body(t, s);
	if (t->rq.kind == TRANSFER_STREAM)
		return stream(t, s);
	int r = check_size(t, s.n);
	if (r == 0)
		r = append(t, s, t->rq.cap);
	if (r == 0)
		t->bytes += s.n;
	return r;
}

/* ---- one attempt ---- */

static void
attempt_reset(struct transfer *t)
{
	uint64_t now = now_ms();

	response_init(&t->head);
	memset(&t->err, 0, sizeof(t->err));

	t->paused = t->enough = false;
	t->began = t->last = t->slow_since = now;
	t->slow_bytes = t->skip = 0;
	t->body_n = 0;
	if (t->rq.kind == TRANSFER_MEMORY)
		t->bytes = 0;
	t->from = t->bytes;
}

static bool
attempt_start(struct transfer *t)
{
	const struct transfer_origin *o = &t->engine->origin;

	attempt_reset(t);
	t->state = RUNNING;
	const struct wire_spec spec = {
	    .url = &t->url,
	    .trust = o->verify ? t->engine->trust : NULL,
	    .connect_ms = o->times.first_byte + 1000,
	    .accept = t->accept ? t->accept : "*/*",
	    .authorization = t->authorization,
	    .form = t->form,
	    .from = t->from,
	    .arg = t,
	};
	t->call = wire_call_start(t->engine->wire, &spec);
	return t->call != NULL;
}

/* ---- the end of an attempt ---- */

static void
finish(struct transfer *t, enum transfer_outcome outcome, const struct url *location)
{
	struct transfer_result result = {
	    .outcome = outcome,
	    .head = &t->head,
	    .location = location,
	    .body = span_of(t->body, t->body_n),
	    .bytes = t->bytes,
	    .err = &t->err,
	};

	t->state = FINISHED;
	t->engine->news = true;
	t->rq.done(t->rq.arg, &result);
	attempt_release(t);
}

static void
again_in(struct transfer *t, int ms)
{
	attempt_release(t);
	t->state = QUEUED;
	t->not_before = now_ms() + (uint64_t)ms;
}

static void
redirected(struct transfer *t)
{
	struct url to;

	if (url_resolve(&t->url, span_str(t->head.location), &to, &t->err) < 0 ||
	    url_may_lead(&t->url, &to, &t->err) < 0) {
		finish(t, TRANSFER_FAILED, NULL);
	} else if (!url_same_origin(&t->url, &to)) {
		finish(t, TRANSFER_REDIRECT, &to);
	} else if (t->form || ++t->hops > LIMIT_REDIRECTS) {
		err_set(&t->err, ERR_NETWORK, "%s: %s", t->engine->origin.url.host,
		    t->form ? "the token server redirects, which is refused"
			    : "too many redirects");
		finish(t, TRANSFER_FAILED, NULL);
	} else {
		t->url = to;
		t->tries = 0;
		again_in(t, 0);
	}
}

/* An answer came, whatever its status. */
static void
answered(struct transfer *t)
{
	if (wanted(t)) {
		bool unknown = t->rq.expect == UINT64_MAX;
		if (unknown || t->bytes == t->rq.expect) {
			finish(t, TRANSFER_DONE, NULL);
			return;
		}
		err_set(&t->err, ERR_CONTENT,
		    "the registry sends %llu bytes where the manifest names %llu",
		    (unsigned long long)t->bytes, (unsigned long long)t->rq.expect);
	} else if (response_is_redirect(&t->head) && t->head.has_location) {
		redirected(t);
		return;
	} else if (t->head.status == 401 && t->head.challenged) {
		finish(t, TRANSFER_CHALLENGE, NULL);
		return;
	} else {
		int ms =
		    response_retry_ms(&t->head, ++t->tries, t->engine->origin.times.step);
		if (ms >= 0) {
			again_in(t, ms);
			return;
		}
		outcome_status(&t->url, &t->head, span_of(t->body, t->body_n), &t->err);
	}
	finish(t, TRANSFER_FAILED, NULL);
}

static void
broken(struct transfer *t, enum wire_end how, const char *detail)
{
	static const struct response none;
	bool resumable =
	    t->rq.kind == TRANSFER_MEMORY || t->bytes == 0 || t->rq.expect != UINT64_MAX;
	int ms = -1;

	/* A stream that moved on may break off more often than that. */
	if (t->rq.kind == TRANSFER_STREAM && t->bytes > t->from &&
	    ++t->resumes <= RESUMES)
		t->tries = 0;
	if (how == WIRE_BROKEN && resumable)
		ms = response_retry_ms(&none, ++t->tries, t->engine->origin.times.step);
	if (ms >= 0) {
		again_in(t, ms);
		return;
	}
	outcome_broken(&t->url, detail, how == WIRE_UNTRUSTED, &t->err);
	finish(t, TRANSFER_FAILED, NULL);
}

static void
on_ended(void *arg, enum wire_end how, const char *detail)
{
	struct transfer *t = arg;

	if (how == WIRE_STARVED && ++t->starved_tries <= NO_SOCKET_TRIES)
		again_in(t, 0);
	else if (t->err.code != ERR_OK)
		finish(t, TRANSFER_FAILED, NULL);
	else if (how == WIRE_OK || t->enough)
		answered(t);
	else
		broken(t, how, detail);
}

/* ---- the engine's round ---- */

void
transfer_engine_no_socket(struct transfer_engine *en, const struct err *why)
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
		finish(t, TRANSFER_FAILED, NULL);
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
			finish(t, TRANSFER_FAILED, NULL);
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
	if (!t->head.complete)
		err_set(&t->err, ERR_DEADLINE, "%s: no answer within %u s", place,
		    times->first_byte / 1000);
	else if (now_ms() - t->last >= times->stall)
		err_set(&t->err, ERR_DEADLINE, "%s: not a byte for %u s", place,
		    times->stall / 1000);
	else
		err_set(&t->err, ERR_DEADLINE, "%s: fewer than %llu bytes in %u s", place,
		    (unsigned long long)LIMIT_SLOW_BYTES, times->slow / 1000);
	finish(t, TRANSFER_FAILED, NULL);
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
	static const struct wire_events events = {on_header, on_body, on_ended};
	struct transfer_engine *en = calloc(1, sizeof(*en));

	if (!en) {
		err_set(e, ERR_INTERNAL, "out of memory");
		return NULL;
	}
	en->wire = wire_new(&events, e);
	if (!en->wire) {
		free(en);
		return NULL;
	}
	return en;
}
