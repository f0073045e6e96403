#include "worker-fetch/fetch/job.h"

#include "common/base/fd.h"
#include "worker-fetch/fetch/body.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ACCEPT_MANIFEST                                               \
	"application/vnd.oci.image.index.v1+json, "                   \
	"application/vnd.oci.image.manifest.v1+json, "                \
	"application/vnd.docker.distribution.manifest.list.v2+json, " \
	"application/vnd.docker.distribution.manifest.v2+json"

/* ---- answers ---- */

static void
send_to(struct fetcher *f, struct chan *c, const struct ipc_msg *m)
{
	if (chan_send(c, m) < 0)
		f->broken = true;
}

static void
job_over(struct job *j)
{
	j->over = true;
	j->t = NULL;
}

static void
job_failed(struct job *j, int status, const struct err *e)
{
	struct ipc_msg m = IPC_MSG(fetch_failed, .req = j->req, .code = (uint64_t)e->code,
	    .status = (uint64_t)status, .text = span_str(e->text));

	if (j->over)
		return;
	feed_finish(&j->feed, RING_ABORTED);
	send_to(j->fetcher, &j->fetcher->frontend, &m);
	job_over(j);
}

static void
job_fetched(struct job *j, uint64_t bytes)
{
	struct ipc_msg m = IPC_MSG(fetched, .req = j->req, .bytes = bytes);

	send_to(j->fetcher, &j->fetcher->frontend, &m);
	job_over(j);
}

static void
job_fail(struct job *j, enum err_class code, const char *text)
{
	struct err e = {0};

	err_set(&e, code, "%s", text); /* the frontend names the origin */
	job_failed(j, 0, &e);
}

static void
document_done(struct job *j, const struct transfer_result *r)
{
	FD_AUTO fd = fd_sealed_memfd("document", r->body.p, r->body.n);
	struct ipc_msg m =
	    IPC_MSG(document, .req = j->req, .media_type = span_str(r->head->media_type));

	if (fd < 0) {
		job_fail(j, ERR_INTERNAL, "no memory for a document");
		return;
	}
	m.fds[0] = fd;
	m.nfds = 1;
	send_to(j->fetcher, &j->fetcher->store, &m);
	job_fetched(j, r->bytes);
}

static void
token_done(struct job *j, const struct transfer_result *r)
{
	struct fetcher *f = j->fetcher;
	struct token_answer answer;
	struct err e = {0};

	if (token_scan(r->body, &answer, &e) < 0) {
		job_failed(j, r->head->status, &e);
		return;
	}
	if (j->own) {
		if (!fetcher_add_token(f, answer.token)) {
			job_fail(j, ERR_INTERNAL, "too many tokens");
			return;
		}
	} else {
		struct ipc_msg m = IPC_MSG(token, .secret = span_str(answer.token));
		send_to(f, f->control, &m);
	}
	explicit_bzero(&answer, sizeof(answer));
	job_fetched(j, r->bytes);
}

static void
challenged(struct job *j, const struct transfer_result *r)
{
	const struct challenge *c = &r->head->challenge;
	bool bearer = c->bearer && *c->realm;
	struct ipc_msg m = IPC_MSG(challenge, .req = j->req,
	    .scheme = bearer ? CHALLENGE_BEARER : CHALLENGE_BASIC);

	if (j->kind == JOB_TOKEN) {
		job_fail(j, ERR_AUTH,
		    j->auth ? "the token server refuses the credentials"
			    : "the token server asks for credentials; log in first");
		return;
	}
	if (!bearer && !c->basic) {
		struct err e = {0};
		err_set(&e, ERR_AUTH,
		    "%s asks for authentication of a kind not supported: %s",
		    j->fetcher->origin.url.host,
		    *c->other ? c->other : "Bearer without a realm");
		job_failed(j, 401, &e);
		return;
	}
	if (bearer) {
		m.challenge.realm = span_str(c->realm);
		m.challenge.service = span_str(c->service);
		m.challenge.scope = span_str(c->scope);
	}
	send_to(j->fetcher, &j->fetcher->frontend, &m);
	job_over(j);
}

static void
redirected(struct job *j, const struct url *to)
{
	char text[URL_TEXT_MAX];

	url_format(to, text, sizeof(text));
	if (j->kind == JOB_TOKEN || strlen(text) > LIMIT_URL) {
		job_fail(j, ERR_NETWORK,
		    j->kind == JOB_TOKEN ? "the token server redirects, which is refused"
					 : "a redirect leads to too long a URL");
		return;
	}
	struct ipc_msg m = IPC_MSG(redirect, .req = j->req, .url = span_str(text));
	send_to(j->fetcher, &j->fetcher->frontend, &m);
	job_over(j);
}

/* ---- a layer's bytes ---- */

static void
job_claim(struct job *j)
{
	struct ipc_msg m = IPC_MSG(claim, .pull = j->fetcher->pull, .token = j->token);

	if (j->feed.state != FEED_IDLE)
		return;
	j->feed.state = FEED_CLAIMED;
	send_to(j->fetcher, j->fetcher->control, &m);
}

static int
job_sink(void *arg, struct span bytes)
{
	struct job *j = arg;

	job_claim(j);
	int r = feed_put(&j->feed, bytes);
	j->full = r == 1;
	if (r == 0)
		j->bytes += bytes.n;
	return r;
}

static void
layer_done(struct job *j)
{
	job_claim(j); /* of an empty layer */
	if (j->feed.state != FEED_OPEN) {
		j->arrived = true;
		return;
	}
	feed_finish(&j->feed, RING_ENDED);
	job_fetched(j, j->bytes);
}

static void
job_done(void *arg, const struct transfer_result *r)
{
	struct job *j = arg;

	j->t = NULL;
	switch (r->outcome) {
	case TRANSFER_REDIRECT:
		redirected(j, r->location);
		return;
	case TRANSFER_CHALLENGE:
		challenged(j, r);
		return;
	case TRANSFER_FAILED:
		job_failed(j, r->head->status, r->err);
		return;
	case TRANSFER_DONE:
		break;
	}
	if (j->kind == JOB_DOCUMENT)
		document_done(j, r);
	else if (j->kind == JOB_TOKEN)
		token_done(j, r);
	else
		layer_done(j);
}

int
job_connect(struct fetcher *f, uint64_t token, int fd)
{
	for (struct job *j = f->jobs; j; j = j->next) {
		if (j->kind == JOB_LAYER && j->token == token &&
		    j->feed.state == FEED_CLAIMED)
			return feed_connect(&j->feed, fd);
	}
	fd_close(&fd);
	return -EPROTO;
}

static void
job_advance(struct job *j)
{
	if (j->feed.state == FEED_OPENING) {
		int r = feed_open(&j->feed);
		if (r < 0) {
			if (j->t)
				transfer_cancel(j->t);
			job_fail(j, ERR_INTERNAL, "the layer's pipeline has ended");
			return;
		}
	}
	if (j->feed.state != FEED_OPEN)
		return;
	if (j->arrived)
		layer_done(j);
	else if (j->t && j->full && ring_ready(&j->feed.ring))
		transfer_resume(j->t);
}

void
jobs_advance(struct fetcher *f)
{
	for (struct job *j = f->jobs; j; j = j->next) {
		if (!j->over && j->kind == JOB_LAYER)
			job_advance(j);
	}
}

void
jobs_progress(struct fetcher *f)
{
	for (struct job *j = f->jobs; j; j = j->next) {
		if (j->over || j->told == j->bytes)
			continue;
		struct ipc_msg m =
		    IPC_MSG(fetch_progress, .req = j->req, .bytes = j->bytes);
		j->told = j->bytes;
		send_to(f, &f->frontend, &m);
	}
}

/* ---- secrets ---- */

bool
fetcher_add_token(struct fetcher *f, const char *token)
{
	size_t n = strlen(token) + sizeof("Bearer ");

	if (f->n_tokens == FETCH_TOKENS)
		return false;
	char *value = malloc(n);
	if (!value)
		return false;
	snprintf(value, n, "Bearer %s", token);
	f->tokens[f->n_tokens++] = value;
	return true;
}

/* Distribution's OAuth2 form of the token request: a POST with the refresh token. */
static char *
oauth_form(const struct job *j, const char *identity)
{
	static const char *const names[] = {"service=", "&scope=", "&refresh_token="};
	const struct span values[] = {j->service, j->scope, span_str(identity)};
	static const char begin[] = "grant_type=refresh_token&client_id=bulkhead&";
	size_t cap = sizeof(begin) + 64, at;

	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		cap += 3 * values[i].n;
	char *form = malloc(cap);
	if (!form)
		return NULL;
	at = (size_t)snprintf(form, cap, "%s", begin);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		at += (size_t)snprintf(form + at, cap - at, "%s", names[i]);
		at += url_encode(values[i], form + at, cap - at);
	}
	return form;
}

/* The target of a token request: the realm with service and scope, unless they are
 * POSTed. */
static bool
token_target(struct job *j)
{
	struct url u = j->fetcher->origin.url;

	if (j->form)
		return true;
	if (url_set_target(&u, span_str(j->target), NULL) < 0 ||
	    (j->service.n && url_add_query(&u, "service", j->service, NULL) < 0) ||
	    (j->scope.n && url_add_query(&u, "scope", j->scope, NULL) < 0))
		return false;
	free(j->target);
	j->target = strdup(u.target);
	return j->target != NULL;
}

enum ready { READY, NOT_YET, NEVER };

/* The Authorization header for the job. NEVER: the job has been answered. */
static enum ready
job_authorization(struct job *j, char *basic, size_t cap, const char **value)
{
	struct fetcher *f = j->fetcher;

	*value = NULL;
	if (j->auth == 0)
		return READY;
	if (j->auth > 1) {
		if (j->auth - 2 >= f->n_tokens)
			return NOT_YET;
		*value = f->tokens[j->auth - 2];
		return READY;
	}
	if (f->secret_due)
		return NOT_YET;
	if (j->kind == JOB_TOKEN && f->secret_kind == SECRET_IDENTITY) {
		j->form = oauth_form(j, f->secret);
		if (j->form)
			return READY;
		job_fail(j, ERR_INTERNAL, "out of memory");
		return NEVER;
	}
	if (f->secret_kind != SECRET_BASIC) {
		job_fail(j, ERR_AUTH,
		    f->secret_kind == SECRET_NONE
			? "no credentials for it; log in, or give --creds"
			: "the identity token at hand is of no use there");
		return NEVER;
	}
	if (!basic_authorization(span_str(f->secret), basic, cap)) {
		job_fail(j, ERR_AUTH, "the credentials hold control bytes or no colon");
		return NEVER;
	}
	*value = basic;
	return READY;
}

/* ---- requests ---- */

static void
job_start(struct job *j)
{
	char basic[6 + 4 * ((LIMIT_SECRET + 2) / 3) + 1];
	const char *authorization;

	if (job_authorization(j, basic, sizeof(basic), &authorization) != READY)
		return;
	if (j->kind == JOB_TOKEN && !token_target(j)) {
		job_fail(j, ERR_NETWORK, "the token server's URL is too long");
		return;
	}
	struct transfer_request rq = {
	    .kind = j->kind == JOB_LAYER ? TRANSFER_STREAM : TRANSFER_MEMORY,
	    .target = j->target,
	    .accept = j->accept,
	    .authorization = authorization,
	    .form = j->form,
	    .expect = j->size ? j->size : UINT64_MAX,
	    .cap = j->kind == JOB_LAYER	  ? LIMIT_LAYER_HARD
		   : j->kind == JOB_TOKEN ? LIMIT_TOKEN_BODY
					  : LIMIT_DOCUMENT,
	    .sink = job_sink,
	    .done = job_done,
	    .arg = j,
	};
	j->t = transfer_start(j->fetcher->engine, &rq);
	explicit_bzero(basic, sizeof(basic));
	if (!j->t)
		job_fail(j, ERR_INTERNAL, "the request cannot be started");
}

void
jobs_start(struct fetcher *f)
{
	for (struct job *j = f->jobs; j && f->dial_known; j = j->next) {
		/* A token server's fetcher never gets to see the store. */
		if (j->over || j->t || j->arrived ||
		    (j->kind == JOB_DOCUMENT && !f->store.packet))
			continue;
		job_start(j);
	}
}

static struct job *
job_new(struct fetcher *f, enum job_kind kind, uint64_t req)
{
	struct job *j = calloc(1, sizeof(*j)), **end = &f->jobs;

	if (!j)
		return NULL;
	j->fetcher = f;
	j->kind = kind;
	j->req = req;
	while (*end)
		end = &(*end)->next;
	*end = j;
	f->n_jobs++;
	return j;
}

/* A tag or digest: nothing that could end a path or begin a query. */
static bool
ref_ok(struct span ref)
{
	for (size_t i = 0; i < ref.n; i++) {
		uint8_t c = ref.p[i];
		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') &&
		    !(c >= 'A' && c <= 'Z') && !(c && strchr(i ? "_.-:" : "_", c)))
			return false;
	}
	return ref.n > 0;
}

static char *
get_target(const struct fetcher *f, const struct msg_get *m)
{
	char *target = NULL;

	if (m->url.n)
		return strndup((const char *)m->url.p, m->url.n);
	if (asprintf(&target, "/v2/%s/%s/%.*s", f->repository,
		m->kind == FETCH_MANIFEST ? "manifests" : "blobs", (int)m->ref.n,
		(const char *)m->ref.p) < 0)
		return NULL;
	return target;
}

int
job_get(struct fetcher *f, const struct msg_get *m)
{
	if (m->kind > FETCH_LAYER || (!m->url.n && !ref_ok(m->ref)) ||
	    f->n_jobs == FETCH_JOBS)
		return -EPROTO;
	struct job *j =
	    job_new(f, m->kind == FETCH_LAYER ? JOB_LAYER : JOB_DOCUMENT, m->req);
	if (!j)
		return -ENOMEM;
	j->token = m->token;
	j->size = m->size;
	j->auth = (unsigned)m->auth;
	j->accept = m->kind == FETCH_MANIFEST ? ACCEPT_MANIFEST : NULL;
	j->target = get_target(f, m);
	return j->target ? 0 : -ENOMEM;
}

int
job_get_token(struct fetcher *f, const struct msg_get_token *m)
{
	if (!m->url.n || f->n_jobs == FETCH_JOBS)
		return -EPROTO;
	struct job *j = job_new(f, JOB_TOKEN, m->req);
	if (!j)
		return -ENOMEM;
	j->own = m->own;
	j->auth = f->secret_due || f->secret_kind != SECRET_NONE;
	j->target = strndup((const char *)m->url.p, m->url.n);
	j->texts = malloc(m->service.n + m->scope.n + 1);
	if (!j->target || !j->texts)
		return -ENOMEM;
	if (m->service.n)
		memcpy(j->texts, m->service.p, m->service.n);
	if (m->scope.n)
		memcpy(j->texts + m->service.n, m->scope.p, m->scope.n);
	j->service = span_of(j->texts, m->service.n);
	j->scope = span_of(j->texts + m->service.n, m->scope.n);
	return 0;
}

void
jobs_sweep(struct fetcher *f, bool all)
{
	for (struct job **at = &f->jobs, *j; (j = *at);) {
		if (!all && !j->over) {
			at = &j->next;
			continue;
		}
		*at = j->next;
		f->n_jobs--;
		feed_release(&j->feed);
		free(j->target);
		if (j->form)
			explicit_bzero(j->form, strlen(j->form));
		free(j->form);
		free(j->texts);
		free(j);
	}
}
