#include "common/base/jitter.h"
#include "worker-fetch/fetch/outcome.h"
#include "worker-fetch/fetch/transfer_inner.h"

#include <errno.h>
#include <stdlib.h>

#define NO_SOCKET_TRIES 8 /* connections that were idle and turned out to be dead */

/* ---- what the wire brings ---- */

/* A part was asked for. */
static bool
ranged(const struct transfer *t)
{
	return t->from > 0 || t->rq.until > 0;
}

static bool
wanted(const struct transfer *t)
{
	return t->head.status == 200 || (t->head.status == 206 && ranged(t));
}

/* It sends the whole body where a part was asked for: what we have is read once more and
 * thrown away, within bounds. */
static int
check_whole(struct transfer *t)
{
	uint64_t expect = t->rq.expect;

	if (t->rq.ranges_only) {
		t->transient = true; /* it has sent parts of it before */
		return err_set(&t->err, ERR_NETWORK,
		    "the registry sends no parts of a blob any more");
	}
	t->skip = t->bytes;
	t->until = expect;
	t->rq.until = 0;
	t->skipped += t->skip;
	if (expect != UINT64_MAX && t->skipped > LIMIT_SKIPS * expect)
		return err_set(&t->err, ERR_NETWORK,
		    "the registry breaks off again and again and cannot go on in the "
		    "middle");
	if (t->url.tls && expect == UINT64_MAX && !t->head.has_length && !t->head.chunked)
		return err_set(&t->err, ERR_NETWORK,
		    "the registry's answer has no length: it could be cut on its way");
	return response_check_length(&t->head, expect, t->rq.cap, &t->err);
}

static int
check_part(struct transfer *t)
{
	const struct response *h = &t->head;

	if (!h->has_range || h->range_first != t->bytes ||
	    h->range_last + 1 != t->until || h->range_total != t->rq.expect)
		return err_set(&t->err, ERR_CONTENT,
		    "the registry sends another part of the blob than was asked for");
	return response_check_length(h, t->until - t->bytes, t->rq.cap, &t->err);
}

/* The head has been seen whole; its body begins. Tells whether that is the body asked
 * for. */
static int
check_head(struct transfer *t)
{
	int r = t->head.status == 200 ? check_whole(t) : check_part(t);

	if (r == 0 && *t->head.etag)
		memcpy(t->etag, t->head.etag, sizeof(t->etag));
	return r;
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
	if (t->until != UINT64_MAX && t->bytes + more > t->until)
		return err_set(&t->err, ERR_CONTENT,
		    "the registry sends more than the %llu bytes that %s",
		    (unsigned long long)t->until,
		    t->until == t->rq.expect ? "the manifest names" : "were asked for");
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
		/* What the owner polls for has changed: it must look before we sleep. */
		t->engine->news = true;
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

void
attempt_release(struct transfer *t)
{
	wire_call_free(t->call);
	t->call = NULL;
}

static void
attempt_reset(struct transfer *t)
{
	uint64_t now = now_ms();

	response_init(&t->head);
	memset(&t->err, 0, sizeof(t->err));

	t->paused = t->enough = t->transient = false;
	t->began = t->last = t->slow_since = now;
	t->slow_bytes = t->skip = 0;
	t->body_n = 0;
	if (t->rq.kind == TRANSFER_MEMORY)
		t->bytes = 0;
	t->from = t->bytes;
}

bool
attempt_start(struct transfer *t)
{
	const struct transfer_origin *o = &t->engine->origin;

	attempt_reset(t);
	t->state = RUNNING;
	const struct wire_spec spec = {
	    .url = &t->url,
	    .trust = o->verify ? t->engine->trust : NULL,
	    .identity = t->engine->identity,
	    .proxied = o->proxied,
	    .proxy_authorization = o->proxy_authorization,
	    .connect_ms = o->times.first_byte + 1000,
	    .accept = t->accept ? t->accept : "*/*",
	    .authorization = t->authorization,
	    .form = t->form,
	    .from = t->from,
	    .until = t->rq.until,
	    .if_range = *t->etag ? t->etag : NULL,
	    .arg = t,
	};
	t->call = wire_call_start(t->engine->wire, &spec);
	return t->call != NULL;
}

/* ---- the end of an attempt ---- */

void
transfer_finish(
    struct transfer *t, enum transfer_outcome outcome, const struct url *location)
{
	struct transfer_result result = {
	    .outcome = outcome,
	    .head = &t->head,
	    .location = location,
	    .body = span_of(t->body, t->body_n),
	    .bytes = t->bytes,
	    .err = &t->err,
	    .transient = t->transient,
	};

	t->state = FINISHED;
	t->engine->news = true;
	t->rq.done(t->rq.arg, &result);
	attempt_release(t);
}

static void
again_in(struct transfer *t, uint64_t ms)
{
	attempt_release(t);
	t->state = QUEUED;
	t->not_before = now_ms() + ms;
}

static void
redirected(struct transfer *t)
{
	struct url to;

	if (url_resolve(&t->url, span_str(t->head.location), &to, &t->err) < 0 ||
	    url_may_lead(&t->url, &to, &t->err) < 0) {
		transfer_finish(t, TRANSFER_FAILED, NULL);
	} else if (!url_same_origin(&t->url, &to)) {
		transfer_finish(t, TRANSFER_REDIRECT, &to);
	} else if (t->form || ++t->hops > LIMIT_REDIRECTS) {
		err_set(&t->err, ERR_NETWORK, "%s: %s", t->engine->origin.url.host,
		    t->form ? "the token server redirects, which is refused"
			    : "too many redirects");
		transfer_finish(t, TRANSFER_FAILED, NULL);
	} else {
		t->url = to;
		again_in(t, 0);
	}
}

/* An answer came, whatever its status. */
static void
answered(struct transfer *t)
{
	if (wanted(t)) {
		if (t->until == UINT64_MAX || t->bytes == t->until) {
			transfer_finish(t, TRANSFER_DONE, NULL);
			return;
		}
		err_set(&t->err, ERR_CONTENT,
		    "the registry sends %llu bytes where the manifest names %llu",
		    (unsigned long long)t->bytes, (unsigned long long)t->until);
	} else if (response_is_redirect(&t->head) && t->head.has_location) {
		redirected(t);
		return;
	} else if (t->head.status == 401 && t->head.challenged) {
		transfer_finish(t, TRANSFER_CHALLENGE, NULL);
		return;
	} else {
		t->transient = response_is_transient(&t->head);
		outcome_status(&t->url, &t->head, span_of(t->body, t->body_n), &t->err);
	}
	transfer_finish(t, TRANSFER_FAILED, NULL);
}

static void
broken(struct transfer *t, enum wire_end how, const char *detail)
{
	bool moved = t->rq.kind == TRANSFER_STREAM && t->bytes > t->from;

	if (how == WIRE_BROKEN && moved && t->until != UINT64_MAX &&
	    ++t->resumes <= LIMIT_RESUMES) {
		again_in(t, jitter_ms(1, t->engine->origin.times.step, UINT32_MAX,
				jitter_random()));
		return;
	}
	t->transient = how == WIRE_BROKEN;
	outcome_broken(
	    &t->url, detail, how == WIRE_UNTRUSTED, t->engine->identity, &t->err);
	transfer_finish(t, TRANSFER_FAILED, NULL);
}

static void
on_ended(void *arg, enum wire_end how, const char *detail)
{
	struct transfer *t = arg;

	if (how == WIRE_STARVED && ++t->starved_tries <= NO_SOCKET_TRIES)
		again_in(t, 0);
	else if (t->err.code != ERR_OK)
		transfer_finish(t, TRANSFER_FAILED, NULL);
	else if (how == WIRE_OK && !t->head.complete) /* libcurl takes that for an end */
		broken(
		    t, WIRE_BROKEN, "the connection ended within the head of the answer");
	else if (how == WIRE_OK || t->enough)
		answered(t);
	else
		broken(t, how, detail);
}

const struct wire_events attempt_events = {on_header, on_body, on_ended};
