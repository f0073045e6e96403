/* The pull state machine with scripted neighbours at real channels: the test plays
 * command, store, supervisor and fetchers, hostile ones too. */
#include "common/base/fd.h"
#include "frontend/client.h"
#include "frontend/pull.h"
#include "frontend/query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* What main.c otherwise gives. */
uint64_t
frontend_next_id(struct frontend *f)
{
	return ++f->last_id;
}

void
frontend_log(struct frontend *f, const char *fmt, ...)
{
}

struct world {
	struct frontend f;
	struct chan command, store, supervisor;
	struct chan fetcher[4];
	struct ipc_msg last;
};

static int
to_store(struct port *p, struct ipc_msg *m)
{
	return pull_store_message(p->arg, m);
}

static int
to_control(struct port *p, struct ipc_msg *m)
{
	return pull_control_message(p->arg, m);
}

static void
port_gone(struct port *p, const char *why)
{
	port_release(p);
}

static void
open_side(struct world *w, struct port *p, struct chan *far, enum ipc_channel kind,
    enum room peer)
{
	int fds[2];

	assert_int_equal(chan_pair(fds), 0);
	p->arg = &w->f;
	p->ended = port_gone;
	assert_int_equal(
	    port_open(p, &w->f.loop, fds[0], kind, ROOM_FRONTEND, peer, IPC_RUN), 0);
	assert_int_equal(chan_init(far, fds[1], kind, peer, ROOM_FRONTEND), 0);
	far->phase = IPC_RUN;
}

static void
stop_loop(struct loop_timer *t)
{
	loop_quit(t->arg);
}

/* Lets the frontend handle all that was sent. */
static void
settle(struct world *w)
{
	struct loop_timer t = {.fired = stop_loop, .arg = &w->f.loop};

	loop_timer_set(&w->f.loop, &t, 5);
	w->f.loop.quit = false;
	assert_int_equal(loop_run(&w->f.loop), 0);
}

static void
send_from(struct world *w, struct chan *c, struct ipc_msg *m)
{
	assert_int_equal(chan_send(c, m), 0);
	settle(w);
}

static void
say_hello(struct world *w, struct chan *c)
{
	struct ipc_msg m = IPC_MSG(cli_hello);

	memcpy(m.cli_hello.schema, ipc_schema_hash, sizeof(m.cli_hello.schema));
	send_from(w, c, &m);
}

static struct world *
world_new(const char *policy_problem)
{
	struct world *w = calloc(1, sizeof(*w));
	int fds[2];

	assert_non_null(w);
	assert_int_equal(loop_init(&w->f.loop), 0);
	w->f.insecure = strdup("");
	w->f.policy_problem = strdup(policy_problem);
	w->f.store.message = to_store;
	w->f.control.message = to_control;
	open_side(w, &w->f.store, &w->store, CH_frontend_store, ROOM_STORE);
	open_side(w, &w->f.control, &w->supervisor, CH_control, ROOM_SUPERVISOR);
	assert_int_equal(chan_pair(fds), 0);
	assert_int_equal(client_open(&w->f, fds[0]), 0);
	assert_int_equal(
	    chan_init(&w->command, fds[1], CH_cli, ROOM_CLI, ROOM_FRONTEND), 0);
	w->command.phase = IPC_RUN;
	say_hello(w, &w->command);
	return w;
}

static void
world_free(struct world *w)
{
	pull_end_all(&w->f, ERR_INTERNAL, "end of test");
	query_end_all(&w->f, ERR_INTERNAL, "end of test");
	port_release(&w->f.store);
	port_release(&w->f.control);
	client_close_all(&w->f);
	chan_release(&w->command);
	chan_release(&w->store);
	chan_release(&w->supervisor);
	for (size_t i = 0; i < ARRAY_LEN(w->fetcher); i++)
		chan_release(&w->fetcher[i]);
	loop_release(&w->f.loop);
	free(w->f.insecure);
	free(w->f.policy_problem);
	free(w);
}

static struct ipc_msg *
expect(struct world *w, struct chan *c, enum ipc_type type)
{
	const char *why = "nothing came";

	ipc_msg_release(&w->last);
	int r = chan_recv(c, &w->last, &why);
	if (r != 0)
		fail_msg("expected message 0x%x: %d %s", type, r, why);
	if (w->last.type != type)
		fail_msg("expected message 0x%x, got 0x%x", type, w->last.type);
	return &w->last;
}

static void
expect_silence(struct world *w, struct chan *c)
{
	const char *why;

	assert_int_equal(chan_recv(c, &w->last, &why), CHAN_EMPTY);
}

static void
start_pull(struct world *w, const char *name, enum fetch_auth auth)
{
	struct ipc_msg m = IPC_MSG(cli_pull, .req = 1, .name = span_str(name),
	    .auth = auth, .secret = span_str(auth == AUTH_GIVEN ? "user:pass" : ""));

	send_from(w, &w->command, &m);
}

/* The supervisor grants fetcher `id` as number n. */
static void
grant_fetcher(struct world *w, unsigned n, uint64_t pull, uint64_t id)
{
	int fds[2];
	struct ipc_msg m =
	    IPC_MSG(peer, .channel = CH_frontend_fetch, .pull = pull, .token = id);

	assert_int_equal(chan_pair(fds), 0);
	assert_int_equal(chan_init(&w->fetcher[n], fds[0], CH_frontend_fetch, ROOM_FETCH,
			     ROOM_FRONTEND),
	    0);
	w->fetcher[n].phase = IPC_RUN;
	m.fds[0] = fds[1];
	m.nfds = 1;
	send_from(w, &w->supervisor, &m);
	close(fds[1]);
}

/* Up to the first get at the registry's fetcher; returns the pull's number. */
static uint64_t
pull_begun(struct world *w, const char *name, enum fetch_auth auth)
{
	start_pull(w, name, auth);
	uint64_t pull = expect(w, &w->store, MSG_pull)->pull.pull;
	uint64_t fetch = expect(w, &w->supervisor, MSG_want_fetch)->want_fetch.fetch;
	grant_fetcher(w, 0, pull, fetch);
	struct ipc_msg need =
	    IPC_MSG(need_document, .pull = pull, .req = 7, .kind = DOC_TOP);
	send_from(w, &w->store, &need);
	struct msg_get *get = &expect(w, &w->fetcher[0], MSG_get)->get;
	assert_int_equal(get->req, 7);
	assert_int_equal(get->auth, 0);
	return pull;
}

static void
an_anonymous_pull_runs_through(void **state)
{
	struct world *w = world_new("");

	start_pull(w, "quay.io/a/b", AUTH_NONE);
	struct msg_pull *p = &expect(w, &w->store, MSG_pull)->pull;
	assert_true(span_is(p->name, "quay.io/a/b:latest"));
	uint64_t pull = p->pull;
	struct msg_want_fetch *f = &expect(w, &w->supervisor, MSG_want_fetch)->want_fetch;
	assert_true(span_is(f->host, "quay.io"));
	assert_int_equal(f->port, 443);
	assert_int_equal(f->verify, 1);
	assert_int_equal(f->secret.n, 0);
	grant_fetcher(w, 0, pull, f->fetch);
	struct ipc_msg need =
	    IPC_MSG(need_document, .pull = pull, .req = 1, .kind = DOC_TOP);
	send_from(w, &w->store, &need);
	assert_true(span_is(expect(w, &w->fetcher[0], MSG_get)->get.ref, "latest"));
	struct ipc_msg layer = IPC_MSG(layer, .pull = pull, .index = 0, .count = 1,
	    .size = 9, .state = LAYER_WANTED, .token = 55);
	send_from(w, &w->store, &layer);
	expect(w, &w->command, MSG_cli_layer);
	struct msg_get *get = &expect(w, &w->fetcher[0], MSG_get)->get;
	assert_int_equal(get->kind, FETCH_LAYER);
	assert_int_equal(get->token, 55);
	struct ipc_msg end = IPC_MSG(pull_end, .pull = pull, .fresh = 1);
	send_from(w, &w->store, &end);
	expect(w, &w->command, MSG_cli_pulled);
	assert_int_equal(expect(w, &w->command, MSG_cli_done)->cli_done.code, 0);
	expect(w, &w->supervisor, MSG_end);
	assert_null(w->f.pulls);
	world_free(w);
}

static struct ipc_msg
bearer(uint64_t req, const char *realm)
{
	struct ipc_msg m = IPC_MSG(challenge, .req = req, .scheme = CHALLENGE_BEARER,
	    .realm = span_str(realm), .service = span_str("svc"),
	    .scope = span_str("repository:a/b:pull,push,delete"));
	return m;
}

static void
a_token_of_another_origin_comes_through_its_own_fetcher(void **state)
{
	struct world *w = world_new("");
	uint64_t pull = pull_begun(w, "quay.io/a/b", AUTH_FILES);
	struct ipc_msg c = bearer(7, "https://auth.quay.io/token");

	send_from(w, &w->fetcher[0], &c);
	struct msg_want_fetch *f = &expect(w, &w->supervisor, MSG_want_fetch)->want_fetch;
	assert_true(span_is(f->host, "auth.quay.io"));
	assert_true(span_is(f->auth_host, "quay.io"));
	assert_int_equal(f->auth, AUTH_FILES);
	assert_int_not_equal(f->parent, 0);
	grant_fetcher(w, 1, pull, f->fetch);
	struct msg_get_token *t = &expect(w, &w->fetcher[1], MSG_get_token)->get_token;
	assert_int_equal(t->own, 0);
	assert_true(
	    span_is(t->scope, "repository:a/b:pull")); /* ours, never the challenge's */
	expect_silence(w, &w->fetcher[0]);
	struct ipc_msg done = IPC_MSG(fetched, .req = t->req);
	send_from(w, &w->fetcher[1], &done);
	assert_int_equal(expect(w, &w->fetcher[0], MSG_get)->get.auth, 2);
	expect(w, &w->supervisor, MSG_end); /* the token fetcher's work is done */
	/* the same credential refused again: an answer, not a loop */
	send_from(w, &w->fetcher[0], &c);
	assert_int_equal(expect(w, &w->store, MSG_cancel)->cancel.code, ERR_AUTH);
	world_free(w);
}

static void
secrets_go_to_no_other_site(void **state)
{
	static const char *const realms[] = {"https://evil.example/token",
	    "http://quay.io/token", "https://169.254.169.254/token",
	    "https://127.0.0.1/token", "file:///etc/shadow", "https://user:pass@quay.io/",
	    ""};

	for (size_t i = 0; i < ARRAY_LEN(realms); i++) {
		struct world *w = world_new("");
		pull_begun(w, "quay.io/a/b", AUTH_GIVEN);
		struct ipc_msg c = bearer(7, realms[i]);
		send_from(w, &w->fetcher[0], &c);
		assert_int_not_equal(expect(w, &w->store, MSG_cancel)->cancel.code, 0);
		expect_silence(w, &w->supervisor);
		world_free(w);
	}
}

static void
nothing_done(struct waiter *w, enum err_class code, const uint8_t image[32], bool fresh,
    struct span text)
{
}

/* What a client of the CRI gives as registry token counts as a token server's answer: it
 * goes to the registry alone, and no token server is asked. */
static void
a_registry_token_goes_as_it_is(void **state)
{
	static const struct waiter_ops ops = {.done = nothing_done};

	for (int scheme = CHALLENGE_BEARER; scheme <= CHALLENGE_BASIC; scheme++) {
		struct world *w = world_new("");
		struct waiter waiter = {.ops = &ops};
		struct err e = {0};
		struct pull_options o = {.name = span_str("quay.io/a/b"),
		    .auth = AUTH_GIVEN,
		    .secret_kind = SECRET_BEARER,
		    .secret = span_str("token")};

		assert_int_equal(pull_join(&w->f, &waiter, &o, &e), 0);
		settle(w);
		uint64_t pull = expect(w, &w->store, MSG_pull)->pull.pull;
		struct msg_want_fetch *f =
		    &expect(w, &w->supervisor, MSG_want_fetch)->want_fetch;
		assert_int_equal(f->secret_kind, SECRET_BEARER);
		assert_true(span_is(f->secret, "token"));
		grant_fetcher(w, 0, pull, f->fetch);
		struct ipc_msg need =
		    IPC_MSG(need_document, .pull = pull, .req = 7, .kind = DOC_TOP);
		send_from(w, &w->store, &need);
		assert_int_equal(expect(w, &w->fetcher[0], MSG_get)->get.auth, 0);
		struct ipc_msg c = bearer(7, "https://auth.quay.io/token");
		c.challenge.scheme = (unsigned)scheme;
		send_from(w, &w->fetcher[0], &c);
		assert_int_equal(expect(w, &w->fetcher[0], MSG_get)->get.auth, 2);
		expect_silence(w, &w->supervisor);
		send_from(w, &w->fetcher[0], &c); /* refused: an answer, not a loop */
		assert_int_equal(expect(w, &w->store, MSG_cancel)->cancel.code, ERR_AUTH);
		expect_silence(w, &w->supervisor);
		world_free(w);
	}
}

static void
a_redirect_gets_a_fetcher_without_a_secret(void **state)
{
	struct world *w = world_new("");
	uint64_t pull = pull_begun(w, "quay.io/a/b", AUTH_GIVEN);
	struct ipc_msg r =
	    IPC_MSG(redirect, .req = 7, .url = span_str("https://cdn.example/x?sig=1"));

	send_from(w, &w->fetcher[0], &r);
	struct msg_want_fetch *f = &expect(w, &w->supervisor, MSG_want_fetch)->want_fetch;
	assert_true(span_is(f->host, "cdn.example"));
	assert_int_equal(f->auth, AUTH_NONE);
	assert_int_equal(f->secret.n, 0);
	assert_int_equal(f->parent, 0);
	grant_fetcher(w, 1, pull, f->fetch);
	struct msg_get *get = &expect(w, &w->fetcher[1], MSG_get)->get;
	assert_true(span_is(get->url, "/x?sig=1"));
	assert_int_equal(get->auth, 0);
	/* a challenge there is answered with nothing */
	struct ipc_msg c = bearer(7, "https://cdn.example/token");
	send_from(w, &w->fetcher[1], &c);
	assert_int_equal(expect(w, &w->store, MSG_cancel)->cancel.code, ERR_AUTH);
	expect_silence(w, &w->supervisor);
	world_free(w);
}

static void
redirects_end_after_five(void **state)
{
	struct world *w = world_new("");

	pull_begun(w, "quay.io/a/b", AUTH_NONE);
	struct ipc_msg r =
	    IPC_MSG(redirect, .req = 7, .url = span_str("https://quay.io/again"));
	for (int i = 0; i < LIMIT_REDIRECTS; i++) {
		send_from(w, &w->fetcher[0], &r);
		expect(w, &w->fetcher[0], MSG_get);
	}
	send_from(w, &w->fetcher[0], &r);
	assert_int_equal(expect(w, &w->store, MSG_cancel)->cancel.code, ERR_NETWORK);
	world_free(w);
}

static void
https_never_falls_to_http_unless_told(void **state)
{
	struct ipc_msg failed = IPC_MSG(fetch_failed, .req = 7, .code = ERR_NETWORK,
	    .text = span_str("connection refused"));
	struct ipc_msg down =
	    IPC_MSG(redirect, .req = 7, .url = span_str("http://quay.io/x"));
	struct world *w = world_new("");

	pull_begun(w, "quay.io/a/b", AUTH_NONE);
	send_from(w, &w->fetcher[0], &failed);
	struct msg_cancel *c = &expect(w, &w->store, MSG_cancel)->cancel;
	assert_int_equal(c->code, ERR_NETWORK);
	assert_non_null(memmem(c->text.p, c->text.n, "https://quay.io", 15));
	world_free(w);

	w = world_new("");
	pull_begun(w, "quay.io/a/b", AUTH_NONE);
	send_from(w, &w->fetcher[0], &down);
	expect(w, &w->store, MSG_cancel);
	world_free(w);

	/* loopback may: the registry's own fetcher starts again without TLS */
	w = world_new("");
	pull_begun(w, "127.0.0.1:5000/a", AUTH_NONE);
	send_from(w, &w->fetcher[0], &failed);
	expect(w, &w->supervisor, MSG_end);
	struct msg_want_fetch *f = &expect(w, &w->supervisor, MSG_want_fetch)->want_fetch;
	assert_int_equal(f->scheme, SCHEME_HTTP);
	assert_int_equal(f->port, 5000);
	expect_silence(w, &w->store);
	world_free(w);
}

static void
no_policy_no_pull(void **state)
{
	struct world *w = world_new("no signature policy: looked for /x");

	start_pull(w, "quay.io/a/b", AUTH_NONE);
	struct msg_cli_done *d = &expect(w, &w->command, MSG_cli_done)->cli_done;
	assert_int_equal(d->code, ERR_POLICY);
	expect_silence(w, &w->store);
	expect_silence(w, &w->supervisor);
	world_free(w);
}

static void
bad_names_are_usage(void **state)
{
	struct world *w = world_new("");

	start_pull(w, "quay.io/UPPER", AUTH_NONE);
	assert_int_equal(expect(w, &w->command, MSG_cli_done)->cli_done.code, ERR_USAGE);
	start_pull(w, "host:99999/x", AUTH_NONE);
	assert_int_equal(expect(w, &w->command, MSG_cli_done)->cli_done.code, ERR_USAGE);
	assert_null(w->f.pulls);
	world_free(w);
}

static void
a_fetcher_that_dies_or_lies_ends_its_pull_alone(void **state)
{
	struct world *w = world_new("");
	uint64_t pull = pull_begun(w, "quay.io/a/b", AUTH_NONE);

	/* numbers it was never given change nothing */
	struct ipc_msg wrong = IPC_MSG(fetched, .req = 999);
	send_from(w, &w->fetcher[0], &wrong);
	expect_silence(w, &w->store);
	/* a message that is not its to send */
	struct ipc_msg get = IPC_MSG(get, .req = 7);
	send_from(w, &w->fetcher[0], &get);
	struct msg_cancel *c = &expect(w, &w->store, MSG_cancel)->cancel;
	assert_int_equal(c->pull, pull);
	assert_int_equal(w->f.n_clients, 1);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_anonymous_pull_runs_through),
	    cmocka_unit_test(a_token_of_another_origin_comes_through_its_own_fetcher),
	    cmocka_unit_test(secrets_go_to_no_other_site),
	    cmocka_unit_test(a_registry_token_goes_as_it_is),
	    cmocka_unit_test(a_redirect_gets_a_fetcher_without_a_secret),
	    cmocka_unit_test(redirects_end_after_five),
	    cmocka_unit_test(https_never_falls_to_http_unless_told),
	    cmocka_unit_test(no_policy_no_pull),
	    cmocka_unit_test(bad_names_are_usage),
	    cmocka_unit_test(a_fetcher_that_dies_or_lies_ends_its_pull_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
