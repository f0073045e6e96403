#include "frontend/h2.h"

#include "common/base/limits.h"
#include "common/base/loop.h"

#include <nghttp2/nghttp2.h>

#define FIELDS_MAX 8 /* of one answer's header or trailer */

struct h2 {
	nghttp2_session *session;
	const struct h2_ops *ops;
	void *owner;
	const char *why; /* the connection is over */
	bool greeted, failed;
	/* Frames that cost us work and move no call forward, as tokens: a client has
	 * LIMIT_GRPC_CONTROL of them. */
	unsigned tokens;
	uint64_t refilled; /* loop_now() */
};

/* ---- floods ---- */

/* WINDOW_UPDATE is none: one for each frame that we send is normal. */
static bool
is_control(const nghttp2_frame_hd *hd)
{
	if (hd->type == NGHTTP2_DATA || hd->type == NGHTTP2_HEADERS)
		return hd->length == 0 && !(hd->flags & NGHTTP2_FLAG_END_STREAM);
	return hd->type != NGHTTP2_WINDOW_UPDATE;
}

static void
tokens_add(struct h2 *h, uint64_t n)
{
	h->tokens = n < LIMIT_GRPC_CONTROL - h->tokens ? h->tokens + (unsigned)n
						       : LIMIT_GRPC_CONTROL;
}

/* Also called for CONTINUATION, whose empty frames would come without end otherwise. */
static int
h2_on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
	struct h2 *h = arg;

	if (!is_control(hd))
		return 0;
	uint64_t now = loop_now(),
		 back = (now - h->refilled) * LIMIT_GRPC_CONTROL_RATE / 1000;
	if (back > 0) {
		tokens_add(h, back);
		h->refilled = now;
	}
	if (h->tokens == 0) {
		h->why = "a flood of frames that carry nothing";
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	h->tokens--;
	return 0;
}

/* ---- requests ---- */

static const char *const pseudo_names[] = {":method", ":path", ":scheme", ":authority"};
#define PSEUDO_NEEDED 7u /* the first three */

/* Pseudo fields come first, once each, and are known. */
static bool
pseudo_fits(struct h2_stream *s, struct span name)
{
	if (s->regular)
		return false;
	for (unsigned i = 0; i < ARRAY_LEN(pseudo_names); i++) {
		if (!span_is(name, pseudo_names[i]))
			continue;
		bool again = s->pseudo & 1u << i;
		s->pseudo |= 1u << i;
		return !again;
	}
	return false;
}

static bool
is_token(struct span name)
{
	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];
		if (c <= ' ' || c >= 0x7f || (c >= 'A' && c <= 'Z') || c == ':')
			return false;
	}
	return name.n > 0;
}

static bool
is_value(struct span value)
{
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] == '\0' || value.p[i] == '\r' || value.p[i] == '\n')
			return false;
	}
	return true;
}

/* RFC 9113, 8.2. */
static bool
field_fits(struct h2_stream *s, struct span name, struct span value)
{
	static const char *const of_http1[] = {"connection", "keep-alive",
	    "proxy-connection", "transfer-encoding", "upgrade"};

	if (!is_value(value))
		return false;
	if (name.n > 0 && name.p[0] == ':')
		return pseudo_fits(s, name);
	s->regular = true;
	for (size_t i = 0; i < ARRAY_LEN(of_http1); i++) {
		if (span_is(name, of_http1[i]))
			return false;
	}
	return is_token(name) && (!span_is(name, "te") || span_is(value, "trailers"));
}

static bool
too_large(const struct h2_stream *s)
{
	return s->bytes > LIMIT_GRPC_HEADERS || s->fields > LIMIT_GRPC_FIELDS;
}

/* An honest client goes over a limit a little and gets an answer; one that goes on is a
 * flood: HPACK makes 4 KiB of one byte. */
static bool
is_flood(const struct h2_stream *s)
{
	return s->bytes > 4 * LIMIT_GRPC_HEADERS || s->fields > 4 * LIMIT_GRPC_FIELDS;
}

static int
h2_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s =
	    nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	if (!s)
		return 0;
	s->fields++;
	s->bytes += name_n + value_n + 32; /* RFC 9113, 10.5.1 */
	if (is_flood(s)) {
		h->why = "a flood of header fields";
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	/* Trailers of a request mean nothing in gRPC. */
	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST || s->malformed || too_large(s))
		return 0;
	if (!field_fits(s, span_of(name, name_n), span_of(value, value_n)))
		s->malformed = true;
	else
		h->ops->field(s, span_of(name, name_n), span_of(value, value_n));
	return 0;
}

static int
h2_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	/* In turn with the others: a long list holds up no short answer. */
	static const nghttp2_extpri in_turn = {
	    .urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};

	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	struct h2_stream *s = h->ops->open(h->owner);
	if (!s) {
		nghttp2_submit_rst_stream(
		    session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, H2_REFUSED_STREAM);
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	s->h2 = h;
	s->id = frame->hd.stream_id;
	nghttp2_session_set_stream_user_data(session, s->id, s);
	nghttp2_session_change_extpri_stream_priority(session, s->id, &in_turn, 1);
	return 0;
}

static void
request_headers(struct h2 *h, struct h2_stream *s)
{
	bool whole = too_large(s) || (s->pseudo & PSEUDO_NEEDED) == PSEUDO_NEEDED;

	if (s->malformed || !whole)
		h2_reset(s, H2_PROTOCOL_ERROR);
	else
		h->ops->headers(s, too_large(s));
}

static int
h2_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = NULL;

	h->greeted = true;
	if (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)
		s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (!s)
		return 0;
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	if (frame->hd.type == NGHTTP2_HEADERS) {
		if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
			request_headers(h, s);
		else if (!end)
			h2_reset(s, H2_PROTOCOL_ERROR);
	}
	if (end && !s->malformed)
		h->ops->end(s);
	return 0;
}

static int
h2_on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p,
    size_t n, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);

	if (s && !s->malformed)
		h->ops->data(s, span_of(p, n));
	return 0;
}

static int
h2_on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);

	if (s) {
		nghttp2_session_set_stream_user_data(session, id, NULL);
		h->ops->closed(s);
	}
	return 0;
}

/* ---- answers ---- */

static ssize_t
h2_fill(nghttp2_session *session, int32_t id, uint8_t *p, size_t n, uint32_t *flags,
    nghttp2_data_source *source, void *arg)
{
	struct h2 *h = arg;
	bool end = false;
	size_t got = h->ops->fill(source->ptr, p, n, &end);

	/* What ends the stream is the trailer. */
	if (end)
		*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
	return got > 0 || end ? (ssize_t)got : NGHTTP2_ERR_DEFERRED;
}

/* An answer that is whole before its request is: the client is told to stop sending. What
 * we send gives tokens back, because clients probe the line (PING) for each chunk of data
 * that they get. */
static int
h2_on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	int32_t id = frame->hd.stream_id;

	if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	tokens_add(h, 1);
	if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
	    nghttp2_session_get_stream_remote_close(session, id) == 0)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, H2_NO_ERROR);
	return 0;
}

/* Out of memory in the library: this connection ends. */
static void
h2_check(struct h2 *h, int r)
{
	if (nghttp2_is_fatal(r))
		h->failed = true;
}

static size_t
nv_fill(nghttp2_nv nv[static FIELDS_MAX], const struct h2_field *fields, size_t n)
{
	assert(n <= FIELDS_MAX);
	for (size_t i = 0; i < n; i++) {
		struct span name = span_str(fields[i].name);
		nv[i] = (nghttp2_nv){.name = (uint8_t *)name.p,
		    .namelen = name.n,
		    .value = (uint8_t *)fields[i].value.p,
		    .valuelen = fields[i].value.n};
	}
	return n;
}

void
h2_respond(struct h2_stream *s, const struct h2_field *fields, size_t n, bool body)
{
	nghttp2_nv nv[FIELDS_MAX];
	nghttp2_data_provider provider = {.source.ptr = s, .read_callback = h2_fill};

	h2_check(s->h2, nghttp2_submit_response(s->h2->session, s->id, nv,
			    nv_fill(nv, fields, n), body ? &provider : NULL));
}

void
h2_trailers(struct h2_stream *s, const struct h2_field *fields, size_t n)
{
	nghttp2_nv nv[FIELDS_MAX];

	h2_check(s->h2,
	    nghttp2_submit_trailer(s->h2->session, s->id, nv, nv_fill(nv, fields, n)));
}

void
h2_more(struct h2_stream *s)
{
	/* Not deferred (INVALID_ARGUMENT): the library asks `fill` by itself. */
	h2_check(s->h2, nghttp2_session_resume_data(s->h2->session, s->id));
}

void
h2_reset(struct h2_stream *s, enum h2_error code)
{
	s->malformed = true; /* nothing more of it goes up */
	h2_check(s->h2,
	    nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id, code));
}

/* ---- the connection ---- */

static int
options_make(nghttp2_option **option)
{
	int r = nghttp2_option_new(option);
	if (r != 0)
		return r;
	/* Its check of :authority refuses socket paths. */
	nghttp2_option_set_no_http_messaging(*option, 1);
	nghttp2_option_set_no_closed_streams(*option, 1);
	nghttp2_option_set_max_outbound_ack(*option, LIMIT_GRPC_CONTROL);
#ifdef H2_HAS_RESET_RATE
	nghttp2_option_set_stream_reset_rate_limit(
	    *option, LIMIT_GRPC_CONTROL, LIMIT_GRPC_CONTROL_RATE);
#endif
#ifdef H2_HAS_MAX_CONTINUATIONS
	nghttp2_option_set_max_continuations(*option, 4 * LIMIT_GRPC_HEADERS / KiB(16));
#endif
	return 0;
}

static int
session_make(struct h2 *h)
{
	nghttp2_session_callbacks *calls = NULL;
	nghttp2_option *option = NULL;
	int r = nghttp2_session_callbacks_new(&calls);

	if (r == 0)
		r = options_make(&option);
	if (r == 0) {
		nghttp2_session_callbacks_set_on_begin_frame_callback(
		    calls, h2_on_begin_frame);
		nghttp2_session_callbacks_set_on_begin_headers_callback(
		    calls, h2_on_begin_headers);
		nghttp2_session_callbacks_set_on_header_callback(calls, h2_on_header);
		nghttp2_session_callbacks_set_on_frame_recv_callback(calls, h2_on_frame);
		nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
		    calls, h2_on_data);
		nghttp2_session_callbacks_set_on_stream_close_callback(
		    calls, h2_on_close);
		nghttp2_session_callbacks_set_on_frame_send_callback(calls, h2_on_sent);
		r = nghttp2_session_server_new2(&h->session, calls, h, option);
	}
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(calls);
	return r;
}

struct h2 *
h2_new(const struct h2_ops *ops, void *owner)
{
	static const nghttp2_settings_entry settings[] = {
	    {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, LIMIT_GRPC_STREAMS},
	    {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, LIMIT_GRPC_HEADERS},
	    {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
	};
	struct h2 *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->ops = ops;
	h->owner = owner;
	h->tokens = LIMIT_GRPC_CONTROL;
	h->refilled = loop_now();
	if (session_make(h) != 0 || nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE,
					settings, ARRAY_LEN(settings)) != 0) {
		h2_free(h);
		return NULL;
	}
	return h;
}

void
h2_free(struct h2 *h)
{
	if (h)
		nghttp2_session_del(h->session);
	free(h);
}

const char *
h2_input(struct h2 *h, struct span bytes)
{
	ssize_t r = nghttp2_session_mem_recv(h->session, bytes.p, bytes.n);

	if (r >= 0 && !h->failed)
		return NULL;
	if (!h->why)
		h->why = h->failed ? "out of memory" : nghttp2_strerror((int)r);
	nghttp2_session_terminate_session(
	    h->session, r == NGHTTP2_ERR_CALLBACK_FAILURE || r == NGHTTP2_ERR_FLOODED
			    ? H2_ENHANCE_YOUR_CALM
			    : H2_PROTOCOL_ERROR);
	return h->why;
}

struct span
h2_output(struct h2 *h)
{
	const uint8_t *p = NULL;
	ssize_t r = nghttp2_session_mem_send(h->session, &p);

	if (r < 0)
		h->failed = true;
	return r > 0 ? span_of(p, (size_t)r) : span_of(NULL, 0);
}

bool
h2_greeted(const struct h2 *h)
{
	return h->greeted;
}

bool
h2_done(const struct h2 *h)
{
	return h->failed || (!nghttp2_session_want_read(h->session) &&
				!nghttp2_session_want_write(h->session));
}

void
h2_goaway(struct h2 *h)
{
	h2_check(h, nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
			nghttp2_session_get_last_proc_stream_id(h->session), H2_NO_ERROR,
			NULL, 0));
}

void
h2_ping(struct h2 *h)
{
	h2_check(h, nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL));
}
