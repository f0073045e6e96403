#include "frontend/pull.h"

#include "frontend/fetchers.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Requests for layers are numbered apart from the store's own numbers for documents. */
#define LAYER_REQ(index) (UINT64_C(1) << 40 | (index))

static struct pull *
pull_find(struct frontend *f, uint64_t id)
{
	for (struct pull *p = f->pulls; p; p = p->next) {
		if (p->id == id)
			return p;
	}
	return NULL;
}

static void
pull_free(struct pull *p)
{
	for (struct pull **at = &p->f->pulls; *at; at = &(*at)->next) {
		if (*at == p) {
			*at = p->next;
			break;
		}
	}
	while (p->fetchers)
		fetcher_end(p->fetchers);
	while (p->requests)
		request_free(p, p->requests);
	if (p->secret)
		explicit_bzero(p->secret, p->secret_size);
	free(p->secret);
	free(p);
}

/* The pull is over: answers the client and forgets it. */
static void
pull_finish(struct pull *p, enum err_class code, struct span text)
{
	if (p->client)
		client_done(p->client, p->client_req, code, text);
	pull_free(p);
}

void
pull_fail(struct pull *p, enum err_class code, const char *fmt, ...)
{
	char raw[1024], text[1024];
	va_list ap;

	if (p->ending)
		return;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	span_escape(span_str(raw), text, sizeof(text));
	p->ending = true;
	struct ipc_msg m =
	    IPC_MSG(cancel, .pull = p->id, .code = code, .text = span_str(text));
	port_send(&p->f->store, &m);
}

/* ---- starting ---- */

static int
pull_name(struct pull *p, struct ref *ref, struct span name, struct err *e)
{
	char record[REF_TEXT];

	int r = ref_parse(name, ref, e);
	if (r < 0)
		return r;
	ref_default_tag(ref);
	if (!ref_print_record(ref, record))
		return err_set(e, ERR_USAGE, "the reference has neither tag nor digest");
	snprintf(p->name, sizeof(p->name), "%s", record);
	if (ref->has_digest)
		digest_print(ref->digest, p->ref);
	else
		snprintf(p->ref, sizeof(p->ref), "%s", ref->tag);
	return registry_of(ref, span_str(p->f->insecure), &p->registry, e);
}

static int
pull_secret(struct pull *p, const struct msg_cli_pull *m, struct err *e)
{
	p->auth_source = (enum fetch_auth)m->auth;
	if (p->auth_source != AUTH_GIVEN)
		return 0;
	p->secret = malloc(m->secret.n ? m->secret.n : 1);
	if (!p->secret)
		return err_errno(e, ENOMEM, "pull");
	if (m->secret.n)
		memcpy(p->secret, m->secret.p, m->secret.n);
	p->secret_size = m->secret.n;
	return 0;
}

static void
pull_tell_store(struct pull *p, const struct msg_cli_pull *m, const struct ref *ref)
{
	struct ipc_msg s = IPC_MSG(pull, .pull = p->id, .name = span_str(p->name),
	    .pinned = ref->has_digest, .os = m->os, .architecture = m->architecture,
	    .variant = m->variant, .mode = m->mode);

	memcpy(s.pull.digest, ref->digest, sizeof(s.pull.digest));
	port_send(&p->f->store, &s);
}

int
pull_start(struct client *c, const struct msg_cli_pull *m, struct err *e)
{
	struct ref ref = {0};
	struct frontend *f = c->f;

	if (*f->policy_problem)
		return err_set(e, ERR_POLICY, "%s", f->policy_problem);
	struct pull *p = calloc(1, sizeof(*p));
	if (!p)
		return err_errno(e, ENOMEM, "pull");
	p->f = f;
	p->client = c;
	p->client_req = m->req;
	p->id = frontend_next_id(f);
	int r = pull_name(p, &ref, m->name, e);
	if (r == 0)
		r = pull_secret(p, m, e);
	if (r < 0) {
		free(p->secret);
		free(p);
		return r;
	}
	p->fallback = m->verify == 2 || (m->verify == 0 && p->registry.insecure);
	p->verify = !p->fallback;
	p->next = f->pulls;
	f->pulls = p;
	pull_tell_store(p, m, &ref);
	/* NEVER asks no registry; MISSING asks one only if the store then wants a
	 * document. */
	if (m->mode != PULL_NEVER && m->mode != PULL_MISSING)
		p->home = fetcher_start(p, &p->registry.url, p->auth_source, NULL);
	return 0;
}

void
pull_cancel(struct frontend *f, uint64_t client_req)
{
	for (struct pull *p = f->pulls; p; p = p->next) {
		if (p->client_req == client_req)
			pull_fail(p, ERR_DEADLINE, "cancelled by the client");
	}
}

void
pull_end_all(struct frontend *f, enum err_class code, const char *text)
{
	while (f->pulls)
		pull_finish(f->pulls, code, span_str(text));
}

/* ---- the store asks ---- */

static struct fetcher *
pull_home(struct pull *p)
{
	if (!p->home)
		p->home = fetcher_start(p, &p->registry.url, p->auth_source, NULL);
	return p->home;
}

static void
pull_need_document(struct pull *p, const struct msg_need_document *d)
{
	char hex[DIGEST_TEXT + 1];
	bool config = d->kind == DOC_CONFIG;
	struct request *q = NULL;

	digest_print(d->digest, hex);
	if (pull_home(p))
		q = request_add(p, d->req, config ? FETCH_CONFIG : FETCH_MANIFEST,
		    span_str(d->known ? hex : p->ref));
	if (!q) {
		pull_fail(p, ERR_INTERNAL, "out of memory");
		return;
	}
	q->size = d->size;
	requests_send(p);
}

static void
pull_layer(struct pull *p, const struct msg_layer *l)
{
	char hex[DIGEST_TEXT + 1];

	if (p->client) {
		struct ipc_msg m =
		    IPC_MSG(cli_layer, .req = p->client_req, .index = l->index,
			.count = l->count, .size = l->size, .state = l->state);
		memcpy(m.cli_layer.digest, l->digest, sizeof(m.cli_layer.digest));
		port_send(&p->client->port, &m);
	}
	if (l->state != LAYER_WANTED)
		return;
	struct request *q = NULL;
	if (pull_home(p))
		q = request_add(p, LAYER_REQ(l->index), FETCH_LAYER,
		    span_str(digest_print(l->digest, hex)));
	if (!q) {
		pull_fail(p, ERR_INTERNAL, "out of memory");
		return;
	}
	q->size = l->size;
	q->token = l->token;
	requests_send(p);
}

static void
pull_progress(struct pull *p, const struct msg_progress *m)
{
	struct ipc_msg c = IPC_MSG(cli_progress, .req = p->client_req, .index = m->index,
	    .stage = m->stage, .bytes = m->bytes);

	if (p->client)
		port_send(&p->client->port, &c);
}

static void
pull_ended(struct pull *p, const struct msg_pull_end *m)
{
	if (m->code == ERR_OK && p->client) {
		struct ipc_msg c =
		    IPC_MSG(cli_pulled, .req = p->client_req, .fresh = m->fresh);
		memcpy(c.cli_pulled.image, m->image, sizeof(c.cli_pulled.image));
		port_send(&p->client->port, &c);
	}
	pull_finish(p, (enum err_class)m->code, m->text);
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
	case MSG_progress:
		p = pull_find(f, m->progress.pull);
		if (p && !p->ending)
			pull_progress(p, &m->progress);
		return 0;
	case MSG_pull_end:
		p = pull_find(f, m->pull_end.pull);
		if (p)
			pull_ended(p, &m->pull_end);
		return 0;
	case MSG_text: /* inspect --remote: the pull's number is the request's */
		p = pull_find(f, m->text.req);
		if (!p || !p->client)
			return query_answer(f, m);
		struct ipc_msg c = IPC_MSG(cli_text, .req = p->client_req);
		c.fds[0] = m->fds[0];
		c.nfds = 1;
		return port_send(&p->client->port, &c);
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
		pull_ask_token(fe->pull, fe);
	else
		requests_send(fe->pull);
	return 0;
}

static void
fetcher_gone(struct frontend *f, const struct msg_gone *g)
{
	struct fetcher *fe = fetcher_by_id(f, g->pull, g->token);
	if (!fe)
		return;
	struct pull *p = fe->pull;
	bool idle = !fe->tokens;
	char origin[URL_TEXT_MAX];

	for (struct request *q = p->requests; q; q = q->next)
		idle = idle && q->fetcher != fe;
	url_origin(&fe->origin, origin, sizeof(origin));
	fetcher_end(fe);
	if (!idle)
		pull_fail(p, ERR_INTERNAL,
		    "the fetcher for %s ended unexpectedly (%s %u)", origin,
		    g->status >= 256 ? "signal" : "status", (unsigned)g->status & 255);
}

int
pull_control_message(struct frontend *f, struct ipc_msg *m)
{
	struct pull *p;

	switch (m->type) {
	case MSG_peer:
		return fetcher_peer(f, m);
	case MSG_gone:
		fetcher_gone(f, &m->gone);
		return 0;
	case MSG_refused:
		p = pull_find(f, m->refused.pull);
		if (p)
			pull_fail(p, ERR_INTERNAL, "no fetcher: %.*s",
			    (int)m->refused.text.n, (const char *)m->refused.text.p);
		return 0;
	default:
		return query_answer(f, m);
	}
}
