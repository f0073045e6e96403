#include "worker-fetch/fetch/job.h"

#include "common/base/fd.h"
#include "common/base/loop.h"
#include "worker-fetch/fetch/body.h"

#include <errno.h>
#include <time.h>

#define HELD_UP_MS 500 /* how often the frontend hears of bytes that nobody takes */

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

/* Before the frontend hears of it, so that whoever goes on finds the ring given up. */
static void
job_leave_ring(struct job *j)
{
	feed_finish(&j->feed, RING_ABORTED);
	feed_release(&j->feed);
}

static void
job_failed(
    struct job *j, int status, const struct err *e, bool transient, unsigned retry_after)
{
	struct ipc_msg m = IPC_MSG(fetch_failed, .req = j->req, .code = (uint64_t)e->code,
	    .status = (uint64_t)status, .text = span_str(e->text), .transient = transient,
	    .retry_after = retry_after);

	if (j->over)
		return;
	job_leave_ring(j);
	send_to(j->fetcher, &j->fetcher->frontend, &m);
	job_over(j);
}

static void
job_fetched(struct job *j, uint64_t bytes, unsigned expires)
{
	struct ipc_msg m =
	    IPC_MSG(fetched, .req = j->req, .bytes = bytes, .expires = expires);

	send_to(j->fetcher, &j->fetcher->frontend, &m);
	job_over(j);
}

void
job_fail(struct job *j, enum err_class code, const char *text)
{
	struct err e = {0};

	err_set(&e, code, "%s", text); /* the frontend names the origin */
	/* Of a login, as if the server had said so: not of the connection. */
	job_failed(j, code == ERR_AUTH ? 401 : 0, &e, false, 0);
}

/* A page for people where a document should be: whoever answers that is no registry now.
 */
static bool
is_page(const struct job *j, const struct transfer_result *r)
{
	return j->accept && strcmp(r->head->media_type, "text/html") == 0;
}

static void
document_done(struct job *j, const struct transfer_result *r)
{
	if (is_page(j, r)) {
		job_fail(j, ERR_NETWORK,
		    "it answers a page of HTML instead of a manifest: something else "
		    "than "
		    "a registry is there, such as a proxy or a login page");
		return;
	}
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
	job_fetched(j, r->bytes, 0);
}

static void
token_done(struct job *j, const struct transfer_result *r)
{
	struct fetcher *f = j->fetcher;
	struct token_answer answer;
	struct err e = {0};

	if (token_scan(r->body, &answer, &e) < 0) {
		job_failed(j, r->head->status, &e, false, 0);
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
	unsigned expires = answer.expires;
	explicit_bzero(&answer, sizeof(answer));
	job_fetched(j, r->bytes, expires);
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
		job_failed(j, 401, &e, false, 0);
		return;
	}
	if (bearer) {
		m.challenge.realm = span_str(c->realm);
		m.challenge.service = span_str(c->service);
		m.challenge.scope = span_str(c->scope);
	}
	job_leave_ring(j);
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
	job_leave_ring(j);
	send_to(j->fetcher, &j->fetcher->frontend, &m);
	job_over(j);
}

/* ---- a layer's bytes ---- */

void
job_claim(struct job *j)
{
	struct ipc_msg m = IPC_MSG(claim, .pull = j->fetcher->pull, .token = j->token);

	if (j->feed.state != FEED_IDLE)
		return;
	j->feed.state = FEED_CLAIMED;
	j->fetcher->claims++;
	send_to(j->fetcher, j->fetcher->control, &m);
}

int
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
	job_fetched(j, j->bytes, 0);
}

void
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
		job_failed(j, r->head->status, r->err, r->transient,
		    response_retry_after(r->head, time(NULL)));
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
	bool claimed = f->claims > 0;

	f->claims -= claimed;
	for (struct job *j = f->jobs; j; j = j->next) {
		if (j->kind == JOB_LAYER && j->token == token &&
		    j->feed.state == FEED_CLAIMED)
			return feed_connect(&j->feed, fd);
	}
	fd_close(&fd); /* its job may have failed meanwhile */
	return claimed ? 0 : -EPROTO;
}

static void
job_advance(struct job *j)
{
	if (j->feed.state == FEED_OPENING) {
		int r = feed_open(&j->feed);
		if (r < 0 || (r == 0 && j->feed.from && !j->resume)) {
			job_fail(j, ERR_INTERNAL, "the layer's pipeline has ended");
			return;
		}
	}
	if (j->feed.state == FEED_OPEN && j->arrived) {
		layer_done(j);
		return;
	}
	if (!j->stream)
		return;
	if (j->full && j->feed.state == FEED_OPEN && ring_ready(&j->feed.ring)) {
		j->full = false;
		spread_resume(j->stream);
	}
	spread_step(j->stream);
}

void
jobs_advance(struct fetcher *f)
{
	for (struct job *j = f->jobs; j; j = j->next) {
		if (!j->over && j->kind == JOB_LAYER)
			job_advance(j);
	}
}

/* Bytes would come, or have come all, but nobody takes them: no fault of the registry's.
 */
static bool
job_held_up(const struct job *j)
{
	return j->arrived || (j->stream && j->full);
}

void
jobs_progress(struct fetcher *f)
{
	uint64_t now = loop_now();

	for (struct job *j = f->jobs; j; j = j->next) {
		bool again = job_held_up(j) && now - j->told_at >= HELD_UP_MS;
		if (j->over || (j->told == j->bytes && !(again && j->bytes)))
			continue;
		struct ipc_msg m =
		    IPC_MSG(fetch_progress, .req = j->req, .bytes = j->bytes);
		j->told = j->bytes;
		j->told_at = now;
		send_to(f, &f->frontend, &m);
	}
}
