#include "cli/commands_local.h"
#include "cli/text.h"
#include "common/json/write.h"

#include <errno.h>

int
command_unexpected(struct ipc_msg *m, struct err *e)
{
	const struct ipc_row *row = ipc_row_find(m->type);

	err_set(e, ERR_INTERNAL, "the service broke the protocol: %s answers nothing",
	    row ? row->name : "a message");
	return -EPIPE;
}

int
command_no_answer(void *arg, struct ipc_msg *m, struct err *e)
{
	return command_unexpected(m, e);
}

int
command_failed(struct command *c, int r, const struct err *e, int code)
{
	if (r == 0)
		return code;
	if (r == -ECANCELED)
		return command_exit_signal(c->session->interrupted);
	session_complain(c->session, e);
	return code ? code : (int)e->code;
}

int
command_ask(
    struct command *c, struct ipc_msg *request, session_fn *fn, void *arg, int code)
{
	struct err e = {0};
	int r = session_ask(c->session, request, fn, arg, &e);

	return command_failed(c, r, &e, code);
}

/* Whether the session can take another request. */
static bool
ended(const struct command *c, int code)
{
	return c->session->interrupted || code == ERR_INTERNAL;
}

static struct span
operand(const struct command *c, size_t i)
{
	return span_str(c->args->operands[i]);
}

int
command_tag(struct command *c)
{
	int code = 0;

	for (size_t i = 1; i < c->args->noperands && !ended(c, code); i++) {
		struct ipc_msg m =
		    IPC_MSG(cli_tag, .ref = operand(c, 0), .name = operand(c, i));
		code = command_ask(c, &m, command_no_answer, NULL, code);
	}
	return code;
}

static int
print_removed(void *arg, struct ipc_msg *m, struct err *e)
{
	struct command *c = arg;

	if (m->type != MSG_cli_removed)
		return command_unexpected(m, e);
	fputs(m->cli_removed.deleted ? "Deleted: " : "Untagged: ", c->session->out);
	text_safe(c->session->out, m->cli_removed.text);
	fputc('\n', c->session->out);
	return 0;
}

/* untag says nothing when all went well, as podman does. */
static int
skip_removed(void *arg, struct ipc_msg *m, struct err *e)
{
	return m->type == MSG_cli_removed ? 0 : command_unexpected(m, e);
}

int
command_untag(struct command *c)
{
	const struct args *a = c->args;
	int code = 0;

	for (size_t i = a->noperands > 1; i < a->noperands && !ended(c, code); i++) {
		struct ipc_msg m = IPC_MSG(cli_untag, .ref = operand(c, 0));
		if (i > 0)
			m.cli_untag.name = operand(c, i);
		code = command_ask(c, &m, skip_removed, NULL, code);
	}
	return code;
}

static int
collect_image(void *arg, struct ipc_msg *m, struct err *e)
{
	struct image_list *l = arg;
	int r;

	if (m->type == MSG_cli_image) {
		const struct msg_cli_image *in = &m->cli_image;
		struct image image = {
		    .created = in->created, .size = in->size, .layers = in->layers};
		memcpy(image.id, in->id, sizeof(image.id));
		memcpy(image.digest, in->digest, sizeof(image.digest));
		r = image_list_add(l, &image);
	} else if (m->type == MSG_cli_image_name) {
		r = image_list_name(
		    l, m->cli_image_name.name, m->cli_image_name.kind == 1);
	} else {
		return command_unexpected(m, e);
	}
	return r < 0 ? err_errno(e, -r, "the list of images") : 0;
}

int
command_images(struct command *c)
{
	const struct args *a = c->args;
	CLEANUP(image_list_release) struct image_list list = {0};
	struct image_filter filter;
	struct ipc_msg m = IPC_MSG(cli_images, .req = 0);
	struct image_view view = {.digests = a->flag[OPT_DIGESTS],
	    .no_trunc = a->flag[OPT_NO_TRUNC],
	    .noheading = a->flag[OPT_NOHEADING],
	    .now = c->now};
	struct err e = {0};
	int r = command_filter(a, &filter, &e);

	int code = r < 0 ? (int)e.code : command_ask(c, &m, collect_image, &list, 0);
	if (code)
		return code;
	image_list_sort(&list);
	if (a->flag[OPT_QUIET])
		images_print_ids(&list, &filter, &view, c->session->out);
	else if (a->choice[OPT_FORMAT])
		r = images_print_json(&list, &filter, c->session->out);
	else
		r = images_print_table(&list, &filter, &view, c->session->out);
	if (r < 0) {
		err_errno(&e, -r, "printing the list");
		session_complain(c->session, &e);
	}
	return (int)e.code;
}

static int
remove_one(struct command *c, struct span ref, bool force, int code)
{
	struct ipc_msg m = IPC_MSG(cli_remove, .ref = ref, .force = force);
	struct err e = {0};
	int r = session_ask(c->session, &m, print_removed, c, &e);

	/* As podman does it: who forces wants it gone, and gone it is. */
	if (r < 0 && force && e.code == ERR_NOT_FOUND)
		return code;
	return command_failed(c, r, &e, code);
}

static int
remove_all(struct command *c)
{
	CLEANUP(image_list_release) struct image_list list = {0};
	struct ipc_msg m = IPC_MSG(cli_images, .req = 0);
	int code = command_ask(c, &m, collect_image, &list, 0);

	for (size_t i = 0; i < list.n && !ended(c, code); i++) {
		char hex[2 * DIGEST_BYTES + 1];
		hex_encode(list.v[i].id, DIGEST_BYTES, hex);
		code = remove_one(c, span_str(hex), true, code);
	}
	return code;
}

int
command_rmi(struct command *c)
{
	const struct args *a = c->args;
	int code = 0;

	if (a->flag[OPT_ALL])
		return remove_all(c);
	for (size_t i = 0; i < a->noperands && !ended(c, code); i++)
		code = remove_one(c, operand(c, i), a->flag[OPT_FORCE], code);
	return code;
}

static int
print_name(void *arg, struct ipc_msg *m, struct err *e)
{
	struct command *c = arg;

	if (m->type != MSG_cli_image_name)
		return command_unexpected(m, e);
	text_safe(c->session->out, m->cli_image_name.name);
	fputc('\n', c->session->out);
	return 0;
}

static int
command_resolve(struct command *c)
{
	struct ipc_msg m = IPC_MSG(
	    cli_resolve, .name = span_str(command_reference(c->args->operands[0])));

	return command_ask(c, &m, print_name, c, 0);
}

int
command_run(struct command *c)
{
	static int (*const run[CMD_COUNT])(struct command *) = {
	    [CMD_PULL] = command_pull,
	    [CMD_IMAGES] = command_images,
	    [CMD_INSPECT] = command_inspect,
	    [CMD_CAN_PULL] = command_can_pull,
	    [CMD_RESOLVE] = command_resolve,
	    [CMD_EXPLAIN] = command_explain,
	    [CMD_RMI] = command_rmi,
	    [CMD_TAG] = command_tag,
	    [CMD_UNTAG] = command_untag,
	    [CMD_FSINFO] = command_fsinfo,
	    [CMD_PS] = command_ps,
	    [CMD_CHECK] = command_check_store,
	    [CMD_STATUS] = command_status,
	};

	assert(run[c->args->command]);
	return run[c->args->command](c);
}
