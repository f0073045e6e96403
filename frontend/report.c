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

static const char *
origin_text(const struct url *u)
{
	static char text[URL_TEXT_MAX];

	return url_origin(u, text, sizeof(text));
}

void
pull_ask_token(struct pull *p, struct fetcher *fe)
{
	char scope[LIMIT_REPOSITORY + 32];

	/* Always our own scope: the challenge's may ask for more than reading this
	 * repository. */
	snprintf(scope, sizeof(scope), "repository:%s:pull", p->registry.repository);
	struct ipc_msg m = IPC_MSG(get_token, .req = TOKEN_REQ(p->tokens),
	    .url = span_str(p->realm.target), .service = span_str(p->service),
	    .scope = span_str(scope), .own = fe == p->home);
	port_send(&fe->port, &m);
}

static void
token_begin(struct pull *p, const struct msg_challenge *c)
{
	struct err e = {0};

	if (url_parse(c->realm, &p->realm, &e) < 0 ||
	    !span_to_str(c->service, p->service, sizeof(p->service))) {
		pull_fail(p, ERR_AUTH, "%s names a token server that cannot be used: %s",
		    origin_text(&p->registry.url), e.text);
		return;
	}
	bool secret = p->credential != AUTH_NONE;
	int r = secret ? url_may_see_secret(&p->home->origin, &p->realm, &e)
		       : url_may_lead(&p->home->origin, &p->realm, &e);
	if (r < 0) {
		pull_fail(p, e.code, "%s", e.text);
		return;
	}
	p->auth_state = AUTH_ASKING;
	p->tokens++;
	if (url_same_origin(&p->realm, &p->home->origin))
		pull_ask_token(p, p->home);
	else if (!fetcher_start(p, &p->realm, p->credential, p->home))
		pull_fail(p, ERR_INTERNAL, "out of memory");
}

static void
credential_have(struct pull *p, unsigned auth)
{
	p->auth_state = AUTH_HAVE;
	p->auth = auth;
	p->auth_at = loop_now();
	requests_send(p);
}

static void
report_challenge(struct fetcher *fe, const struct msg_challenge *c)
{
	struct pull *p = fe->pull;
	struct request *q = request_find(p, c->req);

	if (fe != p->home) {
		pull_fail(p, ERR_AUTH, "%s demands credentials; none are sent there",
		    origin_text(&fe->origin));
		return;
	}
	if (!q || q->fetcher != fe)
		return;
	q->sent = false;
	if (p->auth_state == AUTH_ASKING)
		return;
	/* Refused with an older credential than the newest: once more with that. */
	if (p->auth_state == AUTH_HAVE && q->auth != p->auth) {
		requests_send(p);
		return;
	}
	/* A registry token is what a token server would answer: it goes as it is. */
	if (p->auth_state == AUTH_UNASKED && p->credential == AUTH_GIVEN &&
	    p->wish.secret_kind == SECRET_BEARER) {
		credential_have(p, 2);
		return;
	}
	bool fresh =
	    p->auth_state == AUTH_HAVE && loop_now() - p->auth_at < CREDENTIAL_TRUSTED_MS;
	if (fresh || (p->auth_state == AUTH_HAVE && p->tokens == 0))
		pull_fail(p, ERR_AUTH,
		    "%s refused the credentials for %s: check them (%s), and that the "
		    "account may pull it",
		    origin_text(&fe->origin), p->name, p->source);
	else if (c->scheme == CHALLENGE_BASIC && p->credential == AUTH_NONE)
		pull_fail(p, ERR_AUTH,
		    "%s demands a login for %s: pass --creds or --authfile",
		    origin_text(&fe->origin), p->name);
	else if (c->scheme == CHALLENGE_BASIC)
		credential_have(p, 1);
	else if (c->scheme == CHALLENGE_BEARER && p->tokens < 200)
		token_begin(p, c);
	else
		pull_fail(p, ERR_AUTH,
		    "%s demands a kind of login that bulkhead does not have",
		    origin_text(&fe->origin));
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
		pull_fail(p, ERR_NETWORK, "%s: more than %d redirects for one request",
		    origin_text(&fe->origin), LIMIT_REDIRECTS);
		return;
	}
	if (url_parse(m->url, &to, &e) < 0 || url_may_lead(&fe->origin, &to, &e) < 0) {
		pull_fail(p, e.code, "%s redirects to where bulkhead will not go: %s",
		    origin_text(&fe->origin), e.text);
		return;
	}
	free(q->target);
	q->target = strdup(to.target);
	q->sent = false;
	/* The fetcher that may hold a secret follows no redirect but to its own origin.
	 */
	if (!url_same_origin(&fe->origin, &to)) {
		q->fetcher = fetcher_find(p, &to);
		if (!q->fetcher)
			q->fetcher = fetcher_start(p, &to, AUTH_NONE, NULL);
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
	struct pull *p = fe->pull;

	if (fe != p->home || fe->answered || m->status != 0 || m->code != ERR_NETWORK ||
	    !p->fallback || !fe->origin.tls)
		return false;
	struct url plain = fe->origin;
	url_to_http(&plain, p->registry.auth_host);
	fetcher_end(fe);
	p->home = fetcher_start(p, &plain, p->credential, NULL);
	if (p->home)
		pull_log_insecure(p);
	for (struct request *q = p->requests; q; q = q->next) {
		if (!q->fetcher)
			q->fetcher = p->home;
	}
	return p->home != NULL;
}

static void
report_failed(struct fetcher *fe, const struct msg_fetch_failed *m)
{
	struct pull *p = fe->pull;
	enum err_class code = (enum err_class)m->code;

	if (fall_back(fe, m))
		return;
	const char *origin = origin_text(&fe->origin);
	bool named =
	    span_starts(m->text, origin); /* most reasons name the place themselves */
	bool from = code == ERR_AUTH;	  /* who is asked to log in has to know where */
	pull_fail(p, code ? code : ERR_NETWORK, "%s%s%.*s%s%s%s", named ? "" : origin,
	    named ? "" : ": ", (int)m->text.n, (const char *)m->text.p,
	    from ? " (credentials: " : "", from ? p->source : "", from ? ")" : "");
}

static void
report_fetched(struct fetcher *fe, const struct msg_fetched *m)
{
	struct pull *p = fe->pull;

	if (m->req == TOKEN_REQ(p->tokens) && p->auth_state == AUTH_ASKING &&
	    (fe->tokens || fe == p->home)) {
		if (fe->tokens)
			fetcher_end(fe);
		credential_have(p, p->tokens + 1);
		return;
	}
	struct request *q = request_find(p, m->req);
	if (!q || q->fetcher != fe)
		return;
	pace_moved(p, m->bytes > q->bytes ? m->bytes - q->bytes : 0);
	request_free(p, q);
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
