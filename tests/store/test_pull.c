/* The storing side of a pull: what it does in which order, and when it touches a tree. */
#include "tests/store/world.h"

#include "worker-store/store/hash.h"

#include <dirent.h>
#include <errno.h>
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

/* ---- the disk writes meanwhile ---- */

static void
unpacked(struct world *w, struct layer_rooms *r, uint64_t bytes)
{
	struct ipc_msg m = IPC_MSG(hash_progress, .compressed = 1, .uncompressed = bytes);

	tell(&r->hash, &m);
	spin(&w->k, 2);
}

/* The room that flushes, which is asked at once; its root has nothing in it. */
static uint64_t
flusher(struct world *w, struct chan *c)
{
	struct ipc_msg m;

	expect(w, &w->control, MSG_want_apply, &m);
	assert_int_equal(m.want_apply.mode, APPLY_CHECK);
	uint64_t token = m.want_apply.token;
	DIR *d = fdopendir(ipc_msg_take_fd(&m, 0));
	assert_non_null(d);
	for (struct dirent *de; (de = readdir(d));)
		assert_int_equal(de->d_name[0], '.');
	closedir(d);
	give(w, c, CH_store_apply, ROOM_APPLY, 0, token);
	expect(w, c, MSG_flush, &m);
	return token;
}

static void
flusher_gone(struct world *w, uint64_t token)
{
	struct ipc_msg m =
	    IPC_MSG(gone, .room = ROOM_APPLY, .token = token, .status = 256 + 9);

	tell(&w->control, &m);
	spin(&w->k, 2);
}

/* One flush at a time, and the next one only when more has come. With the last pull the
 * room ends, which is no failure. */
static void
test_flush(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1}, flush = {.fd = -1};
	struct ipc_msg m, done = IPC_MSG(flushed);
	struct layer_rooms r;

	at_layer(w, &fetch, &r);
	unpacked(w, &r, MiB(8) - 1);
	assert_false(next_message(w, &w->control, &m, 20));
	unpacked(w, &r, MiB(8));
	uint64_t token = flusher(w, &flush);
	unpacked(w, &r, MiB(17));
	assert_false(next_message(w, &flush, &m, 20));
	tell(&flush, &done);
	expect(w, &flush, MSG_flush, &m);
	tell(&flush, &done);
	unpacked(w, &r, MiB(18));
	assert_false(next_message(w, &flush, &m, 20));
	unpacked(w, &r, MiB(25));
	expect(w, &flush, MSG_flush, &m);
	m = (struct ipc_msg)IPC_MSG(cancel, .pull = PULL, .code = ERR_DEADLINE);
	tell(&w->frontend, &m);
	assert_ended(w, ERR_DEADLINE);
	all_gone(w, r.token);
	do
		expect(w, &w->control, MSG_end, &m);
	while (m.end.token != token);
	flusher_gone(w, token);
	assert_false(w->k.flush.helper.alive);
	assert_int_equal(faccessat(w->k.store.staging, STAGING_EMPTY, F_OK, 0), -1);
	rooms_free(&r);
	chan_release(&flush);
	chan_release(&fetch);
}

/* What the kernel says of its writing, it says once: whoever is at it fails. So too if
 * the room dies, or says that it flushed unasked: it may have heard something. */
static void
flush_fails(struct world *w, const struct ipc_msg *m, enum err_class code)
{
	struct chan fetch = {.fd = -1}, flush = {.fd = -1};
	struct layer_rooms r;
	char text[2048];

	at_layer(w, &fetch, &r);
	unpacked(w, &r, MiB(8));
	uint64_t token = flusher(w, &flush);
	if (m) {
		tell(&flush, m);
		tell(&flush, m);
	} else {
		flusher_gone(w, token);
	}
	assert_int_equal(pull_ended(w, text), code);
	assert_non_null(strstr(text, NAME ": the room that flushes: "));
	all_gone(w, r.token);
	rooms_free(&r);
	chan_release(&flush);
	chan_release(&fetch);
}

static void
test_flush_cannot_write(void **state)
{
	flush_fails(*state,
	    &(struct ipc_msg)IPC_MSG(
		apply_failed, .code = ERR_NO_SPACE, .text = span_str("no space")),
	    ERR_NO_SPACE);
}

static void
test_flush_unasked(void **state)
{
	flush_fails(*state, &(struct ipc_msg)IPC_MSG(flushed), ERR_INTERNAL);
}

static void
test_flush_dies(void **state)
{
	flush_fails(*state, NULL, ERR_INTERNAL);
}

static void
test_flush_not_wanted(void **state)
{
	struct world *w = *state;
	struct chan fetch = {.fd = -1};
	struct layer_rooms r;
	struct ipc_msg m;

	w->k.durability = DURABILITY_NONE;
	at_layer(w, &fetch, &r);
	unpacked(w, &r, MiB(64));
	assert_false(next_message(w, &w->control, &m, 20));
	rooms_free(&r);
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
	documents(w);
	layer_rooms(w);
	fill_stage(w);
	applied(w);
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
	const struct CMUnitTest tests[] = {
	    WORLD_TEST(test_whole_pull),
	    WORLD_TEST(test_again),
	    WORLD_TEST(test_recompressed),
	    WORLD_TEST(test_anothers_config),
	    WORLD_TEST(test_commit_waits_for_locks),
	    WORLD_TEST(test_queries),
	    T(test_whole_pull),
	    T(test_grants),
	    T(test_hash_asks_wrongly),
	    T(test_hash_asks_early),
	    T(test_applier_asks_early),
	    T(test_applier_asks_for_too_much),
	    T(test_no_space),
	    T(test_waits_for_space),
	    T(test_flush),
	    T(test_flush_cannot_write),
	    T(test_flush_unasked),
	    T(test_flush_dies),
	    T(test_flush_not_wanted),
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
