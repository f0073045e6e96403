/* Endpoints that fail, with scripted neighbours: what is tried again and when, what goes
 * on where, and what the last word is. */
#include "tests/frontend/core_world.h"

#include "frontend/fetchers.h"

#include <string.h>

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* up.io/x has the mirrors m1.io and m2.io. */
static struct world *
world_with_mirrors(enum fallback fallback)
{
	static const struct {
		enum registry_row kind;
		const char *name, *value;
	} rows[] = {{REGISTRY_FILE, "/etc/r.conf", ""},
	    {REGISTRY_TABLE, "up.io/x", "up.io/x"}, {REGISTRY_MIRROR, "", "m1.io/c"},
	    {REGISTRY_MIRROR, "", "m2.io"}};
	struct world *w = world_new("");

	command_open(w, 0, true);
	w->f.fallback = fallback;
	w->f.retry_after_ms = 60000;
	w->f.registries = registries_new();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(registries_add(w->f.registries, rows[i].kind, 0,
				     span_str(rows[i].name), span_str(rows[i].value)),
		    0);
	return w;
}

static uint64_t
begin(struct world *w, uint64_t req, const char *name)
{
	struct ipc_msg m = IPC_MSG(cli_pull, .req = req, .name = span_str(name));

	send_from(w, &w->commands[0], &m);
	return expect(w, &w->store, MSG_pull)->pull.pull;
}

static void
need(struct world *w, uint64_t pull, uint64_t req, enum document_kind kind)
{
	struct ipc_msg m = IPC_MSG(need_document, .pull = pull, .req = req, .kind = kind,
	    .known = kind != DOC_TOP);

	memset(m.need_document.digest, 0xaa, sizeof(m.need_document.digest));
	send_from(w, &w->store, &m);
}

/* The fetcher that is wanted next goes to that host. */
static struct msg_want_fetch
wanted(struct world *w, const char *host)
{
	for (;;) {
		struct ipc_msg *m = &w->last;
		const char *why;
		ipc_msg_release(m);
		if (chan_recv(&w->supervisor, m, &why) != 0)
			fail_msg("no fetcher for %s is wanted", host);
		if (m->type != MSG_want_fetch)
			continue;
		struct msg_want_fetch f = m->want_fetch;
		assert_true(span_is(f.host, host));
		return f;
	}
}

/* It is granted as number n. */
static struct msg_want_fetch
next_fetcher(struct world *w, unsigned n, const char *host)
{
	struct msg_want_fetch f = wanted(w, host);

	grant_fetcher(w, n, f.pull, f.fetch);
	return f;
}

static void
refuse(struct world *w, const struct msg_want_fetch *f, enum err_class code,
    const char *text)
{
	struct ipc_msg m = IPC_MSG(refused, .room = ROOM_FETCH, .pull = f->pull,
	    .token = f->fetch, .code = code, .text = span_str(text));

	send_from(w, &w->supervisor, &m);
}

static void
fails(struct world *w, unsigned n, uint64_t req, enum err_class code, unsigned status,
    bool transient, unsigned retry_after)
{
	struct ipc_msg m = IPC_MSG(fetch_failed, .req = req, .code = code,
	    .status = status, .text = span_str("it fails"), .transient = transient,
	    .retry_after = retry_after);

	send_from(w, &w->fetcher[n], &m);
}

static void
fetched(struct world *w, unsigned n, uint64_t req)
{
	struct ipc_msg m = IPC_MSG(fetched, .req = req, .bytes = 5);

	send_from(w, &w->fetcher[n], &m);
}

static void
expect_end(struct world *w, enum err_class code, const char *part)
{
	struct msg_cancel *c = &expect(w, &w->store, MSG_cancel)->cancel;

	assert_int_equal(c->code, code);
	if (!memmem(c->text.p, c->text.n, part, strlen(part)))
		fail_msg("\"%.*s\" lacks \"%s\"", (int)c->text.n, (const char *)c->text.p,
		    part);
}

/* Waits for the next `get`, for as long as a pause may take. */
static struct msg_get *
get_after_pause(struct world *w, unsigned n, unsigned most_ms)
{
	const char *why;

	for (unsigned ms = 0; ms <= most_ms + 5000; ms += 20) {
		ipc_msg_release(&w->last);
		if (chan_recv(&w->fetcher[n], &w->last, &why) == 0) {
			assert_int_equal(w->last.type, MSG_get);
			return &w->last.get;
		}
		settle(w, 20);
	}
	fail_msg("it is not asked again");
	return NULL;
}

static void
what_may_do_better_is_tried_again(void **state)
{
	struct world *w = world_with_mirrors(FALLBACK_ALWAYS);
	uint64_t pull = begin(w, 1, "quay.io/a");

	w->f.retries = 2;
	next_fetcher(w, 0, "quay.io");
	need(w, pull, 7, DOC_TOP);
	expect(w, &w->fetcher[0], MSG_get);
	for (unsigned i = 0; i < 2; i++) {
		fails(w, 0, 7, ERR_NETWORK, 503, true, 0);
		assert_int_equal(get_after_pause(w, 0, 4000)->req, 7);
		expect_silence(w, &w->store);
	}
	fails(w, 0, 7, ERR_NETWORK, 503, true, 0);
	expect_end(w, ERR_NETWORK, "it fails");
	world_free(w);

	/* what is refused for good is not */
	w = world_with_mirrors(FALLBACK_ALWAYS);
	w->f.retries = 2;
	pull = begin(w, 1, "quay.io/a");
	next_fetcher(w, 0, "quay.io");
	need(w, pull, 7, DOC_TOP);
	expect(w, &w->fetcher[0], MSG_get);
	fails(w, 0, 7, ERR_NOT_FOUND, 404, false, 0);
	expect_end(w, ERR_NOT_FOUND, "it fails");
	world_free(w);
}

/* New bytes make the count begin anew; a layer's second request says that it is one. */
static void
layers_go_on(void **state)
{
	struct world *w = world_with_mirrors(FALLBACK_ALWAYS);
	struct ipc_msg layer =
	    IPC_MSG(layer, .count = 1, .size = 900, .state = LAYER_WANTED, .token = 55);
	uint64_t req = UINT64_C(1) << 40;

	w->f.retries = 1;
	layer.layer.pull = begin(w, 1, "quay.io/a");
	next_fetcher(w, 0, "quay.io");
	send_from(w, &w->store, &layer);
	assert_int_equal(expect(w, &w->fetcher[0], MSG_get)->get.resume, 0);
	for (unsigned i = 1; i <= 4; i++) {
		struct ipc_msg more =
		    IPC_MSG(fetch_progress, .req = req, .bytes = 100 * i);
		send_from(w, &w->fetcher[0], &more);
		fails(w, 0, req, ERR_NETWORK, 200, true, 0);
		struct msg_get *g = get_after_pause(w, 0, 500);
		assert_int_equal(g->resume, 1);
		assert_int_equal(g->token, 55);
	}
	fails(w, 0, req, ERR_NETWORK, 200, true, 0);
	expect_end(w, ERR_NETWORK, "it fails");
	world_free(w);
}

/* One pull is told to wait, and all of them do; a pull that ends waits no longer. */
static void
registries_are_left_alone(void **state)
{
	struct world *w = world_with_mirrors(FALLBACK_ALWAYS);
	uint64_t one = begin(w, 1, "quay.io/a"), two;

	w->f.retries = 3;
	w->f.retry_after_ms = 2000;
	next_fetcher(w, 0, "quay.io");
	need(w, one, 7, DOC_TOP);
	expect(w, &w->fetcher[0], MSG_get);
	uint64_t asked = loop_now();
	fails(w, 0, 7, ERR_NETWORK, 429, true, 1);
	two = begin(w, 2, "quay.io/b");
	next_fetcher(w, 1, "quay.io");
	need(w, two, 8, DOC_TOP);
	expect_silence(w, &w->fetcher[0]);
	expect_silence(w, &w->fetcher[1]);
	get_after_pause(w, 1, 3000);
	assert_true(loop_now() - asked >= 990);
	get_after_pause(w, 0, 3000);

	fails(w, 0, 7, ERR_NETWORK, 429, true, 3); /* more than it may ask for */
	expect_end(w, ERR_NETWORK, "it asks to wait 3 s");
	fails(w, 1, 8, ERR_NETWORK, 503, true, 2);
	struct ipc_msg cancel = IPC_MSG(cli_cancel, .req = 2);
	send_from(w, &w->commands[0], &cancel);
	expect_end(w, ERR_DEADLINE, "cancelled");
	settle(w, 50);
	expect_silence(w, &w->fetcher[1]);
	world_free(w);
}

/* What a mirror lacks comes from the next; the rest is asked of it as before. */
static void
what_a_mirror_lacks(void **state)
{
	struct world *w = world_with_mirrors(FALLBACK_ALWAYS);
	uint64_t pull = begin(w, 1, "up.io/x/a:1");
	struct msg_want_fetch f = next_fetcher(w, 0, "m1.io");

	assert_true(span_is(f.repository, "c/a"));
	assert_true(span_is(f.auth_host, "m1.io"));
	need(w, pull, 7, DOC_TOP);
	assert_true(span_is(
	    expect(w, &w->fetcher[0], MSG_get)->get.url, "/v2/c/a/manifests/1?ns=up.io"));
	fetched(w, 0, 7);
	need(w, pull, 8, DOC_MANIFEST);
	assert_true(span_is(expect(w, &w->fetcher[0], MSG_get)->get.url,
	    "/v2/c/a/manifests/sha256:" HEX_A "?ns=up.io"));
	fails(w, 0, 8, ERR_NOT_FOUND, 404, false, 0);
	next_fetcher(w, 1, "m2.io");
	assert_int_equal(expect(w, &w->fetcher[1], MSG_get)->get.req, 8);
	fails(w, 1, 8, ERR_AUTH, 403, false, 0);
	f = next_fetcher(w, 2, "up.io");
	assert_int_equal(f.via, 0);
	struct msg_get *g = &expect(w, &w->fetcher[2], MSG_get)->get;
	assert_int_equal(g->url.n, 0); /* the registry knows whose it is */
	fetched(w, 2, 8);
	need(w, pull, 9, DOC_CONFIG);
	/* m2.io refuses all, m1.io lacked one thing: at the best that is left */
	expect_silence(w, &w->fetcher[0]);
	assert_int_equal(expect(w, &w->fetcher[2], MSG_get)->get.req, 9);
	expect_silence(w, &w->store);
	world_free(w);
}

static void
all_of_them_fail(void **state)
{
	struct world *w = world_with_mirrors(FALLBACK_ALWAYS);
	uint64_t pull = begin(w, 1, "up.io/x/a:1");

	next_fetcher(w, 0, "m1.io");
	need(w, pull, 7, DOC_TOP);
	expect(w, &w->fetcher[0], MSG_get);
	fails(w, 0, 7, ERR_NOT_FOUND, 404, false, 0);
	next_fetcher(w, 1, "m2.io");
	expect(w, &w->fetcher[1], MSG_get);
	fails(w, 1, 7, ERR_NETWORK, 0, true, 0);
	next_fetcher(w, 2, "up.io");
	expect(w, &w->fetcher[2], MSG_get);
	fails(w, 2, 7, ERR_AUTH, 401, false, 0);
	expect_end(w, ERR_AUTH,
	    "no endpoint gives it: https://m1.io: it fails; https://m2.io: it fails; "
	    "https://up.io: it fails (credentials: ");
	world_free(w);
}

/* A helper that fails, or a wrong file, is its endpoint's failure, whether something was
 * to be asked there already or not. */
static void
an_endpoint_that_cannot_be_asked(void **state)
{
	struct world *w = world_with_mirrors(FALLBACK_ALWAYS);
	uint64_t pull = begin(w, 1, "up.io/x/a:1");
	struct msg_want_fetch f = wanted(w, "m1.io"), gone = f;

	refuse(w, &f, ERR_DEADLINE, "helper: late");
	f = wanted(w, "m2.io");
	need(w, pull, 7, DOC_TOP);
	refuse(w, &f, ERR_AUTH, "helper: no key");
	f = next_fetcher(w, 2, "up.io");
	refuse(w, &gone, ERR_INTERNAL, "nobody's any more");
	assert_int_equal(expect(w, &w->fetcher[2], MSG_get)->get.req, 7);
	fails(w, 2, 7, ERR_NOT_FOUND, 404, false, 0);
	expect_end(w, ERR_NOT_FOUND,
	    "no endpoint gives it: https://m1.io: helper: late; https://m2.io: helper: "
	    "no "
	    "key; https://up.io: it fails");

	/* the late one is passed over; the last one's failure is the pull's */
	pull = begin(w, 2, "up.io/x/a:2");
	f = wanted(w, "m2.io");
	refuse(w, &f, ERR_AUTH, "helper: no key");
	f = wanted(w, "up.io");
	refuse(w, &f, ERR_AUTH, "helper: nor here");
	expect_end(
	    w, ERR_AUTH, "https://m2.io: helper: no key; https://up.io: helper: nor");

	/* what is the node's own fault ends it at once; who has no mirrors is not told of
	 * endpoints */
	begin(w, 3, "up.io/x/a:3");
	f = wanted(w, "m2.io");
	refuse(w, &f, ERR_INTERNAL, "no room");
	expect_end(w, ERR_INTERNAL, "no fetcher: no room");
	begin(w, 4, "quay.io/a");
	f = wanted(w, "quay.io");
	refuse(w, &f, ERR_AUTH, "helper: no key");
	struct msg_cancel *c = &expect(w, &w->store, MSG_cancel)->cancel;
	assert_true(span_is(c->text, "helper: no key"));
	world_free(w);
}

static void
the_registry_only_as_configured(void **state)
{
	static const struct {
		enum fallback fallback;
		enum err_class first, second;
		bool asked;
	} rows[] = {
	    {FALLBACK_ALWAYS, ERR_NETWORK, ERR_AUTH, true},
	    {FALLBACK_ON_NOT_FOUND, ERR_NOT_FOUND, ERR_NOT_FOUND, true},
	    {FALLBACK_ON_NOT_FOUND, ERR_NETWORK, ERR_NOT_FOUND, false},
	    {FALLBACK_ON_NOT_FOUND, ERR_NOT_FOUND, ERR_AUTH, false},
	    {FALLBACK_NEVER, ERR_NOT_FOUND, ERR_NOT_FOUND, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_with_mirrors(rows[i].fallback);
		uint64_t pull = begin(w, 1, "up.io/x/a:1");
		next_fetcher(w, 0, "m1.io");
		need(w, pull, 7, DOC_TOP);
		fails(w, 0, 7, rows[i].first, 0, false, 0);
		next_fetcher(w, 1, "m2.io");
		fails(w, 1, 7, rows[i].second, 0, false, 0);
		if (rows[i].asked)
			next_fetcher(w, 2, "up.io");
		else
			expect_end(w, rows[i].second, "https://m1.io");
		world_free(w);
	}
}

static void
the_dead_are_passed_over(void **state)
{
	struct world *w = world_with_mirrors(FALLBACK_ALWAYS);
	uint64_t pull = begin(w, 1, "up.io/x/a:1");

	next_fetcher(w, 0, "m1.io");
	need(w, pull, 7, DOC_TOP);
	fails(w, 0, 7, ERR_DEADLINE, 0, true, 0);
	next_fetcher(w, 1, "m2.io");
	pull = begin(w, 2, "up.io/x/a:2");
	next_fetcher(w, 2, "m2.io");
	/* all are dead: then none is */
	need(w, pull, 8, DOC_TOP);
	fails(w, 2, 8, ERR_DEADLINE, 0, true, 0);
	next_fetcher(w, 3, "up.io");
	fails(w, 3, 8, ERR_DEADLINE, 0, true, 0);
	expect_end(w, ERR_DEADLINE, "https://m2.io: it fails; https://up.io: it fails");
	begin(w, 3, "up.io/x/a:3");
	next_fetcher(w, 2, "m1.io");
	world_free(w);
}

/* The store finds it wrong: a document comes again under its number, a layer when the
 * store has taken the first away. */
static void
wrong_bytes_come_from_elsewhere(void **state)
{
	struct world *w = world_with_mirrors(FALLBACK_ALWAYS);
	uint64_t pull = begin(w, 1, "up.io/x/a:1");
	struct ipc_msg wrong = IPC_MSG(wrong, .pull = pull, .req = 7, .code = ERR_CONTENT,
	    .text = span_str("it is another"), .proven = 1);
	struct ipc_msg layer = IPC_MSG(layer, .pull = pull, .index = 2, .count = 3,
	    .size = 9, .state = LAYER_WANTED, .token = 55);

	next_fetcher(w, 0, "m1.io");
	need(w, pull, 7, DOC_CONFIG);
	expect(w, &w->fetcher[0], MSG_get);
	fetched(w, 0, 7);
	send_from(w, &w->store, &wrong);
	next_fetcher(w, 1, "m2.io");
	assert_int_equal(expect(w, &w->fetcher[1], MSG_get)->get.req, 7);
	fetched(w, 1, 7);

	send_from(w, &w->store, &layer);
	expect(w, &w->commands[0], MSG_cli_layer);
	assert_int_equal(expect(w, &w->fetcher[1], MSG_get)->get.token, 55);
	wrong.wrong.req = UINT64_C(1) << 40 | 2;
	wrong.wrong.proven = 0;
	send_from(w, &w->store, &wrong);
	assert_int_equal(expect(w, &w->store, MSG_again)->again.index, 2);
	next_fetcher(w, 2, "up.io");
	expect_silence(w, &w->fetcher[2]);
	/* the rooms are gone, says the fetcher; nobody asks it any more */
	struct ipc_msg late = IPC_MSG(fetch_failed, .req = wrong.wrong.req,
	    .code = ERR_INTERNAL, .text = span_str("the layer's pipeline has ended"));
	if (w->fetcher[1].packet)
		(void)!chan_send(&w->fetcher[1], &late);
	layer.layer.token = 66;
	send_from(w, &w->store, &layer);
	struct msg_get *g = &expect(w, &w->fetcher[2], MSG_get)->get;
	assert_int_equal(g->token, 66);
	assert_int_equal(g->resume, 0);
	send_from(w, &w->store, &wrong);
	expect_end(w, ERR_CONTENT, "https://up.io: it is another");
	world_free(w);
}

/* Whoever takes the layer has gone: the store says why, or after a while nobody does. */
static void
a_lost_pipeline(void **state)
{
	struct world *w = world_with_mirrors(FALLBACK_ALWAYS);
	struct ipc_msg layer =
	    IPC_MSG(layer, .count = 1, .size = 900, .state = LAYER_WANTED, .token = 55);

	w->f.retries = 3;
	layer.layer.pull = begin(w, 1, "up.io/x/a:1");
	next_fetcher(w, 0, "m1.io");
	send_from(w, &w->store, &layer);
	expect(w, &w->fetcher[0], MSG_get);
	fails(w, 0, UINT64_C(1) << 40, ERR_INTERNAL, 200, false, 0);
	expect_silence(w, &w->store);
	expect_silence(w, &w->supervisor);
	settle(w, 5500);
	expect_end(w, ERR_INTERNAL, "it fails");
	world_free(w);
}

/* A token that has run out by our clock is not shown to the registry. */
static void
tokens_run_out(void **state)
{
	struct world *w = world_with_mirrors(FALLBACK_ALWAYS);
	uint64_t pull = begin(w, 1, "quay.io/a");
	struct ipc_msg c = IPC_MSG(challenge, .req = 7, .scheme = CHALLENGE_BEARER,
	    .realm = span_str("https://quay.io/token"), .service = span_str("s"));
	struct ipc_msg done = IPC_MSG(fetched, .expires = 60);

	next_fetcher(w, 0, "quay.io");
	need(w, pull, 7, DOC_TOP);
	expect(w, &w->fetcher[0], MSG_get);
	send_from(w, &w->fetcher[0], &c);
	done.fetched.req = expect(w, &w->fetcher[0], MSG_get_token)->get_token.req;
	send_from(w, &w->fetcher[0], &done);
	assert_int_equal(expect(w, &w->fetcher[0], MSG_get)->get.auth, 2);
	fetched(w, 0, 7);
	struct site *s = w->f.pulls->sites;
	assert_true(
	    s->auth_until > loop_now() + 50000 && s->auth_until <= loop_now() + 60000);
	s->auth_until = loop_now();
	need(w, pull, 8, DOC_CONFIG);
	done.fetched.req = expect(w, &w->fetcher[0], MSG_get_token)->get_token.req;
	expect_silence(w, &w->fetcher[0]);
	send_from(w, &w->fetcher[0], &done);
	assert_int_equal(expect(w, &w->fetcher[0], MSG_get)->get.auth, 3);
	expect_silence(w, &w->store);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_may_do_better_is_tried_again),
	    cmocka_unit_test(layers_go_on),
	    cmocka_unit_test(registries_are_left_alone),
	    cmocka_unit_test(what_a_mirror_lacks),
	    cmocka_unit_test(all_of_them_fail),
	    cmocka_unit_test(an_endpoint_that_cannot_be_asked),
	    cmocka_unit_test(the_registry_only_as_configured),
	    cmocka_unit_test(the_dead_are_passed_over),
	    cmocka_unit_test(wrong_bytes_come_from_elsewhere),
	    cmocka_unit_test(a_lost_pipeline),
	    cmocka_unit_test(tokens_run_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
