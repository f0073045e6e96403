#include "tests/config/collect.h"

static const struct said files[] = {
    {"", "", false},
    {"# nothing\n", "", false},
    {"root = \"/g\"\nrunroot = \"/r\"\nstorage_conf = \"/s\"\npolicy = \"/p\"\nauthfile "
     "= \"/a\"\n"
     "cert_dir = \"/c\"\nuid_base = 65536\nmax_layer_bytes = "
     "274877906944\nmax_image_bytes = 1\n",
	"authfile=/a\ncert_dir=/"
	"c\nmax_image_bytes=1\nmax_layer_bytes=274877906944\npolicy=/p\n"
	"root=/g\nrunroot=/r\nstorage_conf=/s\nuid_base=65536\n",
	false},
    {"insecure_registries = [\"a.b:5000\", \"localhost\", \"10.0.0.0/8\", "
     "\"2001:db8::/32\", "
     "\"[::1]:5000\", \"127.0.0.1\"]",
	"insecure_registries=\ninsecure_registries=a.b:5000\ninsecure_registries="
	"localhost\ninsecure_"
	"registries=10.0.0.0/8\n"
	"insecure_registries=2001:db8::/32\ninsecure_registries=[::1]:5000\n"
	"insecure_registries=127.0.0.1\n",
	false},
    {"insecure_registries = []\nallow_degraded = [\"apply-userns\"]",
	"allow_degraded=\nallow_degraded=apply-userns\ninsecure_registries=\n", false},
    {"listen = \"unix:///run/b.sock\"\ncontrol_socket = \"/c\"\nmetrics_socket = \"\"\n",
	"control_socket=/c\nlisten=/run/b.sock\nmetrics_socket=\n", false},
    {"log_level = \"debug\"\nlog_format = \"json\"", "log_format=json\nlog_level=debug\n",
	false},
    {"pinned_images = [\"a.b/c:1\", \"a.b/*\", \"*pause*\", \"*\"]\npause_image = "
     "\"a.b/pause:3\"",
	"pause_image=a.b/pause:3\npinned_images=\npinned_images=a.b/c:1\npinned_images="
	"a.b/*\npinned_images=*pause*\npinned_images=*\n",
	false},
    {"pause_image = \"\"", "pause_image=\n", false},
    {"authfile = \"\"\ncert_dir = \"\"", "authfile=\ncert_dir=\n", false},
    {"max_parallel_pulls = 12\nmax_parallel_pulls_per_namespace = 0\n"
     "max_grpc_message_bytes = 67108864",
	"max_grpc_message_bytes=67108864\nmax_parallel_pulls=12\n"
	"max_parallel_pulls_per_namespace=0\n",
	false},
    {"max_parallel_layers = 12\nmax_parallel_layers_per_pull = 1\ndurability = \"none\"",
	"durability=none\nmax_parallel_layers=12\nmax_parallel_layers_per_pull=1\n",
	false},
    {"pull_retries = 0", "pull_retries=0\n", false},
    {"pull_retries = 10", "pull_retries=10\n", false},
    {"pull_retries = 11", "not within 0 .. 10", true},
    {"retry_after_max = \"1h\"", "retry_after_max=3600\n", false},
    {"retry_after_max = 3601", "not within 0 .. 3600", true},
    {"fallback = \"always\"", "fallback=always\n", false},
    {"fallback = \"on-not-found\"", "fallback=on-not-found\n", false},
    {"fallback = \"never\"", "fallback=never\n", false},
    {"fallback = \"sometimes\"", "none of always, on-not-found, never", true},
    {"layer_range_fetch = 4", "layer_range_fetch=4\n", false},
    {"layer_range_fetch = 5", "not within 1 .. 4", true},
    {"layer_range_fetch = 0", "not within 1 .. 4", true},
    {"pull_progress_timeout = 0", "pull_progress_timeout=0\n", false},
    {"pull_progress_timeout = 86400", "pull_progress_timeout=86400\n", false},
    {"pull_progress_timeout = \"24h\"", "pull_progress_timeout=86400\n", false},
    {"pull_progress_timeout = \"1h30m\"", "pull_progress_timeout=5400\n", false},
    {"pull_progress_timeout = \"1h5s\"", "pull_progress_timeout=3605\n", false},
    {"pull_progress_timeout = \"90s\"", "pull_progress_timeout=90\n", false},
    {"pull_progress_timeout = \"90\"", "pull_progress_timeout=90\n", false},
    {"pull_progress_timeout = \"0s\"", "pull_progress_timeout=0\n", false},
    {"uid_base = 4294963199", "uid_base=4294963199\n", false},

    {"root = \"/g\"\nrot = \"/x\"\n", "/etc/the.file:2: unknown key \"rot\"", true},
    {"[root]\n", "root is not a string", true},
    {"[image]\nroot = \"/g\"", ":1: unknown key \"image\"", true},
    {"Root = \"/g\"", "unknown key \"Root\"", true},
    {"a.b = 1", "unknown key \"a\"", true},
    {"\"a\\u001b\" = 1", "unknown key \"\"a\\x1b\"\"", true},
    {"root = \"/g\"\nroot = \"/h\"", "no TOML as it should be", true},
    {"root = ", ":1: no TOML as it should be", true},
    {"x\n", "saw '\\n'", true},
    {"x \u20ac\u20ac", "saw '??", true},
    {"root = \"g\"", "not an absolute path", true},
    {"root = \"\"", "not an absolute path", true},
    {"root = \"/a\\nb\"", "\"/a\\x0ab\" is not an absolute path", true},
    {"root = \"/a\\u0000b\"", "not an absolute path", true},
    {"root = 1", ":1: root is not a string", true},
    {"root = [\"/g\"]", "root is a list", true},
    {"root = [\"/g\"]\n", "root is", true},
    {"uid_base = \"65536\"", "uid_base is not an integer", true},
    {"uid_base = 65535", "not within 65536 .. 4294963199", true},
    {"uid_base = 4294963200", "not within", true},
    {"uid_base = -1", "not within", true},
    {"uid_base = 1e6", "not an integer", true},
    {"max_layer_bytes = 0", "not within", true},
    {"max_layer_bytes = 274877906945", "not within", true},
    {"max_image_bytes = 274877906945", "not within", true},
    {"max_image_bytes = true", "not an integer", true},
    {"insecure_registries = \"a.b\"", "not a list", true},
    {"insecure_registries = [1]", "not a string", true},
    {"insecure_registries = [[\"a.b\"]]", "not a string", true},
    {"insecure_registries = [\"\"]", "neither host", true},
    {"insecure_registries = [\"a.b/c\"]", "neither host", true},
    {"insecure_registries = [\"http://a.b\"]", "neither host", true},
    {"insecure_registries = [\"a.b:0\"]", "neither host", true},
    {"insecure_registries = [\"a.b:65536\"]", "neither host", true},
    {"insecure_registries = [\"myhost\"]", "neither host", true},
    {"insecure_registries = [\"*.b\"]", "neither host", true},
    {"insecure_registries = [\"a.b\\n\"]", "neither host", true},
    {"insecure_registries = [\"10.0.0.0/33\"]", "neither host", true},
    {"insecure_registries = [\"10.0.0.0/\"]", "neither host", true},
    {"insecure_registries = [\"10.0.0.0/-1\"]", "neither host", true},
    {"insecure_registries = [\"10.0.0/8\"]", "neither host", true},
    {"insecure_registries = [\"2001:db8::/129\"]", "neither host", true},
    {"allow_degraded = [\"Apply\"]", "not the name", true},
    {"allow_degraded = [\"\"]", "not the name", true},
    {"allow_degraded = [\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]", "not the name", true},
    {"listen = \"\"", ":1: listen = \"\" is not an absolute path", true},
    {"listen = \"@b\"", "not an absolute path", true},
    {"listen = \"unix://b\"", "not an absolute path", true},
    {"listen = \"tcp://1.2.3.4:5\"", "not an absolute path", true},
    {"listen = 1", "listen is not a string", true},
    {"log_level = \"trace\"", ":1: log_level = \"trace\" is none of error, warning",
	true},
    {"log_level = 4", "log_level is not a string", true},
    {"log_format = \"Text\"", "neither text nor json", true},
    {"pinned_images = \"a\"", "not a list", true},
    {"pinned_images = [\"\"]", "no pattern", true},
    {"pinned_images = [\"**\"]", "no pattern", true},
    {"pinned_images = [\"*a\"]", "no pattern", true},
    {"pinned_images = [\"a*b\"]", "no pattern", true},
    {"pinned_images = [\"*a*b*\"]", "no pattern", true},
    {"pinned_images = [\"a b\"]", "no pattern", true},
    {"pinned_images = [\"a\\n\"]", "no pattern", true},
    {"pinned_images = [\"\u00e4\"]", "no pattern", true},
    {"pinned_images = [1]", "not a string", true},
    {"pause_image = [\"a\"]", "pause_image is a list", true},
    {"pause_image = \"a b\"", "no pattern", true},
    {"max_parallel_pulls = 0", "not within 1 .. 12", true},
    {"max_parallel_pulls = 13", "not within", true},
    {"max_parallel_pulls_per_namespace = 13", "not within 0 .. 12", true},
    {"max_parallel_layers = 0", "not within 1 .. 12", true},
    {"max_parallel_layers = 13", "not within", true},
    {"max_parallel_layers_per_pull = 13", "not within 1 .. 12", true},
    {"durability = \"half\"", "durability = \"half\" is neither full nor none", true},
    {"durability = true", "durability is not a string", true},
    {"max_grpc_message_bytes = 4095", "not within 4096 .. 67108864", true},
    {"max_grpc_message_bytes = 67108865", "not within", true},
    {"max_grpc_message_bytes = \"16MiB\"", "not an integer", true},
    {"pull_progress_timeout = 86401", "not within 0 .. 86400", true},
    {"pull_progress_timeout = -1", "not within", true},
    {"pull_progress_timeout = \"24h1s\"", "not within", true},
    {"pull_progress_timeout = \"\"", "no span of time", true},
    {"pull_progress_timeout = \"s\"", "no span of time", true},
    {"pull_progress_timeout = \"5m1h\"", "no span of time", true},
    {"pull_progress_timeout = \"1m1m\"", "no span of time", true},
    {"pull_progress_timeout = \"1h5\"", "no span of time", true},
    {"pull_progress_timeout = \"1.5h\"", "no span of time", true},
    {"pull_progress_timeout = \"500ms\"", "no span of time", true},
    {"pull_progress_timeout = \"9999999999s\"", "no span of time", true},
    {"pull_progress_timeout = true", "not a number of seconds", true},
    {"pull_progress_timeout = [1]", "is a list", true},
    {"{}", "no TOML", true},
};

static void
test_files(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		check_said(CONFIG_BULKHEAD, &files[i]);
}

/* A list of n items in front of another list: each is counted by itself. */
static int
list_of(const char *key, size_t n)
{
	struct build text = {0}, rows = {0};
	struct err e = {0};

	build_add(&text, "allow_degraded = [\"kernel\"]\n%s = [\"a.b\"", key);
	build_repeat(&text, ", \"a.b\"", n - 1);
	build_add(&text, "]");
	int r = collect(CONFIG_BULKHEAD, text.p, text.n, &rows, &e);
	build_free(&text);
	build_free(&rows);
	return r;
}

/* A text of n bytes. */
static int
text_of(const char *key, const char *begin, size_t n)
{
	struct build text = {0}, rows = {0};
	struct err e = {0};

	build_add(&text, "%s = \"%s", key, begin);
	build_repeat(&text, "p", n - strlen(begin));
	build_add(&text, "\"");
	int r = collect(CONFIG_BULKHEAD, text.p, text.n, &rows, &e);
	build_free(&text);
	build_free(&rows);
	return r;
}

static void
test_limits(void **state)
{
	for (size_t more = 0; more < 2; more++) {
		int want = more ? -EINVAL : 0;
		assert_int_equal(
		    list_of("insecure_registries", LIMIT_CONFIG_LIST + more), want);
		assert_int_equal(list_of("pinned_images", LIMIT_PINS - 1 + more), want);
		assert_int_equal(text_of("root", "/", LIMIT_PATH - 1 + more), want);
		assert_int_equal(text_of("listen", "/", LIMIT_SOCKET_PATH + more), want);
		assert_int_equal(text_of("listen", "unix:///",
				     strlen("unix://") + LIMIT_SOCKET_PATH + more),
		    want);
		assert_int_equal(text_of("pause_image", "", LIMIT_NAME + more), want);
	}
}

static int
stop(void *arg, const char *key, struct span value)
{
	return -ECANCELED;
}

static void
test_sink_ends_it(void **state)
{
	struct config_sink sink = {.row = stop};
	struct err e = {0};

	assert_int_equal(
	    config_read(CONFIG_BULKHEAD, span_str("root = \"/g\""), "f", &sink, &e),
	    -ECANCELED);
	assert_int_equal(config_read(CONFIG_STORAGE,
			     span_str("[storage]\ngraphroot=\"/g\""), "f", &sink, &e),
	    -ECANCELED);
	assert_int_equal(
	    config_read(CONFIG_AUTH, span_str("{\"credsStore\":\"x\"}"), "f", &sink, &e),
	    -ECANCELED);
}

static void
test_kind(void **state)
{
	struct config_sink sink = {0};

	assert_int_equal(
	    config_read((enum config_kind)15, span_str(""), "f", &sink, NULL), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_sink_ends_it),
	    cmocka_unit_test(test_kind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
