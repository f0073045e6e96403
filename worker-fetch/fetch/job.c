#include "worker-fetch/fetch/job.h"

#include "worker-fetch/fetch/body.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ACCEPT_MANIFEST                                               \
	"application/vnd.oci.image.index.v1+json, "                   \
	"application/vnd.oci.image.manifest.v1+json, "                \
	"application/vnd.docker.distribution.manifest.list.v2+json, " \
	"application/vnd.docker.distribution.manifest.v2+json"

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

static bool
job_runs(const struct job *j)
{
	return j->t || j->stream;
}

/* Where to begin is known. false: not yet, or there is nothing left to get. */
static bool
job_layer_ready(struct job *j)
{
	if (!j->resume)
		return true;
	job_claim(j);
	if (j->feed.state != FEED_OPEN)
		return false;
	j->bytes = j->told = j->feed.from; /* which is none of this server's doing */
	j->arrived = j->size && j->bytes >= j->size;
	return !j->arrived;
}

static void
job_start(struct job *j)
{
	char basic[6 + 4 * ((LIMIT_SECRET + 2) / 3) + 1];
	const char *authorization;

	if (j->kind == JOB_LAYER && !job_layer_ready(j))
		return;
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
	    .from = j->bytes,
	    .sink = job_sink,
	    .done = job_done,
	    .arg = j,
	};
	if (j->kind == JOB_LAYER)
		j->stream = spread_start(j->fetcher->engine, &rq, j->fetcher->ranges);
	else
		j->t = transfer_start(j->fetcher->engine, &rq);
	explicit_bzero(basic, sizeof(basic));
	if (!job_runs(j))
		job_fail(j, ERR_INTERNAL, "the request cannot be started");
}

void
jobs_start(struct fetcher *f)
{
	for (struct job *j = f->jobs; j && f->dial_known; j = j->next) {
		/* A token server's fetcher never gets to see the store. */
		if (j->over || job_runs(j) || j->arrived ||
		    (j->kind == JOB_DOCUMENT && !f->store.packet))
			continue;
		if (f->unusable.code)
			job_fail(j, f->unusable.code, f->unusable.text);
		else
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
	j->resume = m->resume && j->kind == JOB_LAYER;
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
		spread_free(j->stream);
		feed_release(&j->feed);
		free(j->target);
		if (j->form)
			explicit_bzero(j->form, strlen(j->form));
		free(j->form);
		free(j->texts);
		free(j);
	}
}
