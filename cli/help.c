#include "cli/args.h"

#include <limits.h>
#include <string.h>

#define COLUMN 30 /* where explanations begin */

static void
print_option(FILE *to, const struct option_row *row)
{
	char left[80];
	bool flag = row->kind == OPTION_FLAG;
	const char *value = row->kind == OPTION_CHOICE ? "CHOICE" : row->value;
	int n =
	    snprintf(left, sizeof(left), "  %c%c%c --%s%s%s%s", row->brief ? '-' : ' ',
		row->brief ? row->brief : ' ', row->brief ? ',' : ' ', row->name,
		value[0] ? (flag ? "[=" : " ") : "", value, value[0] && flag ? "]" : "");

	fputs(left, to);
	if (n >= COLUMN) {
		fputc('\n', to);
		n = 0;
	}
	fprintf(to, "%*s%s", COLUMN - n, "", row->help);
	if (row->kind == OPTION_CHOICE)
		fprintf(to, " (%s)", row->value);
	fputc('\n', to);
}

static void
print_options(FILE *to, const char *title, enum cli_command command)
{
	bool first = true;

	for (unsigned id = 0; id < OPT_COUNT; id++) {
		const struct option_row *row = &cli_options[id];
		bool every = row->commands == UINT_MAX;
		if (command == CMD_NONE ? !every
					: every || !(row->commands >> command & 1))
			continue;
		if (first)
			fprintf(to, "\n%s:\n", title);
		first = false;
		print_option(to, row);
	}
}

static void
print_exit_codes(FILE *to)
{
	fputs(
	    "\nExit codes: 0 done; 1 not found, or the answer is no; 2 in use; 3 refused "
	    "by "
	    "policy;\n4 authentication; 5 network or registry; 6 no space; 7 damaged or "
	    "hostile content;\n8 deadline; 64 usage; 125 internal; 130, 143 "
	    "interrupted.\n",
	    to);
}

void
args_help(FILE *to, enum cli_command command)
{
	if (command != CMD_NONE) {
		const struct command_row *row = &cli_commands[command];
		fprintf(to, "Usage: bulkhead %s [OPTION...]%s%s\n\n%s\n", row->name,
		    row->operands[0] ? " " : "", row->operands, row->help);
		print_options(to, "Options", command);
		print_options(to, "Options of every command", CMD_NONE);
		return;
	}
	fputs("Usage: bulkhead [OPTION...] COMMAND [ARGUMENT...]\n\n"
	      "Images for the containers of this machine.\n\nCommands:\n",
	    to);
	for (unsigned c = 0; c < CMD_COUNT; c++)
		fprintf(to, "  %-10s %s\n", cli_commands[c].name, cli_commands[c].help);
	print_options(to, "Options of every command", CMD_NONE);
	fputs("\nbulkhead COMMAND --help shows the options of a command.\n", to);
	print_exit_codes(to);
}
