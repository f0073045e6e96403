#include "cli/session.h"
#include "cli/text.h"
#include "common/base/fd.h"
#include "common/base/loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

int
session_open(struct session *s, int fd, int signals, FILE *out, FILE *err)
{
	*s = (struct session){.signals = signals, .out = out, .err = err};
	struct ipc_msg hello = IPC_MSG(cli_hello);
	int r = chan_init(&s->chan, fd, CH_cli, ROOM_CLI, ROOM_FRONTEND);
	if (r < 0)
		return r;
	memcpy(hello.cli_hello.schema, ipc_schema_hash, sizeof(hello.cli_hello.schema));
	/* A service that has gone already is found out by the first request. */
	(void)!chan_send(&s->chan, &hello);
	s->chan.phase = IPC_RUN;
	return 0;
}

void
session_close(struct session *s)
{
	progress_clear(&s->progress);
	chan_release(&s->chan);
}

static int
gone(struct session *s, struct err *e, const char *why)
{
	s->closed = why == NULL;
	err_set(e, ERR_INTERNAL, "the service ended before it answered%s%s",
	    why ? ": it broke the protocol: " : "", why ? why : "");
	return -EPIPE;
}

/* The first signal asks the service to stop. Negative: the request is given up. */
static int
signal_came(struct session *s, int signo, struct err *e)
{
	struct ipc_msg cancel = IPC_MSG(cli_cancel, .req = s->req);

	if (signo == SIGWINCH) {
		if (s->resized)
			s->resized(s);
		return 0;
	}
	if (s->interrupted)
		return -ECANCELED;
	s->interrupted = signo;
	s->patience = loop_now() + SESSION_PATIENCE_MS;
	progress_clear(&s->progress);
	s->progress.mode = PROGRESS_NONE;
	return chan_send(&s->chan, &cancel) < 0 ? gone(s, e, NULL) : 0;
}

static int
read_signals(struct session *s, struct err *e)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		int r = signal_came(s, (int)info.ssi_signo, e);
		if (r < 0)
			return r;
	}
	return 0;
}

enum { ANSWERED = 1 };

/* ANSWERED: that was the last one, *e says how it ended. */
static int
take(struct session *s, struct ipc_msg *m, session_fn *fn, void *arg, struct err *e)
{
	if (m->type != MSG_cli_done)
		return fn(arg, m, e);
	/* 0: what it says of the conversation as a whole, such as another version's. */
	if (m->cli_done.req != s->req && m->cli_done.req != 0)
		return gone(s, e, "it answered another request");
	if (m->cli_done.code == ERR_OK)
		return ANSWERED;

	char text[sizeof(e->text)];
	size_t n = m->cli_done.text.n;
	bool whole = span_to_str(
	    span_of(m->cli_done.text.p, n < sizeof(text) ? n : sizeof(text) - 1), text,
	    sizeof(text));
	err_set(e, (enum err_class)m->cli_done.code, "%s",
	    whole && text[0] ? text : "the service gave no reason");
	return ANSWERED;
}

/* Everything that is there. 0: nothing is left. */
static int
receive(struct session *s, session_fn *fn, void *arg, struct err *e)
{
	for (;;) {
		struct ipc_msg m;
		const char *why = NULL;
		int r = chan_recv(&s->chan, &m, &why);
		if (r == CHAN_EMPTY)
			return 0;
		if (r != 0)
			return gone(s, e, r == CHAN_CLOSED ? NULL : why);
		r = take(s, &m, fn, arg, e);
		ipc_msg_release(&m);
		if (r != 0)
			return r;
	}
}

/* Milliseconds to sleep, -1 = until something comes. */
static int
next_wake(struct session *s)
{
	uint64_t now = loop_now();
	int tick = progress_tick(&s->progress, now);

	if (!s->interrupted)
		return tick;
	return now >= s->patience ? 0 : (int)(s->patience - now);
}

static int
wait_for_answer(struct session *s, session_fn *fn, void *arg, struct err *e)
{
	for (;;) {
		struct pollfd fds[] = {
		    {.fd = s->chan.fd,
			.events = POLLIN | (chan_wants_write(&s->chan) ? POLLOUT : 0)},
		    {.fd = s->signals, .events = POLLIN},
		};
		int n = poll(fds, ARRAY_LEN(fds), next_wake(s));
		if (n < 0 && errno != EINTR)
			return err_errno(e, errno, "poll");
		if (s->interrupted && loop_now() >= s->patience)
			return -ECANCELED;
		if (n <= 0)
			continue;
		int r = fds[1].revents ? read_signals(s, e) : 0;
		if (r == 0 && (fds[0].revents & POLLOUT) && chan_flush(&s->chan) < 0)
			r = gone(s, e, NULL);
		if (r == 0 && (fds[0].revents & ~POLLOUT))
			r = receive(s, fn, arg, e);
		if (r != 0)
			return r;
	}
}

int
session_ask(
    struct session *s, struct ipc_msg *request, session_fn *fn, void *arg, struct err *e)
{
	/* Every request begins with its number: schema.def. */
	request->cli_images.req = ++s->req;
	int r = chan_send(&s->chan, request);
	if (r == -EINVAL || r == -EMSGSIZE)
		return err_set(e, ERR_USAGE, "an argument is too long");
	if (r < 0)
		return gone(s, e, NULL);
	r = wait_for_answer(s, fn, arg, e);
	progress_clear(&s->progress);
	if (r == ANSWERED && e->code == ERR_OK)
		return 0;
	if (s->interrupted)
		return -ECANCELED;
	return r == ANSWERED ? -EIO : r;
}

void
session_complain(struct session *s, const struct err *e)
{
	struct span rest = span_str(e->text);

	progress_clear(&s->progress);
	if (s->closed)
		return;
	fputs("bulkhead: ", s->err);
	while (rest.n) {
		const uint8_t *end = memchr(rest.p, '\n', rest.n);
		size_t n = end ? (size_t)(end - rest.p) : rest.n;
		text_safe(s->err, span_of(rest.p, n));
		rest = span_from(rest, end ? n + 1 : n);
		fputs(rest.n ? "\n  " : "", s->err);
	}
	fputc('\n', s->err);
	fflush(s->err);
}
