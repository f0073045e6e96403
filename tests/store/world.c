#include "tests/store/world.h"

#include "worker-store/store/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void
room_log(struct keeper *k, enum log_level level, const char *fmt, ...)
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

int
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

int
world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
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

int
world_teardown(void **state)
{
	struct world *w = *state;
	struct keeper *k = &w->k;
	void *f = w->f;

	k->lost = true;
	pulls_end(k, "over");
	pulls_reap(k);
	query_reap(k);
	checks_end(k);
	watch_end(k);
	port_release(&k->control);
	port_release(&k->frontend);
	chan_release(&w->control);
	chan_release(&w->frontend);
	chan_release(&w->janitor);
	chan_release(&w->fetch);
	rooms_free(w);
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

void
tell(struct chan *c, const struct ipc_msg *m)
{
	assert_int_equal(chan_send(c, m), 0);
}

bool
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

void
expect(struct world *w, struct chan *c, enum ipc_type type, struct ipc_msg *m)
{
	if (!next_message(w, c, m, SOON_MS))
		fail_msg("no message %x", type);
	if (m->type == MSG_pull_end && type != MSG_pull_end)
		fail_msg(
		    "the pull ended: %.*s", (int)m->pull_end.text.n, m->pull_end.text.p);
	assert_int_equal(m->type, type);
}

void
give(struct world *w, struct chan *c, enum ipc_channel channel, enum room room,
    uint64_t pull, uint64_t token)
{
	struct ipc_msg m =
	    IPC_MSG(peer, .channel = channel, .pull = pull, .token = token);
	int fds[2];

	assert_int_equal(chan_pair(fds), 0);
	chan_release(c); /* of the one before */
	assert_int_equal(chan_init(c, fds[0], channel, room, ROOM_STORE), 0);
	if (channel == CH_fetch_store)
		c->phase = IPC_RUN;
	m.fds[0] = fds[1];
	m.nfds = 1;
	tell(&w->control, &m);
	close(fds[1]);
	spin(&w->k, 2);
}

void
gone(struct world *w, enum room room, uint64_t token, unsigned status)
{
	struct ipc_msg m =
	    IPC_MSG(gone, .room = room, .pull = PULL, .token = token, .status = status);

	tell(&w->control, &m);
	spin(&w->k, 2);
}

void
wanted(struct world *w, enum room room, struct ipc_msg *m)
{
	for (;;) {
		if (!next_message(w, &w->control, m, SOON_MS))
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

enum err_class
pull_ended(struct world *w, char text[2048])
{
	struct ipc_msg m;

	for (;;) {
		if (!next_message(w, &w->frontend, &m, SOON_MS))
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

void
assert_ended(struct world *w, enum err_class code)
{
	char text[2048];
	enum err_class got = pull_ended(w, text);

	if (got != code)
		fail_msg("ended with %d: %s", got, text);
}

/* ---- the steps of a pull ---- */

void
ask(struct world *w, enum pull_mode mode, const char *name, const uint8_t *pin)
{
	struct ipc_msg m =
	    IPC_MSG(pull, .pull = PULL, .name = span_str(name), .pinned = pin != NULL,
		.os = span_str("linux"), .architecture = span_str("amd64"), .mode = mode);

	if (pin)
		memcpy(m.pull.digest, pin, 32);
	tell(&w->frontend, &m);
}

void
send_document(struct world *w, uint64_t req, int fd)
{
	struct ipc_msg m = IPC_MSG(document, .req = req,
	    .media_type = span_str("application/vnd.oci.image.index.v1+json"));

	m.fds[0] = fd;
	m.nfds = 1;
	tell(&w->fetch, &m);
	close(fd);
}

void
read_by(struct world *w, struct span bytes, struct chan *doc, uint64_t *token)
{
	struct ipc_msg m;

	expect(w, &w->frontend, MSG_need_document, &m);
	send_document(
	    w, m.need_document.req, fd_sealed_memfd("document", bytes.p, bytes.n));
	wanted(w, ROOM_DOCUMENT, &m);
	*token = m.want.token;
	give(w, doc, CH_store_document, ROOM_DOCUMENT, PULL, *token);
	expect(w, doc, MSG_parse, &m);
	ipc_msg_release(&m);
}

void
answer(struct world *w, struct chan *doc, uint64_t token, const struct ipc_msg *m)
{
	tell(doc, m);
	spin(&w->k, 2);
	chan_release(doc);
	gone(w, ROOM_DOCUMENT, token, 0);
}

void
index_answer(struct world *w, struct ipc_msg *m)
{
	*m = (struct ipc_msg)IPC_MSG(index_answer, .size = w->im.rq.manifest.n,
	    .media_type = span_str("application/vnd.oci.image.manifest.v1+json"));
	memcpy(m->index_answer.digest, w->im.rq.manifest_digest, 32);
}

void
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

void
config_answer(struct world *w, struct ipc_msg *m)
{
	*m = (struct ipc_msg)IPC_MSG(config_answer,
	    .diff_ids = span_of(w->im.layers[0].diff_id, 32), .created = 1704164645,
	    .os = span_str("linux"), .architecture = span_str("amd64"));
}

void
access_public(struct world *w)
{
	struct ipc_msg m = IPC_MSG(access, .pull = PULL, .public = 1);

	tell(&w->control, &m);
	spin(&w->k, 2);
}

void
documents(struct world *w)
{
	struct chan doc = {.fd = -1};
	struct ipc_msg m;
	uint64_t token;

	access_public(w); /* overtakes the pull itself */
	give(w, &w->fetch, CH_fetch_store, ROOM_FETCH, PULL, 1);
	ask(w, PULL_ALWAYS, NAME, NULL);
	read_by(w, w->im.rq.list, &doc, &token);
	index_answer(w, &m);
	answer(w, &doc, token, &m);
	read_by(w, w->im.rq.manifest, &doc, &token);
	manifest_answer(w, &m);
	answer(w, &doc, token, &m);
	read_by(w, w->im.rq.config, &doc, &token);
	config_answer(w, &m);
	answer(w, &doc, token, &m);
}

void
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

void
layer_rooms_next(struct world *w)
{
	struct ipc_msg m;

	rooms_free(w);
	wanted(w, ROOM_HASH, &m);
	assert_int_equal(m.want.arg, COMPRESSION_GZIP);
	w->rooms.token = m.want.token;
	give(w, &w->rooms.hash, CH_store_hash, ROOM_HASH, PULL, w->rooms.token);
	expect(w, &w->rooms.hash, MSG_hash_layer, &m);
	assert_int_equal(m.hash_layer.size, w->im.layers[0].blob_size);
	wanted(w, ROOM_APPLY, &m);
	assert_int_equal(m.want_apply.mode, APPLY_UNTAR);
	assert_int_equal(m.want_apply.token, w->rooms.token);
	give(w, &w->rooms.apply, CH_store_apply, ROOM_APPLY, PULL, w->rooms.token);
	expect(w, &w->rooms.apply, MSG_untar, &m);
	ipc_msg_release(&m);
	expect(w, &w->frontend, MSG_layer, &m);
	assert_int_equal(m.layer.state, LAYER_WANTED);
	assert_int_equal(m.layer.token, w->rooms.token);
}

void
layer_rooms(struct world *w)
{
	struct ipc_msg m;

	judge_with(w, true, NAME, w->policy);
	expect(w, &w->frontend, MSG_layer, &m);
	assert_int_equal(m.layer.state, LAYER_WAITING);
	layer_rooms_next(w);
}

void
rooms_free(struct world *w)
{
	chan_release(&w->rooms.hash);
	chan_release(&w->rooms.apply);
}

void
at_layer(struct world *w)
{
	w->k.max_layer = MiB(2);
	documents(w);
	layer_rooms(w);
}

void
hashed(struct world *w, struct ipc_msg *m)
{
	struct commit_layer *l = &w->im.layers[0];

	*m = (struct ipc_msg)IPC_MSG(
	    hashed, .size = l->blob_size, .diff_size = l->diff_size);
	memcpy(m->hashed.digest, l->blob_digest, 32);
	memcpy(m->hashed.diff_id, l->diff_id, 32);
}

void
all_gone(struct world *w, uint64_t token)
{
	gone(w, ROOM_HASH, token, 0);
	gone(w, ROOM_INFLATE, token, 0);
	gone(w, ROOM_APPLY, token, 0);
}

void
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

void
applied(struct world *w)
{
	struct ipc_msg m;

	hashed(w, &m);
	tell(&w->rooms.hash, &m);
	m = (struct ipc_msg)IPC_MSG(
	    applied, .bytes = w->im.layers[0].diff_size, .entries = 2);
	tell(&w->rooms.apply, &m);
	spin(&w->k, 2);
	all_gone(w, w->rooms.token);
}

void
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

void
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

void
at_check(struct world *w, struct chan *c, uint64_t *token)
{
	documents(w);
	layer_rooms(w);
	fill_stage(w);
	applied(w);
	check_room(w, c, token);
}

void
whole_pull(struct world *w)
{
	struct chan check = {.fd = -1};
	uint64_t token;

	at_check(w, &check, &token);
	checked(w, &check, token);
	assert_ended(w, ERR_OK);
}

void
wait_wrong(struct world *w, bool proven)
{
	struct ipc_msg m;

	do
		assert_true(next_message(w, &w->frontend, &m, SOON_MS));
	while (m.type != MSG_wrong && m.type != MSG_pull_end);
	assert_int_equal(m.type, MSG_wrong);
	assert_int_equal(m.wrong.code, ERR_CONTENT);
	assert_int_equal(m.wrong.proven, proven);
}
