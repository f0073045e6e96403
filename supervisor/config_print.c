#include "supervisor/config_command.h"
#include "supervisor/settings.h"

#include <stdlib.h>

#define COLUMNS 92

/* A text as comment lines. */
static void
print_comment(FILE *out, const char *text)
{
	size_t column = 0;

	for (const char *at = text; *at;) {
		size_t n = strcspn(at, " ");
		if (column + 1 + n > COLUMNS) {
			fputc('\n', out);
			column = 0;
		}
		column += (size_t)fprintf(out, "%s%.*s", column ? " " : "# ", (int)n, at);
		at += n;
		at += *at == ' ';
	}
	fputc('\n', out);
}

void
config_print_default(FILE *out)
{
	char value[512];

	print_comment(out, "The configuration of bulkhead, bulkhead.toml(5): every key "
			   "with what holds when "
			   "nothing sets it.");
	fputs("#\n", out);
	print_comment(out, "The files /etc/bulkhead/bulkhead.conf.d/*.toml are read "
			   "after this one, in the "
			   "order of their names. What a later file says replaces what "
			   "an earlier one said, "
			   "lists as a whole. `bulkheadd config --effective` shows the "
			   "result, `bulkheadd "
			   "config --validate` checks it.");
	for (unsigned i = 0; i < KEY_COUNT; i++) {
		const struct setting_info *info = setting_info((enum setting_id)i);
		fputc('\n', out);
		print_comment(out, info->help);
		if (info->restart)
			print_comment(
			    out, "(A reload does not apply it, a restart does.)");
		fprintf(out, "#%s = %s\n", info->key,
		    settings_fallback((enum setting_id)i, value, sizeof(value)));
	}
}

static void
print_markdown(FILE *out, const char *text)
{
	for (; *text; text++)
		fprintf(out, "%s%c", strchr("*<|", *text) ? "\\" : "", *text);
}

void
config_print_table(FILE *out)
{
	char value[512];

	fputs("| key | when nothing sets it | reload | meaning |\n|---|---|---|---|\n",
	    out);
	for (unsigned i = 0; i < KEY_COUNT; i++) {
		const struct setting_info *info = setting_info((enum setting_id)i);
		fprintf(out, "| `%s` | `%s` | %s | ", info->key,
		    settings_fallback((enum setting_id)i, value, sizeof(value)),
		    info->restart ? "no" : "yes");
		print_markdown(out, info->help);
		fputs(" |\n", out);
	}
}
