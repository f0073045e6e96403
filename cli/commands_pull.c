#include "cli/commands_local.h"
#include "cli/text.h"
#include "common/base/fd.h"
#include "common/base/loop.h"
#include "common/ipc/values.h"

#include <errno.h>

/* The service's word for a layer's state as the progress's. */
static enum progress_state
layer_state(uint64_t state)
{
	switch ((enum layer_state)state) {
	case LAYER_PRESENT:
		return PROGRESS_THERE;
	case LAYER_WANTED:
		return PROGRESS_RUNNING;
	case LAYER_WAITING:
		return PROGRESS_QUEUED;
	case LAYER_DONE:
		return PROGRESS_READY;
	}
	return PROGRESS_QUEUED;
}

static enum progress_stage
pull_stage(uint64_t stage)
{
	if (stage == STAGE_FETCH)
		return PROGRESS_FETCHING;
	return stage == STAGE_CHECK ? PROGRESS_CHECKING : PROGRESS_COMMITTING;
}

/* false: m is neither a layer nor progress. */
static bool
show_progress(struct session *s, const struct ipc_msg *m)
{
	uint64_t now = loop_now();

	if (m->type == MSG_cli_layer)
		progress_layer(&s->progress, m->cli_layer.index, m->cli_layer.count,
		    m->cli_layer.digest, m->cli_layer.size,
		    layer_state(m->cli_layer.state), now);
	else if (m->type == MSG_cli_progress)
		progress_bytes(&s->progress, m->cli_progress.index,
		    pull_stage(m->cli_progress.stage), m->cli_progress.bytes, now);
	else
		return false;
	return true;
}

struct pulled {
	struct command *c;
	bool print; /* the image's ID */
	int text;   /* memfd of an inspection; -1 = none yet */
};

static int
pull_answer(void *arg, struct ipc_msg *m, struct err *e)
{
	struct pulled *p = arg;
	char hex[2 * DIGEST_BYTES + 1];

	if (show_progress(p->c->session, m))
		return 0;
	if (m->type == MSG_cli_joined) {
		if (p->c->progress != PROGRESS_NONE)
			fputs("bulkhead: this image is being pulled already: joined\n",
			    p->c->session->err);
		return 0;
	}
	if (m->type == MSG_cli_pulled) {
		if (p->print)
			fprintf(p->c->session->out, "%s\n",
			    hex_encode(m->cli_pulled.image, DIGEST_BYTES, hex));
		return 0;
	}
	if (m->type != MSG_cli_text || p->print || p->text >= 0)
		return command_unexpected(m, e);
	p->text = ipc_msg_take_fd(m, 0);
	return 0;
}

static void
pull_request(const struct command *c, const char *name, enum pull_mode mode,
    struct platform *platform, struct ipc_msg *m)
{
	const struct args *a = c->args;
	struct err ignored = {0};

	/* Checked by command_check. Without --platform the texts stay empty: this
	 * machine's. */
	*platform = (struct platform){0};
	if (a->text[OPT_PLATFORM])
		(void)!platform_parse(a->text[OPT_PLATFORM], platform, &ignored);
	*m = (struct ipc_msg)IPC_MSG(cli_pull, .name = span_str(command_reference(name)),
	    .os = span_str(platform->os),
	    .architecture = span_str(platform->architecture),
	    .variant = span_str(platform->variant), .mode = mode,
	    .auth = c->secret_size ? AUTH_GIVEN : AUTH_FILES,
	    .secret = span_of(c->secret, c->secret_size));
	if (a->given[OPT_TLS_VERIFY])
		m->cli_pull.verify = a->flag[OPT_TLS_VERIFY] ? 1 : 2;
}

/* The registry cannot be asked whether it has something newer: what the store has will
 * do. */
static bool
pull_stored(struct command *c, const char *name, struct pulled *p, const struct err *why)
{
	struct platform platform;
	struct ipc_msg m;
	struct err e = {0};

	if (why->code != ERR_NETWORK || c->session->interrupted)
		return false;
	pull_request(c, name, PULL_NEVER, &platform, &m);
	if (session_ask(c->session, &m, pull_answer, p, &e) < 0)
		return false;
	session_complain(c->session, why);
	fputs("bulkhead: kept the stored image\n", c->session->err);
	return true;
}

static int
pull_one(struct command *c, const char *name, struct pulled *p, int code)
{
	static const enum pull_mode modes[] = {
	    PULL_ALWAYS, PULL_MISSING, PULL_NEVER, PULL_NEWER};
	enum pull_mode mode = modes[c->args->choice[OPT_POLICY]];
	struct platform platform;
	struct ipc_msg m;
	struct err e = {0};

	pull_request(c, name, mode, &platform, &m);
	progress_start(&c->session->progress, c->progress, c->session->err,
	    span_str(name), loop_now());
	int r = session_ask(c->session, &m, pull_answer, p, &e);
	if (r < 0 && mode == PULL_NEWER && pull_stored(c, name, p, &e))
		return code;
	return command_failed(c, r, &e, code);
}

int
command_pull(struct command *c)
{
	const struct args *a = c->args;
	struct pulled p = {.c = c, .print = true, .text = -1};
	int code = 0;

	for (size_t i = 0; i < a->noperands; i++) {
		code = pull_one(c, a->operands[i], &p, code);
		/* Whoever waits on the other end of a pipe gets each ID at once. */
		fflush(c->session->out);
		if (c->session->interrupted || code == ERR_INTERNAL)
			break;
	}
	return code;
}

int
command_mend(struct command *c, const char *name, int code)
{
	struct pulled p = {.c = c, .text = -1};
	struct platform platform;
	struct ipc_msg m;
	struct err e = {0};

	pull_request(c, name, PULL_MEND, &platform, &m);
	progress_start(&c->session->progress, c->progress, c->session->err,
	    span_str(name), loop_now());
	int r = session_ask(c->session, &m, pull_answer, &p, &e);
	c->session->progress.mode = PROGRESS_NONE;
	return command_failed(c, r, &e, code);
}

int
command_can_pull(struct command *c)
{
	const char *name = c->args->operands[0];
	struct pulled p = {.c = c, .text = -1};
	struct platform platform;
	struct ipc_msg m;
	struct err e = {0};

	pull_request(c, name, PULL_VERDICT_ONLY, &platform, &m);
	int r = session_ask(c->session, &m, pull_answer, &p, &e);
	if (r == -ECANCELED)
		return command_exit_signal(c->session->interrupted);
	fd_close(&p.text);
	if (r == 0) {
		fprintf(c->session->out, "%s can be pulled\n", name);
		return 0;
	}
	session_complain(c->session, &e);
	/* "No" is the answer; what kept the question from being asked is not. */
	return e.code == ERR_INTERNAL || e.code == ERR_USAGE ? (int)e.code : 1;
}

static int
print_text(struct session *s, int fd, struct err *e)
{
	CLEANUP(free_ptr) uint8_t *text = NULL;
	size_t n = 0;
	int r = fd < 0 ? -ENODATA : fd_check_sealed(fd, LIMIT_RENDERED, &n);

	if (r == 0)
		r = fd_read_whole(fd, LIMIT_RENDERED, &text, &n);
	if (r < 0)
		return err_errno(e, -r, "the text that the service made");
	text_json(s->out, span_of(text, n));
	if (text && n && text[n - 1] != '\n')
		fputc('\n', s->out);
	return 0;
}

int
command_inspect(struct command *c)
{
	struct pulled p = {.c = c, .text = -1};
	struct platform platform;
	struct ipc_msg m = IPC_MSG(cli_inspect, .ref = span_str(c->args->operands[0]));
	struct err e = {0};

	if (c->args->flag[OPT_REMOTE])
		pull_request(c, c->args->operands[0], PULL_REMOTE, &platform, &m);
	int code = command_ask(c, &m, pull_answer, &p, 0);
	if (code == 0 && print_text(c->session, p.text, &e) < 0) {
		session_complain(c->session, &e);
		code = (int)e.code;
	}
	fd_close(&p.text);
	return code;
}
