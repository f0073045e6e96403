/* Descriptions of images that others wrote, with the test as supervisor, frontend and
 * document room: what is read, what is believed, who is told when. */
#include "tests/store/peers.h"

#include "common/base/pairs.h"
#include "worker-store/store/describe.h"
#include "worker-store/store/watch_tell.h"

#include <stdio.h>
#include <stdlib.h>

struct world {
	struct fixture *f;
	struct keeper k;
	struct chan control, frontend;
	struct image im;
	uint8_t id[32];
	unsigned logged;
};

static struct world *world;

void
room_log(struct keeper *k, enum log_level level, const char *fmt, ...)
{
	world->logged++;
}

static int
control_message(struct port *p, struct ipc_msg *m)
{
	struct keeper *k = p->arg;

	if (m->type == MSG_peer)
		helper_peer(k, m);
	else if (m->type == MSG_gone)
		helper_gone(k, &m->gone);
	else if (m->type == MSG_refused)
		helper_refused(k, &m->refused);
	else
		return -1;
	return 0;
}

static int
frontend_message(struct port *p, struct ipc_msg *m)
{
	return query_message(p->arg, m);
}

static void
reap(struct loop_timer *t)
{
	query_reap(t->arg);
}

static int
setup(void **state)
{
	struct world *w = world = calloc(1, sizeof(*w));
	struct keeper *k = &w->k;
	struct commit_result res;
	void *f = NULL;

	if (fixture_new(&f) < 0)
		return -1;
	w->f = f;
	image_make(w->f, &w->im, "a", 1, false);
	image_stage(w->f, &w->im);
	assert_int_equal(image_commit(w->f, &w->im, &res), 0);
	memcpy(w->id, w->im.rq.config_digest, 32);
	keeper_begin(k, w->f, reap);
	peer_open(
	    k, &k->control, &w->control, CH_control, ROOM_SUPERVISOR, control_message);
	peer_open(k, &k->frontend, &w->frontend, CH_frontend_store, ROOM_FRONTEND,
	    frontend_message);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;
	struct keeper *k = &w->k;
	void *f = w->f;

	describe_end(k);
	watch_end(k);
	loop_timer_clear(&k->loop, &k->reap_timer);
	assert_null(k->loop.timers);
	assert_null(k->helpers);
	port_release(&k->control);
	port_release(&k->frontend);
	chan_release(&w->control);
	chan_release(&w->frontend);
	loop_release(&k->loop);
	image_free(w->f, &w->im);
	free(w);
	return fixture_free(&f);
}

static void
expect(struct world *w, struct chan *c, enum ipc_type type, struct ipc_msg *m)
{
	if (!hear(&w->k, c, m, SOON_MS))
		fail_msg("no message %x", type);
	if (m->type != type && m->type == MSG_done)
		fail_msg("done: %.*s", (int)m->done.text.n, m->done.text.p);
	assert_int_equal(m->type, type);
}

static void
describe(struct world *w, uint64_t req)
{
	struct ipc_msg m = IPC_MSG(describe, .req = req);

	memcpy(m.describe.id, w->id, 32);
	assert_int_equal(chan_send(&w->frontend, &m), 0);
	spin(&w->k, 5);
}

static void
quiet(struct world *w, struct chan *c, unsigned ms)
{
	struct ipc_msg m;

	while (hear(&w->k, c, &m, ms))
		if (m.type != MSG_end) /* of a room that broke rules */
			fail_msg("a message %x", m.type);
}

static void
done(struct world *w, uint64_t req, enum err_class code, const char *says)
{
	struct ipc_msg m;
	char text[2048];

	expect(w, &w->frontend, MSG_done, &m);
	assert_int_equal(m.done.req, req);
	assert_true(span_to_str(m.done.text, text, sizeof(text)));
	if (m.done.code != code || !strstr(text, says))
		fail_msg("%d: %s", (int)m.done.code, text);
}

/* A document room is wanted, given, and asked. */
static uint64_t
room_given(struct world *w, struct chan *doc, enum document_kind kind, struct span bytes)
{
	struct ipc_msg m;
	CLEANUP(free_ptr) uint8_t *sent = NULL;
	size_t n;
	int fds[2];

	expect(w, &w->control, MSG_want, &m);
	assert_int_equal(m.want.room, ROOM_DOCUMENT);
	uint64_t token = m.want.token;
	struct ipc_msg peer = IPC_MSG(peer, .channel = CH_store_document, .token = token);
	assert_int_equal(chan_pair(fds), 0);
	assert_int_equal(
	    chan_init(doc, fds[0], CH_store_document, ROOM_DOCUMENT, ROOM_STORE), 0);
	peer.fds[0] = fds[1];
	peer.nfds = 1;
	assert_int_equal(chan_send(&w->control, &peer), 0);
	ipc_msg_release(&peer);
	expect(w, doc, MSG_parse, &m);
	assert_int_equal(m.parse.kind, kind);
	assert_int_equal(fd_check_sealed(m.fds[0], LIMIT_DOCUMENT, &n), 0);
	assert_int_equal(fd_read_whole(m.fds[0], LIMIT_DOCUMENT, &sent, &n), 0);
	assert_true(span_eq(span_of(sent, n), bytes));
	ipc_msg_release(&m);
	return token;
}

static void
room_ends(struct world *w, struct chan *doc, uint64_t token, const struct ipc_msg *said,
    unsigned status)
{
	struct ipc_msg gone =
	    IPC_MSG(gone, .room = ROOM_DOCUMENT, .token = token, .status = status);

	if (said)
		assert_int_equal(chan_send(doc, said), 0);
	assert_int_equal(chan_send(&w->control, &gone), 0);
	spin(&w->k, 5);
	chan_release(doc);
}

static struct ipc_msg
manifest_says(struct world *w, struct span annotations)
{
	struct ipc_msg m = IPC_MSG(
	    manifest_answer, .annotations = annotations, .config_type = span_str("x"));

	memcpy(m.manifest_answer.config, w->im.rq.config_digest, 32);
	return m;
}

#define NOTES span_of("\1\0\0\0k\1\0\0\0v", 10)

static void
manifest(struct world *w, const struct ipc_msg *said, unsigned status)
{
	struct chan doc;
	struct ipc_msg good = manifest_says(w, NOTES);

	uint64_t token = room_given(w, &doc, DOC_MANIFEST, w->im.rq.manifest);
	room_ends(w, &doc, token, said ? said : &good, status);
}

static void
config(struct world *w, const char *user)
{
	struct ipc_msg said = IPC_MSG(config_answer, .user = span_str(user));
	struct chan doc;

	uint64_t token = room_given(w, &doc, DOC_CONFIG, w->im.rq.config);
	room_ends(w, &doc, token, &said, 0);
}

/* A watching frontend has the row, not described. */
static void
watched(struct world *w)
{
	struct ipc_msg m = IPC_MSG(watch);

	assert_int_equal(chan_send(&w->frontend, &m), 0);
	expect(w, &w->frontend, MSG_cache_image, &m);
	assert_int_equal(m.cache_image.described, 0);
	expect(w, &w->frontend, MSG_cache_end, &m);
}

static void
row(struct world *w)
{
	struct ipc_msg m;

	expect(w, &w->frontend, MSG_cache_image, &m);
	assert_int_equal(m.cache_image.described, 1);
	assert_true(span_is(m.cache_image.user, "app"));
	assert_true(span_eq(m.cache_image.annotations, NOTES));
	expect(w, &w->frontend, MSG_cache_end, &m);
}

/* ---- tests ---- */

/* Several ask, one room a document reads, the row comes before each answer. */
static void
test_asked(void **state)
{
	struct world *w = *state;

	watched(w);
	describe(w, 1);
	describe(w, 2);
	manifest(w, NULL, 0);
	describe(w, 3);
	config(w, "app");
	row(w);
	done(w, 3, ERR_OK, "");
	done(w, 2, ERR_OK, "");
	done(w, 1, ERR_OK, "");
	quiet(w, &w->control, 30);
	/* Known, and no room any more. */
	describe(w, 4);
	row(w);
	done(w, 4, ERR_OK, "");
	quiet(w, &w->control, 30);
}

/* Nobody asked: one by one, not while pulls run, told when done, and only once. */
static void
test_background(void **state)
{
	struct world *w = *state;

	watched(w);
	pull_get(&w->k, 5);
	describe_all(&w->k);
	quiet(w, &w->control, 300);
	pulls_end(&w->k, "over");
	pulls_reap(&w->k);
	struct ipc_msg m;
	while (hear(&w->k, &w->control, &m, 0))
		assert_int_equal(m.type, MSG_end);
	manifest(w, NULL, 0);
	config(w, "app");
	row(w);
	quiet(w, &w->control, 400);
	quiet(w, &w->frontend, 10);
}

/* Who asks meanwhile shares it. */
static void
test_background_asked(void **state)
{
	struct world *w = *state;

	watched(w);
	describe_all(&w->k);
	manifest(w, NULL, 0);
	describe(w, 9);
	config(w, "app");
	row(w);
	done(w, 9, ERR_OK, "");
}

static void
test_gone(void **state)
{
	struct world *w = *state;

	w->id[0] ^= 1;
	describe(w, 1);
	done(w, 1, ERR_NOT_FOUND, "no image");
	w->id[0] ^= 1;
	describe(w, 2);
	struct chan doc;
	struct ipc_msg good = manifest_says(w, NOTES);
	uint64_t token = room_given(w, &doc, DOC_MANIFEST, w->im.rq.manifest);
	sh(w->f, 0, "echo '[]' > @D/G/overlay-images/images.json");
	room_ends(w, &doc, token, &good, 0);
	done(w, 2, ERR_NOT_FOUND, "no image");
}

/* Remembered: no second room until the record changes. */
static void
broken(struct world *w, const char *says)
{
	done(w, 1, ERR_CONTENT, says);
	describe(w, 2);
	done(w, 2, ERR_CONTENT, says);
	quiet(w, &w->control, 30);
	assert_int_equal(w->logged, 1);
}

static void
test_damaged_manifest(void **state)
{
	struct world *w = *state;

	sh(w->f, 0,
	    "cd @D/G/overlay-images/*/ && printf x | dd of=manifest conv=notrunc "
	    "2>&1");
	describe(w, 1);
	broken(w, "manifest is damaged");
}

static void
test_damaged_config(void **state)
{
	struct world *w = *state;

	sh(w->f, 0, "cd @D/G/overlay-images/*/ && rm $(ls | grep '^=c2hhMjU2')");
	describe(w, 1);
	manifest(w, NULL, 0);
	broken(w, "config is not in the store");
}

static void
test_refused(void **state)
{
	struct world *w = *state;
	struct ipc_msg no = IPC_MSG(
	    document_failed, .code = ERR_CONTENT, .text = span_str("schema 1 \x1b[2J"));

	describe(w, 1);
	manifest(w, &no, 0);
	broken(w, "schema 1 \\x1b[2J");
	/* A new name is a new record: tried again. */
	sh(w->f, 0, "sed -i s/foo:a/foo:b/ @D/G/overlay-images/images.json");
	describe(w, 3);
	manifest(w, NULL, 0);
	config(w, "app");
	done(w, 3, ERR_OK, "");
}

/* A background that meets it does not try for ever either. */
static void
test_refused_background(void **state)
{
	struct world *w = *state;
	struct ipc_msg no =
	    IPC_MSG(document_failed, .code = ERR_CONTENT, .text = span_str("no"));

	watched(w);
	describe_all(&w->k);
	manifest(w, &no, 0);
	quiet(w, &w->control, 400);
	/* Nor are the records read again and again to find that out. */
	unsigned long loads = w->k.watch->look.loads;
	quiet(w, &w->control, 3500);
	assert_int_equal(w->k.watch->look.loads, loads);
}

static void
lie(struct world *w, struct ipc_msg said, const char *says)
{
	describe(w, 1);
	manifest(w, &said, 0);
	broken(w, says);
}

static void
test_other_config(void **state)
{
	struct ipc_msg said = manifest_says(*state, NOTES);

	said.manifest_answer.config[5] ^= 1;
	lie(*state, said, "names another config");
}

static void
test_bad_annotations(void **state)
{
	lie(*state, manifest_says(*state, span_of("\1\0\0\0k\1\0\0\0\xff", 10)),
	    "broke the protocol");
}

static void
test_other_answer(void **state)
{
	struct ipc_msg said = IPC_MSG(config_answer, .user = span_str("root"));

	lie(*state, said, "broke the protocol");
}

static void
test_bad_user(void **state)
{
	struct world *w = *state;

	describe(w, 1);
	manifest(w, NULL, 0);
	config(w, "a\nb");
	broken(w, "broke the protocol");
}

static void
test_crash(void **state)
{
	struct world *w = *state;

	describe(w, 1);
	manifest(w, NULL, 256 + 9);
	broken(w, "signal 9");
}

/* One that says nothing is ended; that is not held against the image. */
static void
test_silent(void **state)
{
	struct world *w = *state;
	struct ipc_msg m;
	struct chan doc;

	w->k.answer_ms = 200;
	describe(w, 1);
	uint64_t token = room_given(w, &doc, DOC_MANIFEST, w->im.rq.manifest);
	expect(w, &w->control, MSG_end, &m);
	assert_int_equal(m.end.room, ROOM_DOCUMENT);
	assert_int_equal(m.end.token, token);
	done(w, 1, ERR_DEADLINE, "was ended");
	room_ends(w, &doc, token, NULL, 256 + 9);
	w->k.answer_ms = 0;
	describe(w, 2);
	manifest(w, NULL, 0);
	config(w, "app");
	done(w, 2, ERR_OK, "");
}

/* Too many rooms live just now: again, not for ever, and nothing is held against it. */
static void
test_no_room(void **state)
{
	struct world *w = *state;
	struct ipc_msg m;
	unsigned n = 0;

	describe(w, 1);
	while (hear(&w->k, &w->control, &m, 1000)) {
		struct ipc_msg no = IPC_MSG(refused, .room = ROOM_DOCUMENT,
		    .token = m.want.token, .text = span_str("too many"));
		assert_int_equal(m.type, MSG_want);
		assert_int_equal(chan_send(&w->control, &no), 0);
		n++;
	}
	assert_int_equal(n, 20);
	done(w, 1, ERR_INTERNAL, "too many");
	describe(w, 2);
	manifest(w, NULL, 0);
	config(w, "app");
	done(w, 2, ERR_OK, "");
}

/* The frontend has gone: its questions too; what runs goes on and is kept. */
static void
test_stop(void **state)
{
	struct world *w = *state;
	struct ipc_msg good = manifest_says(w, NOTES);
	struct chan doc;

	describe(w, 1);
	uint64_t token = room_given(w, &doc, DOC_MANIFEST, w->im.rq.manifest);
	describe_stop(&w->k); /* what has begun goes on */
	room_ends(w, &doc, token, &good, 0);
	config(w, "app");
	quiet(w, &w->frontend, 20);
	describe(w, 2);
	done(w, 2, ERR_OK, "");
	quiet(w, &w->control, 20);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_asked),
	    T(test_background),
	    T(test_background_asked),
	    T(test_gone),
	    T(test_damaged_manifest),
	    T(test_damaged_config),
	    T(test_refused),
	    T(test_refused_background),
	    T(test_other_config),
	    T(test_bad_annotations),
	    T(test_other_answer),
	    T(test_bad_user),
	    T(test_crash),
	    T(test_silent),
	    T(test_no_room),
	    T(test_stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
