/* What the store and the supervisor say about pulls. */
#include "frontend/metrics.h"
#include "frontend/pulls.h"
#include "frontend/query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the store asks ---- */

static void
pull_need_document(struct pull *p, const struct msg_need_document *d)
{
	char hex[DIGEST_TEXT + 1];
	bool config = d->kind == DOC_CONFIG;

	digest_print(d->digest, hex);
	struct request *q = request_add(p, d->req, config ? FETCH_CONFIG : FETCH_MANIFEST,
	    span_str(d->known ? hex : p->ref));
	if (!q) {
		pull_fail(p, ERR_INTERNAL, "out of memory");
		return;
	}
	q->size = d->size;
	q->named = !d->known;
	requests_send(p);
}

static void
layer_fetch(struct pull *p, const struct msg_layer *l)
{
	char hex[DIGEST_TEXT + 1];
	struct request *q = request_find(p, LAYER_REQ(l->index));

	if (q) { /* once more, where its site has been chosen already */
		q->begun = q->done = q->lost = false;
		q->bytes = q->bytes_then = 0;
		if (!request_turn(q, q->site))
			q = NULL;
	} else {
		q = request_add(p, LAYER_REQ(l->index), FETCH_LAYER,
		    span_str(digest_print(l->digest, hex)));
	}
	if (!q) {
		pull_fail(p, ERR_INTERNAL, "out of memory");
		return;
	}
	q->size = l->size;
	q->token = l->token;
	requests_send(p);
}

/* For those who join later. */
static bool
layer_remember(struct pull *p, const struct msg_layer *l)
{
	if (l->index >= l->count)
		return false;
	if (!p->layers) {
		p->layers = calloc(l->count, sizeof(*p->layers));
		p->n_layers = p->layers ? (unsigned)l->count : 0;
	}
	if (l->index >= p->n_layers)
		return false;
	struct known_layer *k = &p->layers[l->index];
	if (!k->known && l->state == LAYER_PRESENT) {
		metrics_count(p->f, METRIC_LAYERS_REUSED, 1);
		metrics_count(p->f, METRIC_BYTES_SKIPPED, l->size);
	} else if (l->state == LAYER_DONE) {
		metrics_layer(p->f, l->size);
	}
	k->known = true;
	k->m = *l;
	return true;
}

static void
pull_layer(struct pull *p, const struct msg_layer *l)
{
	if (!layer_remember(p, l)) {
		pull_fail(p, ERR_INTERNAL, "the store counts layers wrongly");
		return;
	}
	p->wants_space = false;
	for (struct waiter *w = p->waiters, *next; w; w = next) {
		next = w->next;
		if (w->ops->layer)
			w->ops->layer(w, l);
	}
	if (l->state == LAYER_WANTED && !p->ending)
		layer_fetch(p, l);
}

static void
pull_progress(struct pull *p, const struct msg_progress *m)
{
	p->wants_space = m->stage == STAGE_SPACE;
	if (p->wants_space)
		return; /* no step forward, and no news for who waits */
	if (m->stage > p->stage)
		p->stage = m->stage;
	if (m->stage == STAGE_FETCH && m->index < p->n_layers)
		p->layers[m->index].bytes = m->bytes;
	for (struct waiter *w = p->waiters, *next; w; w = next) {
		next = w->next;
		if (w->ops->progress)
			w->ops->progress(w, m);
	}
}

/* The store has what came for a request, and it is not what was asked for. */
static void
pull_wrong(struct pull *p, const struct msg_wrong *m)
{
	struct request *q = request_find(p, m->req);
	char text[1200], origin[URL_TEXT_MAX];
	struct failure why = {.code = m->code ? (enum err_class)m->code : ERR_CONTENT,
	    .text = text,
	    .answered = true,
	    .wrong = true,
	    .proven = m->proven};

	if (!q) {
		pull_fail(p, why.code, "%.*s", (int)m->text.n, (const char *)m->text.p);
		return;
	}
	why.origin = &q->site->at.url;
	url_origin(why.origin, origin, sizeof(origin));
	snprintf(text, sizeof(text), "%.300s%s%.*s", p->n_sites > 1 ? origin : "",
	    p->n_sites > 1 ? ": " : "", (int)m->text.n, (const char *)m->text.p);
	request_failed(q, &why);
}

/* inspect --remote: the pull's number is the request's. */
static int
pull_text(struct frontend *f, struct ipc_msg *m)
{
	struct pull *p = pull_find(f, m->text.req);

	if (!p)
		return query_answer(f, m);
	for (struct waiter *w = p->waiters, *next; w; w = next) {
		next = w->next;
		if (w->ops->text)
			w->ops->text(w, m);
	}
	return 0;
}

int
pull_store_message(struct frontend *f, struct ipc_msg *m)
{
	struct pull *p;

	switch (m->type) {
	case MSG_need_document:
		p = pull_find(f, m->need_document.pull);
		if (p && !p->ending)
			pull_need_document(p, &m->need_document);
		return 0;
	case MSG_layer:
		p = pull_find(f, m->layer.pull);
		if (p && !p->ending)
			pull_layer(p, &m->layer);
		return 0;
	case MSG_wrong:
		p = pull_find(f, m->wrong.pull);
		if (p && !p->ending)
			pull_wrong(p, &m->wrong);
		return 0;
	case MSG_progress:
		p = pull_find(f, m->progress.pull);
		if (p && !p->ending)
			pull_progress(p, &m->progress);
		return 0;
	case MSG_pull_end:
		p = pull_find(f, m->pull_end.pull);
		if (p && p->begun)
			pull_finish(f, p, (enum err_class)m->pull_end.code,
			    m->pull_end.image, m->pull_end.fresh, m->pull_end.text);
		return 0;
	case MSG_text:
		return pull_text(f, m);
	default:
		return query_answer(f, m);
	}
}

/* ---- the supervisor answers ---- */

static struct fetcher *
fetcher_by_id(struct frontend *f, uint64_t pull, uint64_t id)
{
	struct pull *p = pull_find(f, pull);

	for (struct fetcher *fe = p ? p->fetchers : NULL; fe; fe = fe->next) {
		if (fe->id == id)
			return fe;
	}
	return NULL;
}

static int
fetcher_peer(struct frontend *f, struct ipc_msg *m)
{
	struct fetcher *fe = fetcher_by_id(f, m->peer.pull, m->peer.token);
	if (!fe || port_is_open(&fe->port))
		return 0;
	fe->port.message = pull_fetcher_message;
	fe->port.ended = pull_fetcher_ended;
	fe->port.arg = fe;
	int r = port_open(&fe->port, &f->loop, ipc_msg_take_fd(m, 0), CH_frontend_fetch,
	    ROOM_FRONTEND, ROOM_FETCH, IPC_RUN);
	if (r < 0) {
		pull_fail(fe->pull, ERR_INTERNAL, "cannot speak to the fetcher: %s",
		    strerror(-r));
		return 0;
	}
	if (fe->tokens)
		site_ask_token(fe->site, fe);
	else
		requests_send(fe->pull);
	return 0;
}

/* How many requests that failed with it. */
static unsigned
fetcher_lost(struct fetcher *fe, const struct failure *why)
{
	struct pull *p = fe->pull;
	unsigned n = 0;

	for (struct request *q = p->requests; q; q = q->next) {
		q->orphan = q->fetcher == fe;
		n += q->orphan;
	}
	fetcher_end(fe);
	for (struct request *q = p->requests; q && !p->ending; q = q->next) {
		if (q->orphan)
			request_failed(q, why);
	}
	return n;
}

static void
fetcher_gone(struct frontend *f, const struct msg_gone *g)
{
	struct fetcher *fe = fetcher_by_id(f, g->pull, g->token);
	if (!fe)
		return;
	struct url at = fe->origin;
	char origin[URL_TEXT_MAX], text[600];
	struct failure why = {.code = ERR_INTERNAL, .text = text, .origin = &at};

	snprintf(text, sizeof(text), "the fetcher for %.300s ended unexpectedly (%s %u)",
	    url_origin(&at, origin, sizeof(origin)),
	    g->status >= 256 ? "signal" : "status", (unsigned)g->status & 255);
	if (fe->tokens)
		site_token_failed(fe, &why);
	else
		fetcher_lost(fe, &why);
}

/* The node could not start one: no endpoint would be better off. Else the files for this
 * endpoint are wrong, or its credential helper fails: another may do. */
static void
fetcher_refused(struct frontend *f, const struct msg_refused *m)
{
	struct fetcher *fe = fetcher_by_id(f, m->pull, m->token);
	if (!fe || fe->pull->ending)
		return;
	struct pull *p = fe->pull;
	struct site *s = fe->site;
	bool home = s->home == fe;
	struct url at = fe->origin;
	char origin[URL_TEXT_MAX], text[1400];
	struct failure why = {
	    .code = (enum err_class)m->code, .text = text, .origin = &at};

	if (!m->code || m->code == ERR_INTERNAL || m->code == ERR_IN_USE) {
		pull_fail(p, ERR_INTERNAL, "no fetcher: %.*s", (int)m->text.n,
		    (const char *)m->text.p);
		return;
	}
	snprintf(text, sizeof(text), "%.300s%s%.*s",
	    p->n_sites > 1 ? url_origin(&at, origin, sizeof(origin)) : "",
	    p->n_sites > 1 ? ": " : "", (int)m->text.n, (const char *)m->text.p);
	if (fe->tokens)
		site_token_failed(fe, &why);
	else if (fetcher_lost(fe, &why) == 0 && home)
		site_unready(s, &why);
}

int
pull_control_message(struct frontend *f, struct ipc_msg *m)
{
	switch (m->type) {
	case MSG_peer:
		return fetcher_peer(f, m);
	case MSG_gone:
		fetcher_gone(f, &m->gone);
		return 0;
	case MSG_refused:
		fetcher_refused(f, &m->refused);
		return 0;
	default:
		return query_answer(f, m);
	}
}
