#include "worker-fetch/fetch/job.h"

#include "common/base/fd.h"
#include "common/base/loop.h"
#include "worker-fetch/fetch/body.h"

#include <errno.h>

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

void
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
	job_fetched(j, j->bytes);
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

/* Bytes would come, or have come all, but nobody takes them: no fault of the registry's.
 */
static bool
job_held_up(const struct job *j)
{
	return j->arrived || (j->t && j->full);
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
