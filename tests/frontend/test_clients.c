/* Commands: several at a time, of other versions, leaving in the middle. */
#include "tests/frontend/core_world.h"

#include "frontend/control.h"
#include "frontend/registries.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void
another_version_is_told_so(void **state)
{
	struct world *w = world_new("");
	struct chan *c = command_open(w, 0, false);
	struct ipc_msg m = IPC_MSG(cli_hello);

	memcpy(m.cli_hello.schema, ipc_schema_hash, sizeof(m.cli_hello.schema));
	m.cli_hello.schema[31] ^= 1;
	send_from(w, c, &m);
	struct msg_cli_done *d = &expect(w, c, MSG_cli_done)->cli_done;
	assert_int_equal(d->req, 0);
	assert_int_equal(d->code, ERR_USAGE);
	const char *why;
	assert_int_equal(chan_recv(c, &w->last, &why), CHAN_CLOSED);
	assert_int_equal(w->f.n_clients, 0);
	world_free(w);
}

static void
nothing_before_the_hello(void **state)
{
	struct world *w = world_new("");
	struct chan *c = command_open(w, 0, false);
	struct ipc_msg m = IPC_MSG(cli_images, .req = 1);
	const char *why;

	send_from(w, c, &m);
	assert_int_equal(chan_recv(c, &w->last, &why), CHAN_CLOSED);
	expect_silence(w, &w->store);
	assert_int_equal(w->f.n_clients, 0);
	world_free(w);
}

static void
answers_find_their_command(void **state)
{
	struct world *w = world_new("");
	struct chan *a = command_open(w, 0, true), *b = command_open(w, 1, true);
	struct ipc_msg m = IPC_MSG(cli_fsinfo, .req = 7),
		       n = IPC_MSG(cli_check, .req = 7);

	send_from(w, a, &m);
	send_from(w, b, &n);
	uint64_t ra = expect(w, &w->store, MSG_fsinfo)->fsinfo.req;
	uint64_t rb = expect(w, &w->store, MSG_check_store)->check_store.req;
	struct ipc_msg row =
	    IPC_MSG(check_row, .req = rb, .id = span_str("ab"), .text = span_str("odd"));
	send_from(w, &w->store, &row);
	struct msg_cli_check_row *r = &expect(w, b, MSG_cli_check_row)->cli_check_row;
	assert_int_equal(r->req, 7);
	assert_true(span_is(r->text, "odd"));
	struct ipc_msg done = IPC_MSG(done, .req = ra);
	send_from(w, &w->store, &done);
	assert_int_equal(expect(w, a, MSG_cli_done)->cli_done.req, 7);
	expect_silence(w, b);
	done.done.req = rb;
	done.done.code = ERR_CONTENT;
	send_from(w, &w->store, &done);
	assert_int_equal(expect(w, b, MSG_cli_done)->cli_done.code, ERR_CONTENT);
	assert_null(w->f.queries);
	world_free(w);
}

static void
who_goes_leaves_nothing(void **state)
{
	struct world *w = world_new("");
	struct chan *a = command_open(w, 0, true);
	struct ipc_msg q = IPC_MSG(cli_images, .req = 1);
	struct ipc_msg p = IPC_MSG(cli_pull, .req = 2, .name = span_str("quay.io/a:1"));

	send_from(w, a, &q);
	send_from(w, a, &p);
	uint64_t req = expect(w, &w->store, MSG_images)->images.req;
	expect(w, &w->store, MSG_pull);
	chan_release(a);
	settle(w, 5);
	assert_int_equal(w->f.n_clients, 0);
	assert_null(w->f.queries);
	expect(w, &w->store, MSG_cancel);
	/* answers that come too late mean nothing */
	struct ipc_msg row = IPC_MSG(image, .req = req), done = IPC_MSG(done, .req = req);
	send_from(w, &w->store, &row);
	send_from(w, &w->store, &done);
	assert_true(port_is_open(&w->f.store));
	assert_false(w->f.loop.quit && w->f.embedded);
	world_free(w);
}

static void
a_second_command_joins(void **state)
{
	struct world *w = world_new("");
	struct chan *a = command_open(w, 0, true), *b = command_open(w, 1, true);
	struct ipc_msg p = IPC_MSG(cli_pull, .req = 2, .name = span_str("quay.io/a:1"));

	send_from(w, a, &p);
	p.cli_pull.req = 9;
	send_from(w, b, &p);
	uint64_t id = expect(w, &w->store, MSG_pull)->pull.pull;
	expect_silence(w, &w->store);
	struct msg_cli_joined *j = &expect(w, b, MSG_cli_joined)->cli_joined;
	assert_int_equal(j->req, 9);
	assert_int_equal(j->waiters, 2);
	/* it cancels: the first goes on */
	struct ipc_msg cancel = IPC_MSG(cli_cancel, .req = 9);
	send_from(w, b, &cancel);
	assert_int_equal(expect(w, b, MSG_cli_done)->cli_done.code, ERR_DEADLINE);
	cancel.cli_cancel.req = 77; /* nobody's */
	send_from(w, b, &cancel);
	expect_silence(w, &w->store);
	struct ipc_msg end = IPC_MSG(pull_end, .pull = id, .fresh = 1);
	send_from(w, &w->store, &end);
	expect(w, a, MSG_cli_pulled);
	expect(w, a, MSG_cli_done);
	world_free(w);
}

static void
so_many_requests_of_one(void **state)
{
	struct world *w = world_new("");
	struct chan *a = command_open(w, 0, true);

	for (unsigned i = 0; i <= LIMIT_CONTROL_REQUESTS; i++) {
		struct ipc_msg q = IPC_MSG(cli_images, .req = i + 1);
		expect_silence(w, a);
		send_from(w, a, &q);
	}
	struct msg_cli_done *d = &expect(w, a, MSG_cli_done)->cli_done;
	assert_int_equal(d->req, LIMIT_CONTROL_REQUESTS + 1);
	assert_int_equal(d->code, ERR_USAGE);
	world_free(w);
}

static void
ps_tells_what_a_pull_waits_for(void **state)
{
	struct world *w = world_new("");
	struct chan *a = command_open(w, 0, true), *b = command_open(w, 1, true);
	struct ipc_msg p = IPC_MSG(cli_pull, .req = 1, .name = span_str("quay.io/a:1"));
	struct ipc_msg ps = IPC_MSG(cli_ps, .req = 5);

	w->f.queue.max = 1;
	send_from(w, a, &p);
	p.cli_pull.req = 2;
	p.cli_pull.name = span_str("quay.io/a:2");
	send_from(w, a, &p);
	uint64_t id = expect(w, &w->store, MSG_pull)->pull.pull;
	uint64_t fetch = expect(w, &w->supervisor, MSG_want_fetch)->want_fetch.fetch;
	send_from(w, b, &ps);
	struct msg_cli_ps_row *r = &expect(w, b, MSG_cli_ps_row)->cli_ps_row;
	assert_true(span_is(r->name, "quay.io/a:1"));
	assert_true(span_is(r->stage, "resolving"));
	assert_true(span_is(r->endpoint, "https://quay.io"));
	assert_true(span_is(r->waiting, "a fetcher for https://quay.io"));
	assert_int_equal(r->waiters, 1);
	r = &expect(w, b, MSG_cli_ps_row)->cli_ps_row;
	assert_true(span_is(r->stage, "queued"));
	assert_true(span_starts(r->waiting, "its turn: 0 before it"));
	assert_int_equal(expect(w, b, MSG_cli_done)->cli_done.req, 5);

	grant_fetcher(w, 0, id, fetch);
	struct ipc_msg l = IPC_MSG(layer, .pull = id, .index = 0, .count = 2,
	    .size = 1000, .state = LAYER_WAITING);
	send_from(w, &w->store, &l);
	send_from(w, b, &ps);
	r = &expect(w, b, MSG_cli_ps_row)->cli_ps_row;
	assert_true(span_starts(r->waiting, "a layer slot"));
	expect(w, b, MSG_cli_ps_row);
	expect(w, b, MSG_cli_done);

	l.layer.state = LAYER_WANTED;
	send_from(w, &w->store, &l);
	struct ipc_msg m = IPC_MSG(fetch_progress,
	    .req = expect(w, &w->fetcher[0], MSG_get)->get.req, .bytes = 400);
	send_from(w, &w->fetcher[0], &m);
	struct ipc_msg store =
	    IPC_MSG(progress, .pull = id, .index = 0, .stage = STAGE_FETCH, .bytes = 300);
	send_from(w, &w->store, &store);
	send_from(w, b, &ps);
	r = &expect(w, b, MSG_cli_ps_row)->cli_ps_row;
	assert_true(span_is(r->stage, "fetching"));
	assert_int_equal(r->waiting.n, 0);
	assert_int_equal(r->bytes, 400); /* the fetcher is ahead of the store */
	assert_int_equal(r->total, 1000);
	assert_int_equal(r->layers, 2);
	world_free(w);
}

static void
questions_end_with_the_store(void **state)
{
	struct world *w = world_new("");
	struct chan *a = command_open(w, 0, true);
	struct ipc_msg q = IPC_MSG(cli_images, .req = 1);

	port_release(&w->f.store);
	send_from(w, a, &q); /* asked while there is none */
	settle(w, 10);
	struct msg_cli_done *d = &expect(w, a, MSG_cli_done)->cli_done;
	assert_int_equal(d->code, ERR_INTERNAL);
	assert_non_null(memmem(d->text.p, d->text.n, "try again", 9));
	store_open(w);
	send_from(w, a, &q);
	settle(w, 10);
	expect(w, &w->store, MSG_images);
	expect_silence(w, a);
	world_free(w);
}

static struct world *coming_to;

static void
store_comes(struct loop_source *s, uint32_t events)
{
	loop_remove(&coming_to->f.loop, s);
	store_open(coming_to);
}

/* What was asked before the store came never reached it. */
static void
a_store_that_comes_at_once_leaves_no_question(void **state)
{
	struct world *w = coming_to = world_new("");
	struct chan *a = command_open(w, 0, true);
	struct ipc_msg q = IPC_MSG(cli_images, .req = 1);
	int fd = eventfd(1, EFD_CLOEXEC);
	struct loop_source comes = {.fd = fd, .events = EPOLLIN, .ready = store_comes};

	port_release(&w->f.store);
	assert_int_equal(chan_send(a, &q), 0);
	assert_int_equal(loop_add(&w->f.loop, &comes), 0);
	settle(w, 20);
	assert_true(port_is_open(&w->f.store));
	assert_int_equal(expect(w, a, MSG_cli_done)->cli_done.code, ERR_INTERNAL);
	close(fd);
	world_free(w);
}

/* It is the supervisor who answers. */
static void
status_needs_no_store(void **state)
{
	struct world *w = world_new("");
	struct chan *a = command_open(w, 0, true);
	struct ipc_msg q = IPC_MSG(cli_status, .req = 1);

	port_release(&w->f.store);
	send_from(w, a, &q);
	uint64_t req = expect(w, &w->supervisor, MSG_status)->status.req;
	query_end_all(&w->f, ERR_INTERNAL, "the store has gone");
	settle(w, 10);
	expect_silence(w, a);
	struct ipc_msg end = IPC_MSG(status_end, .req = req, .text = span_str(""));
	send_from(w, &w->supervisor, &end);
	assert_int_equal(expect(w, a, MSG_cli_done)->cli_done.code, ERR_OK);
	world_free(w);
}

/* ---- the listening socket ---- */

static int
client_connect(const struct sockaddr_un *at, socklen_t n)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)at, n), 0);
	return fd;
}

static void
so_many_commands(void **state)
{
	struct world *w = world_new("");
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	socklen_t n = sizeof(at);
	int fds[LIMIT_CONTROL_CLIENTS + 1];
	struct chan c;
	struct ipc_msg m;
	const char *why;

	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at.sun_family)), 0);
	assert_int_equal(listen(fd, 128), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
	assert_int_equal(control_listen(&w->f, fd), 0);
	for (unsigned i = 0; i <= LIMIT_CONTROL_CLIENTS; i++)
		fds[i] = client_connect(&at, n);
	settle(w, 20);
	assert_int_equal(w->f.n_clients, LIMIT_CONTROL_CLIENTS);
	assert_int_equal(
	    chan_init(&c, fds[LIMIT_CONTROL_CLIENTS], CH_cli, ROOM_CLI, ROOM_FRONTEND),
	    0);
	c.phase = IPC_RUN;
	assert_int_equal(chan_recv(&c, &m, &why), 0);
	assert_int_equal(m.type, MSG_cli_done);
	assert_int_equal(m.cli_done.req, 0);
	assert_int_equal(chan_recv(&c, &m, &why), CHAN_CLOSED);
	chan_release(&c);
	/* one goes, one comes */
	close(fds[0]);
	settle(w, 5);
	fds[0] = client_connect(&at, n);
	settle(w, 5);
	assert_int_equal(w->f.n_clients, LIMIT_CONTROL_CLIENTS);
	control_stop(&w->f);
	for (unsigned i = 0; i < LIMIT_CONTROL_CLIENTS; i++)
		close(fds[i]);
	settle(w, 20);
	assert_int_equal(w->f.n_clients, 0);
	world_free(w);
}

static void
set_search(struct world *w)
{
	static const char *const hosts[] = {"", "a.io", "b.io"};

	w->f.registries = registries_new();
	assert_int_equal(registries_add(w->f.registries, REGISTRY_FILE, 0,
			     span_str("/etc/r.conf"), span_str("")),
	    0);
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
		assert_int_equal(registries_add(w->f.registries, REGISTRY_SEARCH, 0,
				     span_str(""), span_str(hosts[i])),
		    0);
}

static void
expect_name(struct world *w, struct chan *c, const char *name)
{
	const struct msg_cli_image_name *m =
	    &expect(w, c, MSG_cli_image_name)->cli_image_name;

	assert_int_equal(m->req, 3);
	if (!span_is(m->name, name))
		fail_msg("%.*s", (int)m->name.n, (const char *)m->name.p);
}

static void
a_name_is_resolved(void **state)
{
	struct world *w = world_new("");
	struct chan *c = command_open(w, 0, true);
	struct ipc_msg m = IPC_MSG(cli_resolve, .req = 3, .name = span_str("x:1"));

	set_search(w);
	send_from(w, c, &m);
	expect_name(w, c, "a.io/x:1");
	expect_name(w, c, "b.io/x:1");
	assert_int_equal(expect(w, c, MSG_cli_done)->cli_done.code, 0);
	m.cli_resolve.name = span_str("X");
	send_from(w, c, &m);
	assert_int_equal(expect(w, c, MSG_cli_done)->cli_done.code, ERR_USAGE);
	expect_silence(w, &w->store);
	world_free(w);
}

/* The beginning of an image's ID means that image, if there is one. */
static void
an_id_is_resolved(void **state)
{
	struct world *w = world_new("");
	struct chan *c = command_open(w, 0, true);
	struct ipc_msg m = IPC_MSG(cli_resolve, .req = 3, .name = span_str("abc"));

	set_search(w);
	for (unsigned with = 0; with < 2; with++) {
		send_from(w, c, &m);
		uint64_t req = expect(w, &w->store, MSG_images)->images.req;
		struct ipc_msg row = IPC_MSG(image, .req = req);
		memset(row.image.id, with ? 0xab : 0xac, sizeof(row.image.id));
		if (with)
			row.image.id[1] = 0xcd;
		send_from(w, &w->store, &row);
		struct ipc_msg done = IPC_MSG(done, .req = req);
		send_from(w, &w->store, &done);
		expect_name(w, c,
		    with ? "abcdababababababababababababababababababababababababababababa"
			   "bab"
			 : "a.io/abc:latest");
		if (!with)
			expect_name(w, c, "b.io/abc:latest");
		assert_int_equal(expect(w, c, MSG_cli_done)->cli_done.code, 0);
	}
	/* who goes meanwhile is not answered */
	send_from(w, c, &m);
	expect(w, &w->store, MSG_images);
	chan_release(c);
	settle(w, 5);
	assert_null(w->f.queries);
	world_free(w);
}

static void
expect_fact(struct world *w, struct chan *c, unsigned image, unsigned place,
    const char *key, const char *value)
{
	const struct msg_cli_explain_row *m =
	    &expect(w, c, MSG_cli_explain_row)->cli_explain_row;

	if (m->image != image || m->place != place || !span_is(m->key, key) ||
	    !span_is(m->value, value))
		fail_msg("%u.%u %.*s: %.*s", (unsigned)m->image, (unsigned)m->place,
		    (int)m->key.n, (const char *)m->key.p, (int)m->value.n,
		    (const char *)m->value.p);
}

static uint64_t
expect_look_up(struct world *w, const char *name, const char *host)
{
	const struct msg_look_up *m = &expect(w, &w->supervisor, MSG_look_up)->look_up;

	assert_true(span_is(m->name, name));
	assert_true(span_is(m->auth_host, host));
	return m->req;
}

static void
look_up_answer(struct world *w, uint64_t req, const char *key, unsigned code)
{
	struct ipc_msg row =
	    IPC_MSG(status_row, .req = req, .key = span_str(key), .value = span_str("v"));
	struct ipc_msg end =
	    IPC_MSG(status_end, .req = req, .code = code, .text = span_str("why"));

	send_from(w, &w->supervisor, &row);
	send_from(w, &w->supervisor, &end);
}

/* Image after image, place after place; nobody is asked but the supervisor. */
static void
a_name_is_explained(void **state)
{
	struct world *w = world_new("");
	struct chan *c = command_open(w, 0, true);
	struct ipc_msg m = IPC_MSG(cli_explain, .req = 3, .name = span_str("x:1"));

	set_search(w);
	send_from(w, c, &m);
	expect_fact(w, c, 0, 0, "name", "x:1");
	expect_fact(
	    w, c, 0, 0, "meaning", "2 by unqualified-search-registries of /etc/r.conf");
	expect_fact(w, c, 0, 0, "short-name-mode", "permissive (by default)");
	expect(w, c, MSG_cli_explain_row); /* platform */
	static const char *const hosts[] = {"a.io", "b.io"};
	for (unsigned i = 0; i < 2; i++) {
		char name[20], url[40];
		snprintf(name, sizeof(name), "%s/x:1", hosts[i]);
		snprintf(url, sizeof(url), "https://%s/v2/x", hosts[i]);
		expect_fact(w, c, i + 1, 0, "image", name);
		expect_fact(
		    w, c, i + 1, 0, "registry table", "none: it is where its name says");
		look_up_answer(w, expect_look_up(w, name, ""), "policy", 0);
		expect_fact(w, c, i + 1, 0, "policy", "v");
		expect_fact(w, c, i + 1, 1, "url", url);
		expect_fact(w, c, i + 1, 1, "kind", "location");
		expect_fact(w, c, i + 1, 1, "asked for", name);
		expect_fact(w, c, i + 1, 1, "tls", "the certificate is checked");
		look_up_answer(w, expect_look_up(w, "", hosts[i]), "credentials", 0);
		expect_fact(w, c, i + 1, 1, "credentials", "v");
	}
	assert_int_equal(expect(w, c, MSG_cli_done)->cli_done.code, 0);
	expect_silence(w, &w->store);
	expect_silence(w, &w->supervisor);
	world_free(w);
}

/* The supervisor cannot say; the client has gone: both end it, and nothing is left. */
static void
an_explanation_ends_early(void **state)
{
	for (unsigned goes = 0; goes < 2; goes++) {
		struct world *w = world_new("");
		struct chan *c = command_open(w, 0, true);
		struct ipc_msg m =
		    IPC_MSG(cli_explain, .req = 3, .name = span_str("q.io/x:1"));
		send_from(w, c, &m);
		uint64_t req = expect_look_up(w, "q.io/x:1", "");
		if (goes) {
			chan_release(c);
			settle(w, 5);
			assert_null(w->f.queries);
		}
		look_up_answer(w, req, "policy", ERR_INTERNAL);
		assert_null(w->f.queries);
		if (!goes) {
			for (int i = 0; i < 6; i++)
				expect(w, c, MSG_cli_explain_row);
			assert_int_equal(
			    expect(w, c, MSG_cli_done)->cli_done.code, ERR_INTERNAL);
		}
		world_free(w);
	}
}

/* With reach each place is asked as can-pull would, for itself; a cancel ends all. */
static void
places_are_reached(void **state)
{
	for (unsigned cancelled = 0; cancelled < 2; cancelled++) {
		struct world *w = world_new("");
		struct chan *c = command_open(w, 0, true);
		struct ipc_msg m =
		    IPC_MSG(cli_explain, .req = 3, .name = span_str("x:1"), .reach = 1);
		set_search(w);
		send_from(w, c, &m);
		look_up_answer(w, expect_look_up(w, "a.io/x:1", ""), "policy", 0);
		look_up_answer(w, expect_look_up(w, "", "a.io"), "credentials", 0);
		const struct msg_pull *p = &expect(w, &w->store, MSG_pull)->pull;
		assert_int_equal(p->mode, PULL_VERDICT_ONLY);
		assert_true(span_is(p->name, "a.io/x:1"));
		uint64_t pull = p->pull;
		assert_true(span_is(
		    expect(w, &w->supervisor, MSG_want_fetch)->want_fetch.host, "a.io"));
		for (int i = 0; i < 12; i++)
			expect(w, c, MSG_cli_explain_row);
		struct ipc_msg cancel = IPC_MSG(cli_cancel, .req = 3);
		if (cancelled)
			send_from(w, c, &cancel);
		struct ipc_msg end = IPC_MSG(pull_end, .pull = pull,
		    .code = cancelled ? ERR_DEADLINE : ERR_NETWORK,
		    .text = span_str("why not"));
		send_from(w, &w->store, &end);
		if (cancelled) {
			assert_int_equal(
			    expect(w, c, MSG_cli_done)->cli_done.code, ERR_DEADLINE);
		} else {
			expect_fact(w, c, 1, 1, "reach", "no: why not");
			expect_fact(w, c, 2, 0, "image", "b.io/x:1");
		}
		world_free(w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_name_is_explained),
	    cmocka_unit_test(an_explanation_ends_early),
	    cmocka_unit_test(places_are_reached),
	    cmocka_unit_test(a_name_is_resolved),
	    cmocka_unit_test(an_id_is_resolved),
	    cmocka_unit_test(another_version_is_told_so),
	    cmocka_unit_test(nothing_before_the_hello),
	    cmocka_unit_test(answers_find_their_command),
	    cmocka_unit_test(who_goes_leaves_nothing),
	    cmocka_unit_test(a_second_command_joins),
	    cmocka_unit_test(so_many_requests_of_one),
	    cmocka_unit_test(ps_tells_what_a_pull_waits_for),
	    cmocka_unit_test(questions_end_with_the_store),
	    cmocka_unit_test(a_store_that_comes_at_once_leaves_no_question),
	    cmocka_unit_test(status_needs_no_store),
	    cmocka_unit_test(so_many_commands),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
