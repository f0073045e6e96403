/* GET /metrics, and nothing else, over HTTP/1.1: one request a connection. */
#include "frontend/acceptor.h"
#include "frontend/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct scrape {
	struct scrape *next;
	struct metrics_socket *of;
	struct loop_source source;
	struct loop_timer patience;
	char request[LIMIT_METRICS_REQUEST];
	size_t request_n;
	char *answer;
	size_t n, at;
};

struct metrics_socket {
	struct acceptor acceptor;
	struct frontend *f;
	struct scrape *scrapes;
	unsigned n_scrapes;
};

static void
scrape_free(struct scrape *s)
{
	struct metrics_socket *o = s->of;
	int fd = s->source.fd;

	struct scrape **at = &o->scrapes;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	o->n_scrapes--;
	loop_timer_clear(&o->f->loop, &s->patience);
	loop_remove(&o->f->loop, &s->source);
	close(fd);
	free(s->answer);
	free(s);
}

static void
scrape_late(struct loop_timer *t)
{
	scrape_free(t->arg);
}

/* ---- the answer ---- */

static void
scrape_write(struct scrape *s)
{
	while (s->at < s->n) {
		struct iovec v = {s->answer + s->at, s->n - s->at};
		struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
		ssize_t r = sendmsg(s->source.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EAGAIN) {
			loop_want(&s->of->f->loop, &s->source, EPOLLOUT);
			return;
		}
		if (r <= 0)
			break;
		s->at += (size_t)r;
	}
	scrape_free(s);
}

/* status: "200 OK"; more: further header lines; head: the body is only announced. */
static void
scrape_answer(struct scrape *s, const char *status, const char *more, const char *type,
    const char *body, size_t n, bool head)
{
	char line[512];
	int head_n = snprintf(line, sizeof(line),
	    "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	    "Connection: close\r\n%s\r\n",
	    status, type, n, more);

	s->answer = malloc((size_t)head_n + n + 1);
	if (!s->answer) {
		scrape_free(s);
		return;
	}
	memcpy(s->answer, line, (size_t)head_n);
	if (!head)
		memcpy(s->answer + head_n, body, n);
	s->n = (size_t)head_n + (head ? 0 : n);
	loop_timer_set(
	    &s->of->f->loop, &s->patience, LIMIT_METRICS_SECONDS * UINT64_C(1000));
	scrape_write(s);
}

static void
scrape_refuse(struct scrape *s, const char *status, const char *more)
{
	scrape_answer(
	    s, status, more, "text/plain; charset=utf-8", status, strlen(status), false);
}

static void
scrape_serve(struct scrape *s, bool head)
{
	size_t n = 0;
	char *text = metrics_text(s->of->f, &n);

	if (!text) {
		scrape_refuse(s, "503 Service Unavailable", "");
		return;
	}
	scrape_answer(
	    s, "200 OK", "", "text/plain; version=0.0.4; charset=utf-8", text, n, head);
	free(text);
}

/* ---- the request ---- */

/* The part of the line up to the blank; line moves behind it. */
static struct span
word_take(struct span *line)
{
	const uint8_t *end = line->n ? memchr(line->p, ' ', line->n) : NULL;
	size_t n = end ? (size_t)(end - line->p) : line->n;
	struct span word = span_of(line->p, n);

	*line = span_from(*line, end ? n + 1 : n);
	return word;
}

enum metrics_request
metrics_request(struct span bytes)
{
	const uint8_t *end = bytes.n ? memmem(bytes.p, bytes.n, "\r\n", 2) : NULL;

	if (!end || !memmem(bytes.p, bytes.n, "\r\n\r\n", 4))
		return bytes.n >= LIMIT_METRICS_REQUEST ? REQUEST_LONG : REQUEST_PART;
	struct span line = span_of(bytes.p, (size_t)(end - bytes.p));
	struct span method = word_take(&line), path = word_take(&line);
	const uint8_t *query = path.n ? memchr(path.p, '?', path.n) : NULL;
	if (query)
		path.n = (size_t)(query - path.p);
	if (!span_is(line, "HTTP/1.1") && !span_is(line, "HTTP/1.0"))
		return REQUEST_BAD;
	if (!span_is(path, "/metrics"))
		return REQUEST_ABSENT;
	if (span_is(method, "GET"))
		return REQUEST_GET;
	return span_is(method, "HEAD") ? REQUEST_HEAD : REQUEST_METHOD;
}

static void
scrape_route(struct scrape *s)
{
	switch (metrics_request(span_of(s->request, s->request_n))) {
	case REQUEST_PART:
		return;
	case REQUEST_GET:
		scrape_serve(s, false);
		return;
	case REQUEST_HEAD:
		scrape_serve(s, true);
		return;
	case REQUEST_BAD:
		scrape_refuse(s, "400 Bad Request", "");
		return;
	case REQUEST_ABSENT:
		scrape_refuse(s, "404 Not Found", "");
		return;
	case REQUEST_METHOD:
		scrape_refuse(s, "405 Method Not Allowed", "Allow: GET, HEAD\r\n");
		return;
	case REQUEST_LONG:
		scrape_refuse(s, "431 Request Header Fields Too Large", "");
		return;
	}
}

static void
scrape_read(struct scrape *s)
{
	ssize_t r = read(
	    s->source.fd, s->request + s->request_n, sizeof(s->request) - s->request_n);

	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (r <= 0) {
		scrape_free(s);
		return;
	}
	s->request_n += (size_t)r;
	scrape_route(s);
}

static void
scrape_ready(struct loop_source *source, uint32_t events)
{
	struct scrape *s = source->arg;

	if (s->answer)
		scrape_write(s);
	else
		scrape_read(s);
}

/* ---- coming and going ---- */

static void
scrape_open(void *arg, int fd)
{
	struct metrics_socket *o = arg;
	struct scrape *s =
	    o->n_scrapes < LIMIT_METRICS_CLIENTS ? calloc(1, sizeof(*s)) : NULL;

	if (!s) {
		close(fd);
		return;
	}
	s->of = o;
	s->source = (struct loop_source){
	    .fd = fd, .events = EPOLLIN, .ready = scrape_ready, .arg = s};
	s->patience = (struct loop_timer){.fired = scrape_late, .arg = s};
	if (loop_add(&o->f->loop, &s->source) < 0) {
		close(fd);
		free(s);
		return;
	}
	s->next = o->scrapes;
	o->scrapes = s;
	o->n_scrapes++;
	loop_timer_set(&o->f->loop, &s->patience, LIMIT_METRICS_SECONDS * UINT64_C(1000));
}

int
metrics_listen(struct frontend *f, int fd)
{
	struct metrics_socket *o = calloc(1, sizeof(*o));

	if (!o) {
		close(fd);
		return -ENOMEM;
	}
	o->f = f;
	o->acceptor.accepted = scrape_open;
	o->acceptor.arg = o;
	int r = acceptor_open(&o->acceptor, &f->loop, fd);
	if (r < 0) {
		free(o);
		return r;
	}
	metrics_stop(f);
	f->metrics_socket = o;
	return 0;
}

void
metrics_stop(struct frontend *f)
{
	struct metrics_socket *o = f->metrics_socket;

	if (!o)
		return;
	for (struct scrape *s = o->scrapes, *next; s; s = next) {
		next = s->next;
		scrape_free(s);
	}
	acceptor_close(&o->acceptor);
	free(o);
	f->metrics_socket = NULL;
}
