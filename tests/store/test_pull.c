/* The storing side of a pull, with the test as supervisor, frontend and every other room:
 * what it believes, what it refuses, and when it touches a tree. */
#include "tests/store/peers.h"

#include "worker-store/store/hash.h"
#include "worker-store/store/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PULL 7
#define NAME "docker.io/library/foo:a"

struct world {
	struct fixture *f;
	struct keeper k;
	struct chan control, frontend;
	struct image im;
	struct ipc_msg want[64]; /* what the store has asked of the supervisor */
	size_t n_wants, next_want;
	struct chan janitor;
	uint8_t *manifest; /* made by the test */
	uint8_t policy[32];
};

static struct world *world;

/* What main.c does in the room. */
uint64_t
room_token(struct keeper *k)
{
	return ++k->tokens;
}

void
room_log(struct keeper *k, enum log_level level, const char *fmt, ...)
{
}

void
room_stop_check(struct keeper *k)
{
}

static int
control_message(struct port *p, struct ipc_msg *m)
{
	struct keeper *k = p->arg;

	switch (m->type) {
	case MSG_peer:
		if (m->peer.channel == CH_fetch_store)
			pull_peer(k, m);
		else
			helper_peer(k, m);
		return 0;
	case MSG_gone:
		helper_gone(k, &m->gone);
		return 0;
	case MSG_refused:
		helper_refused(k, &m->refused);
		return 0;
	case MSG_access:
		pull_access(k, &m->access);
		return 0;
	default:
		return -1;
	}
}

static int
frontend_message(struct port *p, struct ipc_msg *m)
{
	return m->type == MSG_pull || m->type == MSG_cancel || m->type == MSG_again
		   ? pull_message(p->arg, m)
		   : query_message(p->arg, m);
}

static void
reap(struct loop_timer *t)
{
	query_reap(t->arg);
	pulls_reap(t->arg);
}

static int
setup(void **state)
{
	struct world *w = world = calloc(1, sizeof(*w));
	void *f = NULL;

	if (fixture_new(&f) < 0)
		return -1;
	w->f = f;
	struct keeper *k = &w->k;
	keeper_begin(k, w->f, reap);
	k->max_layer = k->max_image = MiB(1);
	k->max_layers = k->max_layers_pull = 3;
	memset(w->policy, 9, sizeof(w->policy));
	memcpy(k->policy, w->policy, sizeof(k->policy));
	snprintf(k->graph_root, sizeof(k->graph_root), "%s/G", w->f->dir);
	peer_open(
	    k, &k->control, &w->control, CH_control, ROOM_SUPERVISOR, control_message);
	peer_open(k, &k->frontend, &w->frontend, CH_frontend_store, ROOM_FRONTEND,
	    frontend_message);
	image_make(w->f, &w->im, "a", 1, true);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;
	struct keeper *k = &w->k;
	void *f = w->f;

	k->lost = true;
	pulls_end(k, "over");
	pulls_reap(k);
	query_reap(k);
	watch_end(k);
	port_release(&k->control);
	port_release(&k->frontend);
	chan_release(&w->control);
	chan_release(&w->frontend);
	chan_release(&w->janitor);
	for (size_t i = 0; i < w->n_wants; i++)
		ipc_msg_release(&w->want[i]);
	while (k->helpers)
		helper_drop(k->helpers);
	fd_close(&k->erase.dir);
	hold_release(&k->hold);
	loop_release(&k->loop);
	w->f->s = k->store; /* its trash may be another one by now */
	image_free(w->f, &w->im);
	free(w->manifest);
	free(w);
	return fixture_free(&f);
}

/* ---- the loop, and what comes out of it ---- */

static void
tell(struct chan *c, const struct ipc_msg *m)
{
	assert_int_equal(chan_send(c, m), 0);
}

/* The next message, whatever it is; its fds are the caller's. */
static bool
next_message(struct world *w, struct chan *c, struct ipc_msg *m, unsigned ms)
{
	const char *why;

	for (unsigned t = 0; t <= ms; t += 2) {
		int r = chan_recv(c, m, &why);
		if (r == 0)
			return true;
		if (r != CHAN_EMPTY)
			return false;
		spin(&w->k, 2);
	}
	return false;
}

static void
expect(struct world *w, struct chan *c, enum ipc_type type, struct ipc_msg *m)
{
	if (!next_message(w, c, m, 3000))
		fail_msg("no message %x", type);
	if (m->type == MSG_pull_end && type != MSG_pull_end)
		fail_msg(
		    "the pull ended: %.*s", (int)m->pull_end.text.n, m->pull_end.text.p);
	assert_int_equal(m->type, type);
}

static void
give(struct world *w, struct chan *c, enum ipc_channel channel, enum room room,
    uint64_t pull, uint64_t token)
{
	struct ipc_msg m =
	    IPC_MSG(peer, .channel = channel, .pull = pull, .token = token);
	int fds[2];

	assert_int_equal(chan_pair(fds), 0);
	assert_int_equal(chan_init(c, fds[0], channel, room, ROOM_STORE), 0);
	if (channel == CH_fetch_store)
		c->phase = IPC_RUN;
	m.fds[0] = fds[1];
	m.nfds = 1;
	tell(&w->control, &m);
	close(fds[1]);
	spin(&w->k, 2);
}

static void
gone(struct world *w, enum room room, uint64_t token, unsigned status)
{
	struct ipc_msg m =
	    IPC_MSG(gone, .room = room, .pull = PULL, .token = token, .status = status);

	tell(&w->control, &m);
	spin(&w->k, 2);
}

/* The next room that is wanted for the pull. The room that would clean up after a dead
 * supervisor is given at once. */
static void
wanted(struct world *w, enum room room, struct ipc_msg *m)
{
	for (;;) {
		if (!next_message(w, &w->control, m, 3000))
			fail_msg("no %s room was wanted", room_name(room));
		bool apply = m->type == MSG_want_apply;
		if (apply && m->want_apply.mode == APPLY_ERASE) {
			uint64_t token = m->want_apply.token;
			ipc_msg_release(m);
			chan_release(&w->janitor);
			give(w, &w->janitor, CH_store_apply, ROOM_APPLY, 0, token);
			continue;
		}
		if (m->type != MSG_want && !apply)
			continue;
		assert_int_equal(apply ? ROOM_APPLY : m->want.room, room);
		ipc_msg_release(m);
		return;
	}
}

static enum err_class
pull_ended(struct world *w, char text[2048])
{
	struct ipc_msg m;

	for (;;) {
		if (!next_message(w, &w->frontend, &m, 4000))
			fail_msg("the pull did not end");
		if (m.type == MSG_wrong) { /* nobody has better bytes */
			struct ipc_msg no = IPC_MSG(cancel, .pull = PULL,
			    .code = m.wrong.code, .text = m.wrong.text);
			tell(&w->frontend, &no);
			continue;
		}
		if (m.type != MSG_pull_end)
			continue;
		if (text)
			assert_true(span_to_str(m.pull_end.text, text, 2048));
		assert_int_equal(m.pull_end.pull, PULL);
		return (enum err_class)m.pull_end.code;
	}
}

static void
assert_ended(struct world *w, enum err_class code)
{
	char text[2048];
	enum err_class got = pull_ended(w, text);

	if (got != code)
		fail_msg("ended with %d: %s", got, text);
}

/* ---- the steps of a pull ---- */

static void
ask(struct world *w, enum pull_mode mode, const char *name, const uint8_t *pin)
{
	struct ipc_msg m =
	    IPC_MSG(pull, .pull = PULL, .name = span_str(name), .pinned = pin != NULL,
		.os = span_str("linux"), .architecture = span_str("amd64"), .mode = mode);

	if (pin)
		memcpy(m.pull.digest, pin, 32);
	tell(&w->frontend, &m);
}

static void
send_document(struct chan *fetch, uint64_t req, int fd)
{
	struct ipc_msg m = IPC_MSG(document, .req = req,
	    .media_type = span_str("application/vnd.oci.image.index.v1+json"));

	m.fds[0] = fd;
	m.nfds = 1;
	tell(fetch, &m);
	close(fd);
}

/* A document arrives; its reader room is given and has its question. token: the room's.
 */
static void
read_by(struct world *w, struct chan *fetch, struct span bytes, struct chan *doc,
    uint64_t *token)
{
	struct ipc_msg m;

	expect(w, &w->frontend, MSG_need_document, &m);
	send_document(
	    fetch, m.need_document.req, fd_sealed_memfd("document", bytes.p, bytes.n));
	wanted(w, ROOM_DOCUMENT, &m);
	*token = m.want.token;
	give(w, doc, CH_store_document, ROOM_DOCUMENT, PULL, *token);
	expect(w, doc, MSG_parse, &m);
	ipc_msg_release(&m);
}

static void
answer(struct world *w, struct chan *doc, uint64_t token, const struct ipc_msg *m)
{
	tell(doc, m);
	spin(&w->k, 2);
	chan_release(doc);
	gone(w, ROOM_DOCUMENT, token, 0);
}

static void
index_answer(struct world *w, struct ipc_msg *m)
{
	*m = (struct ipc_msg)IPC_MSG(index_answer, .size = w->im.rq.manifest.n,
	    .media_type = span_str("application/vnd.oci.image.manifest.v1+json"));
	memcpy(m->index_answer.digest, w->im.rq.manifest_digest, 32);
}

static void
manifest_answer(struct world *w, struct ipc_msg *m)
{
	static const uint8_t gzip = COMPRESSION_GZIP;

	*m = (struct ipc_msg)IPC_MSG(manifest_answer, .config_size = w->im.rq.config.n,
	    .config_type = span_str("application/vnd.oci.image.config.v1+json"),
	    .digests = span_of(w->im.layers[0].blob_digest, 32),
	    .compressions = span_of(&gzip, 1));
	memcpy(m->manifest_answer.config, w->im.rq.config_digest, 32);
	m->manifest_answer.sizes.n = 1;
	m->manifest_answer.sizes.v[0] = w->im.layers[0].blob_size;
}

static void
config_answer(struct world *w, struct ipc_msg *m)
{
	*m = (struct ipc_msg)IPC_MSG(config_answer,
	    .diff_ids = span_of(w->im.layers[0].diff_id, 32), .created = 1704164645,
	    .os = span_str("linux"), .architecture = span_str("amd64"));
}

static void
access_public(struct world *w)
{
	struct ipc_msg m = IPC_MSG(access, .pull = PULL, .public = 1);

	tell(&w->control, &m);
	spin(&w->k, 2);
}

/* Up to the question for a verdict. */
static void
documents(struct world *w, struct chan *fetch)
{
	struct chan doc = {.fd = -1};
	struct ipc_msg m;
	uint64_t token;

	access_public(w); /* overtakes the pull itself */
	give(w, fetch, CH_fetch_store, ROOM_FETCH, PULL, 1);
	ask(w, PULL_ALWAYS, NAME, NULL);
	read_by(w, fetch, w->im.rq.list, &doc, &token);
	index_answer(w, &m);
	answer(w, &doc, token, &m);
	read_by(w, fetch, w->im.rq.manifest, &doc, &token);
	manifest_answer(w, &m);
	answer(w, &doc, token, &m);
	read_by(w, fetch, w->im.rq.config, &doc, &token);
	config_answer(w, &m);
	answer(w, &doc, token, &m);
}

static void
judge_with(struct world *w, bool accept, const char *name, const uint8_t *policy)
{
	struct chan c = {.fd = -1};
	struct ipc_msg m;

	wanted(w, ROOM_VERDICT, &m);
	uint64_t token = m.want.token;
	give(w, &c, CH_store_verdict, ROOM_VERDICT, PULL, token);
	expect(w, &c, MSG_judge, &m);
	assert_true(span_is(m.judge.name, NAME));
	assert_memory_equal(m.judge.digest, w->im.rq.manifest_digest, 32);
	struct ipc_msg v = IPC_MSG(verdict, .accept = accept, .name = span_str(name),
	    .text = span_str("because"));
	memcpy(v.verdict.digest, w->im.rq.manifest_digest, 32);
	memcpy(v.verdict.policy, policy, 32);
	tell(&c, &v);
	spin(&w->k, 2);
	gone(w, ROOM_VERDICT, token, 0);
	chan_release(&c);
}

struct layer_rooms {
	struct chan hash, apply;
	uint64_t token;
};

/* Up to the blob being wanted. */
static void
layer_rooms_next(struct world *w, struct layer_rooms *r)
{
	struct ipc_msg m;

	*r = (struct layer_rooms){.hash.fd = -1, .apply.fd = -1};
	wanted(w, ROOM_HASH, &m);
	assert_int_equal(m.want.arg, COMPRESSION_GZIP);
	r->token = m.want.token;
	give(w, &r->hash, CH_store_hash, ROOM_HASH, PULL, r->token);
	expect(w, &r->hash, MSG_hash_layer, &m);
	assert_int_equal(m.hash_layer.size, w->im.layers[0].blob_size);
	wanted(w, ROOM_APPLY, &m);
	assert_int_equal(m.want_apply.mode, APPLY_UNTAR);
	assert_int_equal(m.want_apply.token, r->token);
	give(w, &r->apply, CH_store_apply, ROOM_APPLY, PULL, r->token);
	expect(w, &r->apply, MSG_untar, &m);
	ipc_msg_release(&m);
	expect(w, &w->frontend, MSG_layer, &m);
	assert_int_equal(m.layer.state, LAYER_WANTED);
	assert_int_equal(m.layer.token, r->token);
}

static void
layer_rooms(struct world *w, struct layer_rooms *r)
{
	struct ipc_msg m;

	judge_with(w, true, NAME, w->policy);
	expect(w, &w->frontend, MSG_layer, &m);
	assert_int_equal(m.layer.state, LAYER_WAITING);
	layer_rooms_next(w, r);
}

static void
rooms_free(struct layer_rooms *r)
{
	chan_release(&r->hash);
	chan_release(&r->apply);
}

/* A pull at its layer, whose rooms may ask for more. */
static void
at_layer(struct world *w, struct chan *fetch, struct layer_rooms *r)
{
	w->k.max_layer = MiB(2);
	documents(w, fetch);
	layer_rooms(w, r);
}

static void
hashed(struct world *w, struct ipc_msg *m)
{
	struct commit_layer *l = &w->im.layers[0];

	*m = (struct ipc_msg)IPC_MSG(
	    hashed, .size = l->blob_size, .diff_size = l->diff_size);
	memcpy(m->hashed.digest, l->blob_digest, 32);
	memcpy(m->hashed.diff_id, l->diff_id, 32);
}

static void
all_gone(struct world *w, uint64_t token)
{
	gone(w, ROOM_HASH, token, 0);
	gone(w, ROOM_INFLATE, token, 0);
	gone(w, ROOM_APPLY, token, 0);
}

/* The tree, as the applier and its checker leave it. */
static void
fill_stage(struct world *w)
{
	sh(w->f, 0,
	    "cd @D/G/bulkhead/%s && n=$(ls | grep split | cut -d. -f1) && tar -C $n/diff "
	    "-xpf "
	    "%s/layer0.tar && tar-split disasm --no-stdout --output t.gz %s/layer0.tar "
	    "2>&1 && cat "
	    "t.gz > $n.split && rm t.gz",
	    w->k.store.name, w->im.dir, w->im.dir);
}

static void
applied(struct world *w, struct layer_rooms *r)
{
	struct ipc_msg m;

	hashed(w, &m);
	tell(&r->hash, &m);
	m = (struct ipc_msg)IPC_MSG(
	    applied, .bytes = w->im.layers[0].diff_size, .entries = 2);
	tell(&r->apply, &m);
	spin(&w->k, 2);
	all_gone(w, r->token);
}

/* The checker's room, with its question. */
static void
check_room(struct world *w, struct chan *c, uint64_t *token)
{
	struct ipc_msg m;

	wanted(w, ROOM_APPLY, &m);
	assert_int_equal(m.want_apply.mode, APPLY_CHECK);
	*token = m.want_apply.token;
	give(w, c, CH_store_apply, ROOM_APPLY, PULL, *token);
	expect(w, c, MSG_check, &m);
	assert_int_equal(m.check.bytes, w->im.layers[0].diff_size);
	ipc_msg_release(&m);
}

static void
checked(struct world *w, struct chan *c, uint64_t token)
{
	static const uint8_t zero[4];
	struct ipc_msg m = IPC_MSG(
	    checked, .entries = 2, .uids = span_of(zero, 4), .gids = span_of(zero, 4));

	tell(c, &m);
	spin(&w->k, 2);
	gone(w, ROOM_APPLY, token, 0);
	chan_release(c);
}

static void
whole_pull(struct world *w)
{
	struct chan fetch = {.fd = -1}, check = {.fd = -1};
	struct layer_rooms r;
	uint64_t token;

	documents(w, &fetch);
	layer_rooms(w, &r);
	fill_stage(w);
	applied(w, &r);
	check_room(w, &check, &token);
	checked(w, &check, token);
	assert_ended(w, ERR_OK);
	rooms_free(&r);
	chan_release(&fetch);
}

/* ---- tests ---- */

static void
test_whole_pull(void **state)
{
	struct world *w = *state;

	whole_pull(w);
	sh(w->f, 0, "skopeo copy --policy @D/policy.json @Sfoo:a oci:@D/out:a 2>&1");
	assert_null(w->k.pulls ? w->k.pulls->fetchers : NULL);
}

/* Space is granted in steps until the layer has what one layer may have. */
static void
test_grants(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1};
	struct layer_rooms r;
	struct ipc_msg m;
	const struct space *s = &w->k.space;

	at_layer(w, &fetch, &r);
	assert_int_equal(s->bytes, SPACE_LEAST);
	assert_int_equal(s->inodes, SPACE_INODES + SPACE_LEAST / SPACE_AN_INODE);
	uint64_t entries = s->inodes, bytes = SPACE_LEAST;
	m = (struct ipc_msg)IPC_MSG(apply_more, .entries = entries);
	tell(&r.apply, &m);
	expect(w, &r.apply, MSG_apply_grant, &m);
	assert_int_equal(m.apply_grant.granted, entries + entries / 2);
	m = (struct ipc_msg)IPC_MSG(hash_progress, .compressed = 1, .uncompressed = 1000);
	tell(&r.hash, &m);
	while (bytes < MiB(2)) {
		m = (struct ipc_msg)IPC_MSG(hash_more, .uncompressed = bytes);
		tell(&r.hash, &m);
		expect(w, &r.hash, MSG_hash_grant, &m);
		assert_true(m.hash_grant.granted > bytes);
		bytes = m.hash_grant.granted;
	}
	assert_int_equal(bytes, MiB(2));
	m = (struct ipc_msg)IPC_MSG(cancel, .pull = PULL, .code = ERR_DEADLINE);
	tell(&w->frontend, &m);
	assert_ended(w, ERR_DEADLINE);
	all_gone(w, r.token);
	spin(&w->k, 10);
	assert_int_equal(s->bytes + s->inodes, 0);
	rooms_free(&r);
	chan_release(&fetch);
}

/* Rooms that ask for what they cannot need. */
static void
asks_wrongly(struct world *w, const struct ipc_msg *m, bool hash)
{
	struct chan fetch = {.fd = -1};
	struct layer_rooms r;
	char text[2048];

	at_layer(w, &fetch, &r);
	tell(hash ? &r.hash : &r.apply, m);
	assert_int_equal(pull_ended(w, text), ERR_INTERNAL);
	assert_non_null(strstr(text, "broke the protocol"));
	all_gone(w, r.token);
	rooms_free(&r);
	chan_release(&fetch);
}

static void
test_hash_asks_wrongly(void **state)
{
	asks_wrongly(*state,
	    &(struct ipc_msg)IPC_MSG(hash_more, .uncompressed = SPACE_LEAST + 1), true);
}

static void
test_hash_asks_early(void **state)
{
	asks_wrongly(*state,
	    &(struct ipc_msg)IPC_MSG(hash_more, .uncompressed = SPACE_LEAST - 1), true);
}

static void
test_applier_asks_early(void **state)
{
	asks_wrongly(*state, &(struct ipc_msg)IPC_MSG(apply_more, .entries = 1), false);
}

/* An applier that says it made more files than its bytes can hold. */
static void
test_applier_asks_for_too_much(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1};
	struct layer_rooms r;
	struct ipc_msg m;
	uint64_t entries;

	at_layer(w, &fetch, &r);
	for (entries = w->k.space.inodes; entries < SPACE_LEAST / SPACE_ENTRY;) {
		m = (struct ipc_msg)IPC_MSG(apply_more, .entries = entries);
		tell(&r.apply, &m);
		expect(w, &r.apply, MSG_apply_grant, &m);
		entries = m.apply_grant.granted;
	}
	assert_int_equal(entries, SPACE_LEAST / SPACE_ENTRY);
	m = (struct ipc_msg)IPC_MSG(apply_more, .entries = entries);
	tell(&r.apply, &m);
	assert_ended(w, ERR_INTERNAL);
	all_gone(w, r.token);
	rooms_free(&r);
	chan_release(&fetch);
}

/* A store that is full but for what another pull has reserved. */
static void
test_no_space(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1};
	char text[2048];

	w->k.space.bytes = UINT64_C(1) << 60;
	documents(w, &fetch);
	judge_with(w, true, NAME, w->policy);
	assert_int_equal(pull_ended(w, text), ERR_NO_SPACE);
	assert_non_null(strstr(text, NAME ": no space: at least "));
	assert_non_null(strstr(text, "other pulls have reserved 1099511627776.0 MiB"));
	assert_int_equal(w->k.space.bytes, UINT64_C(1) << 60);
	chan_release(&fetch);
}

/* While something is being removed, who lacks space waits for it, and is refused when it
 * was not enough. */
static void
test_waits_for_space(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1};
	struct layer_rooms r;
	struct ipc_msg m;

	at_layer(w, &fetch, &r);
	w->k.erase.busy = true;
	w->k.space.bytes += UINT64_C(1) << 60;
	m = (struct ipc_msg)IPC_MSG(hash_more, .uncompressed = SPACE_LEAST);
	tell(&r.hash, &m);
	expect(w, &w->frontend, MSG_progress, &m);
	assert_int_equal(m.progress.stage, STAGE_SPACE);
	assert_false(next_message(w, &r.hash, &m, 20));
	w->k.space.bytes -= UINT64_C(1) << 60;
	space_retry(&w->k);
	expect(w, &r.hash, MSG_hash_grant, &m);
	w->k.space.bytes += UINT64_C(1) << 60;
	m = (struct ipc_msg)IPC_MSG(apply_more, .entries = w->k.space.inodes);
	tell(&r.apply, &m);
	expect(w, &w->frontend, MSG_progress, &m);
	w->k.erase.busy = false;
	space_retry(&w->k);
	assert_ended(w, ERR_NO_SPACE);
	all_gone(w, r.token);
	rooms_free(&r);
	chan_release(&fetch);
}

/* Another pull, up to the verdict: the config is the store's, the manifest too unless it
 * is said to be new. */
static void
documents_again(struct world *w, struct chan *fetch, bool new_manifest)
{
	struct chan doc = {.fd = -1};
	struct ipc_msg m;
	uint64_t token;

	spin(&w->k, 20);
	w->k.n_ended = 0; /* the test's pulls share one number */
	access_public(w);
	give(w, fetch, CH_fetch_store, ROOM_FETCH, PULL, 2);
	ask(w, PULL_ALWAYS, NAME, NULL);
	read_by(w, fetch, w->im.rq.list, &doc, &token);
	index_answer(w, &m);
	answer(w, &doc, token, &m);
	for (int i = 0; i < 2; i++) {
		if (i == 0 && new_manifest) {
			read_by(w, fetch, w->im.rq.manifest, &doc, &token);
		} else { /* not asked of the frontend */
			wanted(w, ROOM_DOCUMENT, &m);
			token = m.want.token;
			give(w, &doc, CH_store_document, ROOM_DOCUMENT, PULL, token);
			expect(w, &doc, MSG_parse, &m);
			ipc_msg_release(&m);
		}
		if (i == 0)
			manifest_answer(w, &m);
		else
			config_answer(w, &m);
		answer(w, &doc, token, &m);
	}
	judge_with(w, true, NAME, w->policy);
}

/* A second pull of the same image: documents from the store, a verdict, no layer. */
static void
test_again(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1};
	struct ipc_msg m;

	whole_pull(w);
	documents_again(w, &fetch, false);
	expect(w, &w->frontend, MSG_layer, &m);
	assert_int_equal(m.layer.state, LAYER_PRESENT);
	assert_ended(w, ERR_OK);
	chan_release(&fetch);
}

/* Another manifest of the image that is there, with a blob nobody has seen. */
static void
blob_changes(struct world *w)
{
	uint8_t *text = malloc(w->im.rq.manifest.n + 1);

	memcpy(text, w->im.rq.manifest.p, w->im.rq.manifest.n);
	text[w->im.rq.manifest.n] = ' ';
	w->im.rq.manifest.n++;
	w->im.rq.manifest.p = w->manifest = text;
	assert_int_equal(sha256(w->im.rq.manifest, w->im.rq.manifest_digest), 0);
	w->im.layers[0].blob_digest[0] ^= 1;
}

/* It is fetched and hashed; no applier is asked for. */
static void
hash_only(struct world *w, bool honest, enum err_class code)
{
	struct chan fetch = {.fd = -1}, hash = {.fd = -1};
	struct ipc_msg m;

	documents_again(w, &fetch, true);
	expect(w, &w->frontend, MSG_layer, &m);
	assert_int_equal(m.layer.state, LAYER_WAITING);
	wanted(w, ROOM_HASH, &m);
	uint64_t token = m.want.token;
	give(w, &hash, CH_store_hash, ROOM_HASH, PULL, token);
	expect(w, &hash, MSG_hash_layer, &m);
	assert_int_equal(m.hash_layer.discard, 1);
	expect(w, &w->frontend, MSG_layer, &m);
	assert_int_equal(m.layer.state, LAYER_WANTED);
	hashed(w, &m);
	m.hashed.diff_id[0] ^= !honest;
	tell(&hash, &m);
	spin(&w->k, 2);
	while (next_message(w, &w->control, &m, 0)) {
		assert_int_not_equal(m.type, MSG_want_apply);
		ipc_msg_release(&m);
	}
	gone(w, ROOM_HASH, token, 0);
	gone(w, ROOM_INFLATE, token, 0);
	assert_ended(w, code);
	chan_release(&hash);
	chan_release(&fetch);
}

static void
test_recompressed(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1};
	struct ipc_msg m;

	whole_pull(w);
	sh(w->f, 0, "cp @D/G/overlay-layers/layers.json @D/before");
	blob_changes(w);
	hash_only(w, true, ERR_OK);
	sh(w->f, 0, "cmp @D/G/overlay-layers/layers.json @D/before");
	sh(w->f, 0, "grep -q '\"manifest-sha256:%s\"' @D/G/overlay-images/images.json",
	    hex_encode(w->im.rq.manifest_digest, 32, (char[65]){0}));
	/* Now the image has that manifest: seen is seen. */
	documents_again(w, &fetch, false);
	expect(w, &w->frontend, MSG_layer, &m);
	assert_int_equal(m.layer.state, LAYER_PRESENT);
	assert_ended(w, ERR_OK);
	chan_release(&fetch);
}

static void
test_anothers_config(void **state)
{
	struct world *w = *state;

	whole_pull(w);
	sh(w->f, 0, "cp @D/G/overlay-images/images.json @D/before");
	blob_changes(w);
	hash_only(w, false, ERR_CONTENT);
	sh(w->f, 0, "cmp @D/G/overlay-images/images.json @D/before");
}

static void
bad_document(struct world *w, int fd, const uint8_t *pin)
{
	struct chan fetch = {.fd = -1};
	struct ipc_msg m;
	char name[200] = NAME;

	if (pin) {
		strcpy(name, "docker.io/library/foo@");
		digest_print(pin, name + strlen(name));
	}
	give(w, &fetch, CH_fetch_store, ROOM_FETCH, PULL, 1);
	ask(w, PULL_ALWAYS, name, pin);
	expect(w, &w->frontend, MSG_need_document, &m);
	send_document(&fetch, m.need_document.req, fd);
	assert_ended(w, ERR_CONTENT);
	chan_release(&fetch);
}

static void
test_wrong_hash(void **state)
{
	struct world *w = *state;

	bad_document(w, fd_sealed_memfd("d", "{}", 2), w->im.rq.list_digest);
}

static void
test_unsealed(void **state)
{
	int fd = memfd_create("d", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(write(fd, "{}", 2), 2);
	bad_document(*state, fd, NULL);
}

static void
test_document_size(void **state)
{
	char *big = calloc(1, LIMIT_DOCUMENT + 1);

	bad_document(*state, fd_sealed_memfd("d", big, LIMIT_DOCUMENT + 1), NULL);
	free(big);
}

/* An answer that nobody waits for is nothing; the right one still counts. */
static void
test_stray_documents(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1}, doc = {.fd = -1};
	struct ipc_msg m, parse;

	give(w, &fetch, CH_fetch_store, ROOM_FETCH, PULL, 1);
	ask(w, PULL_ALWAYS, NAME, NULL);
	expect(w, &w->frontend, MSG_need_document, &m);
	send_document(&fetch, m.need_document.req + 1, fd_sealed_memfd("d", "1", 1));
	send_document(&fetch, m.need_document.req, fd_sealed_memfd("d", "2", 1));
	send_document(&fetch, m.need_document.req, fd_sealed_memfd("d", "3", 1));
	wanted(w, ROOM_DOCUMENT, &m);
	give(w, &doc, CH_store_document, ROOM_DOCUMENT, PULL, m.want.token);
	expect(w, &doc, MSG_parse, &parse);
	char byte;
	assert_int_equal(pread(parse.fds[0], &byte, 1, 0), 1);
	assert_int_equal(byte, '2');
	ipc_msg_release(&parse);
	chan_release(&doc);
	gone(w, ROOM_DOCUMENT, m.want.token, 256 + 9); /* owned, or out of memory */
	assert_ended(w, ERR_CONTENT);
	chan_release(&fetch);
}

static void
bad_answer(struct world *w, const struct ipc_msg *m, enum err_class code)
{
	struct chan fetch = {.fd = -1}, doc = {.fd = -1};
	uint64_t token;

	give(w, &fetch, CH_fetch_store, ROOM_FETCH, PULL, 1);
	ask(w, PULL_ALWAYS, NAME, NULL);
	read_by(w, &fetch, w->im.rq.list, &doc, &token);
	answer(w, &doc, token, m);
	assert_ended(w, code);
	chan_release(&fetch);
}

static void
test_config_for_index(void **state)
{
	struct ipc_msg m;

	config_answer(*state, &m);
	bad_answer(*state, &m, ERR_CONTENT);
}

/* Rooms that have a document, or the question for a verdict, and stay silent. */
static void
test_silent_document_room(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1}, doc = {.fd = -1};
	uint64_t token;
	struct ipc_msg m;
	char text[2048];

	w->k.answer_ms = 200;
	give(w, &fetch, CH_fetch_store, ROOM_FETCH, PULL, 1);
	ask(w, PULL_ALWAYS, NAME, NULL);
	read_by(w, &fetch, w->im.rq.list, &doc, &token);
	assert_int_equal(pull_ended(w, text), ERR_CONTENT);
	assert_non_null(strstr(text, "document room had not done its work"));
	assert_true(next_message(w, &w->control, &m, 100));
	assert_int_equal(m.type, MSG_end);
	assert_int_equal(m.end.token, token);
	gone(w, ROOM_DOCUMENT, token, 256 + 9);
	spin(&w->k, 20);
	assert_null(w->k.pulls);
	chan_release(&doc);
	chan_release(&fetch);
}

static void
test_silent_verdict_room(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1}, c = {.fd = -1};
	struct ipc_msg m;
	char text[2048];

	w->k.answer_ms = 1000; /* the document rooms of this test are faster */
	documents(w, &fetch);
	wanted(w, ROOM_VERDICT, &m);
	give(w, &c, CH_store_verdict, ROOM_VERDICT, PULL, m.want.token);
	expect(w, &c, MSG_judge, &m);
	assert_int_equal(pull_ended(w, text), ERR_INTERNAL);
	assert_non_null(strstr(text, "verdict room had not done its work"));
	chan_release(&c);
	chan_release(&fetch);
}

/* A fetcher that says it has fetched, and sends nothing. */
static void
test_no_document(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1}, doc = {.fd = -1};
	struct ipc_msg m;
	uint64_t token;
	char text[2048];

	w->k.arrival_ms = 200;
	give(w, &fetch, CH_fetch_store, ROOM_FETCH, PULL, 1);
	ask(w, PULL_ALWAYS, NAME, NULL);
	read_by(w, &fetch, w->im.rq.list, &doc, &token);
	spin(&w->k, 300); /* that one is here: only its room is waited for */
	index_answer(w, &m);
	answer(w, &doc, token, &m);
	expect(w, &w->frontend, MSG_need_document, &m);
	send_document(&fetch, m.need_document.req + 1, fd_sealed_memfd("d", "1", 1));
	assert_int_equal(pull_ended(w, text), ERR_DEADLINE);
	assert_non_null(strstr(text, "manifest of " NAME " did not arrive"));
	spin(&w->k, 20);
	assert_null(w->k.pulls);
	chan_release(&fetch);
}

static void
test_uneven_manifest(void **state)
{
	struct ipc_msg m;

	manifest_answer(*state, &m);
	m.manifest_answer.sizes.n = 2;
	bad_answer(*state, &m, ERR_CONTENT);
}

static void
test_layer_too_large(void **state)
{
	struct world *w = *state;
	struct ipc_msg m;

	manifest_answer(w, &m);
	m.manifest_answer.sizes.v[0] = w->k.max_layer + 1;
	bad_answer(w, &m, ERR_CONTENT);
}

/* The layers behind the refused one hold no descriptors yet, number 0 least of all. */
static void
test_first_of_two_too_large(void **state)
{
	static const uint8_t gzip[2] = {COMPRESSION_GZIP, COMPRESSION_GZIP};
	struct world *w = *state;
	uint8_t digests[64] = {1};
	struct ipc_msg m;

	int null = open("/dev/null", O_RDONLY);
	if (null > 0)
		close(null);
	assert_true(fcntl(0, F_GETFD) >= 0);
	manifest_answer(w, &m);
	m.manifest_answer.digests = span_of(digests, sizeof(digests));
	m.manifest_answer.compressions = span_of(gzip, sizeof(gzip));
	m.manifest_answer.sizes.n = 2;
	m.manifest_answer.sizes.v[0] = w->k.max_layer + 1;
	m.manifest_answer.sizes.v[1] = 1;
	bad_answer(w, &m, ERR_CONTENT);
	spin(&w->k, 20);
	assert_null(w->k.pulls);
	assert_true(fcntl(0, F_GETFD) >= 0);
}

static void
test_document_room_says_no(void **state)
{
	struct ipc_msg m = IPC_MSG(
	    document_failed, .code = ERR_NOT_FOUND, .text = span_str("no platform"));

	bad_answer(*state, &m, ERR_NOT_FOUND);
}

static void
with_config(struct world *w, const struct ipc_msg *config, enum err_class code)
{
	struct chan fetch = {.fd = -1}, doc = {.fd = -1};
	struct ipc_msg m;
	uint64_t token;

	give(w, &fetch, CH_fetch_store, ROOM_FETCH, PULL, 1);
	ask(w, PULL_ALWAYS, NAME, NULL);
	read_by(w, &fetch, w->im.rq.manifest, &doc, &token);
	manifest_answer(w, &m);
	answer(w, &doc, token, &m);
	read_by(w, &fetch, w->im.rq.config, &doc, &token);
	answer(w, &doc, token, config);
	assert_ended(w, code);
	chan_release(&fetch);
}

static void
test_diff_id_count(void **state)
{
	struct ipc_msg m;

	config_answer(*state, &m);
	m.config_answer.diff_ids.n = 0;
	with_config(*state, &m, ERR_CONTENT);
}

static void
test_platform(void **state)
{
	struct ipc_msg m;

	config_answer(*state, &m);
	m.config_answer.architecture = span_str("s390x");
	with_config(*state, &m, ERR_NOT_FOUND);
}

static void
verdict_case(struct world *w, bool accept, const char *name, const uint8_t *policy,
    enum err_class code)
{
	struct chan fetch = {.fd = -1};

	documents(w, &fetch);
	judge_with(w, accept, name, policy);
	assert_ended(w, code);
	sh(w->f, 1, "test -e @D/G/overlay-images/images.json");
	chan_release(&fetch);
}

static void
test_verdict_refuses(void **state)
{
	struct world *w = *state;

	verdict_case(w, false, NAME, w->policy, ERR_POLICY);
}

/* A reload came between question and answer: the question is asked again, some times. */
static void
test_verdict_of_old_policy(void **state)
{
	static const uint8_t old[32] = {1};
	struct world *w = *state;
	struct chan fetch = {.fd = -1};

	documents(w, &fetch);
	judge_with(w, true, NAME, old);
	judge_with(w, false, NAME, old);
	judge_with(w, true, NAME, old);
	assert_ended(w, ERR_POLICY);
	sh(w->f, 1, "test -e @D/G/overlay-images/images.json");
	chan_release(&fetch);
}

/* The policy becomes another one while the layers come in: nothing is committed by what
 * the old one said. */
static void
policy_changes(struct world *w, bool accept, enum err_class code)
{
	struct chan fetch = {.fd = -1}, check = {.fd = -1};
	struct layer_rooms r;
	uint64_t token;

	documents(w, &fetch);
	layer_rooms(w, &r);
	w->policy[0] ^= 1;
	memcpy(w->k.policy, w->policy, sizeof(w->policy));
	fill_stage(w);
	applied(w, &r);
	check_room(w, &check, &token);
	checked(w, &check, token);
	judge_with(w, accept, NAME, w->policy);
	assert_ended(w, code);
	sh(w->f, accept ? 0 : 1, "test -e @D/G/overlay-images/images.json");
	rooms_free(&r);
	chan_release(&fetch);
}

static void
test_policy_changes_and_accepts(void **state)
{
	policy_changes(*state, true, ERR_OK);
}

static void
test_policy_changes_and_refuses(void **state)
{
	policy_changes(*state, false, ERR_POLICY);
}

/* Numbers of a new frontend's pulls are its own. */
static void
test_another_frontend(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1};

	documents(w, &fetch);
	chan_release(&w->frontend);
	port_release(&w->k.frontend);
	pulls_end(&w->k, "the frontend is gone");
	pulls_forget(&w->k);
	peer_open(&w->k, &w->k.frontend, &w->frontend, CH_frontend_store, ROOM_FRONTEND,
	    frontend_message);
	chan_release(&fetch);
	ask(w, PULL_NEVER, NAME, NULL);
	assert_ended(w, ERR_NOT_FOUND);
}

static void
test_verdict_on_another_name(void **state)
{
	struct world *w = *state;

	verdict_case(w, true, "docker.io/library/foo:b", w->policy, ERR_INTERNAL);
}

/* What the hash room computed is not what the documents promised. */
static void
hash_case(struct world *w, struct ipc_msg *m)
{
	struct chan fetch = {.fd = -1};
	struct layer_rooms r;

	documents(w, &fetch);
	layer_rooms(w, &r);
	tell(&r.hash, m);
	assert_ended(w, ERR_CONTENT);
	rooms_free(&r);
	chan_release(&fetch);
}

static void
wait_wrong(struct world *w, bool proven)
{
	struct ipc_msg m;

	do
		assert_true(next_message(w, &w->frontend, &m, 3000));
	while (m.type != MSG_wrong && m.type != MSG_pull_end);
	assert_int_equal(m.type, MSG_wrong);
	assert_int_equal(m.wrong.code, ERR_CONTENT);
	assert_int_equal(m.wrong.proven, proven);
}

/* The rooms of the first try are gone, the right bytes come from another endpoint:
 * nothing of the first try is left. */
static void
layer_comes_again(struct world *w, struct layer_rooms *r, struct chan *fetch)
{
	struct ipc_msg again = IPC_MSG(again, .pull = PULL, .index = 0);
	struct chan check = {.fd = -1};
	uint64_t first = r->token, token;

	rooms_free(r);
	gone(w, ROOM_HASH, first, 256 + 9);
	gone(w, ROOM_INFLATE, first, 1);
	tell(&w->frontend, &again);
	spin(&w->k, 5);
	gone(w, ROOM_APPLY, first, 256 + 9);
	layer_rooms_next(w, r);
	assert_int_not_equal(r->token, first);
	fill_stage(w);
	applied(w, r);
	check_room(w, &check, &token);
	checked(w, &check, token);
	assert_ended(w, ERR_OK);
	rooms_free(r);
	chan_release(fetch);
}

static void
test_layer_again(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1};
	struct layer_rooms r;
	struct ipc_msg m, again = IPC_MSG(again, .pull = PULL, .index = 0);

	documents(w, &fetch);
	layer_rooms(w, &r);
	tell(&w->frontend, &again); /* nothing is wrong yet: it means nothing */
	hashed(w, &m);
	m.hashed.digest[5] ^= 1;
	tell(&r.hash, &m);
	wait_wrong(w, true);
	layer_comes_again(w, &r, &fetch);
}

/* What a room said that had to stop because of the bytes does not end the pull. */
static void
test_layer_again_after_an_echo(void **state)
{
	static const struct ipc_msg echo = IPC_MSG(hash_failed, .code = ERR_INTERNAL),
				    why = IPC_MSG(apply_failed, .code = ERR_CONTENT);
	struct world *w = *state;
	struct chan fetch = {.fd = -1};
	struct layer_rooms r;

	documents(w, &fetch);
	layer_rooms(w, &r);
	tell(&r.hash, &echo);
	spin(&w->k, 2);
	tell(&r.apply, &why);
	wait_wrong(w, false);
	layer_comes_again(w, &r, &fetch);
}

/* The document that is asked for is still asked for. */
static void
test_document_again(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1}, doc = {.fd = -1};
	struct ipc_msg m;
	char name[200] = "docker.io/library/foo@";
	uint64_t token;

	digest_print(w->im.rq.list_digest, name + strlen(name));
	give(w, &fetch, CH_fetch_store, ROOM_FETCH, PULL, 1);
	ask(w, PULL_ALWAYS, name, w->im.rq.list_digest);
	expect(w, &w->frontend, MSG_need_document, &m);
	uint64_t req = m.need_document.req;
	send_document(&fetch, req, fd_sealed_memfd("d", "{}", 2));
	wait_wrong(w, true);
	send_document(
	    &fetch, req, fd_sealed_memfd("d", w->im.rq.list.p, w->im.rq.list.n));
	wanted(w, ROOM_DOCUMENT, &m);
	token = m.want.token;
	give(w, &doc, CH_store_document, ROOM_DOCUMENT, PULL, token);
	expect(w, &doc, MSG_parse, &m);
	ipc_msg_release(&m);
	chan_release(&doc);
	chan_release(&fetch);
}

static void
test_blob_digest(void **state)
{
	struct ipc_msg m;

	hashed(*state, &m);
	m.hashed.digest[5] ^= 1;
	hash_case(*state, &m);
}

static void
test_blob_size(void **state)
{
	struct ipc_msg m;

	hashed(*state, &m);
	m.hashed.size--;
	hash_case(*state, &m);
}

static void
test_diff_id(void **state)
{
	struct ipc_msg m;

	hashed(*state, &m);
	m.hashed.diff_id[31] ^= 128;
	hash_case(*state, &m);
}

static void
test_applier_counts_otherwise(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1};
	struct layer_rooms r;
	struct ipc_msg m;

	documents(w, &fetch);
	layer_rooms(w, &r);
	hashed(w, &m);
	tell(&r.hash, &m);
	m = (struct ipc_msg)IPC_MSG(applied, .bytes = w->im.layers[0].diff_size - 1);
	tell(&r.apply, &m);
	spin(&w->k, 2);
	all_gone(w, r.token);
	assert_ended(w, ERR_CONTENT);
	rooms_free(&r);
	chan_release(&fetch);
}

/* "My neighbour gave up" is heard first; the reason that counts comes after. */
static void
test_the_better_reason(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1};
	struct layer_rooms r;
	char text[2048];

	documents(w, &fetch);
	layer_rooms(w, &r);
	struct ipc_msg m = IPC_MSG(hash_failed, .code = ERR_INTERNAL,
	    .text = span_str("the fetch room gave up"));
	tell(&r.hash, &m);
	spin(&w->k, 50);
	struct ipc_msg c = IPC_MSG(cancel, .pull = PULL, .code = ERR_NETWORK,
	    .text = span_str("connection reset"));
	tell(&w->frontend, &c);
	assert_int_equal(pull_ended(w, text), ERR_NETWORK);
	assert_string_equal(text, "connection reset");
	rooms_free(&r);
	chan_release(&fetch);
}

static void
test_no_better_reason(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1};
	struct layer_rooms r;

	documents(w, &fetch);
	layer_rooms(w, &r);
	gone(w, ROOM_INFLATE, r.token, 256 + 11);
	assert_ended(w, ERR_INTERNAL);
	rooms_free(&r);
	chan_release(&fetch);
}

/* Cancelled while the applier lives: the answer comes at once, its tree stays until it is
 * reaped. */
static void
test_cancel_waits_for_the_applier(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1};
	struct layer_rooms r;

	documents(w, &fetch);
	layer_rooms(w, &r);
	struct ipc_msg c = IPC_MSG(
	    cancel, .pull = PULL, .code = ERR_DEADLINE, .text = span_str("enough"));
	tell(&w->frontend, &c);
	assert_ended(w, ERR_DEADLINE);
	spin(&w->k, 30);
	sh(w->f, 0, "ls -d @D/G/bulkhead/%s/[0-9]*/diff", w->k.store.name);
	gone(w, ROOM_HASH, r.token, 256 + 9);
	gone(w, ROOM_INFLATE, r.token, 256 + 9);
	spin(&w->k, 30);
	sh(w->f, 0, "ls -d @D/G/bulkhead/%s/[0-9]*/diff", w->k.store.name);
	gone(w, ROOM_APPLY, r.token, 256 + 9);
	spin(&w->k, 30);
	sh(w->f, 2, "ls -d @D/G/bulkhead/%s/[0-9]*/diff 2>&1", w->k.store.name);
	assert_null(w->k.pulls);
	/* Late words about it mean nothing. */
	access_public(w);
	assert_null(w->k.pulls);
	rooms_free(&r);
	chan_release(&fetch);
}

static void
check_case(struct world *w, const struct ipc_msg *m, enum err_class code)
{
	struct chan fetch = {.fd = -1}, check = {.fd = -1};
	struct layer_rooms r;
	uint64_t token;

	documents(w, &fetch);
	layer_rooms(w, &r);
	fill_stage(w);
	applied(w, &r);
	check_room(w, &check, &token);
	tell(&check, m);
	assert_ended(w, code);
	sh(w->f, 1, "test -e @D/G/overlay-images/images.json");
	rooms_free(&r);
	chan_release(&check);
	chan_release(&fetch);
}

static void
test_opaque_is_no_directory(void **state)
{
	struct ipc_msg m = IPC_MSG(opaque);
	FD_AUTO fd = memfd_create("x", MFD_CLOEXEC);

	m.fds[0] = fd;
	m.nfds = 1;
	check_case(*state, &m, ERR_INTERNAL);
}

static void
test_owners_out_of_order(void **state)
{
	static const uint8_t two[8] = {5, 0, 0, 0, 4, 0, 0, 0};
	struct ipc_msg m = IPC_MSG(checked, .uids = span_of(two, 8));

	check_case(*state, &m, ERR_INTERNAL);
}

static void
test_check_finds_fault(void **state)
{
	struct ipc_msg m = IPC_MSG(
	    apply_failed, .code = ERR_CONTENT, .text = span_str("not what was written"));

	check_case(*state, &m, ERR_CONTENT);
}

static void
test_modes(void **state)
{
	struct world *w = *state;

	ask(w, PULL_NEVER, NAME, NULL);
	assert_ended(w, ERR_NOT_FOUND);
	w->k.n_ended = 0;
	spin(&w->k, 10);
	/* The name pins a digest that the request does not. */
	ask(w, PULL_ALWAYS,
	    "docker.io/library/foo@sha256:"
	    "0000000000000000000000000000000000000000000000000000000000000000",
	    NULL);
	assert_ended(w, ERR_USAGE);
	w->k.n_ended = 0;
	spin(&w->k, 10);
	ask(w, PULL_ALWAYS, "foo", NULL);
	assert_ended(w, ERR_USAGE);
	w->k.n_ended = 0;
	spin(&w->k, 10);
	/* Present: nothing is fetched, but the verdict is asked for. */
	whole_pull(w);
	for (int accept = 0; accept < 2; accept++) {
		w->k.n_ended = 0;
		spin(&w->k, 10);
		ask(w, accept ? PULL_NEVER : PULL_MISSING, NAME, NULL);
		judge_with(w, accept, NAME, w->policy);
		assert_ended(w, accept ? ERR_OK : ERR_POLICY);
	}
}

/* podman holds images.lock: the pull waits, and queries are answered all the same. */
static void
test_commit_waits_for_locks(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1}, check = {.fd = -1};
	struct layer_rooms r;
	struct ipc_msg m;
	uint64_t token;

	char path[128];
	snprintf(path, sizeof(path), "%s/fifo", w->f->dir);
	sh(w->f, 0, "mkfifo @D/fifo; : > @D/held");
	FD_AUTO fifo = open(path, O_RDWR | O_CLOEXEC);
	sh(w->f, 0,
	    "(python3 tests/store/holder.py @D/G/overlay-images/images.lock < @D/fifo > "
	    "@D/held "
	    "2>&1 &)");
	while (strncmp(slurp(w->f, "held"), "held", 4) != 0)
		usleep(1000);
	documents(w, &fetch);
	layer_rooms(w, &r);
	fill_stage(w);
	applied(w, &r);
	check_room(w, &check, &token);
	checked(w, &check, token);
	spin(&w->k, 100);
	struct ipc_msg q = IPC_MSG(images, .req = 3);
	tell(&w->frontend, &q);
	do {
		assert_true(next_message(w, &w->frontend, &m, 1000));
		assert_int_not_equal(m.type, MSG_pull_end);
	} while (m.type != MSG_done);
	fd_close(&fifo);
	assert_ended(w, ERR_OK);
	rooms_free(&r);
	chan_release(&fetch);
}

static unsigned
done_code(struct world *w, unsigned *rows)
{
	struct ipc_msg m;

	*rows = 0;
	for (;;) {
		if (!next_message(w, &w->frontend, &m, 3000))
			fail_msg("no answer");
		ipc_msg_release(&m);
		if (m.type == MSG_done)
			return (unsigned)m.done.code;
		++*rows;
	}
}

static void
test_queries(void **state)
{
	struct world *w = *state;
	unsigned rows;

	whole_pull(w);
	struct ipc_msg q = IPC_MSG(images, .req = 1);
	tell(&w->frontend, &q);
	assert_int_equal(done_code(w, &rows), ERR_OK);
	assert_int_equal(rows, 4); /* image, name, two digests */
	q = (struct ipc_msg)IPC_MSG(fsinfo, .req = 2);
	tell(&w->frontend, &q);
	assert_int_equal(done_code(w, &rows), ERR_OK);
	q = (struct ipc_msg)IPC_MSG(remove, .req = 3, .ref = span_str("nosuch"));
	tell(&w->frontend, &q);
	assert_int_equal(done_code(w, &rows), ERR_NOT_FOUND);
	q = (struct ipc_msg)IPC_MSG(
	    untag, .req = 4, .ref = span_str("foo:a"), .name = span_str("foo:b"));
	tell(&w->frontend, &q);
	assert_int_equal(done_code(w, &rows), ERR_NOT_FOUND);
	q = (struct ipc_msg)IPC_MSG(
	    tag, .req = 5, .ref = span_str("foo:a"), .name = span_str("Foo:::"));
	tell(&w->frontend, &q);
	assert_int_equal(done_code(w, &rows), ERR_USAGE);
	q = (struct ipc_msg)IPC_MSG(remove, .req = 6, .ref = span_str("foo:a"));
	tell(&w->frontend, &q);
	assert_int_equal(done_code(w, &rows), ERR_OK);
	assert_int_equal(rows, 3); /* name, layer, image */
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_whole_pull),
	    T(test_grants),
	    T(test_hash_asks_wrongly),
	    T(test_hash_asks_early),
	    T(test_applier_asks_early),
	    T(test_applier_asks_for_too_much),
	    T(test_no_space),
	    T(test_waits_for_space),
	    T(test_again),
	    T(test_recompressed),
	    T(test_anothers_config),
	    T(test_wrong_hash),
	    T(test_unsealed),
	    T(test_document_size),
	    T(test_stray_documents),
	    T(test_config_for_index),
	    T(test_silent_document_room),
	    T(test_silent_verdict_room),
	    T(test_no_document),
	    T(test_uneven_manifest),
	    T(test_layer_too_large),
	    T(test_first_of_two_too_large),
	    T(test_document_room_says_no),
	    T(test_diff_id_count),
	    T(test_platform),
	    T(test_verdict_refuses),
	    T(test_verdict_of_old_policy),
	    T(test_policy_changes_and_accepts),
	    T(test_policy_changes_and_refuses),
	    T(test_another_frontend),
	    T(test_verdict_on_another_name),
	    T(test_layer_again),
	    T(test_layer_again_after_an_echo),
	    T(test_document_again),
	    T(test_blob_digest),
	    T(test_blob_size),
	    T(test_diff_id),
	    T(test_applier_counts_otherwise),
	    T(test_the_better_reason),
	    T(test_no_better_reason),
	    T(test_cancel_waits_for_the_applier),
	    T(test_opaque_is_no_directory),
	    T(test_owners_out_of_order),
	    T(test_check_finds_fault),
	    T(test_modes),
	    T(test_commit_waits_for_locks),
	    T(test_queries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
