/* Commands against answers that lie in the socket before they ask. */
#include "cli/commands.h"
#include "common/base/fd.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <cmocka.h>

struct bench {
	struct chan service;
	struct session session;
	struct command command;
	struct args args;
	char words[256];
	char *argv[32];
	char *out, *err;
	size_t nout, nerr;
	uint64_t req;
};

/* What a conversation begins with: anything else would be a violation in this phase. */
static void
take_hello(struct chan *service)
{
	struct ipc_msg m;
	const char *why = NULL;

	assert_int_equal(chan_recv(service, &m, &why), 0);
	assert_int_equal(m.type, MSG_cli_hello);
	assert_memory_equal(
	    m.cli_hello.schema, ipc_schema_hash, sizeof(m.cli_hello.schema));
	ipc_msg_release(&m);
	service->phase = IPC_RUN;
}

static void
bench_open(struct bench *b, const char *line, int signals)
{
	int pair[2], argc = 0;
	char *save = NULL;
	struct err e = {0};

	memset(b, 0, sizeof(*b));
	snprintf(b->words, sizeof(b->words), "bulkhead %s", line);
	for (char *w = strtok_r(b->words, " ", &save); w; w = strtok_r(NULL, " ", &save))
		b->argv[argc++] = w;
	assert_int_equal(args_parse(argc, b->argv, &b->args, &e), 0);
	assert_int_equal(chan_pair(pair), 0);
	assert_int_equal(
	    chan_init(&b->service, pair[0], CH_cli, ROOM_FRONTEND, ROOM_CLI), 0);
	assert_int_equal(
	    session_open(&b->session, pair[1], signals, open_memstream(&b->out, &b->nout),
		open_memstream(&b->err, &b->nerr)),
	    0);
	take_hello(&b->service);
	b->command.args = &b->args;
	b->command.session = &b->session;
	b->command.now = 2000000000;
	b->req = 1;
	if (command_check(&b->command, &e) < 0)
		fail_msg("%s", e.text);
}

static void
answer(struct bench *b, struct ipc_msg m)
{
	m.cli_done.req = b->req;
	assert_int_equal(chan_send(&b->service, &m), 0);
	ipc_msg_release(&m);
}

static void
done(struct bench *b, unsigned code, const char *text)
{
	answer(
	    b, (struct ipc_msg)IPC_MSG(cli_done, .code = code, .text = span_str(text)));
	b->req++;
}

/* Runs the command; its output stays in b->out and b->err. */
static int
run(struct bench *b)
{
	int code = command_run(&b->command);

	fflush(b->session.out);
	fflush(b->session.err);
	return code;
}

/* The next request that the command has sent. */
static struct ipc_msg
request(struct bench *b, enum ipc_type type)
{
	struct ipc_msg m;
	const char *why = NULL;

	assert_int_equal(chan_recv(&b->service, &m, &why), 0);
	assert_int_equal(m.type, type);
	return m;
}

static void
bench_close(struct bench *b)
{
	FILE *out = b->session.out, *err = b->session.err;

	session_close(&b->session);
	chan_release(&b->service);
	fclose(out);
	fclose(err);
	free(b->out);
	free(b->err);
}

static void
test_pull(void **state)
{
	struct bench b;
	struct ipc_msg pulled = IPC_MSG(cli_pulled, .fresh = 1), m;

	bench_open(&b,
	    "pull --creds u:p --policy missing --tls-verify=false --platform "
	    "linux/arm64/v8 "
	    "docker://q.io/a b",
	    -1);
	memset(pulled.cli_pulled.image, 0xab, 32);
	answer(&b, (struct ipc_msg)IPC_MSG(cli_layer, .index = 0, .count = 1, .size = 5));
	answer(&b, (struct ipc_msg)IPC_MSG(cli_progress, .index = 0, .bytes = 5));
	answer(&b, pulled);
	done(&b, 0, "");
	memset(pulled.cli_pulled.image, 0xcd, 32);
	answer(&b, pulled);
	done(&b, 0, "");
	assert_int_equal(run(&b), 0);
	assert_int_equal(b.nout, 2 * 65);
	assert_int_equal(strncmp(b.out, "abababab", 8), 0);
	assert_int_equal(strncmp(b.out + 65, "cdcdcdcd", 8), 0);
	assert_string_equal(b.err, "");

	m = request(&b, MSG_cli_pull);
	assert_true(span_is(m.cli_pull.name, "q.io/a"));
	assert_true(span_is(m.cli_pull.architecture, "arm64"));
	assert_true(span_is(m.cli_pull.variant, "v8"));
	assert_true(span_is(m.cli_pull.secret, "u:p"));
	assert_int_equal(m.cli_pull.auth, 2);
	assert_int_equal(m.cli_pull.verify, 2);
	assert_int_equal(m.cli_pull.mode, 1);
	m = request(&b, MSG_cli_pull);
	assert_int_equal(m.cli_pull.req, 2);
	assert_true(span_is(m.cli_pull.name, "b"));
	bench_close(&b);
}

/* The first failure decides the exit code, the others are tried. */
static void
test_failures(void **state)
{
	struct bench b;
	struct ipc_msg m;

	bench_open(&b, "pull a b c", -1);
	done(&b, ERR_AUTH, "no entry\nbulkhead: \x1b[31mfine");
	answer(&b, (struct ipc_msg)IPC_MSG(cli_pulled, .fresh = 0));
	done(&b, 0, "");
	done(&b, ERR_NETWORK, "");
	assert_int_equal(run(&b), ERR_AUTH);
	assert_int_equal(b.nout, 65);
	assert_string_equal(b.err, "bulkhead: no entry\n  bulkhead: \\x1b[31mfine\n"
				   "bulkhead: the service gave no reason\n");
	m = request(&b, MSG_cli_pull);
	assert_int_equal(m.cli_pull.auth, 1);
	assert_int_equal(m.cli_pull.verify, 0);
	assert_int_equal(m.cli_pull.os.n, 0);
	bench_close(&b);
}

/* --policy newer lives with what the store has when the registry is away, and only then.
 */
static void
test_newer(void **state)
{
	struct bench b;

	bench_open(&b, "pull --policy newer a", -1);
	done(&b, ERR_NETWORK, "no route");
	answer(&b, (struct ipc_msg)IPC_MSG(cli_pulled, .fresh = 0));
	done(&b, 0, "");
	assert_int_equal(run(&b), 0);
	assert_int_equal(b.nout, 65);
	assert_string_equal(
	    b.err, "bulkhead: no route\nbulkhead: kept the stored image\n");
	struct ipc_msg m = request(&b, MSG_cli_pull);
	assert_int_equal(m.cli_pull.mode, 3);
	m = request(&b, MSG_cli_pull);
	assert_int_equal(m.cli_pull.mode, 2);
	bench_close(&b);

	bench_open(&b, "pull --policy newer a", -1);
	done(&b, ERR_NETWORK, "no route");
	done(&b, ERR_NOT_FOUND, "not in the store");
	assert_int_equal(run(&b), ERR_NETWORK);
	assert_string_equal(b.err, "bulkhead: no route\n");
	bench_close(&b);

	bench_open(&b, "pull --policy newer a", -1);
	done(&b, ERR_POLICY, "refused");
	assert_int_equal(run(&b), ERR_POLICY);
	bench_close(&b);
}

static void
test_gone(void **state)
{
	struct bench b;

	bench_open(&b, "pull a b", -1);
	answer(&b, (struct ipc_msg)IPC_MSG(cli_layer, .index = 0, .count = 1, .size = 5));
	chan_release(&b.service);
	assert_int_equal(run(&b), ERR_INTERNAL);
	assert_true(b.session.closed);
	assert_string_equal(b.out, "");
	bench_close(&b);
}

static void
test_violations(void **state)
{
	static const struct {
		const char *line;
		struct ipc_msg first;
	} rows[] = {
	    {"images", IPC_MSG(cli_pulled, .fresh = 1)},
	    {"images", IPC_MSG(cli_image_name, .kind = 0)}, /* before any image */
	    {"pull a", IPC_MSG(cli_image, .size = 1)},
	    {"tag a b", IPC_MSG(cli_removed, .deleted = 1)},
	    {"untag a", IPC_MSG(cli_pulled, .fresh = 1)},
	    {"rmi a", IPC_MSG(cli_pulled, .fresh = 1)},
	    {"fsinfo", IPC_MSG(cli_pulled, .fresh = 1)},
	    {"status", IPC_MSG(cli_pulled, .fresh = 1)},
	    {"inspect a", IPC_MSG(cli_image, .size = 1)},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bench b;
		bench_open(&b, rows[i].line, -1);
		answer(&b, rows[i].first);
		done(&b, 0, "");
		assert_int_equal(run(&b), ERR_INTERNAL);
		assert_non_null(strstr(b.err, "bulkhead: "));
		assert_string_equal(b.out, "");
		bench_close(&b);
	}

	/* An answer to a request that nobody made. */
	struct bench b;
	bench_open(&b, "images", -1);
	b.req = 7;
	done(&b, 0, "");
	assert_int_equal(run(&b), ERR_INTERNAL);
	assert_non_null(strstr(b.err, "another request"));
	bench_close(&b);

	/* Bytes that are no message. */
	bench_open(&b, "images", -1);
	assert_int_equal(write(b.service.fd, "\x92\x01", 2), 2);
	assert_int_equal(run(&b), ERR_INTERNAL);
	assert_non_null(strstr(b.err, "broke the protocol"));
	bench_close(&b);
}

static void
test_images(void **state)
{
	struct bench b;

	bench_open(&b, "images --format json reference=x", -1);
	bench_close(&b);
	bench_open(&b, "images -q --no-trunc", -1);
	answer(&b, (struct ipc_msg)IPC_MSG(cli_image, .created = 1, .size = 5));
	answer(&b, (struct ipc_msg)IPC_MSG(cli_image_name, .name = span_str("q.io/a:1")));
	answer(&b,
	    (struct ipc_msg)IPC_MSG(cli_image_name, .kind = 1, .name = span_str("d")));
	done(&b, 0, "");
	assert_int_equal(run(&b), 0);
	assert_string_equal(b.out,
	    "sha256:0000000000000000000000000000000000000000000000000000000000000000\n");
	bench_close(&b);
}

static int
text_answer(struct bench *b, bool sealed, const char *text)
{
	struct ipc_msg m = IPC_MSG(cli_text, .req = 0);
	FILE *f = tmpfile();

	assert_non_null(f);
	fputs(text, f);
	fflush(f);
	m.fds[0] = sealed ? fd_sealed_memfd("text", text, strlen(text)) : dup(fileno(f));
	fclose(f);
	m.nfds = 1;
	assert_true(m.fds[0] >= 0);
	answer(b, m);
	done(b, 0, "");
	return run(b);
}

static void
test_inspect(void **state)
{
	struct bench b;
	int fds = fd_count_open();

	bench_open(&b, "inspect abc", -1);
	assert_int_equal(text_answer(&b, true, "{\"a\": \"\x1b[2J\"}"), 0);
	assert_string_equal(b.out, "{\"a\": \"\\u001b[2J\"}\n");
	(void)request(&b, MSG_cli_inspect);
	bench_close(&b);

	/* Memory that could still change is not read. */
	bench_open(&b, "inspect abc", -1);
	assert_int_equal(text_answer(&b, false, "{}"), ERR_INTERNAL);
	assert_string_equal(b.out, "");
	bench_close(&b);

	bench_open(&b, "inspect abc", -1);
	done(&b, 0, "");
	assert_int_equal(run(&b), ERR_INTERNAL);
	bench_close(&b);

	bench_open(&b, "inspect --remote q.io/a", -1);
	assert_int_equal(text_answer(&b, true, "{}\n"), 0);
	assert_string_equal(b.out, "{}\n");
	struct ipc_msg m = request(&b, MSG_cli_pull);
	assert_int_equal(m.cli_pull.mode, 5);
	bench_close(&b);

	/* Two texts: the second is a violation, and no descriptor stays behind. */
	bench_open(&b, "inspect abc", -1);
	for (int i = 0; i < 2; i++) {
		struct ipc_msg t = IPC_MSG(cli_text, .req = 0);
		t.fds[0] = fd_sealed_memfd("text", "{}", 2);
		t.nfds = 1;
		answer(&b, t);
	}
	assert_int_equal(run(&b), ERR_INTERNAL);
	bench_close(&b);
	assert_int_equal(fd_count_open(), fds);
}

static void
test_can_pull(void **state)
{
	static const struct {
		unsigned code;
		int exit;
	} rows[] = {{0, 0}, {1, 1}, {3, 1}, {4, 1}, {5, 1}, {7, 1}, {8, 1}, {125, 125}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bench b;
		bench_open(&b, "can-pull a", -1);
		done(&b, rows[i].code, "because");
		assert_int_equal(run(&b), rows[i].exit);
		assert_string_equal(b.out, rows[i].code ? "" : "a can be pulled\n");
		assert_string_equal(b.err, rows[i].code ? "bulkhead: because\n" : "");
		struct ipc_msg m = request(&b, MSG_cli_pull);
		assert_int_equal(m.cli_pull.mode, 4);
		bench_close(&b);
	}
}

static void
test_rmi(void **state)
{
	struct bench b;
	struct ipc_msg image = IPC_MSG(cli_image, .size = 1), m;

	bench_open(&b, "rmi --all", -1);
	answer(&b, image);
	memset(image.cli_image.id, 0xbb, 32);
	answer(&b, image);
	done(&b, 0, "");
	done(&b, ERR_IN_USE, "a container uses it");
	answer(&b, (struct ipc_msg)IPC_MSG(cli_removed, .text = span_str("q.io/a:1")));
	answer(&b,
	    (struct ipc_msg)IPC_MSG(cli_removed, .deleted = 1, .text = span_str("bb")));
	done(&b, 0, "");
	assert_int_equal(run(&b), ERR_IN_USE);
	assert_string_equal(b.out, "Untagged: q.io/a:1\nDeleted: bb\n");
	assert_string_equal(b.err, "bulkhead: a container uses it\n");
	(void)request(&b, MSG_cli_images);
	(void)request(&b, MSG_cli_remove);
	m = request(&b, MSG_cli_remove);
	assert_true(m.cli_remove.force == 1 && m.cli_remove.ref.n == 64);
	bench_close(&b);
}

static void
test_tags(void **state)
{
	struct bench b;
	struct ipc_msg m;

	/* Gone already: an error only without force. */
	for (int force = 0; force <= 1; force++) {
		bench_open(&b, force ? "rmi -f a b" : "rmi a b", -1);
		done(&b, ERR_NOT_FOUND, "no such image");
		done(&b, 0, "");
		assert_int_equal(run(&b), force ? 0 : ERR_NOT_FOUND);
		assert_string_equal(b.err, force ? "" : "bulkhead: no such image\n");
		bench_close(&b);
	}

	bench_open(&b, "tag abc x y", -1);
	done(&b, 0, "");
	done(&b, ERR_POLICY, "no");
	assert_int_equal(run(&b), ERR_POLICY);
	(void)request(&b, MSG_cli_tag);
	m = request(&b, MSG_cli_tag);
	assert_true(span_is(m.cli_tag.ref, "abc") && span_is(m.cli_tag.name, "y"));
	bench_close(&b);

	bench_open(&b, "untag abc", -1);
	answer(&b, (struct ipc_msg)IPC_MSG(cli_removed, .text = span_str("q.io/a:1")));
	done(&b, 0, "");
	assert_int_equal(run(&b), 0);
	assert_string_equal(b.out, "");
	m = request(&b, MSG_cli_untag);
	assert_int_equal(m.cli_untag.name.n, 0);
	bench_close(&b);

	bench_open(&b, "untag abc x y", -1);
	done(&b, 0, "");
	done(&b, 0, "");
	assert_int_equal(run(&b), 0);
	m = request(&b, MSG_cli_untag);
	assert_true(span_is(m.cli_untag.name, "x"));
	m = request(&b, MSG_cli_untag);
	assert_true(span_is(m.cli_untag.name, "y"));
	bench_close(&b);
}

static void
test_shows(void **state)
{
	struct bench b;

	bench_open(&b, "fsinfo", -1);
	answer(&b, (struct ipc_msg)IPC_MSG(cli_fsinfo_row, .images = 3, .bytes = 7660000,
		       .root = span_str("/g")));
	done(&b, 0, "");
	assert_int_equal(run(&b), 0);
	assert_non_null(strstr(b.out, "images          3\n"));
	assert_non_null(strstr(b.out, "graph root      /g\n"));
	assert_non_null(strstr(b.out, "used by layers  7.66 MB\n"));
	bench_close(&b);

	bench_open(&b, "status --format json", -1);
	answer(&b, (struct ipc_msg)IPC_MSG(cli_status_row, .room = span_str("store"),
		       .key = span_str("seccomp"), .value = span_str("on\x1b")));
	done(&b, 0, "");
	assert_int_equal(run(&b), 0);
	assert_non_null(strstr(b.out, "\"value\": \"on\\u001b\""));
	bench_close(&b);

	bench_open(&b, "status", -1);
	answer(&b, (struct ipc_msg)IPC_MSG(cli_status_row, .room = span_str("store"),
		       .key = span_str("a"), .value = span_str("on\x1b")));
	done(&b, 0, "");
	assert_int_equal(run(&b), 0);
	assert_string_equal(b.out, "ROOM   KEY  VALUE\nstore  a    on\\x1b\n");
	bench_close(&b);
}

static int
block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGWINCH);
	assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int resizes;

static void
count_resize(struct session *s)
{
	resizes++;
}

static void
test_signals(void **state)
{
	FD_AUTO signals = block_signals();
	struct bench b;

	/* Cancelled once; the end comes; the second image is not begun. */
	bench_open(&b, "pull a b", signals);
	b.session.resized = count_resize;
	raise(SIGWINCH);
	raise(SIGINT);
	done(&b, ERR_DEADLINE, "cancelled by the client");
	assert_int_equal(run(&b), 130);
	assert_int_equal(resizes, 1);
	assert_string_equal(b.err, "");
	(void)request(&b, MSG_cli_pull);
	struct ipc_msg m = request(&b, MSG_cli_cancel);
	assert_int_equal(m.cli_cancel.req, 1);
	const char *why;
	assert_int_equal(chan_recv(&b.service, &m, &why), CHAN_EMPTY);
	bench_close(&b);

	/* No end comes: a second signal gives the request up. */
	bench_open(&b, "images", signals);
	raise(SIGTERM);
	raise(SIGINT);
	assert_int_equal(run(&b), 130); /* signals of one read come by number */
	bench_close(&b);
	bench_open(&b, "images", signals);
	raise(SIGTERM);
	done(&b, ERR_DEADLINE, "");
	assert_int_equal(run(&b), 143);
	bench_close(&b);

	/* What was done before the signal counts, and is said. */
	bench_open(&b, "pull a", signals);
	raise(SIGINT);
	answer(&b, (struct ipc_msg)IPC_MSG(cli_pulled, .fresh = 1));
	done(&b, 0, "");
	(void)run(&b);
	assert_int_equal(b.nout, 65);
	bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pull),
	    cmocka_unit_test(test_failures),
	    cmocka_unit_test(test_newer),
	    cmocka_unit_test(test_gone),
	    cmocka_unit_test(test_violations),
	    cmocka_unit_test(test_images),
	    cmocka_unit_test(test_inspect),
	    cmocka_unit_test(test_can_pull),
	    cmocka_unit_test(test_rmi),
	    cmocka_unit_test(test_tags),
	    cmocka_unit_test(test_shows),
	    cmocka_unit_test(test_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
