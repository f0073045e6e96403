#include "supervisor/config/toml.h"

#include "common/base/limits.h"
#include "tests/rows.h"

#include <errno.h>

static int
on_row(void *arg, const struct toml_row *row)
{
	static const char *const kinds[] = {
	    "table", "list", "text", "int", "bool", "other"};

	build_add(arg, "%u:%s%s:%s", row->line, row->key, row->item ? "[]" : "",
	    kinds[row->kind]);
	if (row->kind == TOML_TEXT)
		build_add(arg, "=%s", row->text);
	if (row->kind == TOML_INT || row->kind == TOML_BOOL)
		build_add(arg, "=%lld", (long long)row->number);
	build_add(arg, "\n");
	return 0;
}

static int
scan(const char *text, size_t n, struct toml_refusal *why)
{
	char *copy = malloc(n ? n : 1);

	assert_non_null(copy);
	memcpy(copy, text, n);
	int r = toml_scan(copy, n, why);
	free(copy);
	return r;
}

static void
test_rows(void **state)
{
	static const char text[] =
	    "a = 1\nb.c = \"x\\ty\"\n\n[t]\nl = [1, \"two\", [3], {x = 1}, 1.5]\n"
	    "\"q.r\" = true\ne = []\n[[u]]\nz = 1\n";
	struct toml_refusal why;
	struct build b = {0};

	assert_int_equal(scan(text, strlen(text), &why), 0);
	assert_int_equal(toml_read(text, strlen(text), on_row, &b, &why), 0);
	assert_string_equal(b.p,
	    "1:a:int=1\n2:b:table\n2:b.c:text=x\ty\n4:t:table\n7:t.e:list\n5:t.l:list\n"
	    "5:t.l[]:int=1\n5:t.l[]:text=two\n5:t.l[]:other\n5:t.l[]:table\n"
	    "5:t.l.x:int=1\n5:t.l[]:other\n"
	    "6:t.\"q.r\":bool=1\n8:u:list\n8:u[]:table\n9:u.z:int=1\n");
	build_free(&b);
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {"a", "a =", "a = 1\na = 2", "[t]\n[t]",
	    "a = \"x", "= 1", "a = 1 b = 2", "a = {x = 1}\na.y = 2",
	    "a = 99999999999999999999"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct toml_refusal why;
		struct build b = {0};
		int r = scan(bad[i], strlen(bad[i]), &why);
		if (!r)
			r = toml_read(bad[i], strlen(bad[i]), on_row, &b, &why);
		if (r != -EINVAL || !why.why[0])
			fail_msg("%s: %d %s", bad[i], r, why.why);
		build_free(&b);
	}
}

static int
stop(void *arg, const struct toml_row *row)
{
	return -ECANCELED;
}

static void
test_callback_ends_it(void **state)
{
	struct toml_refusal why;

	assert_int_equal(toml_read("a=1", 3, stop, NULL, &why), -ECANCELED);
	assert_int_equal(toml_read("[a]\nb=[1]", 9, stop, NULL, &why), -ECANCELED);
}

static void
check_scan(const struct row *row)
{
	struct toml_refusal why;

	int r = scan(row->json, strlen(row->json), &why);
	if (!row->text && r)
		fail_msg("%s: refused: %s", row->name, why.why);
	if (row->text && (!r || !strstr(why.why, row->text)))
		fail_msg("%s: %d %s", row->name, r, why.why);
}

#define DOTS15 "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a"

/* Strings and comments must not hide keys from the scan, nor be taken for keys by it. */
static void
test_scan(void **state)
{
	static const struct row rows[] = {
	    {"16 parts", DOTS15 " = 1", NULL},
	    {"17 parts", DOTS15 ".a = 1", "too many parts"},
	    {"17 parts in a header", "[" DOTS15 ".a]", "too many parts"},
	    {"17 parts after a line", "x = 1\n" DOTS15 ".a = 1", "too many parts"},
	    {"quoted parts", "\"=\"." DOTS15 " = 1", "too many parts"},
	    {"literal parts", "'='." DOTS15 " = 1", "too many parts"},
	    {"parts split by quoted signs",
		"a.\"=\".a.\"=\".a.\"[\".a.\",\".a.\"{\".a.\"=\".a.\"=\".a.a.a",
		"too many parts"},
	    {"in an inline table", "x = {" DOTS15 ".a = 1}", "too many parts"},
	    {"dots in a string", "x = \"..........................\"", NULL},
	    {"dots in a literal", "x = '..........................'", NULL},
	    {"dots in a long string", "x = \"\"\"....\n....\\\"\"\" ...........\"\"\"",
		NULL},
	    {"dots in a long literal", "x = '''.....'' ..................'''", NULL},
	    {"dots in a comment", "# ..........................", NULL},
	    {"list of hosts",
		"x = [\"a.b.c.d.e\", \"a.b.c.d.e\", \"a.b.c.d.e\", \"a.b.c.d.e\"]", NULL},
	    {"after an escaped quote", "x = \"\\\"\"\n" DOTS15 ".a = 1",
		"too many parts"},
	    {"after a backslash", "x = '\\'\n" DOTS15 ".a = 1", "too many parts"},
	    {"after a long string with a quote more",
		"x = \"\"\"a\"\"\"\"\n" DOTS15 ".a = 1", "too many parts"},
	    {"after an empty string", "x = \"\"\n" DOTS15 ".a = 1", "too many parts"},
	    {"unclosed", "x = \"", NULL},
	    {"unclosed escape", "x = \"\\", NULL},
	    {"unclosed long", "x = \"\"\"", NULL},
	    {"not UTF-8", "x = \"\xff\"", "not UTF-8"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_scan(&rows[i]);
}

static void
test_limits(void **state)
{
	struct toml_refusal why;

	for (size_t more = 0; more < 2; more++) {
		struct build b = {0};
		build_add(&b, "x = ");
		build_repeat(&b, "[", LIMIT_JSON_DEPTH + more);
		build_repeat(&b, "]", LIMIT_JSON_DEPTH + more);
		assert_int_equal(scan(b.p, b.n, &why), more ? -EINVAL : 0);
		build_free(&b);
		build_repeat(&b, "#123456789abcde\n", LIMIT_CONFIG_FILE / 16);
		build_repeat(&b, "#", more);
		assert_int_equal(scan(b.p, b.n, &why), more ? -EINVAL : 0);
		build_free(&b);
	}
	assert_int_equal(scan("a\0", 2, &why), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_callback_ends_it),
	    cmocka_unit_test(test_scan),
	    cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
