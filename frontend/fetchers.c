#include "frontend/fetchers.h"

#include "common/base/jitter.h"

#include <stdio.h>
#include <stdlib.h>

/* After a pause that was asked for, those who waited come back over this much time. */
#define SPREAD_MS 1000

/* "NAMESPACE/IMAGE" of a pull that may have an auth file of its own; else "". */
static const char *
own_auth(const struct pull *p, char *dst, size_t cap)
{
	const char *slash = strrchr(p->name, '/');
	size_t n = (size_t)(slash - p->name) + strcspn(slash, ":@");

	*dst = 0;
	if (*p->wish.namespace)
		snprintf(dst, cap, "%s/%.*s", p->wish.namespace, (int)n, p->name);
	return dst;
}

struct fetcher *
fetcher_start(struct site *s, const struct url *origin, enum fetch_auth auth,
    const struct fetcher *parent)
{
	struct pull *p = s->pull;
	char own[LIMIT_NAMESPACE + LIMIT_NAME + 2];
	struct fetcher *fe = calloc(1, sizeof(*fe));
	if (!fe)
		return NULL;
	fe->pull = p;
	fe->site = s;
	fe->id = frontend_next_id(p->f);
	fe->origin = *origin;
	fe->tokens = parent != NULL;
	fe->next = p->fetchers;
	p->fetchers = fe;

	struct ipc_msg m = IPC_MSG(want_fetch, .pull = p->id, .fetch = fe->id,
	    .scheme = origin->tls ? SCHEME_HTTPS : SCHEME_HTTP,
	    .host = span_str(origin->host), .port = origin->port,
	    .repository = span_str(s->at.repository), .verify = s->verify, .auth = auth,
	    .auth_host = span_str(s->at.auth_host), .parent = parent ? parent->id : 0,
	    .via = s->home_id, .own_auth = span_str(own_auth(p, own, sizeof(own))));
	if (auth == AUTH_GIVEN)
		m.want_fetch.secret = span_of(p->secret, p->secret_size);
	if (auth == AUTH_GIVEN)
		m.want_fetch.secret_kind = p->wish.secret_kind;
	port_send(&p->f->control, &m);
	return fe;
}

static bool
is_elsewhere(const struct fetcher *fe)
{
	return fe != fe->site->home && !fe->tokens;
}

/* A registry may lead every layer to an origin of its own; rooms are few, and those of
 * the node are everybody's. */
static void
end_idle(struct pull *p)
{
	for (struct fetcher *fe = p->fetchers, *next; fe; fe = next) {
		bool idle = is_elsewhere(fe);
		next = fe->next;
		for (const struct request *q = p->requests; q && idle; q = q->next)
			idle = q->fetcher != fe;
		if (idle)
			fetcher_end(fe);
	}
}

struct fetcher *
fetcher_elsewhere(struct site *s, const struct url *origin)
{
	for (struct fetcher *fe = s->pull->fetchers; fe; fe = fe->next) {
		if (fe->site == s && is_elsewhere(fe) &&
		    url_same_origin(&fe->origin, origin))
			return fe;
	}
	end_idle(s->pull);
	return fetcher_start(s, origin, AUTH_NONE, NULL);
}

struct fetcher *
site_home(struct site *s)
{
	if (s->home)
		return s->home;
	s->home_id = 0; /* nobody led here but the name itself */
	s->home = fetcher_start(s, &s->at.url, s->auth, NULL);
	s->home_id = s->home ? s->home->id : 0;
	if (s->home)
		site_log_insecure(s);
	return s->home;
}

void
fetcher_end(struct fetcher *fe)
{
	struct pull *p = fe->pull;
	struct site *s = fe->site;
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
	if (s->home == fe) { /* what it was given goes with it */
		s->home = NULL;
		s->auth_state = AUTH_UNASKED;
		s->credential = s->tokens = 0;
		s->auth_until = 0;
	}
	free(fe);
}

/* ---- requests ---- */

/* What stands for the reference there: a place may have another tag for it. */
static const char *
request_ref(const struct request *q)
{
	const struct ref *there = &q->site->place.ref;

	return q->named && !there->has_digest ? there->tag : q->ref;
}

/* At a mirror the path says whose it is, as containerd does: one that serves several
 * registries can tell them apart. */
static bool
request_target(struct request *q)
{
	static const char form[] = "/v2/%s/%s/%s?ns=";
	struct site *s = q->site;
	const char *kind = q->kind == FETCH_MANIFEST ? "manifests" : "blobs";
	const char *ns = s->pull->sites[s->pull->n_sites - 1].at.auth_host;
	const char *ref = request_ref(q);

	if (!s->mirror || q->target)
		return true;
	size_t n = sizeof(form) + strlen(s->at.repository) + strlen(kind) + strlen(ref) +
		   3 * strlen(ns);
	q->target = malloc(n);
	if (!q->target)
		return false;
	int at = snprintf(q->target, n, form, s->at.repository, kind, ref);
	url_encode(span_str(ns), q->target + at, n - (size_t)at);
	return true;
}

static void
request_send(struct request *q)
{
	struct site *s = q->site;

	if (!request_target(q)) {
		pull_fail(s->pull, ERR_INTERNAL, "out of memory");
		return;
	}
	/* Only the site's own fetcher holds a credential. */
	q->auth = q->fetcher == s->home ? s->credential : 0;
	q->sent = true;
	struct ipc_msg m = IPC_MSG(get, .req = q->req, .kind = q->kind,
	    .ref = span_str(request_ref(q)), .url = span_str(q->target ? q->target : ""),
	    .size = q->size, .token = q->token, .auth = q->auth, .resume = q->begun);
	q->begun = true;
	port_send(&q->fetcher->port, &m);
}

/* Milliseconds until it may be sent. */
static uint64_t
request_wait(struct request *q, uint64_t now)
{
	const struct health *h = &q->fetcher->pull->f->health;
	uint64_t pause = health_pause_left(h, &q->fetcher->origin, now);

	if (pause && q->not_before < now + pause) {
		uint64_t more = jitter_ms(1, SPREAD_MS, SPREAD_MS, jitter_random());
		q->waited += pause + more;
		q->not_before = now + pause + more;
	}
	return q->not_before > now ? q->not_before - now : 0;
}

static void
requests_again(struct loop_timer *t)
{
	requests_send(t->arg);
}

/* A token that has run out is not tried: another is asked for first. */
static bool
credential_ready(struct site *s)
{
	if (s->auth_state == AUTH_HAVE && s->auth_until && loop_now() >= s->auth_until)
		site_token_begin(s);
	return s->auth_state != AUTH_ASKING;
}

void
requests_send(struct pull *p)
{
	uint64_t now = loop_now(), least = UINT64_MAX;

	for (struct request *q = p->requests; q && !p->ending; q = q->next) {
		if (q->sent || !q->fetcher || !port_is_open(&q->fetcher->port))
			continue;
		uint64_t wait = request_wait(q, now);
		if (wait) {
			least = wait < least ? wait : least;
			continue;
		}
		if (q->fetcher != q->site->home || credential_ready(q->site))
			request_send(q);
	}
	if (least == UINT64_MAX || p->ending)
		return;
	p->again.fired = requests_again;
	p->again.arg = p;
	loop_timer_set(&p->f->loop, &p->again, least);
}

bool
request_turn(struct request *q, struct site *to)
{
	free(q->target);
	q->target = NULL;
	q->redirects = q->challenges = 0;
	q->sent = false;
	q->site = to;
	q->fetcher = site_home(to);
	return q->fetcher != NULL;
}

struct request *
request_add(struct pull *p, uint64_t req, enum fetch_kind kind, struct span ref)
{
	struct request *q = calloc(1, sizeof(*q));

	if (!q || !span_to_str(ref, q->ref, sizeof(q->ref)) ||
	    !request_turn(q, sites_first(p))) {
		free(q);
		return NULL;
	}
	q->req = req;
	q->kind = kind;
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
