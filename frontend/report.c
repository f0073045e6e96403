/* What fetchers report: bodies that arrived, challenges, redirects, failures. Every field
 * is the word of a room that a hostile registry may own: it can cost this pull, and
 * nothing else. */
#include "frontend/pulls.h"

#include <stdio.h>
#include <stdlib.h>

#define TOKEN_REQ(n) (UINT64_C(1) << 41 | (n))

/* A credential that worked this long ago may have run out: a challenge then asks for a
 * new token instead of ending the pull. */
#define CREDENTIAL_TRUSTED_MS 20000

#define CHALLENGES_MOST 3 /* of one request, each after a credential that had worked */
#define TOKENS_MOST 200	  /* of one site */

static const char *
origin_text(const struct url *u)
{
	static char text[URL_TEXT_MAX];

	return url_origin(u, text, sizeof(text));
}

/* Whether that number is the site's token request which this fetcher works on. */
static bool
token_req_of(const struct fetcher *fe, uint64_t req)
{
	const struct site *s = fe->site;

	return s->auth_state == AUTH_ASKING && req == TOKEN_REQ(s->token_req) &&
	       (fe->tokens || fe == s->home);
}

/* A request that fails by a decision made here. */
static void
request_fails(struct request *q, const struct err *e, bool answered)
{
	struct failure why = {.code = e->code,
	    .text = e->text,
	    .answered = answered,
	    .origin = &q->site->at.url};

	request_failed(q, &why);
}

void
site_ask_token(struct site *s, struct fetcher *fe)
{
	char scope[LIMIT_REPOSITORY + 32];

	/* Always our own scope: the challenge's may ask for more than reading this
	 * repository. */
	snprintf(scope, sizeof(scope), "repository:%s:pull", s->at.repository);
	struct ipc_msg m = IPC_MSG(get_token, .req = TOKEN_REQ(s->pull->token_reqs),
	    .url = span_str(s->realm.target), .service = span_str(s->service),
	    .scope = span_str(scope), .own = fe == s->home);
	s->token_req = s->pull->token_reqs++;
	port_send(&fe->port, &m);
}

void
site_token_begin(struct site *s)
{
	s->auth_state = AUTH_ASKING;
	if (url_same_origin(&s->realm, &s->home->origin))
		site_ask_token(s, s->home);
	else if (!fetcher_start(s, &s->realm, s->withheld ? AUTH_NONE : s->auth, s->home))
		pull_fail(s->pull, ERR_INTERNAL, "out of memory");
}

/* What is wrong with asking that token server, or 0. */
static int
realm_take(struct site *s, const struct msg_challenge *c, struct err *e)
{
	struct err why = {0};

	if (url_parse(c->realm, &s->realm, &why) < 0 ||
	    !span_to_str(c->service, s->service, sizeof(s->service)))
		return err_set(e, ERR_AUTH,
		    "%s names a token server that cannot be used: %s",
		    origin_text(&s->at.url), why.text);
	s->withheld = s->auth == AUTH_FILES &&
		      url_may_see_secret(&s->home->origin, &s->realm, NULL) < 0;
	/* Files may hold nothing for this registry, and images may be for everybody. */
	return s->auth != AUTH_NONE && !s->withheld
		   ? url_may_see_secret(&s->home->origin, &s->realm, e)
		   : url_may_lead(&s->home->origin, &s->realm, e);
}

static void
credential_have(struct site *s, unsigned credential, unsigned expires)
{
	s->auth_state = AUTH_HAVE;
	s->credential = credential;
	s->auth_at = loop_now();
	/* A little early: a request takes a while to arrive. */
	s->auth_until =
	    expires ? s->auth_at + (expires > 10 ? expires - 5 : expires) * 1000u : 0;
	requests_send(s->pull);
}

static int
credentials_refused(const struct site *s, struct err *e)
{
	char origin[URL_TEXT_MAX];

	url_origin(&s->home->origin, origin, sizeof(origin));
	if (s->withheld)
		return err_set(e, ERR_AUTH,
		    "%s gives %s only to those who log in at %s, another site: no "
		    "credentials from files are sent there",
		    origin, s->pull->name, origin_text(&s->realm));
	return err_set(e, ERR_AUTH,
	    "%s refused the credentials for %s: check them (%s), and that the account "
	    "may pull it",
	    origin, s->pull->name, site_source(s));
}

/* Why the challenge cannot be answered, or 0: something is under way. */
static int
challenge_answer(
    struct site *s, struct request *q, const struct msg_challenge *c, struct err *e)
{
	const struct pull *p = s->pull;
	const char *origin = origin_text(&s->home->origin);

	/* A registry token is what a token server would answer: it goes as it is. */
	if (s->auth_state == AUTH_UNASKED && s->auth == AUTH_GIVEN &&
	    p->wish.secret_kind == SECRET_BEARER) {
		credential_have(s, 2, 0);
		return 0;
	}
	bool fresh =
	    s->auth_state == AUTH_HAVE && loop_now() - s->auth_at < CREDENTIAL_TRUSTED_MS;
	if (fresh || ++q->challenges > CHALLENGES_MOST ||
	    (s->auth_state == AUTH_HAVE && s->tokens == 0))
		return credentials_refused(s, e);
	if (c->scheme == CHALLENGE_BASIC && s->auth == AUTH_NONE)
		return err_set(e, ERR_AUTH,
		    "%s demands a login for %s: pass --creds or --authfile", origin,
		    p->name);
	if (c->scheme == CHALLENGE_BASIC) {
		credential_have(s, 1, 0);
		return 0;
	}
	if (c->scheme != CHALLENGE_BEARER || s->tokens >= TOKENS_MOST)
		return err_set(e, ERR_AUTH,
		    "%s demands a kind of login that bulkhead does not have", origin);
	int r = realm_take(s, c, e);
	if (r == 0)
		site_token_begin(s);
	return r;
}

static void
report_challenge(struct fetcher *fe, const struct msg_challenge *c)
{
	struct pull *p = fe->pull;
	struct request *q = request_find(p, c->req);
	struct err e = {0};

	if (!q || q->fetcher != fe)
		return;
	if (fe != fe->site->home) {
		err_set(&e, ERR_AUTH, "%s demands credentials; none are sent there",
		    origin_text(&fe->origin));
		request_fails(q, &e, true);
		return;
	}
	q->sent = false;
	if (fe->site->auth_state == AUTH_ASKING)
		return;
	/* Refused with an older credential than the newest: once more with that. */
	if (fe->site->auth_state == AUTH_HAVE && q->auth != fe->site->credential) {
		requests_send(p);
		return;
	}
	if (challenge_answer(fe->site, q, c, &e) < 0)
		request_fails(q, &e, true);
}

static void
report_redirect(struct fetcher *fe, const struct msg_redirect *m)
{
	struct pull *p = fe->pull;
	struct request *q = request_find(p, m->req);
	struct url to;
	struct err e = {0};

	if (!q || q->fetcher != fe)
		return;
	if (++q->redirects > LIMIT_REDIRECTS) {
		err_set(&e, ERR_NETWORK, "%s: more than %d redirects for one request",
		    origin_text(&fe->origin), LIMIT_REDIRECTS);
		request_fails(q, &e, true);
		return;
	}
	if (url_parse(m->url, &to, &e) < 0 || url_may_lead(&fe->origin, &to, &e) < 0) {
		struct err full = {0};
		err_set(&full, e.code,
		    "%s redirects to where bulkhead will not go: %.600s",
		    origin_text(&fe->origin), e.text);
		request_fails(q, &full, true);
		return;
	}
	free(q->target);
	q->target = strdup(to.target);
	q->sent = false;
	/* The fetcher that may hold a secret follows no redirect but to its own origin.
	 */
	if (!url_same_origin(&fe->origin, &to)) {
		q->fetcher = NULL; /* who led here may be idle now */
		q->fetcher = fetcher_elsewhere(q->site, &to);
	}
	if (!q->fetcher || !q->target)
		pull_fail(p, ERR_INTERNAL, "out of memory");
	else
		requests_send(p);
}

/* No HTTP answer over TLS, and plain HTTP was allowed: the same requests again without
 * TLS. */
static bool
fall_back(struct fetcher *fe, const struct msg_fetch_failed *m)
{
	struct site *s = fe->site;

	if (fe != s->home || fe->answered || m->status != 0 || m->code != ERR_NETWORK ||
	    !s->fallback || !fe->origin.tls)
		return false;
	struct url plain = fe->origin;
	url_to_http(&plain, s->at.auth_host);
	fetcher_end(fe);
	s->at.url = plain;
	if (!site_home(s))
		return false;
	for (struct request *q = s->pull->requests; q; q = q->next) {
		if (q->site == s && !q->fetcher && !q->lost && !q->done)
			q->fetcher = s->home;
	}
	return true;
}

/* Most reasons name the place themselves; who is asked to log in has to know with what.
 * Without an answer it was no login that failed, but a client certificate or a proxy's.
 */
static void
failed_text(
    const struct fetcher *fe, const struct msg_fetch_failed *m, char *text, size_t cap)
{
	const char *origin = origin_text(&fe->origin);
	bool named = span_starts(m->text, origin),
	     login = m->code == ERR_AUTH && m->status;

	snprintf(text, cap, "%s%s%.*s%s%s%s", named ? "" : origin, named ? "" : ": ",
	    (int)m->text.n, (const char *)m->text.p, login ? " (credentials: " : "",
	    !login			       ? ""
	    : fe->tokens && fe->site->withheld ? "none from files: it is another site"
					       : site_source(fe->site),
	    login ? ")" : "");
}

/* The token server's failure is the site's: its requests have nothing to go with. */
void
site_token_failed(struct fetcher *fe, const struct failure *why)
{
	struct site *s = fe->site;
	struct pull *p = fe->pull;

	s->auth_state = AUTH_UNASKED;
	if (fe->tokens)
		fetcher_end(fe);
	for (struct request *q = p->requests, *next; q && !p->ending; q = next) {
		next = q->next;
		if (q->site == s && !q->sent && !q->lost && !q->done)
			request_failed(q, why);
	}
}

static void
report_failed(struct fetcher *fe, const struct msg_fetch_failed *m)
{
	char text[1500];
	struct url origin = fe->origin;
	struct request *q = request_find(fe->pull, m->req);
	struct failure why = {.code = m->code ? (enum err_class)m->code : ERR_NETWORK,
	    .text = text,
	    .transient = m->transient,
	    .answered = m->status != 0 && m->status < 500,
	    .busy = m->status == 429 || m->status == 503,
	    .pipeline = m->code == ERR_INTERNAL && q && q->kind == FETCH_LAYER,
	    .retry_after = (unsigned)m->retry_after,
	    .origin = &origin};

	if (fall_back(fe, m))
		return;
	failed_text(fe, m, text, sizeof(text));
	bool token = token_req_of(fe, m->req);
	if (token && why.code == ERR_NOT_FOUND)
		why.code = ERR_NETWORK; /* no image is missing */
	if (token)
		site_token_failed(fe, &why);
	else if (q && q->fetcher == fe)
		request_failed(q, &why);
}

static void
report_fetched(struct fetcher *fe, const struct msg_fetched *m)
{
	struct site *s = fe->site;
	struct pull *p = fe->pull;

	if (token_req_of(fe, m->req)) {
		if (fe->tokens)
			fetcher_end(fe);
		s->tokens++;
		credential_have(s, s->tokens + 1, (unsigned)m->expires);
		return;
	}
	struct request *q = request_find(p, m->req);
	if (!q || q->fetcher != fe)
		return;
	struct url origin;
	site_origin(s, &origin);
	health_good(&p->f->health, &origin);
	if (q->kind == FETCH_MANIFEST && p->at < (unsigned)(s - p->sites) && !p->settled)
		p->at = (unsigned)(s - p->sites);
	p->settled = p->settled || q->kind == FETCH_MANIFEST;
	pace_moved(p, m->bytes > q->bytes ? m->bytes - q->bytes : 0);
	q->done = true;
	q->sent = false;
	q->fetcher = NULL;
}

static void
report_progress(struct fetcher *fe, const struct msg_fetch_progress *m)
{
	struct request *q = request_find(fe->pull, m->req);

	if (!q || q->fetcher != fe || m->bytes < q->bytes || m->bytes == 0)
		return;
	uint64_t more = m->bytes - q->bytes;
	q->bytes = m->bytes;
	pace_moved(fe->pull, more);
}

int
pull_fetcher_message(struct port *port, struct ipc_msg *m)
{
	struct fetcher *fe = port->arg;

	if (fe->pull->ending)
		return 0;
	fe->answered = fe->answered || m->type != MSG_fetch_failed;
	switch (m->type) {
	case MSG_challenge:
		report_challenge(fe, &m->challenge);
		return 0;
	case MSG_redirect:
		report_redirect(fe, &m->redirect);
		return 0;
	case MSG_fetched:
		report_fetched(fe, &m->fetched);
		return 0;
	case MSG_fetch_failed:
		report_failed(fe, &m->fetch_failed);
		return 0;
	case MSG_fetch_progress:
		report_progress(fe, &m->fetch_progress);
		return 0;
	default:
		return -1;
	}
}

/* The supervisor tells why by `gone`; a violation ends the pull here. */
void
pull_fetcher_ended(struct port *port, const char *why)
{
	struct fetcher *fe = port->arg;

	port_release(port);
	if (why)
		pull_fail(fe->pull, ERR_INTERNAL,
		    "the fetcher for %s broke the protocol: %s", origin_text(&fe->origin),
		    why);
}
