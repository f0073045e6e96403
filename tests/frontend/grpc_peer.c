#include "tests/frontend/grpc_peer.h"

#include "common/base/fd.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

/* ---- the world ---- */

static void
tick_fired(struct loop_timer *t)
{
	loop_quit(t->arg);
}

struct world *
world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	world_init(w);
	w->tick = (struct loop_timer){.fired = tick_fired, .arg = &w->f.loop};
	return w;
}

void
world_free(struct world *w)
{
	struct grpc *g = w->f.grpc;

	WAIT(w, g->conns_n == 0); /* the clients have closed; nothing is left behind */
	assert_int_equal(g->calls_n, 0);
	assert_int_equal(g->conns_n, 0);
	assert_int_equal(g->memory.used, 0);
	assert_int_equal(w->waiting_n, 0);
	assert_int_equal(w->chunk->refs, 1);
	blob_unref(w->chunk);
	grpc_free(&w->f);
	loop_release(&w->f.loop);
	free(w);
}

void
world_step(struct world *w)
{
	w->f.loop.quit = false;
	loop_timer_set(&w->f.loop, &w->tick, 1);
	assert_int_equal(loop_run(&w->f.loop), 0);
}

/* ---- a client ---- */

static struct reply *
reply_of(struct peer *p, int32_t id)
{
	for (size_t i = 0; i < p->replies_n; i++) {
		if (p->replies[i].id == id)
			return &p->replies[i];
	}
	return NULL;
}

static void
copy_text(char *dst, size_t cap, const uint8_t *p, size_t n)
{
	assert_true(n < cap);
	memcpy(dst, p, n);
	dst[n] = '\0';
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
	struct reply *r = reply_of(arg, frame->hd.stream_id);
	struct span field = span_of(name, name_n);
	char text[16];

	assert_non_null(r);
	if (span_is(field, ":status") || span_is(field, "grpc-status")) {
		copy_text(text, sizeof(text), value, value_n);
		*(name[0] == ':' ? &r->http : &r->status) = atoi(text);
	} else if (span_is(field, "grpc-message")) {
		copy_text(r->message, sizeof(r->message), value, value_n);
	} else if (span_is(field, "content-type")) {
		copy_text(r->type, sizeof(r->type), value, value_n);
	}
	return 0;
}

static int
on_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
    void *arg)
{
	struct reply *r = reply_of(arg, id);

	assert_non_null(r);
	assert_int_equal(r->status, -1); /* no byte after the trailer */
	if (r->n + n > r->room) {
		r->room = 2 * (r->n + n);
		r->body = realloc(r->body, r->room);
		assert_non_null(r->body);
	}
	memcpy(r->body + r->n, p, n);
	r->n += n;
	return 0;
}

static int
on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct reply *r = reply_of(arg, id);

	if (r) {
		assert_false(r->closed);
		r->closed = true;
		r->reset = code;
	}
	return 0;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct peer *p = arg;

	if (frame->hd.type == NGHTTP2_GOAWAY)
		p->goaways++;
	return 0;
}

static nghttp2_session *
session_new(struct peer *p, uint32_t window)
{
	nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
	nghttp2_session_callbacks *calls;
	nghttp2_option *option;
	nghttp2_session *session;

	assert_int_equal(nghttp2_session_callbacks_new(&calls), 0);
	assert_int_equal(nghttp2_option_new(&option), 0);
	nghttp2_option_set_no_http_messaging(option, 1);
	nghttp2_option_set_peer_max_concurrent_streams(option, 100000);
	nghttp2_option_set_max_send_header_block_length(option, 1 << 24);
	nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_close);
	nghttp2_session_callbacks_set_on_frame_recv_callback(calls, on_frame);
	assert_int_equal(nghttp2_session_client_new2(&session, calls, p, option), 0);
	assert_int_equal(nghttp2_submit_settings(session, 0, &entry, window ? 1 : 0), 0);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(calls);
	return session;
}

static void
peer_write(struct peer *p)
{
	ssize_t n =
	    p->out_n && !p->gone ? send(p->source.fd, p->out, p->out_n, MSG_NOSIGNAL) : 0;
	if (n > 0) {
		memmove(p->out, p->out + n, p->out_n - (size_t)n);
		p->out_n -= (size_t)n;
	}
	uint32_t in = p->source.events & EPOLLIN;
	loop_want(&p->w->f.loop, &p->source, in | (p->out_n && !p->gone ? EPOLLOUT : 0));
}

void
peer_raw(struct peer *p, const void *bytes, size_t n)
{
	p->out = realloc(p->out, p->out_n + n + 1);
	assert_non_null(p->out);
	memcpy(p->out + p->out_n, bytes, n);
	p->out_n += n;
	peer_write(p);
}

void
peer_pump(struct peer *p)
{
	const uint8_t *bytes;

	for (;;) {
		ssize_t n = nghttp2_session_mem_send(p->session, &bytes);
		assert_true(n >= 0);
		if (n == 0)
			return;
		peer_raw(p, bytes, (size_t)n);
	}
}

static void
peer_ready(struct loop_source *s, uint32_t events)
{
	static uint8_t buf[65536];
	struct peer *p = s->arg;

	if (events & EPOLLOUT)
		peer_write(p);
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	ssize_t n = read(s->fd, buf, sizeof(buf));
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		p->gone = true;
		int fd = s->fd;
		loop_remove(&p->w->f.loop, s);
		fd_close(&fd);
		return;
	}
	p->got += (size_t)n;
	size_t tail = (size_t)n < sizeof(p->last) ? (size_t)n : sizeof(p->last);
	memcpy(p->last, buf + (size_t)n - tail, tail);
	if (p->session) {
		assert_int_equal(nghttp2_session_mem_recv(p->session, buf, (size_t)n), n);
		peer_pump(p);
	}
}

struct peer *
peer_open_fd(struct world *w, int fd, uint32_t window, bool raw)
{
	struct peer *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->w = w;
	p->source = (struct loop_source){
	    .fd = fd, .events = EPOLLIN, .ready = peer_ready, .arg = p};
	assert_int_equal(loop_add(&w->f.loop, &p->source), 0);
	if (!raw) {
		p->session = session_new(p, window);
		peer_pump(p);
	}
	return p;
}

static struct peer *
peer_pair(struct world *w, uint32_t window, bool raw)
{
	int fds[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(grpc_serve(w->f.grpc, fds[0]), 0);
	return peer_open_fd(w, fds[1], window, raw);
}

struct peer *
peer_open(struct world *w, uint32_t window)
{
	return peer_pair(w, window, false);
}

struct peer *
peer_open_raw(struct world *w)
{
	return peer_pair(w, 0, true);
}

void
peer_close(struct peer *p)
{
	int fd = p->source.fd;

	loop_remove(&p->w->f.loop, &p->source);
	fd_close(&fd);
	nghttp2_session_del(p->session);
	for (size_t i = 0; i < p->replies_n; i++) {
		free(p->replies[i].body);
		free((void *)p->replies[i].request);
	}
	free(p->out);
	free(p);
}

void
peer_frame(
    struct peer *p, uint8_t type, uint8_t flags, uint32_t id, const void *bytes, size_t n)
{
	uint8_t head[9] = {(uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, type, flags,
	    (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};

	peer_raw(p, head, sizeof(head));
	if (n)
		peer_raw(p, bytes, n);
}

void
peer_hello(struct peer *p)
{
	peer_raw(p, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
	peer_frame(p, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
}

void
peer_reading(struct peer *p, bool reading)
{
	uint32_t out = p->source.events & EPOLLOUT;

	loop_want(&p->w->f.loop, &p->source, out | (reading ? EPOLLIN : 0));
}

/* ---- requests ---- */

static ssize_t
request_read(nghttp2_session *session, int32_t id, uint8_t *p, size_t n, uint32_t *flags,
    nghttp2_data_source *source, void *arg)
{
	struct reply *r = source->ptr;
	size_t left = r->request_n - r->request_at, got = left < n ? left : n;

	memcpy(p, r->request + r->request_at, got);
	r->request_at += got;
	if (got == left && !r->keep_open)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return got == 0 && r->keep_open ? NGHTTP2_ERR_DEFERRED : (ssize_t)got;
}

static size_t
nv_add(nghttp2_nv *nv, const char *name, const char *value)
{
	*nv = (nghttp2_nv){.name = (uint8_t *)name,
	    .namelen = strlen(name),
	    .value = (uint8_t *)value,
	    .valuelen = strlen(value),
	    .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME}; /* else it is made lower case */
	return 1;
}

static size_t
ask_fields(const struct ask *a, nghttp2_nv *nv)
{
	size_t n = 0;

	if (a->first_extra)
		n += nv_add(nv + n, a->name, a->value);
	n += nv_add(nv + n, ":method", a->verb ? a->verb : "POST");
	n += nv_add(nv + n, ":scheme", "http");
	if (*a->path)
		n += nv_add(nv + n, ":path", a->path);
	n += nv_add(nv + n, ":authority", a->authority ? a->authority : "localhost");
	n += nv_add(nv + n, "content-type", a->type ? a->type : "application/grpc");
	if (a->timeout)
		n += nv_add(nv + n, "grpc-timeout", a->timeout);
	if (a->encoding)
		n += nv_add(nv + n, "grpc-encoding", a->encoding);
	for (unsigned i = 0; a->name && !a->first_extra && i < (a->times ? a->times : 1);
	     i++)
		n += nv_add(nv + n, a->name, a->value);
	return n;
}

struct reply *
peer_ask(struct peer *p, struct ask a)
{
	nghttp2_nv nv[5000];

	assert_true(p->replies_n < REPLIES && a.times < 4900);
	struct reply *r = &p->replies[p->replies_n++];
	*r = (struct reply){.http = -1, .status = -1, .keep_open = a.keep_open};
	uint8_t *body = malloc(a.n + 1);
	assert_non_null(body);
	if (a.n)
		memcpy(body, a.body, a.n);
	r->request = body;
	r->request_n = a.n;
	nghttp2_data_provider provider = {.source.ptr = r, .read_callback = request_read};
	r->id = nghttp2_submit_request(
	    p->session, NULL, nv, ask_fields(&a, nv), &provider, NULL);
	assert_true(r->id > 0);
	peer_pump(p);
	return r;
}

struct ask
ask_for(const char *path, const void *message, size_t n)
{
	static uint8_t *body;

	body = realloc(body, n + GRPC_PREFIX);
	assert_non_null(body);
	grpc_prefix(body, n);
	if (n)
		memcpy(body + GRPC_PREFIX, message, n);
	return (struct ask){.path = path, .body = body, .n = n + GRPC_PREFIX};
}
