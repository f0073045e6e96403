/* Calls as honest clients make them, and as HTTP/2 and gRPC allow them to go wrong. */
#include "tests/frontend/grpc_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

static void
check_ok(const struct reply *r, const void *message, size_t n)
{
	uint8_t prefix[GRPC_PREFIX];

	grpc_prefix(prefix, n);
	assert_int_equal(r->http, 200);
	assert_int_equal(r->status, GRPC_OK);
	assert_string_equal(r->type, "application/grpc");
	assert_string_equal(r->message, "");
	assert_int_equal(r->reset, 0);
	assert_int_equal(r->n, n + GRPC_PREFIX);
	assert_memory_equal(r->body, prefix, GRPC_PREFIX);
	if (n)
		assert_memory_equal(r->body + GRPC_PREFIX, message, n);
}

/* One call of its own connection: its status. */
static int
one(struct world *w, struct ask a, char message[static 8192])
{
	struct peer *p = peer_open(w, 0);
	struct reply *r = peer_ask(p, a);

	WAIT(w, r->closed);
	int status = r->status;
	if (r->status != GRPC_OK)
		assert_int_equal(r->n, 0);
	memcpy(message, r->message, 8192);
	peer_close(p);
	return status;
}

static void
test_unary(void **state)
{
	static uint8_t bytes[200000];
	static const size_t sizes[] = {
	    0, 1, 5, 16384 - GRPC_PREFIX, 16384, 65535, 200000};
	struct world *w = world_new();
	struct peer *p = peer_open(w, 0);

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 31 >> 3);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct reply *r = peer_ask(p, ask_for("/test.T/Echo", bytes, sizes[i]));
		WAIT(w, r->closed);
		check_ok(r, bytes, sizes[i]);
	}
	assert_int_equal(w->f.grpc->conns_n, 1);
	peer_close(p);
	world_free(w);
}

/* Every byte in a DATA frame of its own. */
static void
test_bytewise(void **state)
{
	static const uint8_t body[] = {0, 0, 0, 0, 3, 'a', 'b', 'c'};
	struct world *w = world_new();
	struct peer *p = peer_open(w, 0);
	struct reply *r =
	    peer_ask(p, (struct ask){.path = "/test.T/Echo", .keep_open = true});

	for (size_t i = 0; i < sizeof(body); i++) {
		assert_int_equal(w->started, 0);
		peer_frame(
		    p, NGHTTP2_DATA, i + 1 == sizeof(body), (uint32_t)r->id, body + i, 1);
		world_step(w);
	}
	/* The client's own library has not seen these frames go. */
	WAIT(w, r->status >= 0);
	check_ok(r, "abc", 3);
	peer_close(p);
	world_free(w);
}

static void
check_stream(const struct world *w, const struct reply *r, size_t messages)
{
	const uint8_t *at = r->body;

	assert_int_equal(r->status, GRPC_OK);
	for (size_t i = messages; i > 0; i--) {
		size_t n = w->chunk->n - i % 3;
		uint8_t prefix[GRPC_PREFIX];
		grpc_prefix(prefix, n);
		assert_memory_equal(at, prefix, GRPC_PREFIX);
		assert_memory_equal(at + GRPC_PREFIX, w->chunk->bytes + i % 3, n);
		at += GRPC_PREFIX + n;
	}
	assert_int_equal(at - r->body, r->n);
}

/* The client's window decides the frames; the blob is shared by all. */
static void
test_streaming(void **state)
{
	static const struct {
		uint32_t window;
		const char *messages;
	} cases[] = {{1, "1"}, {7, "2"}, {1000, "20"}, {16384, "50"}, {65535, "100"},
	    {1 << 20, "300"}, {65535, "0"}};
	struct world *w = world_new();

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *m = cases[i].messages;
		struct peer *p = peer_open(w, cases[i].window);
		struct reply *r = peer_ask(p, ask_for("/test.T/Stream", m, strlen(m)));
		WAIT(w, r->closed);
		check_stream(w, r, strtoul(m, NULL, 10));
		peer_close(p);
	}
	assert_int_equal(w->chunk->refs, 1);
	world_free(w);
}

/* A long answer does not hold up a short one behind it. */
static void
test_in_turn(void **state)
{
	struct world *w = world_new();
	struct peer *p = peer_open(w, 1 << 24);

	peer_frame(p, NGHTTP2_WINDOW_UPDATE, 0, 0, "\x10\0\0\0", 4);
	struct reply *slow = peer_ask(p, ask_for("/test.T/Big", "10000000", 8));
	struct reply *quick = peer_ask(p, ask_for("/test.T/Echo", "quick", 5));
	WAIT(w, quick->closed);
	assert_false(slow->closed);
	WAIT(w, slow->closed);
	assert_int_equal(slow->n, 10000000 + GRPC_PREFIX);
	peer_close(p);
	world_free(w);
}

/* ---- deadlines and cancellation ---- */

static void
test_deadline(void **state)
{
	static const char *const timeouts[] = {"1m", "0S", "999999u", "1n", "00000020m"};
	struct world *w = world_new();
	char message[8192];

	for (unsigned i = 0; i < ARRAY_LEN(timeouts); i++) {
		struct ask a = ask_for("/test.T/Wait", "", 0);
		a.timeout = timeouts[i];
		assert_int_equal(one(w, a, message), GRPC_DEADLINE_EXCEEDED);
		assert_string_equal(message, "the call's deadline has passed");
	}
	assert_int_equal(w->started, w->cancelled);
	assert_true(w->started >= 3);
	world_free(w);
}

static void
test_deadline_kept(void **state)
{
	struct world *w = world_new();
	struct peer *p = peer_open(w, 0);
	struct ask a = ask_for("/test.T/Wait", "", 0);

	a.timeout = "8H";
	struct reply *r = peer_ask(p, a);
	WAIT(w, w->waiting_n == 1);
	struct call *c = world_take(w);
	assert_true(c->deadline.at > loop_now() + 28000000);
	call_finish(c, GRPC_NOT_FOUND, "none such");
	WAIT(w, r->closed);
	assert_int_equal(r->status, GRPC_NOT_FOUND);
	assert_string_equal(r->message, "none such");
	assert_int_equal(w->cancelled, 0);
	assert_null(w->f.loop.timers->next ? w->f.loop.timers->next->next : NULL);
	peer_close(p);
	world_free(w);
}

/* The deadline passes before the request is whole: the method never hears of it. */
static void
test_deadline_before_request(void **state)
{
	struct world *w = world_new();
	struct ask a = ask_for("/test.T/Wait", "123456", 6);
	char message[8192];

	a.n = 8;
	a.keep_open = true;
	a.timeout = "5m";
	assert_int_equal(one(w, a, message), GRPC_DEADLINE_EXCEEDED);
	assert_int_equal(w->started, 0);
	world_free(w);
}

/* The client takes nothing, the deadline passes inside a message: no status can follow.
 */
static void
test_deadline_inside_message(void **state)
{
	struct world *w = world_new();
	struct peer *p = peer_open(w, 3);
	struct ask a = ask_for("/test.T/Wait", "", 0);

	a.timeout = "400m";
	struct reply *r = peer_ask(p, a);
	WAIT(w, w->waiting_n == 1);
	peer_reading(p, false);
	call_send(w->waiting[0], w->chunk, 0, w->chunk->n);
	call_send(w->waiting[0], w->chunk, 0, w->chunk->n);
	WAIT(w, w->cancelled == 1);
	peer_reading(p, true);
	WAIT(w, r->closed);
	assert_int_equal(r->reset, NGHTTP2_CANCEL);
	assert_int_equal(r->status, -1);
	assert_int_equal(w->chunk->refs, 1);
	peer_close(p);
	world_free(w);
}

static void
test_cancel(void **state)
{
	struct world *w = world_new();
	struct peer *p = peer_open(w, 0);
	struct reply *a = peer_ask(p, ask_for("/test.T/Wait", "", 0));
	struct reply *b = peer_ask(p, ask_for("/test.T/Wait", "", 0));

	WAIT(w, w->waiting_n == 2);
	nghttp2_submit_rst_stream(p->session, 0, a->id, NGHTTP2_CANCEL);
	peer_pump(p);
	WAIT(w, w->cancelled == 1);
	call_finish(world_take(w), GRPC_OK, ""); /* no message at all: allowed */
	WAIT(w, b->closed);
	assert_int_equal(b->status, GRPC_OK);
	peer_close(p);
	world_free(w);
}

static void
test_connection_lost(void **state)
{
	struct world *w = world_new();
	struct peer *other = peer_open(w, 0);
	struct reply *r = peer_ask(other, ask_for("/test.T/Wait", "", 0));

	WAIT(w, w->waiting_n == 1);
	struct peer *p = peer_open(w, 0);
	for (int i = 0; i < 20; i++)
		peer_ask(p, ask_for("/test.T/Wait", "", 0));
	WAIT(w, w->waiting_n == 21);
	peer_close(p);
	WAIT(w, w->cancelled == 20);
	call_finish(world_take(w), GRPC_ABORTED, "x");
	WAIT(w, r->closed);
	assert_int_equal(r->status, GRPC_ABORTED);
	peer_close(other);
	world_free(w);
}

/* One goes, and its method answers all others in that very moment, some of them on the
 * same dying connection. */
static void
finish_all(struct call *c)
{
	struct world *w = (struct world *)c->f;

	while (w->waiting_n > 0) {
		struct call *other = world_take(w);
		call_send(other, w->chunk, 0, 100);
		call_finish(other, GRPC_OK, "");
	}
}

static void
test_cancel_answers_others(void **state)
{
	struct world *w = world_new();
	struct peer *dying = peer_open(w, 0), *living = peer_open(w, 0);
	struct reply *r[8];

	for (size_t i = 0; i < ARRAY_LEN(r); i++) {
		peer_ask(dying, ask_for("/test.T/Wait", "", 0));
		r[i] = peer_ask(living, ask_for("/test.T/Wait", "", 0));
	}
	WAIT(w, w->waiting_n == 16);
	w->on_cancel = finish_all;
	peer_close(dying);
	for (size_t i = 0; i < ARRAY_LEN(r); i++) {
		WAIT(w, r[i]->closed);
		assert_int_equal(r[i]->status, GRPC_OK);
	}
	assert_int_equal(w->cancelled, 1);
	assert_int_equal(w->ended[GRPC_CANCELLED], 1);
	assert_int_equal(w->ended[GRPC_OK], 15);
	peer_close(living);
	world_free(w);
}

/* An answer to a call that has gone already is no answer. */
static void
finish_late(struct call *c)
{
	struct world *w = (struct world *)c->f;

	call_send(c, w->chunk, 0, 100);
	call_finish(c, GRPC_OK, "");
}

static void
test_answer_when_cancelled(void **state)
{
	struct world *w = world_new();
	struct peer *p = peer_open(w, 0);
	struct ask a = ask_for("/test.T/Wait", "", 0);

	w->on_cancel = finish_late;
	struct reply *gone = peer_ask(p, a);
	a.timeout = "1m";
	struct reply *late = peer_ask(p, a);
	WAIT(w, late->closed);
	assert_int_equal(late->status, GRPC_DEADLINE_EXCEEDED);
	assert_int_equal(late->n, 0);
	nghttp2_submit_rst_stream(p->session, 0, gone->id, NGHTTP2_CANCEL);
	peer_pump(p);
	WAIT(w, w->cancelled == 2);
	peer_close(p);
	WAIT(w, w->f.grpc->conns_n == 0);
	assert_int_equal(w->ended[GRPC_CANCELLED], 1);
	assert_int_equal(w->ended[GRPC_DEADLINE_EXCEEDED], 1);
	assert_int_equal(w->ended[GRPC_OK], 0);
	world_free(w);
}

/* ---- what is refused ---- */

static void
test_sizes(void **state)
{
	struct world *w = world_new();
	static uint8_t bytes[1001];
	char message[8192];

	w->f.max_message = 1000;
	assert_int_equal(one(w, ask_for("/test.T/Echo", bytes, 1000), message), GRPC_OK);
	assert_int_equal(one(w, ask_for("/test.T/Echo", bytes, 1001), message),
	    GRPC_RESOURCE_EXHAUSTED);
	assert_string_equal(
	    message, "the request has 1001 bytes, the limit is 1000 (max_message)");
	assert_int_equal(one(w, ask_for("/test.T/Big", "1000", 4), message), GRPC_OK);
	assert_int_equal(
	    one(w, ask_for("/test.T/Big", "1001", 4), message), GRPC_RESOURCE_EXHAUSTED);
	assert_string_equal(
	    message, "the answer has 1001 bytes, the limit is 1000 (max_message)");
	w->f.max_message = 1001; /* a reload */
	assert_int_equal(one(w, ask_for("/test.T/Echo", bytes, 1001), message), GRPC_OK);
	assert_int_equal(w->started, 2);
	world_free(w);
}

static void
test_default_size(void **state)
{
	struct world *w = world_new();
	struct ask a = ask_for("/test.T/Echo", "", 0);
	char message[8192];

	((uint8_t *)a.body)[1] = 1; /* 16 MiB, of which none come */
	a.keep_open = true;
	struct peer *p = peer_open(w, 0);
	struct reply *r = peer_ask(p, a);
	for (int i = 0; i < 10; i++)
		world_step(w);
	assert_false(r->closed);
	assert_int_equal(w->f.grpc->memory.used, 0);
	peer_close(p);
	((uint8_t *)a.body)[4] = 1;
	assert_int_equal(one(w, a, message), GRPC_RESOURCE_EXHAUSTED);
	world_free(w);
}

static void
test_framing(void **state)
{
	static const struct {
		const char *body;
		size_t n;
		const char *encoding;
		int status;
	} cases[] = {
	    {"\0\0\0\0\1x", 6, "identity", GRPC_OK},
	    {"\0\0\0\0\1x", 6, "gzip", GRPC_OK}, /* allowed: not compressed after all */
	    {"\1\0\0\0\1x", 6, NULL, GRPC_INTERNAL},
	    {"\1\0\0\0\1x", 6, "identity", GRPC_INTERNAL},
	    {"\1\0\0\0\1x", 6, "gzip", GRPC_UNIMPLEMENTED},
	    {"\2\0\0\0\1x", 6, "gzip", GRPC_INTERNAL},
	    {"", 0, NULL, GRPC_UNIMPLEMENTED},
	    {"\0", 1, NULL, GRPC_INTERNAL},
	    {"\0\0\0\0", 4, NULL, GRPC_INTERNAL},
	    {"\0\0\0\0\1", 5, NULL, GRPC_INTERNAL},
	    {"\0\0\0\0\2x", 6, NULL, GRPC_INTERNAL},
	    {"\0\0\0\0\1xy", 7, NULL, GRPC_UNIMPLEMENTED},
	    {"\0\0\0\0\0\0\0\0\0\0", 10, NULL, GRPC_UNIMPLEMENTED},
	    {"\0\xff\xff\xff\xff", 5, NULL, GRPC_RESOURCE_EXHAUSTED},
	};
	struct world *w = world_new();
	char message[8192];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ask a = {.path = "/test.T/Echo",
		    .body = cases[i].body,
		    .n = cases[i].n,
		    .encoding = cases[i].encoding};
		assert_int_equal(one(w, a, message), cases[i].status);
		assert_true((cases[i].status == GRPC_OK) == (*message == '\0'));
	}
	assert_int_equal(w->started, 2);
	world_free(w);
}

/* Answered before the client has sent all: it is told to stop, not cut off. */
static void
test_answer_before_end(void **state)
{
	struct world *w = world_new();
	struct peer *p = peer_open(w, 0);
	struct ask a = {
	    .path = "/test.T/None", .body = "\0\0\0\0\5", .n = 5, .keep_open = true};
	struct reply *r = peer_ask(p, a);

	WAIT(w, r->closed);
	assert_int_equal(r->status, GRPC_UNIMPLEMENTED);
	assert_int_equal(r->reset, NGHTTP2_NO_ERROR);
	assert_int_equal(w->f.grpc->calls_n, 0);
	r = peer_ask(p, ask_for("/test.T/Echo", "z", 1));
	WAIT(w, r->closed);
	check_ok(r, "z", 1);
	peer_close(p);
	world_free(w);
}

static void
test_not_grpc(void **state)
{
	static const struct {
		struct ask ask;
		int http, status;
	} cases[] = {
	    {{.path = "/test.T/None"}, 200, GRPC_UNIMPLEMENTED},
	    {{.path = "/test.T/Ech"}, 200, GRPC_UNIMPLEMENTED},
	    {{.path = "/test.T/Echo?x"}, 200, GRPC_UNIMPLEMENTED},
	    {{.path = "/test.T/Echo", .verb = "GET"}, 405, GRPC_INTERNAL},
	    {{.path = "/test.T/Echo", .type = "application/json"}, 415, GRPC_INTERNAL},
	    {{.path = "/test.T/Echo", .type = "application/grpc+json"}, 415,
		GRPC_INTERNAL},
	    {{.path = "/test.T/Echo", .type = "application/grpcx"}, 415, GRPC_INTERNAL},
	    {{.path = "/test.T/Echo", .timeout = "5"}, 200, GRPC_INTERNAL},
	    {{.path = "/test.T/Echo", .timeout = "123456789m"}, 200, GRPC_INTERNAL},
	    {{.path = "/test.T/Echo", .timeout = "-1m"}, 200, GRPC_INTERNAL},
	    {{.path = "/test.T/Echo",
		 .type = "application/grpc+proto",
		 .body = "\0\0\0\0\0",
		 .n = 5},
		200, GRPC_OK},
	    {{.path = "/test.T/Echo",
		 .authority = "/run/x.sock",
		 .body = "\0\0\0\0\0",
		 .n = 5},
		200, GRPC_OK},
	};
	struct world *w = world_new();
	struct peer *p = peer_open(w, 0);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct reply *r = peer_ask(p, cases[i].ask);
		WAIT(w, r->closed);
		assert_int_equal(r->http, cases[i].http);
		assert_int_equal(r->status, cases[i].status);
	}
	assert_string_equal(p->replies[0].message, "unknown method /test.T/None");
	assert_int_equal(w->started, 2);
	peer_close(p);
	world_free(w);
}

static void
test_error_text(void **state)
{
	struct world *w = world_new();
	char message[8192], text[5000];

	assert_int_equal(
	    one(w, ask_for("/test.T/Fail", "100% \xc3\xbc\nend", 11), message),
	    GRPC_FAILED_PRECONDITION);
	assert_string_equal(message, "100%25 %C3%BC%0Aend");
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 2 ? '\xbc' : '\xc3';
	text[0] = 'x'; /* so that the cut falls into a character */
	memmove(text + 1, text + 2, sizeof(text) - 2);
	one(w, ask_for("/test.T/Fail", text, sizeof(text) - 1), message);
	assert_true(strlen(message) <= 3 * LIMIT_GRPC_STATUS);
	assert_string_equal(message + strlen(message) - 3, "%BC");
	world_free(w);
}

/* ---- many, and the end ---- */

static void
test_many(void **state)
{
	struct world *w = world_new();
	struct peer *p[100];
	char text[32];

	for (size_t i = 0; i < ARRAY_LEN(p); i++) {
		p[i] = peer_open(w, 0);
		for (int k = 0; k < 20; k++) {
			snprintf(text, sizeof(text), "%zu %d", i, k);
			peer_ask(p[i], ask_for("/test.T/Echo", text, strlen(text)));
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(p); i++) {
		for (int k = 0; k < 20; k++) {
			WAIT(w, p[i]->replies[k].closed);
			snprintf(text, sizeof(text), "%zu %d", i, k);
			check_ok(&p[i]->replies[k], text, strlen(text));
		}
		peer_close(p[i]);
	}
	assert_int_equal(w->started, 2000);
	world_free(w);
}

static void
count_idle(struct frontend *f)
{
	((struct world *)f)->idle++;
}

static void
test_stop(void **state)
{
	struct world *w = world_new();
	struct peer *p = peer_open(w, 0), *quiet = peer_open(w, 0);
	struct reply *r = peer_ask(p, ask_for("/test.T/Wait", "", 0));

	WAIT(w, w->waiting_n == 1 && quiet->got > 0);
	grpc_stop(&w->f, 10000, count_idle);
	WAIT(w, p->goaways && quiet->goaways && quiet->gone);
	assert_int_equal(w->idle, 0);
	call_send(w->waiting[0], w->chunk, 0, w->chunk->n);
	call_finish(world_take(w), GRPC_OK, "");
	WAIT(w, r->closed);
	check_ok(r, w->chunk->bytes, w->chunk->n);
	WAIT(w, p->gone);
	for (int i = 0; i < 5; i++)
		world_step(w);
	assert_int_equal(w->idle, 1);
	peer_close(p);
	peer_close(quiet);
	world_free(w);
}

static void
test_stop_hard(void **state)
{
	struct world *w = world_new();
	struct peer *p = peer_open(w, 0);
	struct reply *wait = peer_ask(p, ask_for("/test.T/Wait", "", 0));
	struct ask a = ask_for("/test.T/Echo", "half", 4);

	a.n = 7;
	a.keep_open = true;
	struct reply *half = peer_ask(p, a);
	WAIT(w, w->waiting_n == 1 && w->f.grpc->calls_n == 2);
	grpc_stop(&w->f, 20, count_idle);
	WAIT(w, wait->closed && half->closed);
	assert_int_equal(wait->status, GRPC_UNAVAILABLE);
	assert_int_equal(half->status, GRPC_UNAVAILABLE);
	assert_int_equal(w->cancelled, 1);
	WAIT(w, w->idle == 1);
	peer_close(p);
	world_free(w);
}

/* Who does not take its answer is not waited for. */
static void
test_stop_stuck(void **state)
{
	struct world *w = world_new();
	struct peer *p = peer_open(w, 1 << 24);

	WAIT(w, p->got > 0);
	peer_ask(p, ask_for("/test.T/Big", "9000000", 7));
	peer_reading(p, false);
	WAIT(w, w->f.grpc->calls_n == 1);
	grpc_stop(&w->f, 20, count_idle);
	WAIT(w, w->idle == 1);
	assert_int_equal(w->f.grpc->conns_n, 0);
	peer_close(p);
	world_free(w);
}

static void
test_stop_idle(void **state)
{
	struct world *w = world_new();

	grpc_stop(&w->f, 10000, count_idle);
	assert_int_equal(w->idle, 0); /* from the loop */
	world_step(w);
	assert_int_equal(w->idle, 1);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_unary),
	    cmocka_unit_test(test_bytewise),
	    cmocka_unit_test(test_streaming),
	    cmocka_unit_test(test_in_turn),
	    cmocka_unit_test(test_deadline),
	    cmocka_unit_test(test_deadline_kept),
	    cmocka_unit_test(test_deadline_before_request),
	    cmocka_unit_test(test_deadline_inside_message),
	    cmocka_unit_test(test_cancel),
	    cmocka_unit_test(test_connection_lost),
	    cmocka_unit_test(test_cancel_answers_others),
	    cmocka_unit_test(test_answer_when_cancelled),
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_default_size),
	    cmocka_unit_test(test_framing),
	    cmocka_unit_test(test_answer_before_end),
	    cmocka_unit_test(test_not_grpc),
	    cmocka_unit_test(test_error_text),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_stop),
	    cmocka_unit_test(test_stop_hard),
	    cmocka_unit_test(test_stop_stuck),
	    cmocka_unit_test(test_stop_idle),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
