/* The disk writes while layers are being unpacked. */
#include "tests/store/world.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

static void
unpacked(struct world *w, uint64_t bytes)
{
	struct ipc_msg m = IPC_MSG(hash_progress, .compressed = 1, .uncompressed = bytes);

	tell(&w->rooms.hash, &m);
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
	struct chan flush = {.fd = -1};
	struct ipc_msg m, done = IPC_MSG(flushed);

	at_layer(w);
	unpacked(w, MiB(8) - 1);
	assert_false(next_message(w, &w->control, &m, 20));
	unpacked(w, MiB(8));
	uint64_t token = flusher(w, &flush);
	unpacked(w, MiB(17));
	assert_false(next_message(w, &flush, &m, 20));
	tell(&flush, &done);
	expect(w, &flush, MSG_flush, &m);
	tell(&flush, &done);
	unpacked(w, MiB(18));
	assert_false(next_message(w, &flush, &m, 20));
	unpacked(w, MiB(25));
	expect(w, &flush, MSG_flush, &m);
	m = (struct ipc_msg)IPC_MSG(cancel, .pull = PULL, .code = ERR_DEADLINE);
	tell(&w->frontend, &m);
	assert_ended(w, ERR_DEADLINE);
	all_gone(w, w->rooms.token);
	do
		expect(w, &w->control, MSG_end, &m);
	while (m.end.token != token);
	flusher_gone(w, token);
	assert_false(w->k.flush.helper.alive);
	assert_int_equal(faccessat(w->k.store.staging, STAGING_EMPTY, F_OK, 0), -1);
	chan_release(&flush);
}

/* What the kernel says of its writing, it says once: whoever is at it fails. So too if
 * the room dies, or says that it flushed unasked: it may have heard something. */
static void
flush_fails(struct world *w, const struct ipc_msg *m, enum err_class code)
{
	struct chan flush = {.fd = -1};
	char text[2048];

	at_layer(w);
	unpacked(w, MiB(8));
	uint64_t token = flusher(w, &flush);
	if (m) {
		tell(&flush, m);
		tell(&flush, m);
	} else {
		flusher_gone(w, token);
	}
	assert_int_equal(pull_ended(w, text), code);
	assert_non_null(strstr(text, NAME ": the room that flushes: "));
	all_gone(w, w->rooms.token);
	chan_release(&flush);
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
	struct ipc_msg m;

	w->k.durability = DURABILITY_NONE;
	at_layer(w);
	unpacked(w, MiB(64));
	assert_false(next_message(w, &w->control, &m, 20));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WORLD_TEST(test_flush),
	    WORLD_TEST(test_flush_cannot_write),
	    WORLD_TEST(test_flush_unasked),
	    WORLD_TEST(test_flush_dies),
	    WORLD_TEST(test_flush_not_wanted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
