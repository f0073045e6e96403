/* The storing side of a pull: what it does in which order, and when it touches a tree. */
#include "tests/store/world.h"

#include "worker-store/store/hash.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void
test_whole_pull(void **state)
{
	struct world *w = *state;

	whole_pull(w);
	sh(w->f, 0, "skopeo copy --policy @D/policy.json @Sfoo:a oci:@D/out:a 2>&1");
	assert_null(w->k.pulls ? w->k.pulls->fetchers : NULL);
}

/* Another pull, up to the verdict: the config is the store's, the manifest too unless it
 * is said to be new. */
static void
documents_again(struct world *w, bool new_manifest)
{
	struct chan doc = {.fd = -1};
	struct ipc_msg m;
	uint64_t token;

	spin(&w->k, 20);
	w->k.n_ended = 0; /* the test's pulls share one number */
	access_public(w);
	give(w, &w->fetch, CH_fetch_store, ROOM_FETCH, PULL, 2);
	ask(w, PULL_ALWAYS, NAME, NULL);
	read_by(w, w->im.rq.list, &doc, &token);
	index_answer(w, &m);
	answer(w, &doc, token, &m);
	for (int i = 0; i < 2; i++) {
		if (i == 0 && new_manifest) {
			read_by(w, w->im.rq.manifest, &doc, &token);
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
	struct ipc_msg m;

	whole_pull(w);
	documents_again(w, false);
	expect(w, &w->frontend, MSG_layer, &m);
	assert_int_equal(m.layer.state, LAYER_PRESENT);
	assert_ended(w, ERR_OK);
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
	struct chan hash = {.fd = -1};
	struct ipc_msg m;

	documents_again(w, true);
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
}

static void
test_recompressed(void **state)
{
	struct world *w = *state;
	struct ipc_msg m;

	whole_pull(w);
	sh(w->f, 0, "cp @D/G/overlay-layers/layers.json @D/before");
	blob_changes(w);
	hash_only(w, true, ERR_OK);
	sh(w->f, 0, "cmp @D/G/overlay-layers/layers.json @D/before");
	sh(w->f, 0, "grep -q '\"manifest-sha256:%s\"' @D/G/overlay-images/images.json",
	    hex_encode(w->im.rq.manifest_digest, 32, (char[65]){0}));
	/* Now the image has that manifest: seen is seen. */
	documents_again(w, false);
	expect(w, &w->frontend, MSG_layer, &m);
	assert_int_equal(m.layer.state, LAYER_PRESENT);
	assert_ended(w, ERR_OK);
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

/* podman holds images.lock: the pull waits, and queries are answered all the same. */
static void
test_commit_waits_for_locks(void **state)
{
	struct world *w = *state;
	struct chan check = {.fd = -1};
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
	at_check(w, &check, &token);
	checked(w, &check, token);
	spin(&w->k, 100);
	struct ipc_msg q = IPC_MSG(images, .req = 3);
	tell(&w->frontend, &q);
	do {
		assert_true(next_message(w, &w->frontend, &m, SOON_MS));
		assert_int_not_equal(m.type, MSG_pull_end);
	} while (m.type != MSG_done);
	fd_close(&fifo);
	assert_ended(w, ERR_OK);
}

static unsigned
done_code(struct world *w, unsigned *rows)
{
	struct ipc_msg m;

	*rows = 0;
	for (;;) {
		if (!next_message(w, &w->frontend, &m, SOON_MS))
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
	const struct CMUnitTest tests[] = {
	    WORLD_TEST(test_whole_pull),
	    WORLD_TEST(test_again),
	    WORLD_TEST(test_recompressed),
	    WORLD_TEST(test_anothers_config),
	    WORLD_TEST(test_commit_waits_for_locks),
	    WORLD_TEST(test_queries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
