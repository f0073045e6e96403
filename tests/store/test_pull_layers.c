/* Layers whose rooms say what does not fit. */
#include "tests/store/world.h"

#include <sys/mman.h>

/* What the hash room computed is not what the documents promised. */
static void
hash_case(struct world *w, struct ipc_msg *m)
{

	documents(w);
	layer_rooms(w);
	tell(&w->rooms.hash, m);
	assert_ended(w, ERR_CONTENT);
}

/* The rooms of the first try are gone, the right bytes come from another endpoint:
 * nothing of the first try is left. */
static void
layer_comes_again(struct world *w)
{
	struct ipc_msg again = IPC_MSG(again, .pull = PULL, .index = 0);
	struct chan check = {.fd = -1};
	uint64_t first = w->rooms.token, token;

	rooms_free(w);
	gone(w, ROOM_HASH, first, 256 + 9);
	gone(w, ROOM_INFLATE, first, 1);
	tell(&w->frontend, &again);
	spin(&w->k, 5);
	gone(w, ROOM_APPLY, first, 256 + 9);
	layer_rooms_next(w);
	assert_int_not_equal(w->rooms.token, first);
	fill_stage(w);
	applied(w);
	check_room(w, &check, &token);
	checked(w, &check, token);
	assert_ended(w, ERR_OK);
	rooms_free(w);
	chan_release(&w->fetch);
}

static void
test_layer_again(void **state)
{
	struct world *w = *state;
	struct ipc_msg m, again = IPC_MSG(again, .pull = PULL, .index = 0);

	documents(w);
	layer_rooms(w);
	tell(&w->frontend, &again); /* nothing is wrong yet: it means nothing */
	hashed(w, &m);
	m.hashed.digest[5] ^= 1;
	tell(&w->rooms.hash, &m);
	wait_wrong(w, true);
	layer_comes_again(w);
}

/* What a room said that had to stop because of the bytes does not end the pull. */
static void
test_layer_again_after_an_echo(void **state)
{
	static const struct ipc_msg echo = IPC_MSG(hash_failed, .code = ERR_INTERNAL),
				    why = IPC_MSG(apply_failed, .code = ERR_CONTENT);
	struct world *w = *state;

	documents(w);
	layer_rooms(w);
	tell(&w->rooms.hash, &echo);
	spin(&w->k, 2);
	tell(&w->rooms.apply, &why);
	wait_wrong(w, false);
	layer_comes_again(w);
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
	struct ipc_msg m;

	documents(w);
	layer_rooms(w);
	hashed(w, &m);
	tell(&w->rooms.hash, &m);
	m = (struct ipc_msg)IPC_MSG(applied, .bytes = w->im.layers[0].diff_size - 1);
	tell(&w->rooms.apply, &m);
	spin(&w->k, 2);
	all_gone(w, w->rooms.token);
	assert_ended(w, ERR_CONTENT);
}

/* "My neighbour gave up" is heard first; the reason that counts comes after. */
static void
test_the_better_reason(void **state)
{
	struct world *w = *state;
	char text[2048];

	documents(w);
	layer_rooms(w);
	struct ipc_msg m = IPC_MSG(hash_failed, .code = ERR_INTERNAL,
	    .text = span_str("the fetch room gave up"));
	tell(&w->rooms.hash, &m);
	spin(&w->k, 50);
	struct ipc_msg c = IPC_MSG(cancel, .pull = PULL, .code = ERR_NETWORK,
	    .text = span_str("connection reset"));
	tell(&w->frontend, &c);
	assert_int_equal(pull_ended(w, text), ERR_NETWORK);
	assert_string_equal(text, "connection reset");
}

static void
test_no_better_reason(void **state)
{
	struct world *w = *state;

	documents(w);
	layer_rooms(w);
	gone(w, ROOM_INFLATE, w->rooms.token, 256 + 11);
	assert_ended(w, ERR_INTERNAL);
}

/* Cancelled while the applier lives: the answer comes at once, its tree stays until it is
 * reaped. */
static void
test_cancel_waits_for_the_applier(void **state)
{
	struct world *w = *state;

	documents(w);
	layer_rooms(w);
	struct ipc_msg c = IPC_MSG(
	    cancel, .pull = PULL, .code = ERR_DEADLINE, .text = span_str("enough"));
	tell(&w->frontend, &c);
	assert_ended(w, ERR_DEADLINE);
	spin(&w->k, 30);
	sh(w->f, 0, "ls -d @D/G/bulkhead/%s/[0-9]*/diff", w->k.store.name);
	gone(w, ROOM_HASH, w->rooms.token, 256 + 9);
	gone(w, ROOM_INFLATE, w->rooms.token, 256 + 9);
	spin(&w->k, 30);
	sh(w->f, 0, "ls -d @D/G/bulkhead/%s/[0-9]*/diff", w->k.store.name);
	gone(w, ROOM_APPLY, w->rooms.token, 256 + 9);
	spin(&w->k, 30);
	sh(w->f, 2, "ls -d @D/G/bulkhead/%s/[0-9]*/diff 2>&1", w->k.store.name);
	assert_null(w->k.pulls);
	/* Late words about it mean nothing. */
	access_public(w);
	assert_null(w->k.pulls);
}

static void
check_case(struct world *w, const struct ipc_msg *m, enum err_class code)
{
	struct chan check = {.fd = -1};
	uint64_t token;

	at_check(w, &check, &token);
	tell(&check, m);
	assert_ended(w, code);
	sh(w->f, 1, "test -e @D/G/overlay-images/images.json");
	chan_release(&check);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WORLD_TEST(test_layer_again),
	    WORLD_TEST(test_layer_again_after_an_echo),
	    WORLD_TEST(test_blob_digest),
	    WORLD_TEST(test_blob_size),
	    WORLD_TEST(test_diff_id),
	    WORLD_TEST(test_applier_counts_otherwise),
	    WORLD_TEST(test_the_better_reason),
	    WORLD_TEST(test_no_better_reason),
	    WORLD_TEST(test_cancel_waits_for_the_applier),
	    WORLD_TEST(test_opaque_is_no_directory),
	    WORLD_TEST(test_owners_out_of_order),
	    WORLD_TEST(test_check_finds_fault),
	    WORLD_TEST(test_modes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
