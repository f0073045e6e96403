/* Clients that break rules, flood, keep silent or do not read: they hurt themselves only.
 */
#include "tests/frontend/grpc_peer.h"

#include "common/base/fd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

/* POST, http, the path, the content type, as HPACK has them without its tables. */
static const char echo_fields[] = "\x83\x86\x04\x0c/test.T/Echo\x0f\x10\x10"
				  "application/grpc";
static const char zeroes[16384];

/* After all of that another client is served as ever. */
static void
check_alive(struct world *w)
{
	struct peer *p = peer_open(w, 0);
	struct reply *r = peer_ask(p, ask_for("/test.T/Echo", "alive", 5));

	WAIT(w, r->closed);
	assert_int_equal(r->status, GRPC_OK);
	peer_close(p);
}

/* The last frame was GOAWAY with this error. */
static void
check_goaway(const struct peer *p, uint32_t code)
{
	size_t n = p->got < sizeof(p->last) ? p->got : sizeof(p->last);

	for (size_t at = 0; at + 17 <= n; at++) {
		if (p->last[at] == 0 && p->last[at + 1] == 0 &&
		    p->last[at + 3] == NGHTTP2_GOAWAY && p->last[at + 16] == code)
			return;
	}
	fail_msg("no GOAWAY %u", code);
}

static void
test_garbage(void **state)
{
	static const char *const hello[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	    "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", "\x16\x03\x01\x02\x00\x01",
	    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
	    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};
	struct world *w = world_new();
	struct peer *other = peer_open(w, 0);
	struct reply *r = peer_ask(other, ask_for("/test.T/Wait", "", 0));

	WAIT(w, w->waiting_n == 1);
	for (size_t i = 0; i < ARRAY_LEN(hello); i++) {
		struct peer *p = peer_open_raw(w);
		peer_raw(p, hello[i], strlen(hello[i]));
		WAIT(w, p->gone);
		peer_close(p);
	}
	call_finish(world_take(w), GRPC_NOT_FOUND, "");
	WAIT(w, r->closed);
	assert_int_equal(r->status, GRPC_NOT_FOUND);
	peer_close(other);
	world_free(w);
}

/* ---- fields ---- */

static void
test_malformed_fields(void **state)
{
	static const struct ask cases[] = {
	    {.path = "/test.T/Echo", .name = "Upper", .value = "x"},
	    {.path = "/test.T/Echo", .name = "te", .value = "gzip"},
	    {.path = "/test.T/Echo", .name = "connection", .value = "close"},
	    {.path = "/test.T/Echo", .name = "transfer-encoding", .value = "chunked"},
	    {.path = "/test.T/Echo", .name = "a b", .value = "x"},
	    {.path = "/test.T/Echo", .name = "x", .value = "a\nb"},
	    {.path = "/test.T/Echo", .name = "x", .value = "a\rb"},
	    {.path = "/test.T/Echo", .name = ":path", .value = "/test.T/Echo"},
	    {.path = "/test.T/Echo", .name = ":unknown", .value = "x"},
	    {.path = "/test.T/Echo", .name = "x", .value = "y", .first_extra = true},
	    {.path = "/test.T/Echo", .name = ":path", .value = "/x", .first_extra = true},
	    {.path = ""},
	};
	struct world *w = world_new();
	struct peer *p = peer_open(w, 0);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ask a = cases[i];
		a.body = "\0\0\0\0\0";
		a.n = 5;
		struct reply *r = peer_ask(p, a);
		WAIT(w, r->closed);
		assert_int_equal(r->reset, NGHTTP2_PROTOCOL_ERROR);
		assert_int_equal(r->http, -1);
	}
	struct ask a = ask_for("/test.T/Echo", "", 0);
	a.name = "te";
	a.value = "trailers";
	struct reply *r = peer_ask(p, a);
	WAIT(w, r->closed);
	assert_int_equal(r->status, GRPC_OK);
	assert_int_equal(w->started, 1);
	assert_int_equal(w->f.grpc->calls_n, 0);
	peer_close(p);
	world_free(w);
}

/* The fields that ask_fields gives: five, of how many bytes as HPACK counts. */
#define OWN_FIELDS 5
#define OWN_BYTES                                                      \
	(5 * 32 +                                                      \
	    sizeof(":methodPOST:schemehttp:path/test.T/Echo:authority" \
		   "localhostcontent-typeapplication/grpc") -          \
	    1)

static int
fields_status(struct world *w, unsigned times, size_t value_n, bool *gone)
{
	struct peer *p = peer_open(w, 0);
	struct ask a = ask_for("/test.T/Echo", "", 0);
	char *value = malloc(value_n + 1);

	assert_non_null(value);
	memset(value, 'v', value_n);
	value[value_n] = '\0';
	a.name = "k";
	a.value = value;
	a.times = times;
	struct reply *r = peer_ask(p, a);
	free(value);
	WAIT(w, r->status >= 0 || p->gone);
	int status = r->status;
	*gone = p->gone;
	if (p->gone)
		check_goaway(p, NGHTTP2_ENHANCE_YOUR_CALM);
	peer_close(p);
	return status;
}

static void
test_field_limits(void **state)
{
	const unsigned most = LIMIT_GRPC_FIELDS - OWN_FIELDS;
	const size_t longest = LIMIT_GRPC_HEADERS - OWN_BYTES - 33;
	struct world *w = world_new();
	bool gone;

	assert_int_equal(fields_status(w, most, 1, &gone), GRPC_OK);
	assert_false(gone);
	assert_int_equal(fields_status(w, most + 1, 1, &gone), GRPC_RESOURCE_EXHAUSTED);
	assert_false(gone);
	assert_int_equal(fields_status(w, 4 * LIMIT_GRPC_FIELDS - OWN_FIELDS, 1, &gone),
	    GRPC_RESOURCE_EXHAUSTED);
	assert_false(gone);
	fields_status(w, 4 * LIMIT_GRPC_FIELDS - OWN_FIELDS + 1, 1, &gone);
	assert_true(gone);
	assert_int_equal(fields_status(w, 1, longest, &gone), GRPC_OK);
	assert_int_equal(
	    fields_status(w, 1, longest + 1, &gone), GRPC_RESOURCE_EXHAUSTED);
	/* 4,000 bytes once, then an index each: the flood that HPACK makes cheap. */
	fields_status(w, 100, 3900, &gone);
	assert_true(gone);
	check_alive(w);
	world_free(w);
}

/* ---- floods ---- */

/* Frames of one kind until the server has enough; how many it took at most. */
static void
flood(uint8_t type, uint8_t flags, uint32_t id, const void *bytes, size_t n, bool reading)
{
	struct world *w = world_new();
	struct peer *p = peer_open_raw(w);
	unsigned sent = 0;

	peer_hello(p);
	if (type == NGHTTP2_CONTINUATION) /* HEADERS without an end */
		peer_frame(p, NGHTTP2_HEADERS, 0, 1, "", 0);
	else if (type == NGHTTP2_DATA)
		peer_frame(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, echo_fields,
		    sizeof(echo_fields) - 1);
	peer_reading(p, reading);
	for (; w->f.grpc->conns_n > 0 && sent < 100 * LIMIT_GRPC_CONTROL; sent++) {
		peer_frame(p, type, flags, id, bytes, n);
		if (sent % 100 == 0)
			world_step(w);
		if (p->out_n > 100000) /* it takes no more: that will do */
			break;
	}
	/* Not read from while it does not read; what it has sent is bounded. */
	if (reading)
		assert_int_equal(w->f.grpc->conns_n, 0);
	else if (w->f.grpc->conns_n > 0)
		assert_true(w->f.grpc->conns->rest_n <= KiB(81));
	peer_close(p);
	check_alive(w);
	world_free(w);
}

static void
test_ping_flood(void **state)
{
	flood(NGHTTP2_PING, 0, 0, "12345678", 8, true);
	flood(NGHTTP2_PING, 0, 0, "12345678", 8, false);
}

static void
test_settings_flood(void **state)
{
	flood(NGHTTP2_SETTINGS, 0, 0, "", 0, true);
	flood(NGHTTP2_SETTINGS, 0, 0, "", 0, false);
}

static void
test_empty_flood(void **state)
{
	flood(NGHTTP2_CONTINUATION, 0, 1, "", 0, true);
	flood(NGHTTP2_DATA, 0, 1, "", 0, true);
	flood(NGHTTP2_PRIORITY, 0, 1, "\0\0\0\0\1", 5, true);
}

/* A call and its reset, again and again. */
static void
test_rapid_reset(void **state)
{
	struct world *w = world_new();
	struct peer *p = peer_open(w, 0);
	unsigned sent = 0;

	while (!p->gone && !p->goaways && sent < 10 * LIMIT_GRPC_CONTROL) {
		p->replies_n = 0;
		struct reply *r = peer_ask(p, ask_for("/test.T/Wait", "", 0));
		free((void *)r->request);
		r->request = NULL;
		nghttp2_submit_rst_stream(p->session, 0, r->id, NGHTTP2_CANCEL);
		peer_pump(p);
		if (++sent % 50 == 0)
			world_step(w);
	}
	WAIT(w, p->gone);
	assert_true(sent >= LIMIT_GRPC_CONTROL);
	assert_true(sent < 2 * LIMIT_GRPC_CONTROL);
	assert_int_equal(w->started, w->cancelled);
	peer_close(p);
	check_alive(w);
	world_free(w);
}

/* ---- silence ---- */

static void
test_says_nothing(void **state)
{
	struct world *w = world_new();

	w->f.grpc->patience.sweep = 10;
	w->f.grpc->patience.hello = 300;
	struct peer *p = peer_open_raw(w), *half = peer_open_raw(w),
		    *honest = peer_open(w, 0);
	peer_raw(half, "PRI * HTTP/2.0", 14);
	WAIT(w, p->gone && half->gone);
	for (int i = 0; i < 400; i++) /* an idle connection may stay */
		world_step(w);
	assert_false(honest->gone);
	peer_close(p);
	peer_close(half);
	peer_close(honest);
	world_free(w);
}

static void
test_half_request(void **state)
{
	struct world *w = world_new();
	struct ask a = ask_for("/test.T/Echo", "123", 3);

	w->f.grpc->patience.sweep = 10;
	w->f.grpc->patience.request = 40;
	a.n = 7;
	a.keep_open = true;
	struct peer *p = peer_open(w, 0);
	struct reply *r = peer_ask(p, a);
	struct reply *wait = peer_ask(p, ask_for("/test.T/Wait", "", 0));
	WAIT(w, r->closed);
	assert_int_equal(r->status, GRPC_DEADLINE_EXCEEDED);
	assert_int_equal(w->f.grpc->memory.used, 0);
	assert_false(wait->closed); /* a method may take longer */
	peer_close(p);
	world_free(w);
}

/* Its fields do not come to an end; when they do, the call is over. */
static void
test_half_fields(void **state)
{
	struct world *w = world_new();
	struct peer *p = peer_open_raw(w);

	w->f.grpc->patience.sweep = 10;
	w->f.grpc->patience.request = 40;
	peer_hello(p);
	peer_frame(p, NGHTTP2_HEADERS, 0, 1, echo_fields, 4);
	WAIT(w, w->f.grpc->calls_n == 1);
	WAIT(w, w->f.grpc->calls_n == 0);
	assert_int_equal(w->ended[GRPC_DEADLINE_EXCEEDED], 1);
	peer_frame(p, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, echo_fields + 4,
	    sizeof(echo_fields) - 5);
	peer_frame(p, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "\0\0\0\0\1x", 6);
	for (int i = 0; i < 20; i++)
		world_step(w);
	assert_int_equal(w->started, 0);
	peer_close(p);
	check_alive(w);
	world_free(w);
}

/* A call is under way and the client says nothing: asked, it answers and may wait on; or
 * it does not, and is gone. */
static void
test_silent(void **state)
{
	struct world *w = world_new();

	w->f.grpc->patience.sweep = 10;
	w->f.grpc->patience.silence = 30;
	w->f.grpc->patience.answer = 400;
	struct peer *patient = peer_open(w, 0), *dead = peer_open(w, 0);
	peer_ask(patient, ask_for("/test.T/Wait", "", 0));
	peer_ask(dead, ask_for("/test.T/Wait", "", 0));
	WAIT(w, w->waiting_n == 2);
	peer_reading(dead, false);
	WAIT(w, w->cancelled == 1);
	for (int i = 0; i < 600; i++)
		world_step(w);
	assert_int_equal(w->cancelled, 1);
	assert_false(patient->gone);
	peer_close(patient);
	peer_close(dead);
	WAIT(w, w->cancelled == 2);
	world_free(w);
}

/* ---- who does not read ---- */

static void
test_slow_reader(void **state)
{
	struct world *w = world_new();

	w->f.grpc->patience.sweep = 10;
	struct peer *p = peer_open(w, 1 << 30);
	peer_frame(p, NGHTTP2_WINDOW_UPDATE, 0, 0, "\x7f\0\0\0", 4);
	WAIT(w, p->got > 0);
	peer_reading(p, false);
	for (int i = 0; i < 100; i++)
		peer_ask(p, ask_for("/test.T/Stream", "1000", 4)); /* a gigabyte in all */
	WAIT(w, w->f.grpc->calls_n == 100);
	for (int i = 0; i < 10; i++)
		world_step(w);
	assert_true(w->f.grpc->conns->rest_n > 0);
	assert_true(w->f.grpc->conns->rest_n <= KiB(81));
	peer_ask(p, ask_for("/test.T/Echo", "", 0)); /* it is not read from either */
	for (int i = 0; i < 10; i++)
		world_step(w);
	assert_int_equal(w->started, 0);
	check_alive(w);
	w->f.grpc->patience.answer = 50;
	WAIT(w, w->f.grpc->conns_n == 0);
	assert_int_equal(w->chunk->refs, 1);
	peer_close(p);
	world_free(w);
}

/* Reads, but never opens its window. */
static void
test_window_shut(void **state)
{
	struct world *w = world_new();

	w->f.grpc->patience.sweep = 10;
	w->f.grpc->patience.answer = 100;
	struct peer *p = peer_open_raw(w);
	peer_raw(p, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
	peer_frame(p, NGHTTP2_SETTINGS, 0, 0, "\0\4\0\0\0\0", 6);
	peer_frame(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, echo_fields,
	    sizeof(echo_fields) - 1);
	peer_frame(p, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "\0\0\0\0\1x", 6);
	WAIT(w, w->started == 1);
	while (!p->gone) { /* its pings are no progress */
		peer_frame(p, NGHTTP2_PING, 0, 0, "12345678", 8);
		world_step(w);
	}
	peer_close(p);
	world_free(w);
}

/* A byte now and then is progress: it takes longer than patience for silence lasts. */
static void
test_slow_but_steady(void **state)
{
	struct world *w = world_new();
	uint64_t end = loop_now() + 1500;

	w->f.grpc->patience.sweep = 10;
	w->f.grpc->patience.answer = 800;
	struct peer *p = peer_open_raw(w);
	peer_raw(p, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
	peer_frame(p, NGHTTP2_SETTINGS, 0, 0, "\0\4\0\0\0\0", 6);
	peer_frame(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, echo_fields,
	    sizeof(echo_fields) - 1);
	peer_frame(p, NGHTTP2_DATA, 0, 1, "\0\0\0\x40\0", 5);
	peer_frame(p, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, zeroes, 16384);
	while (loop_now() < end) {
		peer_frame(p, NGHTTP2_WINDOW_UPDATE, 0, 1, "\0\0\0\1", 4);
		world_step(w);
		assert_false(p->gone);
	}
	assert_int_equal(w->started, 1);
	peer_close(p);
	world_free(w);
}

/* ---- too many ---- */

static void
test_too_many_streams(void **state)
{
	struct world *w = world_new();
	struct peer *p = peer_open(w, 0);

	for (int i = 0; i <= LIMIT_GRPC_STREAMS; i++)
		peer_ask(p, ask_for("/test.T/Wait", "", 0));
	struct reply *last = &p->replies[LIMIT_GRPC_STREAMS];
	WAIT(w, last->closed && w->waiting_n == LIMIT_GRPC_STREAMS);
	assert_int_equal(last->reset, NGHTTP2_REFUSED_STREAM);
	assert_int_equal(w->f.grpc->calls_n, LIMIT_GRPC_STREAMS);
	peer_close(p);
	world_free(w);
}

static void
test_too_many_calls(void **state)
{
	struct world *w = world_new();
	struct peer *p = peer_open(w, 0);

	w->f.grpc->calls_n += LIMIT_GRPC_CALLS - 1; /* as if others had them */
	struct reply *a = peer_ask(p, ask_for("/test.T/Wait", "", 0));
	struct reply *b = peer_ask(p, ask_for("/test.T/Wait", "", 0));
	WAIT(w, b->closed);
	assert_int_equal(b->reset, NGHTTP2_REFUSED_STREAM);
	assert_false(a->closed);
	w->f.grpc->calls_n -= LIMIT_GRPC_CALLS - 1;
	peer_close(p);
	world_free(w);
}

/* The memory of all bodies: what the second takes, the first gives back. */
static void
test_memory(void **state)
{
	static uint8_t bytes[100000];
	struct world *w = world_new();
	struct ask a = ask_for("/test.T/Echo", bytes, sizeof(bytes));

	w->f.grpc->memory.max = 100000;
	a.n -= 40000;
	a.keep_open = true;
	struct peer *p = peer_open(w, 0);
	struct reply *first = peer_ask(p, a);
	WAIT(w, w->f.grpc->memory.used > 50000);
	struct reply *second = peer_ask(p, a);
	WAIT(w, second->closed);
	assert_int_equal(second->status, GRPC_RESOURCE_EXHAUSTED);
	assert_false(first->closed);
	/* Reset inside its message. */
	nghttp2_submit_rst_stream(p->session, 0, first->id, NGHTTP2_CANCEL);
	peer_pump(p);
	WAIT(w, w->f.grpc->memory.used == 0);
	struct reply *third = peer_ask(p, ask_for("/test.T/Echo", bytes, sizeof(bytes)));
	WAIT(w, third->closed);
	assert_int_equal(third->status, GRPC_OK);
	peer_close(p);
	world_free(w);
}

/* ---- listening ---- */

static struct sockaddr_un address;

static void
world_listen(struct world *w)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/test_grpc.%d",
	    (int)getpid());
	unlink(address.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4096), 0);
	assert_int_equal(
	    grpc_listen(&w->f, fd, w->f.grpc->methods, w->f.grpc->methods_n), 0);
}

static struct peer *
peer_connect(struct world *w)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return peer_open_fd(w, fd, 0, false);
}

/* Full: the quietest goes; when all have calls, newcomers wait their turn. */
static void
test_too_many_connections(void **state)
{
	static struct peer *p[LIMIT_GRPC_CONNECTIONS];
	struct world *w = world_new();
	const size_t max = LIMIT_GRPC_CONNECTIONS;

	w->f.grpc->patience.sweep = 50;
	world_listen(w);
	for (size_t i = 0; i < max; i++)
		p[i] = peer_connect(w);
	WAIT(w, p[max - 1]->got > 0);
	assert_int_equal(w->f.grpc->conns_n, max);
	for (size_t i = 0; i < max; i++) {
		if (i != 7 && i != 8)
			peer_ask(p[i], ask_for("/test.T/Fail", "", 0));
	}
	WAIT(w, p[max - 1]->replies[0].closed);
	struct peer *extra = peer_connect(w);
	struct reply *r = peer_ask(extra, ask_for("/test.T/Echo", "x", 1));
	WAIT(w, r->closed && (p[7]->gone || p[8]->gone));
	assert_int_equal(r->status, GRPC_OK);
	assert_int_equal(w->f.grpc->conns_n, max);
	for (size_t i = 0; i < max; i++)
		peer_close(p[i]);
	peer_close(extra);
	WAIT(w, w->f.grpc->conns_n == 0);
	world_free(w);
	unlink(address.sun_path);
}

static void
test_all_busy(void **state)
{
	struct world *w = world_new();

	w->f.grpc->patience.sweep = 20;
	world_listen(w);
	struct peer *busy = peer_connect(w);
	peer_ask(busy, ask_for("/test.T/Wait", "", 0));
	WAIT(w, w->waiting_n == 1);
	w->f.grpc->conns_n += LIMIT_GRPC_CONNECTIONS - 1;
	struct peer *late = peer_connect(w);
	struct reply *r = peer_ask(late, ask_for("/test.T/Echo", "x", 1));
	WAIT(w, w->f.grpc->paused);
	for (int i = 0; i < 50; i++)
		world_step(w);
	assert_int_equal(late->got, 0);
	w->f.grpc->conns_n -= LIMIT_GRPC_CONNECTIONS - 1;
	WAIT(w, r->closed);
	assert_int_equal(r->status, GRPC_OK);
	peer_close(busy);
	peer_close(late);
	WAIT(w, w->f.grpc->conns_n == 0);
	world_free(w);
	unlink(address.sun_path);
}

/* No descriptor left: no spinning, and on it goes when there is one again. */
static void
test_no_descriptors(void **state)
{
	struct world *w = world_new();
	struct rlimit limit, none;

	w->f.grpc->patience.sweep = 20;
	world_listen(w);
	struct peer *p = peer_connect(w), *late = peer_connect(w);
	struct reply *r = peer_ask(late, ask_for("/test.T/Echo", "x", 1));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	WAIT(w, w->f.grpc->paused);
	clock_t before = clock();
	uint64_t until = loop_now() + 200;
	while (loop_now() < until)
		world_step(w);
	assert_true(clock() - before < CLOCKS_PER_SEC / 10);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	WAIT(w, r->closed);
	assert_int_equal(r->status, GRPC_OK);
	peer_close(p);
	peer_close(late);
	WAIT(w, w->f.grpc->conns_n == 0);
	world_free(w);
	unlink(address.sun_path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_garbage),
	    cmocka_unit_test(test_malformed_fields),
	    cmocka_unit_test(test_field_limits),
	    cmocka_unit_test(test_ping_flood),
	    cmocka_unit_test(test_settings_flood),
	    cmocka_unit_test(test_empty_flood),
	    cmocka_unit_test(test_rapid_reset),
	    cmocka_unit_test(test_says_nothing),
	    cmocka_unit_test(test_half_request),
	    cmocka_unit_test(test_half_fields),
	    cmocka_unit_test(test_silent),
	    cmocka_unit_test(test_slow_reader),
	    cmocka_unit_test(test_window_shut),
	    cmocka_unit_test(test_slow_but_steady),
	    cmocka_unit_test(test_too_many_streams),
	    cmocka_unit_test(test_too_many_calls),
	    cmocka_unit_test(test_memory),
	    cmocka_unit_test(test_too_many_connections),
	    cmocka_unit_test(test_all_busy),
	    cmocka_unit_test(test_no_descriptors),
	};
	struct rlimit limit;
	int fds = fd_count_open();

	/* Both ends of as many connections as there may be. */
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1;
	limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	return failed ? failed : fd_count_open() != fds;
}
