/* A deep check whose rooms are the test: what it makes of one that says nothing, too
 * little or too much. */
#include "tests/store/world.h"

#include "worker-store/store/check.h"

#include <stdio.h>

#define SPAN_MS 150

struct rooms {
	struct chan hash, apply;
	uint64_t pull, hash_token, apply_token;
};

static void
rooms_end(struct rooms *r)
{
	chan_release(&r->hash);
	chan_release(&r->apply);
}

static void
check(struct world *w)
{
	struct ipc_msg m =
	    IPC_MSG(check_store, .req = 1, .deep = 1, .mend = CHECK_REPAIR);

	whole_pull(w);
	w->k.answer_ms = SPAN_MS;
	tell(&w->frontend, &m);
}

/* Both rooms, with their questions. */
static struct rooms
rooms(struct world *w)
{
	struct rooms r = {.hash.fd = -1, .apply.fd = -1};
	struct ipc_msg m;

	wanted(w, ROOM_HASH, &m);
	r.pull = m.want.pull;
	r.hash_token = m.want.token;
	give(w, &r.hash, CH_store_hash, ROOM_HASH, r.pull, r.hash_token);
	expect(w, &r.hash, MSG_hash_layer, &m);
	assert_int_equal(m.hash_layer.size, w->im.layers[0].diff_size);
	wanted(w, ROOM_APPLY, &m);
	assert_int_equal(m.want_apply.mode, APPLY_VERIFY);
	r.apply_token = m.want_apply.token;
	give(w, &r.apply, CH_store_apply, ROOM_APPLY, r.pull, r.apply_token);
	expect(w, &r.apply, MSG_verify, &m);
	ipc_msg_release(&m);
	return r;
}

static void
ended(struct world *w, const struct rooms *r, enum room room, unsigned status)
{
	struct ipc_msg m = IPC_MSG(gone, .room = room, .pull = r->pull,
	    .token = room == ROOM_HASH ? r->hash_token : r->apply_token,
	    .status = status);

	tell(&w->control, &m);
	spin(&w->k, 2);
}

static void
says_hashed(struct world *w, struct rooms *r)
{
	struct commit_layer *l = &w->im.layers[0];
	struct ipc_msg m = IPC_MSG(hashed, .size = l->diff_size);

	memcpy(m.hashed.digest, l->diff_id, 32);
	tell(&r->hash, &m);
	spin(&w->k, 2);
}

static void
says_verified(struct world *w, struct rooms *r)
{
	struct ipc_msg m = IPC_MSG(verified, .bytes = w->im.layers[0].diff_size);

	tell(&r->apply, &m);
	spin(&w->k, 2);
}

/* The check's findings, and its end. */
static void
assert_told(struct world *w, unsigned n, const char *text)
{
	struct ipc_msg m;
	char got[1100];

	for (;;) {
		assert_true(next_message(w, &w->frontend, &m, 5000));
		if (m.type == MSG_done)
			break;
		if (m.type != MSG_check_row)
			continue;
		assert_true(n-- > 0);
		assert_true(span_to_str(m.check_row.text, got, sizeof(got)));
		if (!strstr(got, text))
			fail_msg("told was: %s", got);
		assert_int_equal(m.check_row.state, CHECK_DAMAGED);
	}
	assert_int_equal(n, 0);
	sh(w->f, 0, "grep -q '\"id\"' @D/G/overlay-layers/layers.json");
}

/* Begun again once, in other rooms; then it is told, and nothing is removed. */
static void
test_silent(void **state)
{
	struct world *w = *state;

	check(w);
	for (unsigned i = 0; i < 2; i++) {
		struct rooms r = rooms(w);
		spin(&w->k, 2 * SPAN_MS);
		rooms_end(&r);
	}
	assert_told(w, 1, "could not be verified: only 0 bytes");
}

/* All that it gives is not enough, bit by bit. */
static void
test_too_slow(void **state)
{
	struct world *w = *state;
	struct ipc_msg m = IPC_MSG(hash_progress);

	check(w);
	for (unsigned i = 0; i < 2; i++) {
		struct rooms r = rooms(w);
		for (unsigned k = 1; k <= 6; k++) {
			m.hash_progress.uncompressed = k;
			(void)!chan_send(&r.hash, &m); /* it may be closed */
			spin(&w->k, SPAN_MS / 3);
		}
		rooms_end(&r);
	}
	assert_told(w, 1, "bytes of it came within");
}

static void
test_slow_enough(void **state)
{
	struct world *w = *state;
	struct ipc_msg m = IPC_MSG(hash_progress);

	check(w);
	struct rooms r = rooms(w);
	for (unsigned k = 1; k <= 9; k++) {
		m.hash_progress.uncompressed = k * LIMIT_VERIFY_BYTES;
		tell(&r.hash, &m);
		spin(&w->k, SPAN_MS / 3);
	}
	says_hashed(w, &r);
	says_verified(w, &r);
	ended(w, &r, ROOM_APPLY, 0);
	ended(w, &r, ROOM_HASH, 0);
	assert_told(w, 0, "");
	rooms_end(&r);
}

/* The end of a room that broke the protocol is not waited for, whoever's comes first. */
static void
test_twice(void **state)
{
	struct world *w = *state;

	check(w);
	for (unsigned i = 0; i < 2; i++) {
		struct rooms r = rooms(w);
		says_hashed(w, &r);
		says_verified(w, &r);
		ended(w, &r, ROOM_HASH, 0);
		says_verified(w, &r);
		rooms_end(&r);
	}
	assert_told(w, 1, "could not be verified: the apply room broke the protocol");
}

/* What it says counts when it ends well. */
static void
test_verified_and_dies(void **state)
{
	struct world *w = *state;

	check(w);
	for (unsigned i = 0; i < 2; i++) {
		struct rooms r = rooms(w);
		says_hashed(w, &r);
		says_verified(w, &r);
		ended(w, &r, ROOM_HASH, 0);
		ended(w, &r, ROOM_APPLY, 256 + 11);
		rooms_end(&r);
	}
	assert_told(w, 1, "could not be verified: the apply room ended with signal 11");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WORLD_TEST(test_silent),
	    WORLD_TEST(test_too_slow),
	    WORLD_TEST(test_slow_enough),
	    WORLD_TEST(test_twice),
	    WORLD_TEST(test_verified_and_dies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
