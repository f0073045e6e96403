/* Documents that are not what was asked for, and rooms that read them wrongly. */
#include "tests/store/world.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void
bad_document(struct world *w, int fd, const uint8_t *pin)
{
	struct ipc_msg m;
	char name[200] = NAME;

	if (pin) {
		strcpy(name, "docker.io/library/foo@");
		digest_print(pin, name + strlen(name));
	}
	give(w, &w->fetch, CH_fetch_store, ROOM_FETCH, PULL, 1);
	ask(w, PULL_ALWAYS, name, pin);
	expect(w, &w->frontend, MSG_need_document, &m);
	send_document(w, m.need_document.req, fd);
	assert_ended(w, ERR_CONTENT);
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
	struct chan doc = {.fd = -1};
	struct ipc_msg m, parse;

	give(w, &w->fetch, CH_fetch_store, ROOM_FETCH, PULL, 1);
	ask(w, PULL_ALWAYS, NAME, NULL);
	expect(w, &w->frontend, MSG_need_document, &m);
	send_document(w, m.need_document.req + 1, fd_sealed_memfd("d", "1", 1));
	send_document(w, m.need_document.req, fd_sealed_memfd("d", "2", 1));
	send_document(w, m.need_document.req, fd_sealed_memfd("d", "3", 1));
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
}

static void
bad_answer(struct world *w, const struct ipc_msg *m, enum err_class code)
{
	struct chan doc = {.fd = -1};
	uint64_t token;

	give(w, &w->fetch, CH_fetch_store, ROOM_FETCH, PULL, 1);
	ask(w, PULL_ALWAYS, NAME, NULL);
	read_by(w, w->im.rq.list, &doc, &token);
	answer(w, &doc, token, m);
	assert_ended(w, code);
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
	struct chan doc = {.fd = -1};
	uint64_t token;
	struct ipc_msg m;
	char text[2048];

	w->k.answer_ms = 200;
	give(w, &w->fetch, CH_fetch_store, ROOM_FETCH, PULL, 1);
	ask(w, PULL_ALWAYS, NAME, NULL);
	read_by(w, w->im.rq.list, &doc, &token);
	assert_int_equal(pull_ended(w, text), ERR_CONTENT);
	assert_non_null(strstr(text, "document room had not done its work"));
	assert_true(next_message(w, &w->control, &m, SOON_MS));
	assert_int_equal(m.type, MSG_end);
	assert_int_equal(m.end.token, token);
	gone(w, ROOM_DOCUMENT, token, 256 + 9);
	spin(&w->k, 20);
	assert_null(w->k.pulls);
	chan_release(&doc);
}

/* A fetcher that says it has fetched, and sends nothing. */
static void
test_no_document(void **state)
{
	struct world *w = *state;
	struct chan doc = {.fd = -1};
	struct ipc_msg m;
	uint64_t token;
	char text[2048];

	w->k.arrival_ms = 200;
	give(w, &w->fetch, CH_fetch_store, ROOM_FETCH, PULL, 1);
	ask(w, PULL_ALWAYS, NAME, NULL);
	read_by(w, w->im.rq.list, &doc, &token);
	spin(&w->k, 300); /* that one is here: only its room is waited for */
	index_answer(w, &m);
	answer(w, &doc, token, &m);
	expect(w, &w->frontend, MSG_need_document, &m);
	send_document(w, m.need_document.req + 1, fd_sealed_memfd("d", "1", 1));
	assert_int_equal(pull_ended(w, text), ERR_DEADLINE);
	assert_non_null(strstr(text, "manifest of " NAME " did not arrive"));
	spin(&w->k, 20);
	assert_null(w->k.pulls);
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
	struct chan doc = {.fd = -1};
	struct ipc_msg m;
	uint64_t token;

	give(w, &w->fetch, CH_fetch_store, ROOM_FETCH, PULL, 1);
	ask(w, PULL_ALWAYS, NAME, NULL);
	read_by(w, w->im.rq.manifest, &doc, &token);
	manifest_answer(w, &m);
	answer(w, &doc, token, &m);
	read_by(w, w->im.rq.config, &doc, &token);
	answer(w, &doc, token, config);
	assert_ended(w, code);
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

/* The document that is asked for is still asked for. */
static void
test_document_again(void **state)
{
	struct world *w = *state;
	struct chan doc = {.fd = -1};
	struct ipc_msg m;
	char name[200] = "docker.io/library/foo@";
	uint64_t token;

	digest_print(w->im.rq.list_digest, name + strlen(name));
	give(w, &w->fetch, CH_fetch_store, ROOM_FETCH, PULL, 1);
	ask(w, PULL_ALWAYS, name, w->im.rq.list_digest);
	expect(w, &w->frontend, MSG_need_document, &m);
	uint64_t req = m.need_document.req;
	send_document(w, req, fd_sealed_memfd("d", "{}", 2));
	wait_wrong(w, true);
	send_document(w, req, fd_sealed_memfd("d", w->im.rq.list.p, w->im.rq.list.n));
	wanted(w, ROOM_DOCUMENT, &m);
	token = m.want.token;
	give(w, &doc, CH_store_document, ROOM_DOCUMENT, PULL, token);
	expect(w, &doc, MSG_parse, &m);
	ipc_msg_release(&m);
	chan_release(&doc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WORLD_TEST(test_wrong_hash),
	    WORLD_TEST(test_unsealed),
	    WORLD_TEST(test_document_size),
	    WORLD_TEST(test_stray_documents),
	    WORLD_TEST(test_config_for_index),
	    WORLD_TEST(test_silent_document_room),
	    WORLD_TEST(test_no_document),
	    WORLD_TEST(test_uneven_manifest),
	    WORLD_TEST(test_layer_too_large),
	    WORLD_TEST(test_first_of_two_too_large),
	    WORLD_TEST(test_document_room_says_no),
	    WORLD_TEST(test_diff_id_count),
	    WORLD_TEST(test_platform),
	    WORLD_TEST(test_document_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
