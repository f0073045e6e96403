/* What credential helpers answer, as their reader takes it; the file before auth.json. */
#include "tests/config/collect.h"

static const struct said answers[] = {
    {"{\"ServerURL\":\"s\",\"Username\":\"u\",\"Secret\":\"p\"}", "helper!1!u:p\n",
	false},
    {" {\"Secret\":\"p:q\",\"Username\":\"u\"} \n", "helper!1!u:p:q\n", false},
    {"{\"Username\":\"<token>\",\"Secret\":\"t\"}", "helper!2!t\n", false},
    {"{\"Username\":\"u\",\"Secret\":\"\"}", "helper!1!u:\n", false},
    {"{\"Username\":\"u\",\"Secret\":\"p\",\"More\":[1]}", "helper!1!u:p\n", false},
    {"{\"Username\":\"\",\"Secret\":\"\"}", "", false}, /* nobody is known there */
    {"{\"Username\":\"<token>\",\"Secret\":\"\"}", "Secret is empty", true},
    {"{\"Username\":\"a:b\",\"Secret\":\"p\"}", "holds a colon", true},
    {"{\"Username\":\"u\"}", "lacks Username or Secret", true},
    {"{\"Username\":1,\"Secret\":\"p\"}", "lacks Username or Secret", true},
    {"{\"username\":\"u\",\"Username\":\"u\",\"Secret\":\"p\"}", "not the JSON object",
	true},
    {"{\"Username\":\"u\",\"Secret\":\"p\"", "not the JSON object", true},
    {"[]", "not the JSON object", true},
    {"", "not the JSON object", true},
    {"hunter2", "not the JSON object", true},
};

static const struct said failures[] = {
    {"credentials not found in native keychain\n", "", false},
    {"  credentials not found  ", "", false},
    {"no keychain\nmore", "it failed: no keychain", true},
    {"a\x1b[2Jb\\c", "it failed: a?[2Jb?c", true},
    {"", "does not say why", true},
    {"{\"Secret\":\"hunter2\"}", "does not say why", true},
};

static const struct said dockercfgs[] = {
    {"{\"https://r/v1/\":{\"auth\":\"dTpw\",\"email\":\"x\"}}", "https://r/v1/!1!u:p\n",
	false},
    {"{}", "", false},
    {"[]", "not a JSON object", true},
};

static void
test_answers(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(answers); i++)
		check_said(CONFIG_HELPER, &answers[i]);
}

static void
test_failures(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(failures); i++)
		check_said(CONFIG_HELPER_ERROR, &failures[i]);
}

static void
test_dockercfgs(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(dockercfgs); i++)
		check_said(CONFIG_DOCKERCFG, &dockercfgs[i]);
}

static void
test_no_secret_in_a_refusal(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(answers) + ARRAY_LEN(failures); i++) {
		bool answer = i < ARRAY_LEN(answers);
		const struct said *s =
		    answer ? &answers[i] : &failures[i - ARRAY_LEN(answers)];
		struct build b = {0};
		struct err e = {0};
		(void)!collect(answer ? CONFIG_HELPER : CONFIG_HELPER_ERROR, s->text,
		    strlen(s->text), &b, &e);
		assert_null(strstr(e.text, "hunter2"));
		build_free(&b);
	}
}

/* "user:password" of LIMIT_SECRET bytes, and of one more. */
static void
test_limit(void **state)
{
	for (size_t more = 0; more < 2; more++) {
		char *text = NULL, *pad = malloc(LIMIT_SECRET + 1);
		struct build b = {0};
		struct err e = {0};
		assert_non_null(pad);
		memset(pad, 'x', LIMIT_SECRET - 2 + more);
		pad[LIMIT_SECRET - 2 + more] = 0;
		assert_true(
		    asprintf(&text, "{\"Username\":\"u\",\"Secret\":\"%s\"}", pad) > 0);
		int r = collect(CONFIG_HELPER, text, strlen(text), &b, &e);
		assert_int_equal(r < 0, more == 1);
		free(text);
		free(pad);
		build_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_failures),
	    cmocka_unit_test(test_dockercfgs),
	    cmocka_unit_test(test_no_secret_in_a_refusal),
	    cmocka_unit_test(test_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
