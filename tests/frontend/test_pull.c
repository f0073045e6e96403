/* The pull state machine with scripted neighbours at real channels: the test plays
 * command, store, supervisor and fetchers, hostile ones too. */
#include "tests/frontend/core_world.h"

#include "common/ipc/control.h"
#include "frontend/fetchers.h"
#include "frontend/registries.h"

#include <string.h>

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct world *
world_with_command(const char *policy_problem)
{
	struct world *w = world_new(policy_problem);

	command_open(w, 0, true);
	return w;
}

static void
start_pull(struct world *w, const char *name, enum fetch_auth auth)
{
	struct ipc_msg m = IPC_MSG(cli_pull, .req = 1, .name = span_str(name),
	    .auth = auth, .secret = span_str(auth == AUTH_GIVEN ? "user:pass" : ""));

	send_from(w, &w->commands[0], &m);
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
	struct world *w = world_with_command("");

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
	expect(w, &w->commands[0], MSG_cli_layer);
	struct msg_get *get = &expect(w, &w->fetcher[0], MSG_get)->get;
	assert_int_equal(get->kind, FETCH_LAYER);
	assert_int_equal(get->token, 55);
	struct ipc_msg end = IPC_MSG(pull_end, .pull = pull, .fresh = 1);
	send_from(w, &w->store, &end);
	expect(w, &w->commands[0], MSG_cli_pulled);
	assert_int_equal(expect(w, &w->commands[0], MSG_cli_done)->cli_done.code, 0);
	expect(w, &w->supervisor, MSG_end);
	assert_null(w->f.pulls);
	world_free(w);
}

/* q.io/n is rewritten to r.io:5000/x, with the mirror m.io, which may be insecure. */
static void
rewrite_names(struct world *w)
{
	static const struct {
		enum registry_row kind;
		unsigned flags;
		const char *name, *value;
	} rows[] = {{REGISTRY_FILE, 0, "/etc/r.conf", ""},
	    {REGISTRY_TABLE, 0, "q.io/n", "r.io:5000/x"},
	    {REGISTRY_MIRROR, REGISTRY_INSECURE | REGISTRY_TAG_ONLY, "", "m.io/q"},
	    {REGISTRY_TABLE, 0, "q.io/t:1", "r.io/t:2"},
	    {REGISTRY_TABLE, REGISTRY_BLOCKED, "q.io/no", "q.io/no"}};

	w->f.registries = registries_new();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(
		    registries_add(w->f.registries, rows[i].kind, rows[i].flags,
			span_str(rows[i].name), span_str(rows[i].value)),
		    0);
}

/* What is recorded and judged is the name; what is asked for, and whose credentials go
 * along, is the place's. Credentials that came with the request stay with its registry.
 */
static void
a_name_is_had_from_its_place(void **state)
{
	static const struct {
		const char *name, *recorded, *host, *repository, *ref;
		unsigned port, verify;
		enum fetch_auth auth, sent;
	} rows[] = {
	    {"q.io/n/a:1", "q.io/n/a:1", "m.io", "q/a", "1", 443, 0, AUTH_FILES,
		AUTH_FILES},
	    {"q.io/n/a:1", "q.io/n/a:1", "m.io", "q/a", "1", 443, 0, AUTH_GIVEN,
		AUTH_FILES},
	    {"q.io/n/a:1", "q.io/n/a:1", "m.io", "q/a", "1", 443, 0, AUTH_NONE,
		AUTH_NONE},
	    {"q.io/n/a:1@sha256:" HEX_A, "q.io/n/a@sha256:" HEX_A, "r.io", "x/a",
		"sha256:" HEX_A, 5000, 1, AUTH_GIVEN, AUTH_FILES},
	    {"q.io/t:1", "q.io/t:1", "r.io", "t", "2", 443, 1, AUTH_FILES, AUTH_FILES},
	    {"q.io/b:1", "q.io/b:1", "q.io", "b", "1", 443, 1, AUTH_GIVEN, AUTH_GIVEN},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_with_command("");
		rewrite_names(w);
		start_pull(w, rows[i].name, rows[i].auth);
		const struct msg_pull *p = &expect(w, &w->store, MSG_pull)->pull;
		uint64_t pull = p->pull;
		assert_true(span_is(p->name, rows[i].recorded));
		const struct msg_want_fetch *f =
		    &expect(w, &w->supervisor, MSG_want_fetch)->want_fetch;
		assert_true(span_is(f->host, rows[i].host));
		assert_int_equal(f->port, rows[i].port);
		assert_true(span_is(f->repository, rows[i].repository));
		assert_int_equal(f->verify, rows[i].verify);
		assert_int_equal(f->auth, rows[i].sent);
		assert_int_equal(f->secret.n, rows[i].sent == AUTH_GIVEN ? 9 : 0);
		assert_true(strncmp((const char *)f->auth_host.p, rows[i].host,
				strlen(rows[i].host)) == 0);
		grant_fetcher(w, 0, pull, f->fetch);
		struct ipc_msg need =
		    IPC_MSG(need_document, .pull = pull, .req = 1, .kind = DOC_TOP);
		send_from(w, &w->store, &need);
		assert_true(
		    span_is(expect(w, &w->fetcher[0], MSG_get)->get.ref, rows[i].ref));
		world_free(w);
	}
}

/* How a registry is asked, by the configuration's lists and by the request's own word;
 * what follows when TLS brings no answer; and that each use is told. */
static void
an_insecure_registry_is_asked_as_allowed(void **state)
{
	enum { NEVER, FALLS_BACK, AT_ONCE };
	static const struct {
		const char *name;
		unsigned flags, verify, port, plain; /* verify: of the request */
		bool verified;
		int http;
		const char *told;
	} rows[] = {
	    {"q.io/x", 0, 0, 443, 0, true, NEVER, NULL},
	    {"q.io/x", 0, 2, 443, 80, false, FALLS_BACK,
		"without a look at its certificate (the request says so)"},
	    {"q.io/x", INSECURE_TLS, 0, 443, 0, false, NEVER,
		"https://q.io is asked for q.io/x:latest without a look at its "
		"certificate (the_key: q.io)"},
	    {"q.io/x", INSECURE_TLS | INSECURE_HTTP, 0, 443, 80, false, FALLS_BACK,
		"(the_key: q.io)"},
	    {"q.io:5000/x", INSECURE_TLS | INSECURE_HTTP, 0, 5000, 5000, false,
		FALLS_BACK, "(the_key: q.io)"},
	    {"q.io/x", INSECURE_HTTP, 0, 80, 0, true, AT_ONCE,
		"http://q.io is asked for q.io/x:latest by plain HTTP (the_key: q.io)"},
	    {"q.io:5000/x", INSECURE_HTTP, 0, 5000, 0, true, AT_ONCE, "by plain HTTP"},
	    {"q.io/x", INSECURE_TLS | INSECURE_HTTP, 1, 443, 0, true, NEVER, NULL},
	    {"q.io/x", INSECURE_HTTP, 1, 443, 0, true, NEVER, NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_with_command("");
		w->f.log_level = LOG_INFO;
		w->f.embedded = true; /* no line about the pull itself */
		w->f.registries = registries_new();
		if (rows[i].flags)
			assert_int_equal(
			    registries_add(w->f.registries, REGISTRY_RULE, rows[i].flags,
				span_str("q.io"), span_str("the_key")),
			    0);
		struct ipc_msg m = IPC_MSG(cli_pull, .req = 1,
		    .name = span_str(rows[i].name), .verify = rows[i].verify);
		send_from(w, &w->commands[0], &m);
		uint64_t pull = expect(w, &w->store, MSG_pull)->pull.pull;
		const struct msg_want_fetch *f =
		    &expect(w, &w->supervisor, MSG_want_fetch)->want_fetch;
		assert_int_equal(f->port, rows[i].port);
		assert_int_equal(f->verify, rows[i].verified);
		assert_int_equal(
		    f->scheme, rows[i].http == AT_ONCE ? SCHEME_HTTP : SCHEME_HTTPS);
		uint64_t fetch = f->fetch;
		if (rows[i].told) {
			struct span told = expect(w, &w->supervisor, MSG_log)->log.text;
			char text[600];
			assert_true(span_to_str(told, text, sizeof(text)));
			if (!strstr(text, rows[i].told))
				fail_msg("told: %s", text);
		}
		grant_fetcher(w, 0, pull, fetch);
		struct ipc_msg need =
		    IPC_MSG(need_document, .pull = pull, .req = 7, .kind = DOC_TOP);
		send_from(w, &w->store, &need);
		struct ipc_msg failed = IPC_MSG(fetch_failed, .req = 7,
		    .code = ERR_NETWORK, .text = span_str("no TLS"));
		send_from(w, &w->fetcher[0], &failed);
		if (rows[i].http != FALLS_BACK) {
			expect(w, &w->store, MSG_cancel);
		} else {
			expect(w, &w->supervisor, MSG_end);
			f = &expect(w, &w->supervisor, MSG_want_fetch)->want_fetch;
			assert_int_equal(f->scheme, SCHEME_HTTP);
			assert_int_equal(f->port, rows[i].plain);
			expect(w, &w->supervisor, MSG_log);
		}
		world_free(w);
	}
}

static void
a_blocked_name_is_not_asked_for(void **state)
{
	struct world *w = world_with_command("");

	rewrite_names(w);
	start_pull(w, "q.io/no/a:1", AUTH_FILES);
	const struct msg_cli_done *d =
	    &expect(w, &w->commands[0], MSG_cli_done)->cli_done;
	assert_int_equal(d->code, ERR_POLICY);
	assert_true(span_is(d->text,
	    "q.io/no/a:1 is blocked: /etc/r.conf has a [[registry]] with prefix "
	    "\"q.io/no\" and blocked = true"));
	expect_silence(w, &w->supervisor);
	expect_silence(w, &w->store);
	world_free(w);
}

/* A reload does not reach into a pull that has begun. */
static void
a_pull_keeps_its_places(void **state)
{
	struct world *w = world_with_command("");

	rewrite_names(w);
	start_pull(w, "q.io/n/a:1", AUTH_FILES);
	registries_unref(w->f.registries);
	w->f.registries = NULL;
	const struct site *s = w->f.pulls->sites;
	assert_int_equal(w->f.pulls->n_sites, 2);
	assert_string_equal(s[0].at.auth_host, "m.io");
	assert_true(s[0].mirror);
	assert_string_equal(s[1].at.auth_host, "r.io:5000");
	assert_false(s[1].mirror);
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
	struct world *w = world_with_command("");
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

/* Tokens die with the fetcher that had them: the next one is asked without. */
static void
another_fetcher_begins_without_a_token(void **state)
{
	struct world *w = world_with_command("");
	uint64_t pull = pull_begun(w, "quay.io/a/b", AUTH_FILES);
	uint64_t first = w->f.pulls->sites[0].home->id;
	struct ipc_msg c = bearer(7, "https://quay.io/token");

	send_from(w, &w->fetcher[0], &c);
	uint64_t req = expect(w, &w->fetcher[0], MSG_get_token)->get_token.req;
	struct ipc_msg done = IPC_MSG(fetched, .req = req);
	send_from(w, &w->fetcher[0], &done);
	assert_int_equal(expect(w, &w->fetcher[0], MSG_get)->get.auth, 2);
	done.fetched.req = 7;
	send_from(w, &w->fetcher[0], &done);
	chan_release(&w->fetcher[0]);
	struct ipc_msg gone = IPC_MSG(
	    gone, .room = ROOM_FETCH, .pull = pull, .token = first, .status = 265);
	send_from(w, &w->supervisor, &gone);
	expect(w, &w->supervisor, MSG_end);

	struct ipc_msg need = IPC_MSG(
	    need_document, .pull = pull, .req = 8, .kind = DOC_CONFIG, .known = 1);
	send_from(w, &w->store, &need);
	uint64_t fetch = expect(w, &w->supervisor, MSG_want_fetch)->want_fetch.fetch;
	grant_fetcher(w, 1, pull, fetch);
	assert_int_equal(expect(w, &w->fetcher[1], MSG_get)->get.auth, 0);
	c.challenge.req = 8;
	send_from(w, &w->fetcher[1], &c);
	done.fetched.req = expect(w, &w->fetcher[1], MSG_get_token)->get_token.req;
	send_from(w, &w->fetcher[1], &done);
	assert_int_equal(expect(w, &w->fetcher[1], MSG_get)->get.auth, 2);
	expect_silence(w, &w->store);
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
		struct world *w = world_with_command("");
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
		struct world *w = world_with_command("");
		struct waiter waiter = {.ops = &ops};
		struct err e = {0};
		struct pull_options o = {.name = span_str("quay.io/a/b"),
		    .auth = AUTH_GIVEN,
		    .secret_kind = SECRET_BEARER,
		    .secret = span_str("token")};

		assert_int_equal(pull_join(&w->f, &waiter, &o, &e), 0);
		settle(w, 5);
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
	struct world *w = world_with_command("");
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
	struct world *w = world_with_command("");

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
	struct world *w = world_with_command("");

	pull_begun(w, "quay.io/a/b", AUTH_NONE);
	send_from(w, &w->fetcher[0], &failed);
	struct msg_cancel *c = &expect(w, &w->store, MSG_cancel)->cancel;
	assert_int_equal(c->code, ERR_NETWORK);
	assert_non_null(memmem(c->text.p, c->text.n, "https://quay.io", 15));
	world_free(w);

	w = world_with_command("");
	pull_begun(w, "quay.io/a/b", AUTH_NONE);
	send_from(w, &w->fetcher[0], &down);
	expect(w, &w->store, MSG_cancel);
	world_free(w);

	/* loopback may: the registry's own fetcher starts again without TLS */
	w = world_with_command("");
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
	struct world *w = world_with_command("no signature policy: looked for /x");

	start_pull(w, "quay.io/a/b", AUTH_NONE);
	struct msg_cli_done *d = &expect(w, &w->commands[0], MSG_cli_done)->cli_done;
	assert_int_equal(d->code, ERR_POLICY);
	expect_silence(w, &w->store);
	expect_silence(w, &w->supervisor);
	world_free(w);
}

static void
bad_names_are_usage(void **state)
{
	struct world *w = world_with_command("");

	start_pull(w, "quay.io/UPPER", AUTH_NONE);
	assert_int_equal(
	    expect(w, &w->commands[0], MSG_cli_done)->cli_done.code, ERR_USAGE);
	start_pull(w, "host:99999/x", AUTH_NONE);
	assert_int_equal(
	    expect(w, &w->commands[0], MSG_cli_done)->cli_done.code, ERR_USAGE);
	assert_null(w->f.pulls);
	world_free(w);
}

static void
a_fetcher_that_dies_or_lies_ends_its_pull_alone(void **state)
{
	struct world *w = world_with_command("");
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
	    cmocka_unit_test(a_name_is_had_from_its_place),
	    cmocka_unit_test(an_insecure_registry_is_asked_as_allowed),
	    cmocka_unit_test(a_blocked_name_is_not_asked_for),
	    cmocka_unit_test(a_pull_keeps_its_places),
	    cmocka_unit_test(a_token_of_another_origin_comes_through_its_own_fetcher),
	    cmocka_unit_test(another_fetcher_begins_without_a_token),
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
