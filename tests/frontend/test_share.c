/* Who shares a pull, who waits for one, and what ends it. */
#include "tests/frontend/core_world.h"

#include "common/ipc/control.h"
#include "frontend/fetchers.h"
#include "frontend/registries.h"

#include <string.h>

#define STILL_MS 60000

struct party {
	struct waiter w;
	unsigned layers, progress, done;
	enum err_class code;
	bool fresh;
	uint64_t last_bytes;
	char text[300];
};

static void
told_layer(struct waiter *w, const struct msg_layer *l)
{
	((struct party *)w->arg)->layers++;
}

static void
told_progress(struct waiter *w, const struct msg_progress *m)
{
	struct party *p = w->arg;

	p->progress++;
	p->last_bytes = m->bytes;
}

static void
told_done(struct waiter *w, enum err_class code, const uint8_t image[32], bool fresh,
    struct span text)
{
	struct party *p = w->arg;

	p->done++;
	p->code = code;
	p->fresh = fresh;
	span_escape(text, p->text, sizeof(p->text));
}

static const struct waiter_ops ops = {
    .layer = told_layer, .progress = told_progress, .done = told_done};

static struct pull_options
wish(void)
{
	return (struct pull_options){.name = span_str("quay.io/a/b:1"),
	    .namespace = span_str("space"),
	    .auth = AUTH_GIVEN,
	    .secret = span_str("user:pass")};
}

static int
join(struct world *w, struct party *p, const struct pull_options *o)
{
	struct err e = {0};

	*p = (struct party){.w = {.ops = &ops, .arg = p}};
	int r = pull_join(&w->f, &p->w, o, &e);
	settle(w, 2);
	return r;
}

static void
end_pull(struct world *w, uint64_t id, enum err_class code, const char *text)
{
	struct ipc_msg m = IPC_MSG(
	    pull_end, .pull = id, .code = code, .fresh = 1, .text = span_str(text));

	send_from(w, &w->store, &m);
}

static void
equal_wishes_share_one_pull(void **state)
{
	struct world *w = world_new("");
	struct pull_options o = wish();
	struct party a, b, c;

	assert_int_equal(join(w, &a, &o), 0);
	uint64_t id = expect(w, &w->store, MSG_pull)->pull.pull;
	assert_true(span_is(w->last.pull.namespace, "space"));
	struct ipc_msg l = IPC_MSG(layer, .pull = id, .index = 0, .count = 2, .size = 100,
	    .state = LAYER_PRESENT);
	send_from(w, &w->store, &l);
	l.layer.index = 1;
	l.layer.state = LAYER_WANTED;
	send_from(w, &w->store, &l);
	struct ipc_msg p =
	    IPC_MSG(progress, .pull = id, .index = 1, .stage = STAGE_FETCH, .bytes = 40);
	send_from(w, &w->store, &p);
	assert_int_equal(a.layers, 2);
	assert_int_equal(a.progress, 1);

	/* who comes later hears of all that was, and another spelling is the same */
	o.name = span_str("quay.io/a/b:1");
	assert_int_equal(join(w, &b, &o), PULL_JOINED);
	assert_int_equal(b.layers, 2);
	assert_int_equal(b.last_bytes, 40);
	assert_int_equal(join(w, &c, &o), PULL_JOINED);
	assert_int_equal(pull_waiters(c.w.pull), 3);
	expect_silence(w, &w->store);
	end_pull(w, id, ERR_OK, "");
	assert_int_equal(a.done + b.done + c.done, 3);
	assert_true(a.fresh && b.fresh && c.fresh);
	assert_null(a.w.pull);
	assert_null(w->f.pulls);
	world_free(w);
}

static void
any_difference_is_another_pull(void **state)
{
	struct pull_options first = wish();

	for (unsigned i = 0; i < 14; i++) {
		struct world *w = world_new("");
		struct pull_options o = wish();
		struct party a, b;
		if (i == 11 || i == 12) {
			first.auth = i == 11 ? AUTH_FILES : AUTH_NONE;
			first.secret = span_str("");
		}
		assert_int_equal(join(w, &a, &first), 0);
		expect(w, &w->store, MSG_pull);
		switch (i) {
		case 0:
			o.name = span_str("quay.io/a/b:2");
			break;
		case 1:
			o.namespace = span_str("spac");
			break;
		case 2:
			o.secret = span_str("user:pasS");
			break;
		case 3:
			o.secret = span_str("user:pass ");
			break;
		case 4:
			o.secret = span_str("");
			break;
		case 5:
			o.auth = AUTH_FILES;
			o.secret = span_str("");
			break;
		case 6:
			o.verify = 1;
			break;
		case 7:
			o.mode = PULL_MISSING;
			break;
		case 8:
			o.architecture = span_str("arm64");
			break;
		case 9:
			o.variant = span_str("v8");
			break;
		case 10:
			w->f.generation++;
			break;
		case 13:
			first = wish();
			o.secret_kind = SECRET_IDENTITY;
			break;
		default:
			break;
		}
		assert_int_equal(join(w, &b, &o), 0);
		expect(w, &w->store, MSG_pull);
		world_free(w);
		assert_int_equal(a.done, 1);
		assert_int_equal(b.done, 1);
	}
}

/* ---- names with several meanings ---- */

static void
set_search(struct world *w)
{
	static const char *const hosts[] = {"", "a.io", "b.io", "c.io"};

	w->f.registries = registries_new();
	assert_int_equal(registries_add(w->f.registries, REGISTRY_FILE, 0,
			     span_str("/etc/r.conf"), span_str("")),
	    0);
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
		assert_int_equal(registries_add(w->f.registries, REGISTRY_SEARCH, 0,
				     span_str(""), span_str(hosts[i])),
		    0);
	assert_int_equal(registries_add(w->f.registries, REGISTRY_TABLE, REGISTRY_BLOCKED,
			     span_str("b.io"), span_str("b.io")),
	    0);
}

static uint64_t
expect_pull(struct world *w, const char *name, enum pull_mode mode)
{
	const struct msg_pull *p = &expect(w, &w->store, MSG_pull)->pull;

	if (!span_is(p->name, name))
		fail_msg("%.*s", (int)p->name.n, (const char *)p->name.p);
	assert_int_equal(p->mode, mode);
	return p->pull;
}

static void
one_meaning_after_another(void **state)
{
	struct world *w = world_new("");
	struct pull_options o = {.name = span_str("x:1"), .auth = AUTH_FILES};
	struct party a, b, c;

	set_search(w);
	assert_int_equal(join(w, &a, &o), 0);
	assert_int_equal(join(w, &b, &o), PULL_JOINED);
	uint64_t id = expect_pull(w, "a.io/x:1", PULL_ALWAYS);
	assert_true(
	    span_is(expect(w, &w->supervisor, MSG_want_fetch)->want_fetch.host, "a.io"));
	/* who wants that image alone does not get another one */
	o.name = span_str("a.io/x:1");
	assert_int_equal(join(w, &c, &o), 0);
	uint64_t whole = expect_pull(w, "a.io/x:1", PULL_ALWAYS);
	expect(w, &w->supervisor, MSG_want_fetch);
	end_pull(w, id, ERR_NOT_FOUND, "there is none");
	end_pull(w, whole, ERR_NOT_FOUND, "there is none");
	assert_int_equal(c.done, 1);
	assert_string_equal(c.text, "there is none");
	/* b.io is blocked, so c.io is next, under a number of its own */
	assert_int_equal(a.done + b.done, 0);
	uint64_t next = expect_pull(w, "c.io/x:1", PULL_ALWAYS);
	assert_int_not_equal(next, id);
	expect(w, &w->supervisor, MSG_end);
	assert_true(
	    span_is(expect(w, &w->supervisor, MSG_want_fetch)->want_fetch.host, "c.io"));
	end_pull(w, id, ERR_OK, ""); /* the old number means nothing any more */
	end_pull(w, next, ERR_NETWORK, "nobody answers");
	assert_int_equal(a.done, 1);
	assert_int_equal(b.done, 1);
	assert_int_equal(a.code, ERR_NETWORK);
	assert_non_null(strstr(a.text, "a.io/x:1: there is none; b.io/x:1: b.io/x:1 is "
				       "blocked: /etc/r.conf"));
	assert_null(w->f.pulls);
	world_free(w);
}

static void
another_meaning_is_no_help(void **state)
{
	static const enum err_class codes[] = {ERR_DEADLINE, ERR_NO_SPACE, ERR_INTERNAL};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		struct world *w = world_new("");
		struct pull_options o = {.name = span_str("x:1"), .auth = AUTH_FILES};
		struct party a;
		set_search(w);
		assert_int_equal(join(w, &a, &o), 0);
		end_pull(w, expect_pull(w, "a.io/x:1", PULL_ALWAYS), codes[i], "why");
		assert_int_equal(a.done, 1);
		assert_int_equal(a.code, codes[i]);
		assert_string_equal(a.text, "why");
		world_free(w);
	}
}

static void
the_first_that_is_had_ends_it(void **state)
{
	struct world *w = world_new("");
	struct pull_options o = {.name = span_str("x:1"), .auth = AUTH_FILES};
	struct party a;

	set_search(w);
	assert_int_equal(join(w, &a, &o), 0);
	end_pull(w, expect_pull(w, "a.io/x:1", PULL_ALWAYS), ERR_AUTH, "no");
	end_pull(w, expect_pull(w, "c.io/x:1", PULL_ALWAYS), ERR_OK, "");
	assert_int_equal(a.done, 1);
	assert_int_equal(a.code, ERR_OK);
	world_free(w);
}

/* A registry is asked only if the image is there by none of its names. */
static void
what_is_there_is_looked_for_first(void **state)
{
	struct world *w = world_new("");
	struct pull_options o = {
	    .name = span_str("x:1"), .auth = AUTH_FILES, .mode = PULL_MISSING};
	struct party a;

	set_search(w);
	assert_int_equal(join(w, &a, &o), 0);
	end_pull(w, expect_pull(w, "a.io/x:1", PULL_NEVER), ERR_NOT_FOUND, "none");
	end_pull(w, expect_pull(w, "c.io/x:1", PULL_NEVER), ERR_NOT_FOUND, "none");
	expect_silence(w, &w->supervisor);
	end_pull(w, expect_pull(w, "a.io/x:1", PULL_MISSING), ERR_NOT_FOUND, "none");
	end_pull(w, expect_pull(w, "c.io/x:1", PULL_MISSING), ERR_OK, "");
	assert_int_equal(a.code, ERR_OK);
	world_free(w);
}

/* Credentials that came along go where they belong, or nowhere. */
static void
credentials_of_a_short_name(void **state)
{
	static const struct {
		const char *secret_for;
		enum fetch_auth sent;
	} rows[] = {{"docker.io", AUTH_FILES}, {"a.io", AUTH_GIVEN}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_new("");
		struct pull_options o = wish();
		struct party a;
		set_search(w);
		o.name = span_str("x:1");
		o.secret_for = span_str(rows[i].secret_for);
		assert_int_equal(join(w, &a, &o), 0);
		const struct msg_want_fetch *f =
		    &expect(w, &w->supervisor, MSG_want_fetch)->want_fetch;
		assert_int_equal(f->auth, rows[i].sent);
		assert_int_equal(f->secret.n, rows[i].sent == AUTH_GIVEN ? 9 : 0);
		world_free(w);
	}
	struct world *w = world_new("");
	struct pull_options o = wish();
	struct waiter waiter = {0};
	struct err e = {0};
	set_search(w);
	o.name = span_str("x:1");
	assert_true(pull_join(&w->f, &waiter, &o, &e) < 0);
	assert_int_equal(e.code, ERR_USAGE);
	assert_non_null(strstr(e.text, "write the whole name, so that the credentials"));
	world_free(w);
}

static void
only_three_modes_share(void **state)
{
	for (unsigned mode = PULL_ALWAYS; mode <= PULL_REMOTE; mode++) {
		struct world *w = world_new("");
		struct pull_options o = wish();
		struct party a, b;
		bool shares =
		    mode == PULL_ALWAYS || mode == PULL_MISSING || mode == PULL_NEWER;
		o.mode = mode;
		assert_int_equal(join(w, &a, &o), 0);
		assert_int_equal(join(w, &b, &o), shares ? PULL_JOINED : 0);
		world_free(w);
	}
}

static void
the_last_to_leave_ends_it(void **state)
{
	struct world *w = world_new("");
	struct pull_options o = wish();
	struct party a, b, c;

	join(w, &a, &o);
	join(w, &b, &o);
	uint64_t id = expect(w, &w->store, MSG_pull)->pull.pull;
	pull_leave(&a.w);
	pull_leave(&a.w); /* twice is harmless */
	settle(w, 2);
	expect_silence(w, &w->store);
	pull_leave(&b.w);
	settle(w, 2);
	assert_int_equal(expect(w, &w->store, MSG_cancel)->cancel.pull, id);
	assert_int_equal(a.done + b.done, 0);
	/* what ends is not joined any more */
	assert_int_equal(join(w, &c, &o), 0);
	assert_int_not_equal(expect(w, &w->store, MSG_pull)->pull.pull, id);
	end_pull(w, id, ERR_DEADLINE, "cancelled");
	assert_int_equal(a.done + b.done + c.done, 0);
	assert_non_null(c.w.pull);
	world_free(w);
}

static void
cancelling_answers(void **state)
{
	struct world *w = world_new("");
	struct pull_options o = wish();
	struct party a, b;

	join(w, &a, &o);
	join(w, &b, &o);
	uint64_t id = expect(w, &w->store, MSG_pull)->pull.pull;
	pull_cancel(&a.w); /* others wait on: at once */
	assert_int_equal(a.done, 1);
	assert_int_equal(a.code, ERR_DEADLINE);
	pull_cancel(&b.w); /* the last one hears when the store is done */
	settle(w, 2);
	assert_int_equal(b.done, 0);
	expect(w, &w->store, MSG_cancel);
	end_pull(w, id, ERR_DEADLINE, "cancelled by the client");
	assert_int_equal(b.done, 1);
	world_free(w);
}

static void
limits_hold_at_n_and_not_beyond(void **state)
{
	struct world *w = world_new("");
	struct pull_options o = wish();
	struct party p[4], never, only_asks;
	uint64_t ids[4];

	w->f.queue.max = 3;
	w->f.queue.max_space = 2;
	static const char *const names[] = {
	    "quay.io/a:1", "quay.io/a:2", "quay.io/a:3", "quay.io/a:4"};
	for (unsigned i = 0; i < 4; i++) {
		o.name = span_str(names[i]);
		o.namespace = span_str(i == 3 ? "other" : "space");
		join(w, &p[i], &o);
	}
	ids[0] = expect(w, &w->store, MSG_pull)->pull.pull;
	ids[1] = expect(w, &w->store, MSG_pull)->pull.pull;
	ids[3] = expect(w, &w->store, MSG_pull)->pull.pull; /* the other namespace's */
	assert_true(span_is(w->last.pull.name, "quay.io/a:4"));
	expect_silence(w, &w->store);
	assert_int_equal(w->f.queue.waiting, 1);
	/* what asks no registry, or only whether, does not wait */
	o.mode = PULL_NEVER;
	join(w, &never, &o);
	expect(w, &w->store, MSG_pull);
	o.mode = PULL_VERDICT_ONLY;
	join(w, &only_asks, &o);
	expect(w, &w->store, MSG_pull);
	/* a free place of all is none of this namespace's */
	end_pull(w, ids[3], ERR_OK, "");
	expect_silence(w, &w->store);
	end_pull(w, ids[0], ERR_OK, "");
	assert_true(span_is(expect(w, &w->store, MSG_pull)->pull.name, "quay.io/a:3"));
	world_free(w);
}

static void
a_queued_pull_is_cancelled_without_the_store(void **state)
{
	struct world *w = world_new("");
	struct pull_options o = wish();
	struct party a, b, c;

	w->f.queue.max = 1;
	join(w, &a, &o);
	o.name = span_str("quay.io/a/b:2");
	join(w, &b, &o);
	join(w, &c, &o);
	expect(w, &w->store, MSG_pull);
	pull_leave(&b.w);
	pull_cancel(&c.w);
	settle(w, 2);
	assert_int_equal(c.done, 1);
	assert_int_equal(b.done, 0);
	expect_silence(w, &w->store);
	assert_int_equal(w->f.queue.waiting, 0);
	world_free(w);
}

static void
one_too_many_is_refused(void **state)
{
	struct world *w = world_new("");
	static struct party p[LIMIT_PULLS + 1];
	struct pull_options o = wish();
	char name[64];

	w->f.queue.max = 1;
	for (unsigned i = 0; i <= LIMIT_PULLS; i++) {
		struct err e = {0};
		snprintf(name, sizeof(name), "quay.io/a/b:%u", i);
		o.name = span_str(name);
		p[i] = (struct party){.w = {.ops = &ops, .arg = &p[i]}};
		int r = pull_join(&w->f, &p[i].w, &o, &e);
		if (i < LIMIT_PULLS)
			assert_int_equal(r, 0);
		else
			assert_true(r < 0 && e.code == ERR_NO_SPACE &&
				    strstr(e.text, "try again"));
	}
	world_free(w);
	for (unsigned i = 0; i < LIMIT_PULLS; i++)
		assert_int_equal(p[i].done, 1);
	assert_int_equal(p[LIMIT_PULLS].done, 0);
}

/* The end of all is no turn for those who wait. */
static void
nothing_begins_when_all_ends(void **state)
{
	struct world *w = world_new("");
	static struct party p[3];
	struct pull_options o = wish();
	char name[64];

	w->f.queue.max = 1;
	for (unsigned i = 0; i < 3; i++) {
		struct err e = {0};
		snprintf(name, sizeof(name), "quay.io/a/b:%u", i);
		o.name = span_str(name);
		p[i] = (struct party){.w = {.ops = &ops, .arg = &p[i]}};
		assert_int_equal(pull_join(&w->f, &p[i].w, &o, &e), 0);
	}
	settle(w, 5);
	expect(w, &w->store, MSG_pull);
	pull_end_all(&w->f, ERR_INTERNAL, "stopping");
	settle(w, 5);
	expect_silence(w, &w->store);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(p[i].done, 1);
	world_free(w);
}

/* Its asker starts anew at once, from the answer. */
struct again {
	struct world *w;
	struct party second;
	struct waiter w1;
	int joined;
};

static void
asks_again(struct waiter *w, enum err_class code, const uint8_t image[32], bool fresh,
    struct span text)
{
	struct again *a = w->arg;
	struct pull_options o = wish();
	struct err e = {0};

	a->second = (struct party){.w = {.ops = &ops, .arg = &a->second}};
	a->joined = pull_join(&a->w->f, &a->second.w, &o, &e);
}

static void
an_answer_may_ask_again(void **state)
{
	static const struct waiter_ops eager = {.done = asks_again};
	struct world *w = world_new("");
	struct again a = {.w = w, .w1 = {.ops = &eager, .arg = &a}};
	struct pull_options o = wish();
	struct err e = {0};

	assert_int_equal(pull_join(&w->f, &a.w1, &o, &e), 0);
	settle(w, 2);
	end_pull(w, expect(w, &w->store, MSG_pull)->pull.pull, ERR_OK, "");
	assert_int_equal(a.joined, 0);
	expect(w, &w->store, MSG_pull);
	/* the store goes: it is asked for again, and refused: no endless loop */
	port_release(&w->f.store);
	pull_end_all(&w->f, ERR_INTERNAL, "gone");
	assert_int_equal(a.second.done, 1);
	world_free(w);
}

static void
no_store_no_pull(void **state)
{
	struct world *w = world_new("");
	struct pull_options o = wish();
	struct party a, b, c;

	w->f.queue.max = 1;
	join(w, &a, &o);
	o.name = span_str("quay.io/a/b:2");
	join(w, &b, &o);
	port_release(&w->f.store);
	pull_end_all(&w->f, ERR_INTERNAL, "the store ended");
	assert_int_equal(a.done + b.done, 2);
	assert_true(join(w, &c, &o) < 0);
	assert_null(w->f.pulls);
	store_open(w);
	assert_int_equal(join(w, &c, &o), 0);
	expect(w, &w->store, MSG_pull);
	world_free(w);
}

/* Up to a layer whose fetcher has said that `bytes` of 1000 came. */
static uint64_t
layer_under_way(struct world *w, struct party *p, uint64_t bytes)
{
	struct pull_options o = wish();

	join(w, p, &o);
	uint64_t id = expect(w, &w->store, MSG_pull)->pull.pull;
	uint64_t fetch = expect(w, &w->supervisor, MSG_want_fetch)->want_fetch.fetch;
	grant_fetcher(w, 0, id, fetch);
	struct ipc_msg l = IPC_MSG(layer, .pull = id, .index = 0, .count = 1,
	    .size = 1000, .state = LAYER_WANTED, .token = 5);
	send_from(w, &w->store, &l);
	uint64_t req = expect(w, &w->fetcher[0], MSG_get)->get.req;
	struct ipc_msg m = IPC_MSG(fetch_progress, .req = req, .bytes = bytes);
	send_from(w, &w->fetcher[0], &m);
	return req;
}

/* As if the last byte had come so much earlier: a busy machine's clock is not to be
 * waited for. */
static void
time_passes(struct world *w, uint64_t ms)
{
	struct pace *c = &w->f.pulls->pace;

	c->moved_at -= ms;
	if (c->timer.at)
		loop_timer_set(&w->f.loop, &c->timer, 0);
	settle(w, 5);
}

static void
no_byte_for_too_long_ends_a_pull(void **state)
{
	struct world *w = world_new("");
	struct party p;

	w->f.progress_ms = STILL_MS;
	layer_under_way(w, &p, 10);
	expect_silence(w, &w->store);
	time_passes(w, 2 * STILL_MS);
	struct msg_cancel *c = &expect(w, &w->store, MSG_cancel)->cancel;
	assert_int_equal(c->code, ERR_DEADLINE);
	assert_non_null(memmem(c->text.p, c->text.n, "pull_progress_timeout", 21));
	assert_non_null(memmem(c->text.p, c->text.n, "https://quay.io", 15));
	assert_null(memmem(c->text.p, c->text.n, "pass", 4));
	world_free(w);
}

/* Bytes that come, bytes that nobody takes, a body that has not begun or has come whole:
 * none of them is a standstill. */
static void
what_is_no_standstill(void **state)
{
	struct world *w = world_new("");
	struct party p;

	w->f.progress_ms = STILL_MS;
	uint64_t req = layer_under_way(w, &p, 10);
	for (unsigned i = 0; i < 8; i++) {
		struct ipc_msg m =
		    IPC_MSG(fetch_progress, .req = req, .bytes = i < 4 ? 20 + i : 23);
		send_from(w, &w->fetcher[0], &m);
		time_passes(w, STILL_MS / 5);
	}
	expect_silence(w, &w->store);
	struct ipc_msg whole = IPC_MSG(fetch_progress, .req = req, .bytes = 1000);
	send_from(w, &w->fetcher[0], &whole);
	time_passes(w, 3 * STILL_MS / 2);
	expect_silence(w, &w->store);
	struct ipc_msg fetched = IPC_MSG(fetched, .req = req, .bytes = 1000);
	send_from(w, &w->fetcher[0], &fetched);
	time_passes(w, 3 * STILL_MS / 2);
	expect_silence(w, &w->store);
	world_free(w);

	w = world_new("");
	w->f.progress_ms = STILL_MS;
	layer_under_way(w, &p, 0); /* the first byte has limits of its own */
	time_passes(w, 3 * STILL_MS / 2);
	expect_silence(w, &w->store);
	world_free(w);

	w = world_new("");
	layer_under_way(w, &p, 10); /* off */
	time_passes(w, 3 * STILL_MS / 2);
	expect_silence(w, &w->store);
	world_free(w);
}

/* A line for each end, with the pull's number; never a secret, never another line. */
static void
an_end_is_logged(void **state)
{
	struct world *w = world_new("");
	struct pull_options o = wish();
	struct party p;

	w->f.log_level = LOG_INFO;
	join(w, &p, &o);
	uint64_t id = expect(w, &w->store, MSG_pull)->pull.pull;
	expect(w, &w->supervisor, MSG_want_fetch);
	end_pull(w, id, ERR_AUTH, "no\x1b[31m\nsecond line");
	struct msg_log *l = &expect(w, &w->supervisor, MSG_log)->log;
	assert_int_equal(l->request, id);
	assert_int_equal(l->level, LOG_WARNING);
	assert_non_null(memmem(l->text.p, l->text.n, "quay.io/a/b:1", 13));
	assert_non_null(memmem(l->text.p, l->text.n, "no\\x1b[31m", 10));
	assert_null(memmem(l->text.p, l->text.n, "pass", 4));
	assert_null(memchr(l->text.p, '\n', l->text.n));
	assert_null(memmem(l->text.p, l->text.n, "second", 6));
	world_free(w);
}

/* Said backwards, of other requests, or beyond all: nothing breaks. */
static void
a_fetcher_may_say_any_number(void **state)
{
	struct world *w = world_new("");
	struct party p;
	uint64_t req = layer_under_way(w, &p, 10);
	static const uint64_t numbers[] = {0, 5, LIMIT_LAYER_HARD, 11, 10};

	for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
		struct ipc_msg m =
		    IPC_MSG(fetch_progress, .req = req, .bytes = numbers[i]);
		send_from(w, &w->fetcher[0], &m);
		m.fetch_progress.req = req + 1;
		send_from(w, &w->fetcher[0], &m);
	}
	expect_silence(w, &w->store);
	assert_int_equal(p.done, 0);
	world_free(w);
}

static void
the_store_cannot_confuse_layers(void **state)
{
	static const uint64_t pairs[][2] = {{1, 1}, {0, 0}, {5, 3}};

	for (unsigned i = 0; i < ARRAY_LEN(pairs); i++) {
		struct world *w = world_new("");
		struct pull_options o = wish();
		struct party p;
		join(w, &p, &o);
		uint64_t id = expect(w, &w->store, MSG_pull)->pull.pull;
		struct ipc_msg l = IPC_MSG(
		    layer, .pull = id, .index = pairs[i][0], .count = pairs[i][1]);
		send_from(w, &w->store, &l);
		assert_int_equal(
		    expect(w, &w->store, MSG_cancel)->cancel.code, ERR_INTERNAL);
		world_free(w);
	}
	/* fewer at first than later */
	struct world *w = world_new("");
	struct pull_options o = wish();
	struct party p;
	join(w, &p, &o);
	uint64_t id = expect(w, &w->store, MSG_pull)->pull.pull;
	struct ipc_msg l = IPC_MSG(layer, .pull = id, .index = 0, .count = 1);
	send_from(w, &w->store, &l);
	l.layer.index = 100;
	l.layer.count = LIMIT_LAYERS;
	send_from(w, &w->store, &l);
	expect(w, &w->store, MSG_cancel);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_meaning_after_another),
	    cmocka_unit_test(another_meaning_is_no_help),
	    cmocka_unit_test(the_first_that_is_had_ends_it),
	    cmocka_unit_test(what_is_there_is_looked_for_first),
	    cmocka_unit_test(credentials_of_a_short_name),
	    cmocka_unit_test(equal_wishes_share_one_pull),
	    cmocka_unit_test(any_difference_is_another_pull),
	    cmocka_unit_test(only_three_modes_share),
	    cmocka_unit_test(the_last_to_leave_ends_it),
	    cmocka_unit_test(cancelling_answers),
	    cmocka_unit_test(limits_hold_at_n_and_not_beyond),
	    cmocka_unit_test(a_queued_pull_is_cancelled_without_the_store),
	    cmocka_unit_test(one_too_many_is_refused),
	    cmocka_unit_test(nothing_begins_when_all_ends),
	    cmocka_unit_test(an_answer_may_ask_again),
	    cmocka_unit_test(no_store_no_pull),
	    cmocka_unit_test(no_byte_for_too_long_ends_a_pull),
	    cmocka_unit_test(what_is_no_standstill),
	    cmocka_unit_test(an_end_is_logged),
	    cmocka_unit_test(a_fetcher_may_say_any_number),
	    cmocka_unit_test(the_store_cannot_confuse_layers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
