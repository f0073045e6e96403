#include "frontend/fetchers.h"

#include <stdio.h>
#include <stdlib.h>

struct fetcher *
fetcher_start(struct pull *p, const struct url *origin, enum fetch_auth auth,
    const struct fetcher *parent)
{
	struct fetcher *fe = calloc(1, sizeof(*fe));
	if (!fe)
		return NULL;
	fe->pull = p;
	fe->id = frontend_next_id(p->f);
	fe->origin = *origin;
	fe->tokens = parent != NULL;
	fe->next = p->fetchers;
	p->fetchers = fe;

	struct ipc_msg m = IPC_MSG(want_fetch, .pull = p->id, .fetch = fe->id,
	    .scheme = origin->tls ? SCHEME_HTTPS : SCHEME_HTTP,
	    .host = span_str(origin->host), .port = origin->port,
	    .repository = span_str(p->registry.repository), .verify = p->verify,
	    .auth = auth, .auth_host = span_str(p->registry.auth_host),
	    .parent = parent ? parent->id : 0);
	if (auth == AUTH_GIVEN)
		m.want_fetch.secret = span_of(p->secret, p->secret_size);
	if (auth == AUTH_GIVEN)
		m.want_fetch.secret_kind = p->wish.secret_kind;
	port_send(&p->f->control, &m);
	return fe;
}

struct fetcher *
fetcher_find(struct pull *p, const struct url *origin)
{
	for (struct fetcher *fe = p->fetchers; fe; fe = fe->next) {
		if (fe != p->home && !fe->tokens && url_same_origin(&fe->origin, origin))
			return fe;
	}
	return NULL;
}

void
fetcher_end(struct fetcher *fe)
{
	struct pull *p = fe->pull;
	struct ipc_msg m =
	    IPC_MSG(end, .pull = p->id, .room = ROOM_FETCH, .token = fe->id);

	port_send(&p->f->control, &m);
	port_release(&fe->port);
	for (struct request *q = p->requests; q; q = q->next) {
		if (q->fetcher == fe) {
			q->fetcher = NULL;
			q->sent = false;
		}
	}
	for (struct fetcher **at = &p->fetchers; *at; at = &(*at)->next) {
		if (*at == fe) {
			*at = fe->next;
			break;
		}
	}
	if (p->home == fe) { /* what it was given goes with it */
		p->home = NULL;
		p->auth_state = AUTH_UNASKED;
		p->auth = p->tokens = 0;
	}
	free(fe);
}

static void
request_send(struct pull *p, struct request *q)
{
	/* Only the registry's own fetcher holds a credential. */
	q->auth = q->fetcher == p->home ? p->auth : 0;
	q->sent = true;
	struct ipc_msg m = IPC_MSG(get, .req = q->req, .kind = q->kind,
	    .ref = span_str(q->ref), .url = span_str(q->target ? q->target : ""),
	    .size = q->size, .token = q->token, .auth = q->auth);
	port_send(&q->fetcher->port, &m);
}

void
requests_send(struct pull *p)
{
	for (struct request *q = p->requests; q; q = q->next) {
		if (q->sent || !q->fetcher || !port_is_open(&q->fetcher->port))
			continue;
		if (q->fetcher == p->home && p->auth_state == AUTH_ASKING)
			continue;
		request_send(p, q);
	}
}

struct request *
request_add(struct pull *p, uint64_t req, enum fetch_kind kind, struct span ref)
{
	struct request *q = calloc(1, sizeof(*q));

	if (!q || !span_to_str(ref, q->ref, sizeof(q->ref))) {
		free(q);
		return NULL;
	}
	q->req = req;
	q->kind = kind;
	q->fetcher = p->home;
	q->next = p->requests;
	p->requests = q;
	return q;
}

struct request *
request_find(struct pull *p, uint64_t req)
{
	for (struct request *q = p->requests; q; q = q->next) {
		if (q->req == req)
			return q;
	}
	return NULL;
}

void
request_free(struct pull *p, struct request *q)
{
	for (struct request **at = &p->requests; *at; at = &(*at)->next) {
		if (*at == q) {
			*at = q->next;
			break;
		}
	}
	free(q->target);
	free(q);
}
