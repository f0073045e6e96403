/* What the command line and files say, merged: through the reader's own code, without its
 * room. */
#include "tests/rows.h"

#include "supervisor/config/config.h"
#include "supervisor/settings.h"

#include <errno.h>
#include <stdio.h>

static struct settings s, t;

struct file {
	unsigned number;
	struct err e;
};

static int
row(void *arg, const char *key, struct span value)
{
	struct file *f = arg;

	return settings_row(&s, f->number, span_str(key), value, &f->e);
}

/* File number n says text. */
static void
says(unsigned number, const char *text)
{
	struct file f = {.number = number};
	struct config_sink sink = {.row = row, .arg = &f};

	if (config_read(CONFIG_BULKHEAD, span_str(text), "file", &sink, &f.e))
		fail_msg("%s: %s", text, f.e.text);
}

static void
begin(int argc, const char **argv)
{
	struct err e = {0};

	if (settings_parse(&s, argc, (char **)(uintptr_t)argv, &e))
		fail_msg("%s", e.text);
	s.files =
	    (struct config_files){.n = 3, .main = "/e/m.toml", .dir = "/e/m.conf.d"};
	strcpy(s.files.names[0], "1.toml");
	strcpy(s.files.names[1], "2.toml");
}

static void
finish(void)
{
	settings_override(&s);
	settings_finish(&s);
}

#define BEGIN_WITH(...)                                                \
	do {                                                           \
		const char *argv[] = {"bulkheadd", __VA_ARGS__, NULL}; \
		begin((int)ARRAY_LEN(argv) - 1, argv);                 \
	} while (0)

#define BEGIN() begin(1, (const char *[]){"bulkheadd", NULL})

static void
test_defaults(void **state)
{
	char a[200], b[200];

	BEGIN();
	finish();
	assert_string_equal(s.graph_root, "/var/lib/containers/storage");
	assert_string_equal(s.run_root, "/run/containers/storage");
	assert_string_equal(s.policy, "/etc/containers/policy.json");
	assert_string_equal(s.auth, "");
	assert_string_equal(s.listen, "/run/bulkhead/bulkhead.sock");
	assert_string_equal(s.control_socket, "/run/bulkhead/control.sock");
	assert_string_equal(s.metrics_socket, "");
	assert_int_equal(s.log_level, 6);
	assert_int_equal(s.log_format, LOG_FORMAT_TEXT);
	assert_string_equal(s.pins, "registry.k8s.io/pause:*\n");
	assert_int_equal(s.max_layer, LIMIT_LAYER_DEFAULT);
	assert_int_equal(s.max_image, LIMIT_IMAGE_DEFAULT);
	assert_int_equal(s.uid_base, 1879113728);
	assert_int_equal(s.max_pulls, 6);
	assert_int_equal(s.max_pulls_namespace, 0);
	assert_int_equal(s.max_layers, 6);
	assert_int_equal(s.max_layers_pull, 3);
	assert_int_equal(s.durability, DURABILITY_FULL);
	assert_int_equal(s.check_rate, MiB(64));
	assert_int_equal(s.progress_seconds, 0);
	assert_int_equal(s.retries, 3);
	assert_int_equal(s.retry_after, 60);
	assert_int_equal(s.fallback, FALLBACK_ALWAYS);
	assert_int_equal(s.ranges, 1);
	assert_int_equal(s.max_message, LIMIT_GRPC_MESSAGE_DEFAULT);
	for (unsigned i = 0; i < KEY_COUNT; i++) {
		settings_text(&s, (enum setting_id)i, a, sizeof(a));
		settings_fallback((enum setting_id)i, b, sizeof(b));
		assert_string_equal(a, b);
		settings_source(&s, (enum setting_id)i, a, sizeof(a));
		assert_string_equal(a, "default");
	}
}

static void
source_is(enum setting_id key, const char *want)
{
	char text[200];

	assert_string_equal(settings_source(&s, key, text, sizeof(text)), want);
}

static void
test_order(void **state)
{
	struct err e = {0};

	BEGIN_WITH("--root", "/cmd", "--listen", "unix:///cmd.sock");
	says(0, "root = \"/0\"\nrunroot = \"/0\"\npolicy = \"/0\"\nlisten = \"/0\"\n"
		"max_parallel_pulls = 1\nlog_level = \"error\"");
	says(1, "policy = \"/1\"\nmax_parallel_pulls = 2\ncert_dir = \"/1\"");
	says(2, "max_parallel_pulls = 3\nlog_format = \"json\"");
	settings_override(&s);
	assert_int_equal(
	    settings_row_storage(&s, span_str("graphroot"), span_str("/st"), &e), 0);
	assert_int_equal(
	    settings_row_storage(&s, span_str("runroot"), span_str("/st"), &e), 0);
	settings_finish(&s);
	assert_string_equal(s.graph_root, "/cmd");
	assert_string_equal(s.listen, "/cmd.sock");
	assert_string_equal(s.run_root, "/0");
	assert_string_equal(s.policy, "/1");
	assert_string_equal(s.certs, "/1");
	assert_int_equal(s.max_pulls, 3);
	assert_int_equal(s.log_level, 3);
	assert_int_equal(s.log_format, LOG_FORMAT_JSON);
	source_is(KEY_root, "command line");
	source_is(KEY_runroot, "/e/m.toml");
	source_is(KEY_policy, "/e/m.conf.d/1.toml");
	source_is(KEY_max_parallel_pulls, "/e/m.conf.d/2.toml");
	source_is(KEY_uid_base, "default");
}

static void
test_storage(void **state)
{
	struct err e = {0};

	BEGIN();
	settings_override(&s);
	strcpy(s.storage_used, "/st.conf");
	assert_int_equal(
	    settings_row_storage(&s, span_str("graphroot"), span_str("/st"), &e), 0);
	settings_finish(&s);
	assert_string_equal(s.graph_root, "/st");
	assert_string_equal(s.run_root, "/run/containers/storage");
	source_is(KEY_root, "/st.conf");
	assert_true(
	    settings_row_storage(&s, span_str("runroot"), span_str("st"), &e) < 0);
	assert_non_null(strstr(e.text, "/st.conf"));
}

/* A list of a later file takes the place of the whole earlier one. */
static void
test_lists_replace(void **state)
{
	BEGIN();
	says(0,
	    "insecure_registries = [\"a.b\", \"c.d\"]\nallow_degraded = [\"kernel\"]\n"
	    "pinned_images = [\"x\", \"y*\"]\npause_image = \"p\"");
	says(1, "insecure_registries = [\"e.f:1\"]\nallow_degraded = [\"seccomp\"]");
	says(2, "pinned_images = []");
	finish();
	assert_string_equal(s.insecure, "e.f:1\n");
	assert_int_equal(s.allow_degraded, 2);
	assert_string_equal(s.pins, "p\n");
	source_is(KEY_pinned_images, "/e/m.conf.d/2.toml");
	BEGIN();
	says(0, "pinned_images = [\"x\", \"y*\"]\npause_image = \"\"");
	finish();
	assert_string_equal(s.pins, "x\ny*\n");
}

/* Nothing of the last reading is left in the next, but what the command line gave. */
static void
test_again(void **state)
{
	BEGIN_WITH("--root", "/cmd", "--log-level", "debug");
	says(0,
	    "policy = \"/0\"\ninsecure_registries = [\"a.b\"]\nlog_level = \"error\"\n"
	    "pull_progress_timeout = 9\npinned_images = [\"x\"]");
	finish();
	assert_int_equal(s.log_level, 7);
	assert_string_equal(s.pins, "x\nregistry.k8s.io/pause:*\n");
	settings_begin(&s);
	finish();
	assert_string_equal(s.graph_root, "/cmd");
	assert_string_equal(s.policy, "/etc/containers/policy.json");
	assert_string_equal(s.insecure, "");
	assert_string_equal(s.pins, "registry.k8s.io/pause:*\n");
	assert_int_equal(s.progress_seconds, 0);
	assert_int_equal(s.log_level, 7);
}

/* ---- rows that only a reader that was taken over would send ---- */

static int
refused(const char *key, const char *value)
{
	struct err e = {0};
	int r = settings_row(&s, 0, span_str(key), span_str(value), &e);

	if (r < 0) {
		assert_int_equal(e.code, ERR_USAGE);
		assert_non_null(strstr(e.text, "/e/m.toml"));
	}
	return r;
}

static void
test_hostile_rows(void **state)
{
	static const char *const rows[][2] = {
	    {"", "x"},
	    {"rot", "/x"},
	    {"root", ""},
	    {"root", "x"},
	    {"listen", ""},
	    {"listen", "x"},
	    {"uid_base", "65535"},
	    {"uid_base", "4294963200"},
	    {"max_layer_bytes", "0"},
	    {"max_layer_bytes", "274877906945"},
	    {"max_layer_bytes", "18446744073709551617"},
	    {"max_layer_bytes", " 1"},
	    {"max_layer_bytes", "1 "},
	    {"max_layer_bytes", ""},
	    {"pull_progress_timeout", "86401"},
	    {"pull_progress_timeout", "10m"},
	    {"log_level", "4"},
	    {"log_format", "xml"},
	    {"allow_degraded", "all"},
	    {"pinned_images", "a\nb"},
	};

	BEGIN();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (refused(rows[i][0], rows[i][1]) >= 0)
			fail_msg("%s = \"%s\": taken", rows[i][0], rows[i][1]);
	}
	assert_int_equal(refused("uid_base", "65536"), 0);
	assert_int_equal(refused("uid_base", "4294963199"), 0);
}

/* Items without end fill the room there is, and no byte more. */
static void
test_list_bytes(void **state)
{
	char item[256];
	unsigned n = 0;

	memset(item, 'a', 254);
	item[254] = 0;
	BEGIN();
	while (refused("insecure_registries", item) == 0)
		assert_in_range(++n, 1, 100);
	assert_int_equal(n, 16384 / 255);
	assert_int_equal(strlen(s.insecure), n * 255);
	memset(item, 'b', 16384 - n * 255);
	item[16384 - n * 255] = 0;
	assert_true(refused("insecure_registries", item) < 0);
	item[16384 - n * 255 - 1] = 0;
	assert_int_equal(refused("insecure_registries", item), 0);
	assert_int_equal(strlen(s.insecure), 16384);
	assert_true(refused("insecure_registries", "c") < 0);
	/* Pins in full and the longest pause image fit together. */
	memset(item, 'a', 254);
	while (refused("pinned_images", item) == 0)
		;
	char pause[LIMIT_NAME + 2];
	memset(pause, 'p', LIMIT_NAME);
	pause[LIMIT_NAME] = 0;
	assert_int_equal(refused("pause_image", pause), 0);
	finish();
	assert_true(strlen(s.pins) <= 16384);
	assert_non_null(strstr(s.pins, pause));
	pause[LIMIT_NAME] = 'p';
	pause[LIMIT_NAME + 1] = 0;
	assert_true(refused("pause_image", pause) < 0);
}

static void
test_sockets_differ(void **state)
{
	struct err e = {0};

	BEGIN_WITH("--metrics", "/x");
	says(1, "listen = \"/x\"");
	finish();
	assert_true(settings_check(&s, &e) < 0);
	assert_string_equal(
	    e.text, "command line: metrics_socket is the same socket as listen");
	BEGIN();
	finish();
	assert_int_equal(settings_check(&s, &e), 0);
}

/* ---- command line ---- */

static int
parse(const char *option, const char *value, struct err *e)
{
	const char *argv[] = {"bulkheadd", option, value, NULL};

	*e = (struct err){0};
	return settings_parse(&t, value ? 3 : 2, (char **)(uintptr_t)argv, e);
}

static void
test_command_line(void **state)
{
	char path[LIMIT_PATH + 2];
	struct err e;

	assert_int_equal(parse("--embedded", NULL, &e), 0);
	assert_int_equal(t.log_level, 4);
	assert_true(parse("--nonsense", NULL, &e) < 0);
	assert_non_null(strstr(e.text, "--nonsense"));
	assert_int_equal(e.code, ERR_USAGE);
	assert_true(parse("word", NULL, &e) < 0);
	assert_true(parse("--log-level", "trace", &e) < 0);
	assert_true(parse("--root", "relative", &e) < 0);
	assert_true(parse("--listen", "unix://b.sock", &e) < 0);
	assert_true(parse("--listen", "@abstract", &e) < 0);
	assert_int_equal(parse("--control", "unix:///c", &e), 0);
	assert_string_equal(t.control_socket, "/c");
	assert_int_equal(parse("--metrics", "/m", &e), 0);
	assert_string_equal(t.metrics_socket, "/m");

	memset(path, 'p', sizeof(path));
	path[0] = '/';
	for (size_t more = 0; more < 2; more++) {
		path[LIMIT_PATH - 1 + more] = 0;
		assert_int_equal(parse("--root", path, &e) < 0, more);
		path[LIMIT_PATH - 1 + more] = 'p';
		path[LIMIT_SOCKET_PATH + more] = 0;
		assert_int_equal(parse("--listen", path, &e) < 0, more);
		path[LIMIT_SOCKET_PATH + more] = 'p';
	}
}

/* ---- what a reload changes ---- */

struct told {
	struct build text;
};

static void
told(void *arg, const char *key, const char *before, const char *after, bool restart)
{
	build_add(&((struct told *)arg)->text, "%s: %s -> %s%s\n", key, before, after,
	    restart ? " (restart)" : "");
}

static void
test_changes(void **state)
{
	struct told out = {{0}};

	BEGIN_WITH("--authfile", "/secret");
	says(0, "root = \"/0\"\npinned_images = [\"a\"]\nlog_level = \"error\"");
	finish();
	t = s;
	assert_int_equal(settings_changes(&t, &s, told, &out), 0);
	settings_begin(&s);
	says(0,
	    "root = \"/1\"\npinned_images = [\"a\", \"b\\\"\"]\nmax_parallel_pulls = 2\n"
	    "durability = \"none\"\nallow_degraded = [\"seccomp\", \"kernel\"]\npolicy = "
	    "\"/\u00e4\"");
	finish();
	assert_int_equal(settings_changes(&t, &s, told, &out), 7);
	assert_string_equal(out.text.p,
	    "root: \"/0\" -> \"/1\" (restart)\n"
	    "policy: \"/etc/containers/policy.json\" -> \"/\\U000000e4\"\n"
	    "durability: \"full\" -> \"none\"\n"
	    "allow_degraded: [] -> [\"kernel\", \"seccomp\"] (restart)\n"
	    "log_level: \"error\" -> \"info\"\n"
	    "pinned_images: [\"a\"] -> [\"a\", \"b\\\"\"]\n"
	    "max_parallel_pulls: 6 -> 2\n");
	build_free(&out.text);
	settings_keep_running(&s, &t);
	assert_string_equal(s.graph_root, "/0");
	assert_int_equal(s.allow_degraded, 0);
	assert_int_equal(s.max_pulls, 2);
	assert_int_equal(settings_changes(&t, &s, told, &out), 5);
	build_free(&out.text);
}

/* A long list is cut, never past its buffer. */
static void
test_text_is_cut(void **state)
{
	char text[64];

	BEGIN();
	says(0, "pinned_images = [\"aaaaaaaaaaaaaaaaaaaaaaaa\", "
		"\"bbbbbbbbbbbbbbbbbbbbbbbbb\","
		" \"cccccccccccccccc\"]");
	for (size_t cap = 4; cap <= sizeof(text); cap++) {
		memset(text, 'X', sizeof(text));
		settings_text(&s, KEY_pinned_images, text, cap);
		assert_true(strlen(text) < cap);
		assert_string_equal(text + strlen(text) - 3, "...");
		if (cap < sizeof(text))
			assert_int_equal(text[cap], 'X');
	}
}

/* What is printed is read as the same value. */
static void
test_text_is_read_back(void **state)
{
	static char line[40000], text[36000];

	BEGIN();
	says(0,
	    "policy = \"/a\\\"b\\\\c \u00e4\u20ac\U0001f600\"\n"
	    "insecure_registries = [\"a.b:5\", \"10.0.0.0/8\"]\nlog_format = \"json\"");
	finish();
	t = s;
	settings_begin(&s);
	s.files.n = 3;
	for (unsigned i = 0; i < KEY_COUNT; i++) {
		snprintf(line, sizeof(line), "%s = %s",
		    setting_info((enum setting_id)i)->key,
		    settings_text(&t, (enum setting_id)i, text, sizeof(text)));
		says(0, line);
	}
	finish();
	struct told out = {{0}};
	assert_int_equal(settings_changes(&t, &s, told, &out), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_storage),
	    cmocka_unit_test(test_lists_replace),
	    cmocka_unit_test(test_again),
	    cmocka_unit_test(test_hostile_rows),
	    cmocka_unit_test(test_list_bytes),
	    cmocka_unit_test(test_sockets_differ),
	    cmocka_unit_test(test_command_line),
	    cmocka_unit_test(test_changes),
	    cmocka_unit_test(test_text_is_cut),
	    cmocka_unit_test(test_text_is_read_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
