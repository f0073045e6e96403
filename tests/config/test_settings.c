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
	"insecure_registries=a.b:5000\ninsecure_registries=localhost\ninsecure_"
	"registries=10.0.0.0/8\n"
	"insecure_registries=2001:db8::/32\ninsecure_registries=[::1]:5000\n"
	"insecure_registries=127.0.0.1\n",
	false},
    {"insecure_registries = []\nallow_degraded = [\"apply-userns\"]",
	"allow_degraded=apply-userns\n", false},
    {"uid_base = 4294963199", "uid_base=4294963199\n", false},

    {"root = \"/g\"\nrot = \"/x\"\n", "/etc/the.file:2: unknown key \"rot\"", true},
    {"[root]\n", "root is not a string", true},
    {"[image]\nroot = \"/g\"", ":1: unknown key \"image\"", true},
    {"Root = \"/g\"", "unknown key \"Root\"", true},
    {"a.b = 1", "unknown key \"a\"", true},
    {"\"a\\u001b\" = 1", "unknown key \"\"a\\x1b\"\"", true},
    {"root = \"/g\"\nroot = \"/h\"", "no TOML as it should be", true},
    {"root = ", ":1: no TOML as it should be", true},
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
    {"{}", "no TOML", true},
};

static void
test_files(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		check_said(CONFIG_BULKHEAD, &files[i]);
}

static void
test_limits(void **state)
{
	for (size_t more = 0; more < 2; more++) {
		struct build text = {0}, rows = {0};
		struct err e = {0};
		build_add(&text, "insecure_registries = [\"a.b\"");
		build_repeat(&text, ", \"a.b\"", LIMIT_CONFIG_LIST - 1 + more);
		build_add(&text, "]");
		assert_int_equal(collect(CONFIG_BULKHEAD, text.p, text.n, &rows, &e),
		    more ? -EINVAL : 0);
		build_free(&text);
		build_free(&rows);
		build_add(&text, "root = \"/");
		build_repeat(&text, "p", LIMIT_PATH - 2 + more);
		build_add(&text, "\"");
		struct config_sink none = {0};
		int r = more ? config_read(CONFIG_BULKHEAD, span_of(text.p, text.n), "f",
				   &none, &e)
			     : 0;
		assert_int_equal(r, more ? -EINVAL : 0);
		build_free(&text);
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
	    config_read((enum config_kind)3, span_str(""), "f", &sink, NULL), -EINVAL);
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
