#include "cli/commands_local.h"
#include "common/ref/ref.h"

#include <string.h>

/* What a person copied from skopeo. */
const char *
command_reference(const char *text)
{
	return strncmp(text, "docker://", 9) == 0 ? text + 9 : text;
}

static int
check_name(const char *text, struct err *e)
{
	struct ref r;

	return ref_parse(span_str(command_reference(text)), &r, e);
}

static bool
is_id(const char *text)
{
	struct id_prefix id;

	return id_prefix_parse(span_str(text), &id);
}

static int
check_image(const char *text, struct err *e)
{
	struct ref r;

	return is_id(text) ? 0 : ref_parse(span_str(text), &r, e);
}

/* Images in the store first, names after them. */
static int
check_operands(const struct args *a, struct err *e)
{
	bool remote = a->command == CMD_PULL || a->command == CMD_CAN_PULL ||
		      a->command == CMD_RESOLVE || a->command == CMD_EXPLAIN ||
		      a->flag[OPT_REMOTE];
	bool names = a->command == CMD_TAG || a->command == CMD_UNTAG;

	if (a->command == CMD_IMAGES)
		return 0;
	for (size_t i = 0; i < a->noperands; i++) {
		bool name = remote || (names && i > 0);
		if (a->command == CMD_RESOLVE && is_id(a->operands[i]))
			continue;
		int r =
		    name ? check_name(a->operands[i], e) : check_image(a->operands[i], e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int
check_secret(struct command *c, struct err *e)
{
	const char *text = c->args->text[OPT_CREDS];
	const char *colon = text ? strchr(text, ':') : NULL;

	if (!text)
		return 0;
	if (!colon || colon == text)
		return err_set(e, ERR_USAGE,
		    "--creds: write USER:PASSWORD, or use --authfile, which nobody sees "
		    "in ps");
	c->secret_size = strlen(text);
	if (c->secret_size > sizeof(c->secret))
		return err_set(e, ERR_USAGE, "--creds is too long");
	memcpy(c->secret, text, c->secret_size);
	return 0;
}

int
command_filter(const struct args *a, struct image_filter *f, struct err *e)
{
	*f = (struct image_filter){0};
	for (size_t i = 0; i < a->nlist; i++) {
		int r = image_filter_add(f, a->list[i], e);
		if (r < 0)
			return r;
	}
	return a->command == CMD_IMAGES && a->noperands
		   ? image_filter_reference(f, a->operands[0], e)
		   : 0;
}

static int
check_flags(const struct args *a, struct err *e)
{
	if (a->flag[OPT_REFETCH] && !a->flag[OPT_REPAIR])
		return err_set(e, ERR_USAGE,
		    "--refetch changes the store: write --repair --refetch");
	return 0;
}

int
command_check(struct command *c, struct err *e)
{
	const struct args *a = c->args;
	struct image_filter filter;
	struct platform platform;

	int r = check_operands(a, e);
	if (r == 0)
		r = check_flags(a, e);
	if (r == 0 && a->text[OPT_PLATFORM])
		r = platform_parse(a->text[OPT_PLATFORM], &platform, e);
	if (r == 0)
		r = command_filter(a, &filter, e);
	return r < 0 ? r : check_secret(c, e);
}
