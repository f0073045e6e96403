#include "worker-fetch/fetch/spread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define STEP (64u << 10) /* handed to the sink at once */

struct piece {
	struct spread *spread;
	struct transfer
	    *t; /* NULL: it has ended, or failed and is to be asked for again */
	uint64_t from, until; /* what is not yet with the sink */
	uint8_t *early;	      /* what came before its turn */
	size_t n, taken;
	bool over;
	bool beside; /* others were on their way while it was */
};

struct spread {
	struct transfer_engine *engine;
	struct transfer_request rq;
	char *target, *accept, *authorization;
	char etag[LIMIT_ETAG + 1];
	unsigned width;
	uint64_t asked; /* everything before has its piece */
	struct piece pieces[LIMIT_CONNECTIONS];
	unsigned first, n; /* of those in use, in order */
	bool parts;	   /* the server sends parts */
	bool ended;	   /* done was called */
};

static struct piece *
piece_at(struct spread *s, unsigned i)
{
	return &s->pieces[(s->first + i) % LIMIT_CONNECTIONS];
}

static bool
is_first(const struct piece *p)
{
	return p == &p->spread->pieces[p->spread->first];
}

static void
piece_drop(struct piece *p)
{
	if (p->t)
		transfer_cancel(p->t);
	free(p->early);
	*p = (struct piece){0};
}

void
spread_free(struct spread *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->n; i++)
		piece_drop(piece_at(s, i));
	if (s->authorization)
		explicit_bzero(s->authorization, strlen(s->authorization));
	free(s->authorization);
	free(s->accept);
	free(s->target);
	free(s);
}

/* The last word. */
static void
spread_end(struct spread *s, const struct transfer_result *r)
{
	if (s->ended)
		return;
	s->ended = true;
	s->rq.done(s->rq.arg, r);
}

static void
spread_fail(struct spread *s, const char *why)
{
	static const struct response none;
	struct err e = {0};
	struct transfer_result r = {.outcome = TRANSFER_FAILED, .head = &none, .err = &e};

	err_set(&e, ERR_INTERNAL, "%s", why);
	spread_end(s, &r);
}

/* ---- one piece ---- */

/* The whole blob comes where a piece was asked for: it is the only one. */
static void
piece_head_seen(struct piece *p)
{
	struct spread *s = p->spread;
	const struct response *h = transfer_head(p->t);

	if (h->status == 206) {
		s->parts = true;
		memcpy(s->etag, h->etag, sizeof(s->etag));
		return;
	}
	p->until = s->rq.expect;
	s->asked = s->rq.expect;
}

static int
piece_keep(struct piece *p, struct span bytes)
{
	size_t size = (size_t)(p->until - p->from);

	if (!p->early)
		p->early = malloc(size);
	if (!p->early || bytes.n > size - p->n)
		return -ENOMEM;
	memcpy(p->early + p->n, bytes.p, bytes.n);
	p->n += bytes.n;
	return 0;
}

static int
piece_sink(void *arg, struct span bytes)
{
	struct piece *p = arg;
	struct spread *s = p->spread;

	if (!s->parts)
		piece_head_seen(p);
	if (!is_first(p) || p->n > p->taken)
		return piece_keep(p, bytes);
	int r = s->rq.sink(s->rq.arg, bytes);
	if (r == 0)
		p->from += bytes.n;
	return r;
}

static void
piece_done(void *arg, const struct transfer_result *r)
{
	struct piece *p = arg;
	struct spread *s = p->spread;

	p->t = NULL;
	if (r->outcome == TRANSFER_DONE) {
		p->over = true;
		if (!s->parts)
			p->until = s->asked = s->rq.expect;
		return;
	}
	p->from += p->taken;
	if ((is_first(p) && (!p->beside || p->from == p->until)) ||
	    r->err->code == ERR_CONTENT) {
		spread_end(s, r);
		return;
	}
	/* Too many connections for it, perhaps: one must do, and the rest of the piece is
	 * asked for once more when it is its turn and no other is on its way. */
	s->width = 1;
	p->n = p->taken = 0;
	free(p->early);
	p->early = NULL;
}

static bool
piece_ask(struct piece *p)
{
	struct spread *s = p->spread;
	struct transfer_request rq = s->rq;
	bool alone = s->width == 1;

	p->beside = false;
	for (unsigned i = 0; i < s->n; i++) {
		struct piece *other = piece_at(s, i);
		if (other->t)
			other->beside = p->beside = true;
	}
	rq.target = s->target;
	rq.accept = s->accept;
	rq.authorization = s->authorization;
	rq.from = p->from;
	rq.until = p->until == s->rq.expect && alone ? 0 : p->until;
	rq.ranges_only = s->parts;
	rq.if_range = s->parts && !alone && *s->etag ? s->etag : NULL;
	rq.sink = piece_sink;
	rq.done = piece_done;
	rq.arg = p;
	p->t = transfer_start(s->engine, &rq);
	return p->t != NULL;
}

static struct piece *
piece_add(struct spread *s)
{
	struct piece *p = piece_at(s, s->n);
	uint64_t left = s->rq.expect - s->asked;
	bool whole = s->width == 1 || left <= SPREAD_PIECE;

	*p = (struct piece){.spread = s,
	    .from = s->asked,
	    .until = whole ? s->rq.expect : s->asked + SPREAD_PIECE};
	s->asked = p->until;
	s->n++;
	return p;
}

/* ---- all of them ---- */

static bool
any_flies(struct spread *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		if (piece_at(s, i)->t)
			return true;
	}
	return false;
}

struct spread *
spread_start(
    struct transfer_engine *en, const struct transfer_request *rq, unsigned width)
{
	struct spread *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->engine = en;
	s->rq = *rq;
	s->asked = rq->from;
	s->width = width < LIMIT_CONNECTIONS ? width : LIMIT_CONNECTIONS;
	if (rq->expect == UINT64_MAX || rq->expect - rq->from < 2 * SPREAD_PIECE ||
	    !width)
		s->width = 1;
	s->target = strdup(rq->target);
	s->accept = rq->accept ? strdup(rq->accept) : NULL;
	s->authorization = rq->authorization ? strdup(rq->authorization) : NULL;
	if (!s->target || (rq->accept && !s->accept) ||
	    (rq->authorization && !s->authorization) || !piece_ask(piece_add(s))) {
		spread_free(s);
		return NULL;
	}
	return s;
}

/* 0: all of it is with the sink; 1: it has no room; negative: it is gone. */
static int
piece_pass(struct piece *p)
{
	struct spread *s = p->spread;

	while (p->taken < p->n) {
		size_t n = p->n - p->taken < STEP ? p->n - p->taken : STEP;
		int r = s->rq.sink(s->rq.arg, span_of(p->early + p->taken, n));
		if (r != 0)
			return r;
		p->taken += n;
	}
	p->from += p->n;
	free(p->early);
	p->early = NULL;
	p->n = p->taken = 0;
	return 0;
}

/* The pieces that are over and passed on, from the first. false: the spread has ended. */
static bool
spread_pass(struct spread *s)
{
	while (s->n) {
		struct piece *p = piece_at(s, 0);
		int r = piece_pass(p);
		if (r < 0) {
			spread_fail(s, "the layer's pipeline has ended");
			return false;
		}
		if (r > 0 || !p->over)
			break;
		s->first = (s->first + 1) % LIMIT_CONNECTIONS;
		s->n--;
	}
	return true;
}

void
spread_step(struct spread *s)
{
	static const struct response none;
	struct transfer_result all = {.outcome = TRANSFER_DONE, .head = &none};

	if (s->ended || !spread_pass(s))
		return;
	if (s->n == 0 && s->asked == s->rq.expect) {
		spread_end(s, &all);
		return;
	}
	while (s->asked < s->rq.expect && (s->n == 0 || (s->parts && s->n < s->width))) {
		if (!piece_ask(piece_add(s))) {
			spread_fail(s, "the request cannot be started");
			return;
		}
	}
	struct piece *p = piece_at(s, 0);
	if (!p->over && !any_flies(s) && !piece_ask(p))
		spread_fail(s, "the request cannot be started");
}

void
spread_resume(struct spread *s)
{
	if (s->n && piece_at(s, 0)->t)
		transfer_resume(piece_at(s, 0)->t);
}
