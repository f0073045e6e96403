/* The verdict room itself. */
#include "tests/room.h"

#include <sys/mman.h>

#define POLICY                                                                        \
	"{\"default\":[{\"type\":\"reject\"}],\"transports\":{\"docker\":{\"a.b\":[{" \
	"\"type\":"                                                                   \
	"\"insecureAcceptAnything\"}]}}}"

static struct room_test room;
static struct chan store;
static struct ipc_msg answer;

static void
start(int policy)
{
	struct ipc_msg m = IPC_MSG(setup_verdict, .policy_file = span_str("/etc/p.json"));

	room_start(&room, ROOM_VERDICT);
	memset(m.setup_verdict.policy, 0x5a, 32);
	m.fds[0] = policy;
	m.nfds = 1;
	room_send(&room.control, &m);
	room_connect(&room, CH_store_verdict, ROOM_STORE, ROOM_VERDICT, &store);
}

/* What it says of its policy, before anybody has asked for a verdict: what a reload waits
 * for. */
static void
reads(int policy, enum err_class code, const char *text)
{
	char got[1025];

	start(policy);
	room_receive(&room, &room.control, &answer);
	assert_int_equal(answer.type, MSG_policy_read);
	assert_int_equal(answer.policy_read.code, code);
	assert_true(span_to_str(answer.policy_read.text, got, sizeof(got)));
	if (!strstr(got, text) || (!*text && *got))
		fail_msg("%s", got);
	chan_release(&store);
	assert_int_equal(room_end(&room), 2); /* a channel, and nothing on it */
}

static void
test_reading(void **state)
{
	char broken[] = "{\"default\":[{\"type\":\"reject\"}],\n\"transport\":{}}";

	reads(room_memfd(POLICY, strlen(POLICY)), ERR_OK, "");
	reads(room_memfd("{}", 2), ERR_POLICY,
	    "signature policy /etc/p.json: no \"default\"");
	reads(room_memfd(broken, strlen(broken)), ERR_POLICY, "transport");
	reads(room_memfd("{", 1), ERR_POLICY, "line 1");
	reads(memfd_create("plain", MFD_CLOEXEC), ERR_INTERNAL, "/etc/p.json");
}

/* What it says of a name when nothing is judged: then it ends, without a channel. */
static void
explains(int policy, const char *name, enum err_class code, const char *text)
{
	struct ipc_msg m = IPC_MSG(setup_verdict, .policy_file = span_str("/etc/p.json"),
	    .explain = span_str(name));
	char got[1025];

	room_start(&room, ROOM_VERDICT);
	m.fds[0] = policy;
	m.nfds = 1;
	room_send(&room.control, &m);
	room_receive(&room, &room.control, &answer);
	assert_int_equal(answer.type, MSG_policy_read);
	assert_int_equal(answer.policy_read.code, code);
	assert_true(span_to_str(answer.policy_read.text, got, sizeof(got)));
	if (!strstr(got, text))
		fail_msg("%s", got);
	assert_int_equal(room_end(&room), 0);
}

static void
test_explaining(void **state)
{
	explains(room_memfd(POLICY, strlen(POLICY)), "a.b/c:1", ERR_OK,
	    "/etc/p.json: transports.docker.\"a.b\": insecureAcceptAnything");
	explains(room_memfd(POLICY, strlen(POLICY)), "c.d/c:1", ERR_OK,
	    "/etc/p.json: \"default\": reject");
	explains(room_memfd("{}", 2), "a.b/c:1", ERR_POLICY, "no \"default\"");
}

static void
judge(int policy, const char *name, bool accept, const char *text)
{
	char got[1025];
	struct ipc_msg m = IPC_MSG(judge, .name = span_str(name));

	start(policy);
	memset(m.judge.digest, 0x77, 32);
	room_send(&store, &m);
	room_receive(&room, &store, &answer);
	assert_int_equal(answer.type, MSG_verdict);
	assert_int_equal(answer.verdict.accept, accept);
	assert_true(span_is(answer.verdict.name, name));
	assert_memory_equal(answer.verdict.digest, m.judge.digest, 32);
	for (int i = 0; i < 32; i++)
		assert_int_equal(answer.verdict.policy[i], 0x5a);
	assert_true(span_to_str(answer.verdict.text, got, sizeof(got)));
	if (!strstr(got, text))
		fail_msg("%s", got);
	assert_int_equal(room_end(&room), 0);
	chan_release(&store);
}

static void
test_verdicts(void **state)
{
	judge(room_memfd(POLICY, strlen(POLICY)), "a.b/c:1", true,
	    "transports.docker.\"a.b\"");
	judge(room_memfd(POLICY, strlen(POLICY)), "c.d/c:1", false,
	    "\"default\" says reject");
	judge(room_memfd(POLICY, strlen(POLICY)), "not a name", false, "not a full name");
}

/* No policy that can be used: every name is refused, with the reason. */
static void
test_bad_policy(void **state)
{
	int plain = memfd_create("plain", MFD_CLOEXEC);

	judge(room_memfd("{}", 2), "a.b/c:1", false,
	    "signature policy /etc/p.json: no \"default\"");
	judge(room_memfd("", 0), "a.b/c:1", false, "not acceptable JSON");
	assert_int_equal(write(plain, POLICY, strlen(POLICY)), strlen(POLICY));
	judge(plain, "a.b/c:1", false, "signature policy /etc/p.json"); /* not sealed */
}

static void
test_nonsense(void **state)
{
	start(room_memfd(POLICY, strlen(POLICY)));
	assert_int_equal(write(store.fd, "\x92", 1), 1);
	assert_int_equal(room_end(&room), 2);
	chan_release(&store);

	room_start(&room, ROOM_VERDICT); /* a channel, but no policy */
	room_connect(&room, CH_store_verdict, ROOM_STORE, ROOM_VERDICT, &store);
	assert_int_equal(room_end(&room), 2);
	chan_release(&store);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_verdicts),
	    cmocka_unit_test(test_reading),
	    cmocka_unit_test(test_explaining),
	    cmocka_unit_test(test_bad_policy),
	    cmocka_unit_test(test_nonsense),
	};
	return cmocka_run_group_tests(tests, room_host_setup, room_host_teardown);
}
