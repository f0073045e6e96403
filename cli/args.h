/* The command line as a checked value. Pure: nothing here prints or opens. */
#ifndef BULKHEAD_CLI_ARGS_H
#define BULKHEAD_CLI_ARGS_H

#include "cli/options.def"
#include "common/base/err.h"
#include "common/base/limits.h"

#include <stdio.h>

enum cli_command {
#define C(id, name, operands, least, most, help) CMD_##id,
	CLI_COMMANDS(C)
#undef C
	    CMD_COUNT,
	CMD_NONE = CMD_COUNT,
};

enum cli_option {
#define O(id, name, brief, kind, value, commands, help) OPT_##id,
	CLI_OPTIONS(O)
#undef O
	    OPT_COUNT,
};

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_LIST, OPTION_CHOICE };

struct option_row {
	const char *name, *value, *help;
	enum option_kind kind;
	unsigned commands; /* bits of enum cli_command; all ones: every command */
	char brief;
};

struct command_row {
	const char *name, *operands, *help;
	unsigned least, most; /* UINT_MAX: no bound */
};

extern const struct option_row cli_options[OPT_COUNT];
extern const struct command_row cli_commands[CMD_COUNT];

#define CLI_FILTERS 16

/* Every text points into argv. */
struct args {
	enum cli_command command;
	bool given[OPT_COUNT];
	const char *text[OPT_COUNT];   /* TEXT */
	unsigned choice[OPT_COUNT];    /* CHOICE: its place in the row's list */
	bool flag[OPT_COUNT];	       /* FLAG */
	const char *list[CLI_FILTERS]; /* LIST: there is one such option */
	size_t nlist;
	char **operands; /* the front part of argv, reordered */
	size_t noperands;
};

/* Parses argv (argv[0] is the program's name; the array is reordered, its texts are not
 * touched). Options and operands may mix; "--" ends the options. With --help nothing more
 * is demanded; then `command` may be CMD_NONE. "help [COMMAND]" is the same. 0, or
 * negative with a reason of class ERR_USAGE. */
int args_parse(int argc, char **argv, struct args *out, struct err *e) MUST_CHECK;

/* The control socket to try, or NULL: the rooms are run for this command alone. *must:
 * somebody asked for the daemon, so that its absence is an error. A path, without
 * "unix://". */
const char *args_socket(const struct args *a, bool *must);
#define CONTROL_SOCKET "/run/bulkhead/control.sock"

/* The help of one command, or of all (CMD_NONE). */
void args_help(FILE *to, enum cli_command command);

struct platform {
	char os[65], architecture[65], variant[65];
};

/* "OS/ARCH[/VARIANT]". 0, or negative with a reason of class ERR_USAGE. */
int platform_parse(const char *text, struct platform *out, struct err *e) MUST_CHECK;

#endif
