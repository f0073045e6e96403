#include "cli/args.h"

#include <limits.h>
#include <string.h>

#define MANY UINT_MAX
#define BIT(id) (1u << CMD_##id)
#define EVERY UINT_MAX

#define SHOWN 128

const struct option_row cli_options[OPT_COUNT] = {
#define O(id, name_, brief_, kind_, value_, commands_, help_) \
	[OPT_##id] = {.name = name_,                          \
	    .value = value_,                                  \
	    .help = help_,                                    \
	    .kind = OPTION_##kind_,                           \
	    .commands = commands_,                            \
	    .brief = brief_},
    CLI_OPTIONS(O)
#undef O
};

const struct command_row cli_commands[CMD_COUNT] = {
#define C(id, name_, operands_, least_, most_, help_) \
	[CMD_##id] = {.name = name_,                  \
	    .operands = operands_,                    \
	    .help = help_,                            \
	    .least = least_,                          \
	    .most = most_},
    CLI_COMMANDS(C)
#undef C
};

struct parser {
	struct args *a;
	struct err *e;
	char **argv;
	int argc, at;
};

/* Text of the command line, fit to be shown. */
struct shown {
	char text[SHOWN];
};

static struct shown
show(const char *text)
{
	struct shown s = {0};

	span_escape(span_str(text), s.text, sizeof(s.text));
	return s;
}

static bool
is_boolean(const char *text, bool *out)
{
	static const char *const yes[] = {"true", "1", "yes", "on"};
	static const char *const no[] = {"false", "0", "no", "off"};

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
			*out = strcmp(text, yes[i]) == 0;
			return true;
		}
	}
	return false;
}

/* The place of `text` in "a,b,c", or -1. */
static int
choice_find(const char *choices, const char *text)
{
	struct span rest = span_str(choices);

	for (int i = 0; rest.n; i++) {
		const uint8_t *comma = memchr(rest.p, ',', rest.n);
		size_t n = comma ? (size_t)(comma - rest.p) : rest.n;
		if (span_is(span_of(rest.p, n), text))
			return i;
		rest = span_from(rest, comma ? n + 1 : n);
	}
	return -1;
}

static int
take_choice(struct parser *p, enum cli_option id, const char *value)
{
	const struct option_row *row = &cli_options[id];
	int at = choice_find(row->value, value);

	if (at < 0)
		return err_set(p->e, ERR_USAGE, "--%s \"%s\": choose one of %s",
		    row->name, show(value).text, row->value);
	p->a->choice[id] = (unsigned)at;
	return 0;
}

static int
take_value(struct parser *p, enum cli_option id, const char *value)
{
	const struct option_row *row = &cli_options[id];

	p->a->given[id] = true;
	switch (row->kind) {
	case OPTION_FLAG:
		if (is_boolean(value, &p->a->flag[id]))
			return 0;
		return err_set(p->e, ERR_USAGE, "--%s=%s: write true or false", row->name,
		    show(value).text);
	case OPTION_CHOICE:
		return take_choice(p, id, value);
	case OPTION_LIST:
		if (p->a->nlist == CLI_FILTERS)
			return err_set(p->e, ERR_USAGE, "--%s more than %d times",
			    row->name, CLI_FILTERS);
		p->a->list[p->a->nlist++] = value;
		return 0;
	case OPTION_TEXT:
		if (!value[0])
			return err_set(p->e, ERR_USAGE, "--%s needs a value (%s)",
			    row->name, row->value);
		p->a->text[id] = value;
		return 0;
	}
	return 0;
}

/* The value from after "=", else the next argument; a flag never takes the next one. */
static int
take_option(struct parser *p, enum cli_option id, const char *value)
{
	const struct option_row *row = &cli_options[id];

	if (!value && row->kind == OPTION_FLAG)
		value = "true";
	if (!value && p->at < p->argc)
		value = p->argv[p->at++];
	if (!value)
		return err_set(
		    p->e, ERR_USAGE, "--%s needs a value (%s)", row->name, row->value);
	return take_value(p, id, value);
}

/* Whether the option may stand here. Before the command its own options are not known
 * yet: the caller asks again with the command. */
static bool
fits(enum cli_option id, enum cli_command command)
{
	unsigned commands = cli_options[id].commands;

	return commands == EVERY || (command != CMD_NONE && (commands >> command & 1));
}

static int
unknown(struct parser *p, const char *what)
{
	enum cli_command c = p->a->command;

	return err_set(p->e, ERR_USAGE, "%s: no such option%s%s; see bulkhead %s%s--help",
	    show(what).text, c == CMD_NONE ? " before a command" : " of ",
	    c == CMD_NONE ? "" : cli_commands[c].name,
	    c == CMD_NONE ? "" : cli_commands[c].name, c == CMD_NONE ? "" : " ");
}

static int
take_long(struct parser *p, const char *arg)
{
	const char *eq = strchr(arg, '=');
	struct span name =
	    span_of(arg + 2, eq ? (size_t)(eq - arg - 2) : strlen(arg + 2));

	for (unsigned id = 0; id < OPT_COUNT; id++) {
		if (fits(id, p->a->command) && span_is(name, cli_options[id].name))
			return take_option(p, id, eq ? eq + 1 : NULL);
	}
	return unknown(p, arg);
}

/* "-aq", "-f VALUE", "-fVALUE". */
static int
take_short(struct parser *p, const char *arg)
{
	for (const char *c = arg + 1; *c; c++) {
		unsigned id = 0;
		while (id < OPT_COUNT &&
		       (!fits(id, p->a->command) || cli_options[id].brief != *c))
			id++;
		if (id == OPT_COUNT)
			return unknown(p, arg);
		bool flag = cli_options[id].kind == OPTION_FLAG;
		int r = take_option(p, id, !flag && c[1] ? c + 1 : NULL);
		if (r < 0 || !flag)
			return r;
	}
	return 0;
}

static int
take_command(struct parser *p, const char *name)
{
	for (unsigned c = 0; c < CMD_COUNT; c++) {
		if (strcmp(name, cli_commands[c].name) == 0) {
			p->a->command = c;
			return 0;
		}
	}
	return err_set(p->e, ERR_USAGE, "\"%s\" is no command; see bulkhead --help",
	    show(name).text);
}

static int
take_word(struct parser *p, char *word)
{
	bool help = p->a->flag[OPT_HELP];

	if (p->a->command == CMD_NONE && !help && strcmp(word, "help") == 0) {
		p->a->flag[OPT_HELP] = true;
		return 0;
	}
	if (p->a->command == CMD_NONE)
		return take_command(p, word);
	/* Operands move to the front of the array, behind where the parser reads. */
	p->argv[p->a->noperands++] = word;
	return 0;
}

static int
check_operands(struct parser *p)
{
	const struct args *a = p->a;

	if (a->command == CMD_NONE)
		return err_set(p->e, ERR_USAGE, "no command; see bulkhead --help");
	const struct command_row *row = &cli_commands[a->command];
	if (a->noperands >= row->least && a->noperands <= row->most)
		return 0;
	return err_set(p->e, ERR_USAGE,
	    "%s takes %s, not %zu argument%s; see bulkhead %s --help", row->name,
	    row->operands[0] ? row->operands : "no argument", a->noperands,
	    a->noperands == 1 ? "" : "s", row->name);
}

/* The option by which the command runs its own rooms, or NULL. */
static const char *
runs_alone(const struct args *a)
{
	static const enum cli_option own[] = {
	    OPT_ROOT, OPT_RUNROOT, OPT_CONFIG, OPT_AUTHFILE, OPT_CERT_DIR};

	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		if (a->given[own[i]])
			return cli_options[own[i]].name;
	}
	return a->flag[OPT_EMBEDDED] ? cli_options[OPT_EMBEDDED].name : NULL;
}

const char *
args_socket(const struct args *a, bool *must)
{
	const char *path = a->text[OPT_SOCKET];

	*must = path || a->given[OPT_EMBEDDED] || a->command == CMD_PS;
	if (runs_alone(a))
		return NULL;
	if (!path)
		return CONTROL_SOCKET;
	return strncmp(path, "unix://", 7) == 0 ? path + 7 : path;
}

static int
check_together(struct parser *p)
{
	const struct args *a = p->a;
	bool reach = a->flag[OPT_REMOTE] || a->command != CMD_INSPECT;

	const char *alone = runs_alone(a);
	bool daemon =
	    a->given[OPT_SOCKET] || (a->given[OPT_EMBEDDED] && !a->flag[OPT_EMBEDDED]);
	if (daemon && alone)
		return err_set(p->e, ERR_USAGE,
		    "--%s is for a command that runs its own rooms; a daemon has its own "
		    "settings: leave out --%s or --socket",
		    alone, alone);
	if (a->command == CMD_PS && alone)
		return err_set(p->e, ERR_USAGE,
		    "ps shows the pulls of a daemon: leave out --%s", alone);
	if (!reach &&
	    (a->given[OPT_PLATFORM] || a->given[OPT_CREDS] || a->given[OPT_AUTHFILE] ||
		a->given[OPT_CERT_DIR] || a->given[OPT_TLS_VERIFY]))
		return err_set(p->e, ERR_USAGE,
		    "inspect: --platform, --creds, --authfile, --cert-dir and "
		    "--tls-verify "
		    "need --remote");
	if (a->given[OPT_CREDS] && a->given[OPT_AUTHFILE])
		return err_set(
		    p->e, ERR_USAGE, "--creds and --authfile: give one of them");
	if (a->command == CMD_RMI && a->flag[OPT_ALL] == (a->noperands > 0))
		return err_set(p->e, ERR_USAGE, "rmi: name images, or use --all%s",
		    a->noperands ? ", not both" : "");
	if (a->flag[OPT_QUIET] && a->command == CMD_IMAGES && a->choice[OPT_FORMAT])
		return err_set(
		    p->e, ERR_USAGE, "--quiet and --format json: give one of them");
	return 0;
}

int
args_parse(int argc, char **argv, struct args *out, struct err *e)
{
	struct parser p = {.a = out, .e = e, .argv = argv, .argc = argc, .at = 1};
	bool ended = false;

	memset(out, 0, sizeof(*out));
	out->command = CMD_NONE;
	out->operands = argv;
	while (p.at < argc) {
		char *arg = argv[p.at++];
		int r;
		if (!ended && strcmp(arg, "--") == 0) {
			ended = true;
			continue;
		}
		if (ended || arg[0] != '-' || !arg[1])
			r = take_word(&p, arg);
		else
			r = arg[1] == '-' ? take_long(&p, arg) : take_short(&p, arg);
		if (r < 0)
			return r;
	}
	if (out->flag[OPT_HELP])
		return 0;
	int r = check_operands(&p);
	return r < 0 ? r : check_together(&p);
}

static bool
platform_part(struct span part, char *out, size_t cap)
{
	for (size_t i = 0; i < part.n; i++) {
		uint8_t c = part.p[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		if (!word && (i == 0 || (c != '.' && c != '_' && c != '-')))
			return false;
	}
	return part.n > 0 && span_to_str(part, out, cap);
}

int
platform_parse(const char *text, struct platform *out, struct err *e)
{
	struct platform p = {0};
	char *const parts[] = {p.os, p.architecture, p.variant};
	struct span rest = span_str(text);
	size_t n = 0;

	for (bool more = true; more; n++) {
		const uint8_t *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
		struct span part =
		    span_of(rest.p, slash ? (size_t)(slash - rest.p) : rest.n);
		if (n == ARRAY_LEN(parts) || !platform_part(part, parts[n], sizeof(p.os)))
			break;
		more = slash != NULL;
		rest = span_from(rest, part.n + more);
		if (!more && n >= 1) {
			*out = p;
			return 0;
		}
	}
	return err_set(e, ERR_USAGE,
	    "--platform \"%s\": write OS/ARCH or OS/ARCH/VARIANT, as in linux/arm64/v8",
	    show(text).text);
}
