/* The document room itself: what the store asks and gets, and what ends the room. */
#include "common/base/platform.h"
#include "tests/document/check.h"
#include "tests/room.h"

#define MANIFEST                                                                     \
	"{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_MANIFEST                   \
	"\",\"config\":{\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":" DIGEST_A \
	",\"size\":9},\"layers\":[{\"mediaType\":\"application/"                     \
	"vnd.oci.image.layer.v1.tar+gzip\","                                         \
	"\"digest\":" DIGEST_B                                                       \
	",\"size\":5},{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\","    \
	"\"digest\":" DIGEST_C ",\"size\":6}],\"annotations\":{\"k\":\"v\"}}"
#define INDEX                                                                   \
	"{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX                 \
	"\",\"manifests\":[{\"mediaType\":\"" MEDIA_OCI_MANIFEST                \
	"\",\"digest\":" DIGEST_A ",\"size\":7,\"platform\":{\"os\":\"linux\"," \
	"\"architecture\":\"" PLATFORM_ARCHITECTURE "\"}}]}"
#define CONFIG                                                                           \
	"{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":\"v7\",\"config\":{"     \
	"\"User\":\"app\"},"                                                             \
	"\"created\":\"1970-01-01T00:00:01.5Z\",\"rootfs\":{\"type\":\"layers\",\"diff_" \
	"ids\":[" DIGEST_A "," DIGEST_B "]}}"

struct asked {
	struct room_test room;
	struct chan store;
	struct ipc_msg answer;
	int status;
};

static void
start(struct asked *a)
{
	room_start(&a->room, ROOM_DOCUMENT);
	room_connect(&a->room, CH_store_document, ROOM_STORE, ROOM_DOCUMENT, &a->store);
}

static struct asked *
ask_for(const char *os, const char *architecture, unsigned kind, const char *type,
    const void *p, size_t n)
{
	static struct asked a;

	start(&a);
	struct ipc_msg m = IPC_MSG(parse, .kind = kind, .media_type = span_str(type),
	    .os = span_str(os), .architecture = span_str(architecture));
	m.fds[0] = room_memfd(p, n);
	m.nfds = 1;
	room_send(&a.store, &m);
	room_receive(&a.room, &a.store, &a.answer);
	a.status = room_end(&a.room);
	return &a;
}

static struct asked *
ask(unsigned kind, const char *type, const void *p, size_t n)
{
	return ask_for("linux", PLATFORM_ARCHITECTURE, kind, type, p, n);
}

static void
done(struct asked *a, int status)
{
	assert_int_equal(a->status, status);
	ipc_msg_release(&a->answer);
	chan_release(&a->store);
}

static void
test_manifest(void **state)
{
	struct asked *a = ask(DOC_TOP, MEDIA_OCI_MANIFEST, MANIFEST, strlen(MANIFEST));
	const struct msg_manifest_answer *m = &a->answer.manifest_answer;

	assert_int_equal(a->answer.type, MSG_manifest_answer);
	assert_int_equal(m->config[0], 0xaa);
	assert_int_equal(m->config_size, 9);
	assert_true(span_is(m->config_type, MEDIA_OCI_CONFIG));
	assert_int_equal(m->digests.n, 64);
	assert_int_equal(m->digests.p[0], 0xbb);
	assert_int_equal(m->digests.p[63], 0xcc);
	assert_int_equal(m->sizes.n, 2);
	assert_int_equal(m->sizes.v[1], 6);
	assert_int_equal(m->compressions.n, 2);
	assert_int_equal(m->compressions.p[0], COMPRESSION_GZIP);
	assert_int_equal(m->compressions.p[1], COMPRESSION_NONE);
	assert_true(span_eq(m->annotations, span_of("\1\0\0\0k\1\0\0\0v", 10)));
	done(a, 0);
}

static void
test_index(void **state)
{
	struct asked *a = ask(DOC_TOP, "", INDEX, strlen(INDEX));

	assert_int_equal(a->answer.type, MSG_index_answer);
	assert_int_equal(a->answer.index_answer.digest[31], 0xaa);
	assert_int_equal(a->answer.index_answer.size, 7);
	assert_true(span_is(a->answer.index_answer.media_type, MEDIA_OCI_MANIFEST));
	done(a, 0);
}

/* Without a platform it is this machine's. */
static void
test_platform(void **state)
{
	struct asked *a = ask_for("", "", DOC_TOP, "", INDEX, strlen(INDEX));

	assert_int_equal(a->answer.type, MSG_index_answer);
	assert_int_equal(a->answer.index_answer.digest[31], 0xaa);
	done(a, 0);
	a = ask_for("plan9", "pdp11", DOC_TOP, "", INDEX, strlen(INDEX));
	assert_int_equal(a->answer.type, MSG_document_failed);
	assert_int_equal(a->answer.document_failed.code, ERR_NOT_FOUND);
	done(a, 0);
}

static void
test_config(void **state)
{
	struct asked *a = ask(DOC_CONFIG, MEDIA_OCI_CONFIG, CONFIG, strlen(CONFIG));
	const struct msg_config_answer *m = &a->answer.config_answer;

	assert_int_equal(a->answer.type, MSG_config_answer);
	assert_int_equal(m->diff_ids.n, 64);
	assert_int_equal(m->diff_ids.p[32], 0xbb);
	assert_int_equal(m->created, 1);
	assert_int_equal(m->created_ns, 500000000);
	assert_true(span_is(m->os, "linux"));
	assert_true(span_is(m->architecture, "arm"));
	assert_true(span_is(m->variant, "v7"));
	assert_true(span_is(m->user, "app"));
	done(a, 0);
}

static void
test_refused(void **state)
{
	struct asked *a = ask(DOC_MANIFEST, "", INDEX, strlen(INDEX));

	assert_int_equal(a->answer.type, MSG_document_failed);
	assert_int_equal(a->answer.document_failed.code, ERR_CONTENT);
	assert_true(a->answer.document_failed.text.n > 10);
	done(a, 0);
}

/* The largest trees that the limits allow must fit into the room: numbers, empty objects,
 * texts. */
static void
test_largest(void **state)
{
	static const char *const parts[] = {
	    ",0", ",{}", ",[]", ",{\"a\":\"\"}", ",\"0123456789abcde\""};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		struct build b = {0};
		size_t values = i == 3 ? LIMIT_JSON_VALUES / 2 : LIMIT_JSON_VALUES;
		build_add(&b, "{\"x\":[0");
		build_repeat(&b, parts[i], values - 20);
		build_add(&b, "]}");
		assert_true(b.n < LIMIT_DOCUMENT);
		struct asked *a = ask(DOC_TOP, "", b.p, b.n);
		assert_int_equal(a->answer.type, MSG_document_failed);
		assert_int_equal(a->answer.document_failed.code, ERR_CONTENT);
		done(a, 0);
		build_free(&b);
	}
}

/* Texts are cut to what a message holds, whatever the document does to its refusal. */
static void
test_long_refusal(void **state)
{
	struct build b = {0};

	build_add(&b, "{\"schemaVersion\":2,\"manifests\":[0,{\"platform\":{");
	for (int i = 0; i < 900; i++)
		build_add(&b, "\"%d\":\"\\u2028\",", i);
	build_add(&b, "\"os\":\"\\u0001\"}}]}");
	struct asked *a = ask(DOC_TOP, "", b.p, b.n);
	assert_int_equal(a->answer.type, MSG_document_failed);
	done(a, 0);
	build_free(&b);
}

static void
render(unsigned kind, const char *facts, const char *expect)
{
	static struct asked a;
	uint8_t *text;
	size_t n, sealed;

	start(&a);
	struct ipc_msg m = IPC_MSG(render, .kind = kind);
	m.fds[0] = room_memfd(CONFIG, strlen(CONFIG));
	m.fds[1] = room_memfd(MANIFEST, strlen(MANIFEST));
	m.fds[2] = room_memfd(facts, strlen(facts));
	m.nfds = 3;
	room_send(&a.store, &m);
	room_receive(&a.room, &a.store, &a.answer);
	a.status = room_end(&a.room);
	if (!expect) {
		assert_int_equal(a.answer.type, MSG_document_failed);
		done(&a, 0);
		return;
	}
	assert_int_equal(a.answer.type, MSG_rendered);
	assert_int_equal(fd_check_sealed(a.answer.fds[0], LIMIT_RENDERED, &sealed), 0);
	assert_int_equal(fd_read_whole(a.answer.fds[0], LIMIT_RENDERED, &text, &n), 0);
	if (!strstr((char *)text, expect))
		fail_msg("no %s in %s", expect, text);
	free(text);
	done(&a, 0);
}

static void
test_render(void **state)
{
	render(0, "id\tx\nname\ta.b/c:1\n", "\"RepoTags\": [\n            \"a.b/c:1\"\n");
	render(1, "name\ta.b/c:1\n", "{\n    \"Name\": \"a.b/c:1\"");
	render(2, "",
	    "{\"imageSpec\":{\"created\":\"1970-01-01T00:00:01.5Z\",\"architecture\":"
	    "\"arm\"");
	render(0, "nonsense", NULL);
}

/* What is no document ends the room, without an answer. */
static void
test_nonsense(void **state)
{
	static struct asked a;
	const char *why;

	start(&a);
	assert_int_equal(write(a.store.fd, "\xff", 1), 1);
	assert_int_equal(room_end(&a.room), 2);
	assert_int_equal(chan_recv_wait(&a.store, &a.answer, ROOM_MS, &why), CHAN_CLOSED);
	chan_release(&a.store);

	start(&a);
	chan_release(&a.store); /* the store has gone */
	assert_int_equal(room_end(&a.room), 2);

	room_start(&a.room, ROOM_DOCUMENT);
	room_connect(&a.room, CH_store_verdict, ROOM_STORE, ROOM_VERDICT, &a.store);
	assert_int_equal(room_end(&a.room), 2);
	chan_release(&a.store);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_manifest),
	    cmocka_unit_test(test_index),
	    cmocka_unit_test(test_platform),
	    cmocka_unit_test(test_config),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_largest),
	    cmocka_unit_test(test_long_refusal),
	    cmocka_unit_test(test_render),
	    cmocka_unit_test(test_nonsense),
	};
	return cmocka_run_group_tests(tests, room_host_setup, room_host_teardown);
}
