#include "frontend/ps.h"

#include "frontend/pulls.h"

#include <stdio.h>

struct sum {
	unsigned waiting, wanted, done;
	uint64_t bytes, total;
};

/* What the fetcher says it has is more than what the store has looked at. */
static uint64_t
layer_bytes(const struct pull *p, unsigned index)
{
	const struct known_layer *l = &p->layers[index];
	uint64_t bytes = l->bytes;

	for (const struct request *q = p->requests; q; q = q->next) {
		if (q->req == LAYER_REQ(index) && q->bytes > bytes)
			bytes = q->bytes;
	}
	return bytes < l->m.size ? bytes : l->m.size;
}

static struct sum
layers_sum(const struct pull *p)
{
	struct sum s = {0};

	for (unsigned i = 0; i < p->n_layers; i++) {
		const struct known_layer *l = &p->layers[i];
		uint64_t state = l->m.state;
		if (!l->known)
			continue;
		s.waiting += state == LAYER_WAITING;
		s.wanted += state == LAYER_WANTED;
		s.done += state == LAYER_DONE || state == LAYER_PRESENT;
		if (state == LAYER_PRESENT)
			continue;
		s.total += l->m.size;
		s.bytes += state == LAYER_DONE ? l->m.size : layer_bytes(p, i);
	}
	return s;
}

static const char *
stage_name(const struct pull *p, const struct sum *s)
{
	if (p->ending)
		return "ending";
	if (!p->begun)
		return "queued";
	if (p->stage == STAGE_COMMIT)
		return "committing";
	if (!p->n_layers)
		return "resolving";
	return s->wanted && s->bytes >= s->total && !s->waiting ? "checking" : "fetching";
}

/* A request that is with a fetcher whose answer has not begun, or NULL. */
static const struct request *
silent_request(const struct pull *p)
{
	for (const struct request *q = p->requests; q; q = q->next) {
		if (q->sent && q->bytes == 0)
			return q;
	}
	return NULL;
}

static bool
bytes_flow(const struct pull *p)
{
	for (const struct request *q = p->requests; q; q = q->next) {
		if (q->sent && q->bytes > 0)
			return true;
	}
	return false;
}

static const struct fetcher *
fetcher_starting(const struct pull *p)
{
	for (const struct fetcher *fe = p->fetchers; fe; fe = fe->next) {
		if (!port_is_open(&fe->port))
			return fe;
	}
	return NULL;
}

static const struct site *
site_asking(const struct pull *p)
{
	for (unsigned i = 0; i < p->n_sites; i++) {
		if (p->sites[i].auth_state == AUTH_ASKING)
			return &p->sites[i];
	}
	return NULL;
}

/* A request that failed and waits for its next try. */
static const struct request *
request_pausing(const struct pull *p)
{
	for (const struct request *q = p->requests; q; q = q->next) {
		if (!q->sent && q->fetcher && q->not_before > loop_now())
			return q;
	}
	return NULL;
}

static void
queue_reason(const struct pull *p, char *text, size_t cap)
{
	const struct queue *q = &p->f->queue;
	struct queue_place at = queue_where(q, &p->ticket);
	bool share = q->max_space && at.running >= q->max_space;

	snprintf(text, cap, "its turn: %u before it in its namespace, %u pulls run%s",
	    at.before, q->running, share ? ", its namespace has its share" : "");
}

/* The nearest thing that the pull stands still for; "" = it moves. */
static void
wait_reason(const struct pull *p, const struct sum *s, char *text, size_t cap)
{
	const struct fetcher *starting = fetcher_starting(p);
	const struct site *asking = site_asking(p);
	const struct request *pausing = request_pausing(p);
	char origin[URL_TEXT_MAX];

	text[0] = 0;
	if (p->ending)
		snprintf(text, cap, "the store's cleaning up");
	else if (!p->begun)
		queue_reason(p, text, cap);
	else if (p->stage == STAGE_COMMIT)
		snprintf(text, cap, "the store's lock, or its disk");
	else if (p->wants_space)
		snprintf(text, cap, "space: what is being removed");
	else if (bytes_flow(p))
		return;
	else if (asking)
		snprintf(text, cap, "a token from %s",
		    url_origin(&asking->realm, origin, sizeof(origin)));
	else if (starting)
		snprintf(text, cap, "a fetcher for %s",
		    url_origin(&starting->origin, origin, sizeof(origin)));
	else if (pausing)
		snprintf(text, cap, "another try at %s in %llu s",
		    url_origin(&pausing->site->at.url, origin, sizeof(origin)),
		    (unsigned long long)(pausing->not_before - loop_now()) / 1000 + 1);
	else if (silent_request(p))
		snprintf(text, cap, "the first byte of an answer");
	else if (s->waiting && !s->wanted)
		snprintf(text, cap, "a layer slot (max_parallel_layers)");
	else if (s->wanted)
		snprintf(text, cap, "layers being unpacked and checked");
	else
		snprintf(text, cap, "the store");
}

/* Where bytes come from: the last fetcher that was asked for the largest thing. */
static const struct url *
endpoint_of(const struct pull *p)
{
	for (const struct request *q = p->requests; q; q = q->next) {
		if (q->fetcher && q->bytes > 0)
			return &q->fetcher->origin;
	}
	for (const struct request *q = p->requests; q; q = q->next) {
		if (q->fetcher)
			return &q->fetcher->origin;
	}
	return &p->sites[p->at].at.url;
}

void
ps_row(const struct pull *p, struct ps_texts *texts, struct msg_cli_ps_row *row)
{
	uint64_t now = loop_now();
	struct sum s = layers_sum(p);
	char origin[URL_TEXT_MAX];

	snprintf(texts->endpoint, sizeof(texts->endpoint), "%.599s",
	    url_origin(endpoint_of(p), origin, sizeof(origin)));
	wait_reason(p, &s, texts->waiting, sizeof(texts->waiting));
	*row = (struct msg_cli_ps_row){.pull = p->id,
	    .name = span_str(p->name),
	    .namespace = span_str(p->wish.namespace),
	    .stage = span_str(stage_name(p, &s)),
	    .layers = p->n_layers,
	    .layers_done = s.done,
	    .bytes = s.bytes,
	    .total = s.total,
	    .rate = pace_rate(p, now),
	    .age_ms = now - p->asked_at,
	    .endpoint = span_str(texts->endpoint),
	    .waiting = span_str(texts->waiting),
	    .waiters = pull_waiters(p)};
}

void
ps_send(struct frontend *f, struct port *to, uint64_t req)
{
	for (const struct pull *p = f->pulls; p; p = p->next) {
		struct ipc_msg m = IPC_MSG(cli_ps_row, .req = req);
		struct ps_texts texts = {0};
		ps_row(p, &texts, &m.cli_ps_row);
		m.cli_ps_row.req = req;
		port_send(to, &m);
	}
}
