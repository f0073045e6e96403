/* Space and inodes that a pull is granted. */
#include "tests/store/world.h"

#include <fcntl.h>

/* Space is granted in steps until the layer has what one layer may have. */
static void
test_grants(void **state)
{
	struct world *w = *state;
	struct ipc_msg m;
	const struct space *s = &w->k.space;

	at_layer(w);
	assert_int_equal(s->bytes, SPACE_LEAST);
	assert_int_equal(s->inodes, SPACE_INODES + SPACE_LEAST / SPACE_AN_INODE);
	uint64_t entries = s->inodes, bytes = SPACE_LEAST;
	m = (struct ipc_msg)IPC_MSG(apply_more, .entries = entries);
	tell(&w->rooms.apply, &m);
	expect(w, &w->rooms.apply, MSG_apply_grant, &m);
	assert_int_equal(m.apply_grant.granted, entries + entries / 2);
	m = (struct ipc_msg)IPC_MSG(hash_progress, .compressed = 1, .uncompressed = 1000);
	tell(&w->rooms.hash, &m);
	uint64_t others = s->bytes - SPACE_LEAST;
	while (bytes < MiB(2)) {
		m = (struct ipc_msg)IPC_MSG(hash_more, .uncompressed = bytes);
		tell(&w->rooms.hash, &m);
		expect(w, &w->rooms.hash, MSG_hash_grant, &m);
		assert_true(m.hash_grant.granted > bytes);
		bytes = m.hash_grant.granted;
	}
	assert_int_equal(bytes, MiB(2));
	/* All that has passed may lie in the ring still. */
	assert_int_equal(s->bytes, others + MiB(2));
	m = (struct ipc_msg)IPC_MSG(cancel, .pull = PULL, .code = ERR_DEADLINE);
	tell(&w->frontend, &m);
	assert_ended(w, ERR_DEADLINE);
	all_gone(w, w->rooms.token);
	spin(&w->k, 10);
	assert_int_equal(s->bytes + s->inodes, 0);
}

/* Rooms that ask for what they cannot need. */
static void
asks_wrongly(struct world *w, const struct ipc_msg *m, bool hash)
{
	char text[2048];

	at_layer(w);
	tell(hash ? &w->rooms.hash : &w->rooms.apply, m);
	assert_int_equal(pull_ended(w, text), ERR_INTERNAL);
	assert_non_null(strstr(text, "broke the protocol"));
	all_gone(w, w->rooms.token);
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
	struct ipc_msg m;
	uint64_t entries;

	at_layer(w);
	for (entries = w->k.space.inodes; entries < SPACE_LEAST / SPACE_ENTRY;) {
		m = (struct ipc_msg)IPC_MSG(apply_more, .entries = entries);
		tell(&w->rooms.apply, &m);
		expect(w, &w->rooms.apply, MSG_apply_grant, &m);
		entries = m.apply_grant.granted;
	}
	assert_int_equal(entries, SPACE_LEAST / SPACE_ENTRY);
	m = (struct ipc_msg)IPC_MSG(apply_more, .entries = entries);
	tell(&w->rooms.apply, &m);
	assert_ended(w, ERR_INTERNAL);
	all_gone(w, w->rooms.token);
}

/* A store that is full but for what another pull has reserved. */
static void
test_no_space(void **state)
{
	struct world *w = *state;
	char text[2048];

	w->k.space.bytes = UINT64_C(1) << 60;
	documents(w);
	judge_with(w, true, NAME, w->policy);
	assert_int_equal(pull_ended(w, text), ERR_NO_SPACE);
	assert_non_null(strstr(text, NAME ": no space: at least "));
	assert_non_null(strstr(text, "other pulls have reserved 1099511627776.0 MiB"));
	assert_int_equal(w->k.space.bytes, UINT64_C(1) << 60);
}

/* While something is being removed, who lacks space waits for it, and is refused when it
 * was not enough. */
static void
test_waits_for_space(void **state)
{
	struct world *w = *state;
	struct ipc_msg m;

	at_layer(w);
	w->k.erase.busy = true;
	w->k.space.bytes += UINT64_C(1) << 60;
	m = (struct ipc_msg)IPC_MSG(hash_more, .uncompressed = SPACE_LEAST);
	tell(&w->rooms.hash, &m);
	expect(w, &w->frontend, MSG_progress, &m);
	assert_int_equal(m.progress.stage, STAGE_SPACE);
	assert_false(next_message(w, &w->rooms.hash, &m, 20));
	w->k.space.bytes -= UINT64_C(1) << 60;
	space_retry(&w->k);
	expect(w, &w->rooms.hash, MSG_hash_grant, &m);
	w->k.space.bytes += UINT64_C(1) << 60;
	m = (struct ipc_msg)IPC_MSG(apply_more, .entries = w->k.space.inodes);
	tell(&w->rooms.apply, &m);
	expect(w, &w->frontend, MSG_progress, &m);
	w->k.erase.busy = false;
	space_retry(&w->k);
	assert_ended(w, ERR_NO_SPACE);
	all_gone(w, w->rooms.token);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WORLD_TEST(test_grants),
	    WORLD_TEST(test_hash_asks_wrongly),
	    WORLD_TEST(test_hash_asks_early),
	    WORLD_TEST(test_applier_asks_early),
	    WORLD_TEST(test_applier_asks_for_too_much),
	    WORLD_TEST(test_no_space),
	    WORLD_TEST(test_waits_for_space),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
