#include "cli/args.h"
#include "cli/commands_local.h"
#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define WORDS 40

/* Splits a line at blanks; '' is an empty word. */
struct line {
	char text[1024];
	char *argv[WORDS];
	int argc;
};

static int
parse(struct line *l, const char *text, struct args *a, struct err *e)
{
	char *save = NULL;

	snprintf(l->text, sizeof(l->text), "bulkhead %s", text);
	l->argc = 0;
	for (char *w = strtok_r(l->text, " ", &save); w; w = strtok_r(NULL, " ", &save))
		l->argv[l->argc++] = strcmp(w, "''") == 0 ? w + 2 : w;
	l->argv[l->argc] = NULL;
	*e = (struct err){0};
	return args_parse(l->argc, l->argv, a, e);
}

static void
test_good(void **state)
{
	static const char *const good[] = {"pull a", "pull a b c", "pull -q a",
	    "pull a -q", "pull --quiet a", "pull -- a", "pull -- -a",
	    "pull --policy missing a", "pull --policy=newer a", "pull --progress json a",
	    "pull --tls-verify a", "pull --tls-verify=false a", "pull --tls-verify=0 a",
	    "pull --creds u:p a", "pull --creds=u:p:q a", "pull --authfile /x a",
	    "pull --platform linux/amd64 a", "pull --cert-dir d a", "--root /r pull a",
	    "--root=/r --runroot=/s --config=/c images", "images", "images --root /r",
	    "images x", "images -q", "images -qn", "images -nq",
	    "images --digests --no-trunc",
	    "images --filter reference=x --filter dangling=true", "images -f id=abc",
	    "images -fid=abc", "images -qfid=abc", "images --format json",
	    "images --format=table -q", "inspect a", "inspect --remote a",
	    "inspect --remote --creds u:p a", "inspect a --remote=true", "can-pull a",
	    "can-pull --authfile f a", "rmi a", "rmi a b", "rmi -a", "rmi -af",
	    "rmi --all -f", "rmi -f a", "tag a b", "tag a b c", "untag a", "untag a b c",
	    "fsinfo", "fsinfo --format json", "status", "status --format json", "version",
	    "--embedded images", "--log-level debug images", "--embedded=true images",
	    "--help", "-h", "help", "help pull", "pull --help", "pull -h", "images -qh",
	    "tag --help", "rmi -", "rmi -- -- -x"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct line l;
		struct args a;
		struct err e;
		if (parse(&l, good[i], &a, &e) != 0)
			fail_msg("%s: %s", good[i], e.text);
	}
}

static void
test_bad(void **state)
{
	static const struct {
		const char *line, *says;
	} bad[] = {
	    {"", "no command"},
	    {"frobnicate", "no command"},
	    {"pull", "takes IMAGE"},
	    {"pull -q", "takes IMAGE"},
	    {"pull --nope a", "no such option"},
	    {"--quiet pull a", "no such option"},
	    {"pull --all a", "no such option"},
	    {"pull -a a", "no such option"},
	    {"pull -qx a", "no such option"},
	    {"images --policy always", "no such option"},
	    {"pull --policy sometimes a", "one of"},
	    {"pull --policy=always,missing a", "one of"},
	    {"pull --policy= a", "one of"},
	    {"pull a --policy", "needs a value"},
	    {"pull --authfile= a", "needs a value"},
	    {"pull --authfile '' a", "needs a value"},
	    {"pull --tls-verify=maybe a", "true or"},
	    {"pull --tls-verify= a", "true or"},
	    {"images --format yaml", "one of"},
	    {"images --format", "needs a value"},
	    {"images a b", "takes [REPOSITORY]"},
	    {"inspect", "takes IMAGE"},
	    {"inspect a b", "takes IMAGE"},
	    {"inspect --creds u:p a", "need --remote"},
	    {"inspect --tls-verify a", "need --remote"},
	    {"inspect --cert-dir d a", "need --remote"},
	    {"inspect --remote=false --authfile x a", "need --remote"},
	    {"can-pull", "takes"},
	    {"can-pull a b", "takes"},
	    {"rmi", "use --all"},
	    {"rmi -a x", "not both"},
	    {"tag a", "takes"},
	    {"untag", "takes"},
	    {"fsinfo x", "no argument"},
	    {"version x", "no argument"},
	    {"status --format xml", "one of"},
	    {"--socket /s --root /r images", "leave out --root or --socket"},
	    {"images --socket=/s --embedded", "leave out --embedded"},
	    {"--embedded=false --runroot /r images", "leave out --runroot"},
	    {"pull --socket /s --authfile f a", "leave out --authfile"},
	    {"pull --socket /s --cert-dir d a", "leave out --cert-dir"},
	    {"ps --embedded", "a daemon"},
	    {"ps --config /c", "a daemon"},
	    {"ps x", "no argument"},
	    {"check x", "no argument"},
	    {"--log-level loud images", "one of"},
	    {"--root", "needs a value"},
	    {"pull --creds u:p --authfile f a", "one of them"},
	    {"images -q --format json", "one of them"},
	    {"--rootless images", "no such option"},
	    {"images --root=/r --roo=/s", "no such option"},
	    {"pull --Quiet a", "no such option"},
	    {"images -f", "needs a value"},
	    {"resolve", "takes NAME"},
	    {"resolve a b", "takes NAME"},
	    {"explain", "takes NAME"},
	    {"explain --creds a:b x", "--creds"},
	    {"pull\x1b[2J", "\\x1b"},
	    {"images -fa -fb -fc -fd -fe -ff -fg -fh -fi -fj -fk -fl -fm -fn -fo -fp -fq",
		"more than"},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct line l;
		struct args a;
		struct err e;
		if (parse(&l, bad[i].line, &a, &e) != -EINVAL)
			fail_msg("accepted: %s", bad[i].line);
		assert_int_equal(e.code, ERR_USAGE);
		if (!strstr(e.text, bad[i].says))
			fail_msg(
			    "%s: \"%s\" lacks \"%s\"", bad[i].line, e.text, bad[i].says);
		assert_null(strchr(e.text, 0x1b));
	}
}

static void
test_socket(void **state)
{
	static const struct {
		const char *line, *path;
		bool must;
	} rows[] = {
	    {"images", CONTROL_SOCKET, false},
	    {"ps", CONTROL_SOCKET, true},
	    {"--embedded=false images", CONTROL_SOCKET, true},
	    {"--socket /s images", "/s", true},
	    {"--socket unix:///s images", "/s", true},
	    {"--embedded images", NULL, false},
	    {"--root /r images", NULL, false},
	    {"--runroot /r images", NULL, false},
	    {"--config /c images", NULL, false},
	    {"pull --authfile f a", NULL, false},
	    {"pull --cert-dir d a", NULL, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct line l;
		struct args a;
		struct err e;
		bool must = true;
		assert_int_equal(parse(&l, rows[i].line, &a, &e), 0);
		const char *path = args_socket(&a, &must);
		if (!rows[i].path)
			assert_null(path);
		else
			assert_string_equal(path, rows[i].path);
		assert_true(!path || must == rows[i].must);
	}
}

static void
test_values(void **state)
{
	struct line l;
	struct args a;
	struct err e;

	assert_int_equal(parse(&l,
			     "--root /r pull x --policy newer -q y --tls-verify=no z "
			     "--root=/s -- --w",
			     &a, &e),
	    0);
	assert_int_equal(a.command, CMD_PULL);
	assert_string_equal(a.text[OPT_ROOT], "/s");
	assert_null(a.text[OPT_RUNROOT]);
	assert_int_equal(a.choice[OPT_POLICY], 3);
	assert_int_equal(a.choice[OPT_PROGRESS], 0);
	assert_true(a.flag[OPT_QUIET] && a.given[OPT_QUIET]);
	assert_true(a.given[OPT_TLS_VERIFY] && !a.flag[OPT_TLS_VERIFY]);
	assert_int_equal(a.noperands, 4);
	assert_string_equal(a.operands[0], "x");
	assert_string_equal(a.operands[1], "y");
	assert_string_equal(a.operands[2], "z");
	assert_string_equal(a.operands[3], "--w");

	/* 16 filters fit; their order stays. */
	assert_int_equal(parse(&l,
			     "images -f0 -f1 -f2 -f3 -f4 -f5 -f6 -f7 -f8 -f9 -f10 -f11 "
			     "-f12 -f13 -f14 -f15",
			     &a, &e),
	    0);
	assert_int_equal(a.nlist, CLI_FILTERS);
	assert_string_equal(a.list[15], "15");

	assert_int_equal(parse(&l, "help pull", &a, &e), 0);
	assert_true(a.flag[OPT_HELP]);
	assert_int_equal(a.command, CMD_PULL);
	assert_int_equal(parse(&l, "--help", &a, &e), 0);
	assert_int_equal(a.command, CMD_NONE);
}

static void
test_platform(void **state)
{
	static const char *const bad[] = {"", "/", "linux", "linux/", "/amd64",
	    "linux//v8", "linux/arm64/", "linux/arm64/v8/x", "linux/arm64/v8/",
	    "Linux/amd64", "linux/a b", "linux/-a", "linux/a\n",
	    "linux/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	struct platform p;
	struct err e = {0};

	assert_int_equal(platform_parse("linux/arm64/v8", &p, &e), 0);
	assert_string_equal(p.os, "linux");
	assert_string_equal(p.architecture, "arm64");
	assert_string_equal(p.variant, "v8");
	assert_int_equal(platform_parse("linux/amd64", &p, &e), 0);
	assert_string_equal(p.variant, "");
	assert_int_equal(
	    platform_parse(
		"linux/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		&p, &e),
	    0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (platform_parse(bad[i], &p, NULL) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
	}
}

static int
check(const char *text, struct command *c, struct err *e)
{
	static struct line l;
	static struct args a;

	*c = (struct command){.args = &a};
	int r = parse(&l, text, &a, e);
	return r < 0 ? r : command_check(c, e);
}

static void
test_check(void **state)
{
	static const char *const good[] = {"pull docker://quay.io/a",
	    "pull a:1@sha256:"
	    "0123456789abcdef0123456789"
	    "abcdef0123456789abcdef0123"
	    "456789abcdef",
	    "inspect abc", "inspect sha256:abc", "inspect quay.io/a", "rmi 0123456789ab",
	    "tag abc new:1", "untag abc quay.io/a:1", "images [x]*",
	    "images -f dangling=false"};
	static const char *const bad[] = {"pull A", "pull quay.io/a@sha512:00",
	    "can-pull a:", "inspect --remote http://a/b", "pull docker://", "inspect Ab",
	    "rmi a b ../c", "tag abc A", "tag a docker://b/C", "untag abc -- -x",
	    "images -f label=x", "images -f dangling=perhaps", "images -f id=xy",
	    "images -f before=x", "images -f x",
	    "images -f reference=", "pull --platform linux a", "pull --creds user a",
	    "pull --creds :p a",
	    "pull 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};
	static struct command c;
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (check(good[i], &c, &e) < 0)
			fail_msg("%s: %s", good[i], e.text);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (check(bad[i], &c, &e) >= 0)
			fail_msg("accepted: %s", bad[i]);
		assert_int_equal(e.code, ERR_USAGE);
	}
	assert_int_equal(check("pull --creds u:p:q a", &c, &e), 0);
	assert_int_equal(c.secret_size, 5);
	assert_memory_equal(c.secret, "u:p:q", 5);
	assert_string_equal(command_reference("docker://a/b"), "a/b");
	assert_string_equal(command_reference("docker:/a/b"), "docker:/a/b");
}

/* LIMIT_SECRET bytes pass, one more does not. */
static void
test_secret_limit(void **state)
{
	static char secret[LIMIT_SECRET + 2],
	    words[][10] = {"bulkhead", "pull", "--creds", "a"};
	static struct command c;
	static struct args a;
	struct err e = {0};

	memset(secret, 'p', LIMIT_SECRET);
	secret[1] = ':';
	for (int over = 0; over <= 1; over++) {
		char *argv[] = {words[0], words[1], words[2], secret, words[3], NULL};
		secret[LIMIT_SECRET] = over ? 'p' : 0;
		assert_int_equal(args_parse(5, argv, &a, &e), 0);
		c = (struct command){.args = &a};
		assert_int_equal(command_check(&c, &e), over ? -EINVAL : 0);
	}
}

/* ---- the manual, the help and the table name the same options ---- */

static char *
read_manual(void)
{
	static uint8_t *text;
	size_t n = 0;
	FD_AUTO fd = open("packaging/man/bulkhead.1", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fd_read_whole(fd, 1 << 20, &text, &n), 0);
	return (char *)text;
}

/* The manual's part for a command (CMD_NONE: for all), as fresh memory without
 * backslashes. */
static char *
manual_part(const char *manual, unsigned command)
{
	char head[64];
	const char *at, *end;

	if (command == CMD_NONE) {
		snprintf(head, sizeof(head), "\n.SH OPTIONS OF EVERY COMMAND\n");
	} else {
		char name[32], *to = name;
		for (const char *c = cli_commands[command].name; *c; c++) {
			if (*c == '-')
				*to++ = '\\';
			*to++ = *c;
		}
		*to = 0;
		snprintf(head, sizeof(head), "\n.SS %s ", name);
	}
	at = strstr(manual, head);
	if (!at)
		fail_msg("the manual lacks%s", head);
	end = strstr(at + 1, "\n.S");
	char *part = strndup(at, (size_t)(end - at));
	char *to = part;
	for (const char *c = part; *c; c++) {
		if (*c != '\\' || c[1] == 'f')
			*to++ = *c;
	}
	*to = 0;
	return part;
}

/* Whether the line after some ".TP" names the option. */
static bool
manual_has(const char *part, const char *option)
{
	char word[64];

	snprintf(word, sizeof(word), "--%s", option);
	for (const char *tp = strstr(part, "\n.TP\n"); tp;
	     tp = strstr(tp + 1, "\n.TP\n")) {
		const char *end = strchr(tp + 5, '\n');
		const char *at = strstr(tp + 5, word);
		size_t n = strlen(word);
		if (at && end && at < end && strchr(" [\"=\n", at[n]))
			return true;
	}
	return false;
}

static size_t
count(const char *text, const char *what)
{
	size_t n = 0;

	for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
		n++;
	return n;
}

static char *
help_of(unsigned command)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	args_help(f, command);
	fclose(f);
	return text;
}

static void
compare_with_manual(const char *manual, unsigned command)
{
	char *part = manual_part(manual, command), *help = help_of(command), word[64];
	size_t expected = 0;

	for (unsigned id = 0; id < OPT_COUNT; id++) {
		const struct option_row *row = &cli_options[id];
		bool every = row->commands == UINT_MAX;
		bool here = command == CMD_NONE
				? every
				: !every && (row->commands >> command & 1);
		expected += here;
		if (manual_has(part, row->name) != here)
			fail_msg("--%s: manual and table differ for %s", row->name,
			    command == CMD_NONE ? "every command"
						: cli_commands[command].name);
		snprintf(word, sizeof(word), "--%s", row->name);
		if ((here || every) && !strstr(help, word))
			fail_msg("--%s is not in the help", row->name);
	}
	/* No option in the manual that the table lacks. */
	assert_int_equal(count(part, "\n.TP\n"), expected);
	free(part);
	free(help);
}

static void
test_manual(void **state)
{
	char *manual = read_manual(), *help = help_of(CMD_NONE);

	for (unsigned c = 0; c < CMD_COUNT; c++) {
		compare_with_manual(manual, c);
		char line[64];
		snprintf(line, sizeof(line), "\n  %s ", cli_commands[c].name);
		assert_non_null(strstr(help, line));
	}
	compare_with_manual(manual, CMD_NONE);
	assert_int_equal(count(manual, "\n.SS "), CMD_COUNT);
	free(manual);
	free(help);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_socket),
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_platform),
	    cmocka_unit_test(test_check),
	    cmocka_unit_test(test_secret_limit),
	    cmocka_unit_test(test_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
