/* explain: rows about a name, the images that it may mean, the places of each. */
#include "cli/commands_local.h"
#include "cli/text.h"
#include "common/json/write.h"

#include <errno.h>

#define ROWS_MAX 65536

struct explanation {
	struct command *c;
	struct jw w;
	uint64_t image, place; /* of the last row */
	size_t rows;
};

/* An image begins with its name, a place with its URL: the others lie below. */
static void
print_row(struct explanation *x, const struct msg_cli_explain_row *m)
{
	FILE *out = x->c->session->out;
	bool image = m->image != x->image, place = m->place && m->place != x->place;

	if (place)
		fprintf(out, "  %u. ", (unsigned)m->place);
	else
		fprintf(out, "%s", m->place ? "     " : m->image && !image ? "  " : "");
	if (!image && !place) {
		text_safe(out, m->key);
		fputs(": ", out);
	}
	text_safe(out, m->value);
	fputc('\n', out);
}

/* From one image or place to the next: what is open is closed. */
static void
json_move(struct explanation *x, const struct msg_cli_explain_row *m)
{
	if (x->place && m->place != x->place)
		jw_end(&x->w, '}');
	if (x->place && !m->place)
		jw_end(&x->w, ']');
	if (x->image && m->image != x->image)
		jw_end(&x->w, '}');
	if (!x->image && m->image) {
		jw_key(&x->w, "images");
		jw_array(&x->w);
	}
	if (m->image && m->image != x->image)
		jw_object(&x->w);
	if (m->place && (!x->place || m->image != x->image)) {
		jw_key(&x->w, "places");
		jw_array(&x->w);
	}
	if (m->place && m->place != x->place)
		jw_object(&x->w);
}

static int
take_row(void *arg, struct ipc_msg *m, struct err *e)
{
	struct explanation *x = arg;
	const struct msg_cli_explain_row *r = &m->cli_explain_row;

	/* Rows come in order: about the name, an image, its places, the next image. */
	if (m->type != MSG_cli_explain_row || x->rows++ == ROWS_MAX ||
	    r->image < x->image || r->image > x->image + 1 || (r->place && !r->image) ||
	    (r->image == x->image ? r->place < x->place || r->place > x->place + 1
				  : r->place != 0))
		return command_unexpected(m, e);
	if (x->c->args->choice[OPT_FORMAT]) {
		json_move(x, r);
		jw_key_span(&x->w, r->key);
		jw_text(&x->w, r->value);
	} else {
		print_row(x, r);
	}
	x->image = r->image;
	x->place = r->place;
	return 0;
}

static int
print_json(struct explanation *x, int code)
{
	const struct msg_cli_explain_row top = {0};
	struct err e = {0};

	json_move(x, &top);
	if (x->image)
		jw_end(&x->w, ']');
	jw_end(&x->w, '}');
	int r = jw_done(&x->w);
	if (r < 0) {
		err_errno(&e, -r, "printing the answer");
		session_complain(x->c->session, &e);
		return code ? code : (int)e.code;
	}
	fwrite(x->w.p, 1, x->w.n, x->c->session->out);
	return code;
}

int
command_explain(struct command *c)
{
	const struct args *a = c->args;
	struct explanation x = {.c = c};
	struct platform platform = {0};
	struct err ignored = {0};
	bool json = a->choice[OPT_FORMAT];

	if (a->text[OPT_PLATFORM])
		(void)!platform_parse(a->text[OPT_PLATFORM], &platform, &ignored);
	struct ipc_msg m = IPC_MSG(cli_explain,
	    .name = span_str(command_reference(a->operands[0])),
	    .os = span_str(platform.os), .architecture = span_str(platform.architecture),
	    .variant = span_str(platform.variant), .reach = a->flag[OPT_REACH]);
	if (a->given[OPT_TLS_VERIFY])
		m.cli_explain.verify = a->flag[OPT_TLS_VERIFY] ? 1 : 2;
	if (json)
		jw_object(&x.w);
	int code = command_ask(c, &m, take_row, &x, 0);
	if (json)
		code = print_json(&x, code);
	jw_free(&x.w);
	return code;
}
