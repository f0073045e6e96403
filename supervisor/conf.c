/* Configuration files through conf rooms, one a file, one after another. */
#include "supervisor/conf_steps.h"

#include "common/base/fd.h"
#include "policy/sandbox/profile.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CONF_TIMEOUT_MS 15000 /* for one file, all of it */

/* ---- one room ---- */

static void
reader_end(struct conf_reading *rd)
{
	int status;

	loop_timer_clear(rd->loop, &rd->timer);
	fd_close(&rd->file);
	if (!rd->running)
		return;
	rd->running = false;
	loop_remove(rd->loop, &rd->early);
	port_release(&rd->control);
	syscall(SYS_pidfd_send_signal, rd->room.pidfd, SIGKILL, NULL, 0);
	(void)!sandbox_reap(rd->host, &rd->room, &status);
}

/* A policy that cannot be used is no error of the configuration: it refuses images, and
 * who asked decides what else. */
static void
reading_finish(struct conf_reading *rd, int r)
{
	reader_end(rd);
	if (rd->step == STEP_POLICY && r < 0) {
		rd->policy->problem = rd->err;
		r = 0;
	}
	rd->done(rd->arg, r, &rd->err);
	free(rd);
}

static void
reading_next(struct conf_reading *rd)
{
	int r = reading_step(rd);

	if (r != 0)
		reading_finish(rd, r < 0 ? r : 0);
}

int
reading_keep(struct conf_reading *rd, enum registry_row kind, unsigned flags,
    struct span name, struct span value)
{
	return registry_rows_add(rd->registries, kind, flags, name, value, &rd->err);
}

/* What a file names and bulkhead does not use is said, so that nobody looks for
 * the reason of a refused login elsewhere. */
static void
row_unused(
    const struct conf_reading *rd, struct span key, struct span value, const char *why)
{
	char what[129], text[512], line[LIMIT_PATH + 1024];

	snprintf(line, sizeof(line), "%s: %s: %s: not used%s", rd->path,
	    span_escape(key, what, sizeof(what)), span_escape(value, text, sizeof(text)),
	    why);
	rd->note(rd->arg, line);
}

/* Rows that name programs count if only root could have written them. */
static int
row_helper(struct conf_reading *rd, struct span key, struct span value)
{
	const uint8_t *tab = value.n ? memchr(value.p, '\t', value.n) : NULL;
	struct span scope = span_of(value.p, tab ? (size_t)(tab - value.p) : 0);
	struct span name = tab ? span_from(value, scope.n + 1) : value;
	bool order = span_is(key, "credential-helpers");

	if (!order && !span_is(key, "cred_helper") && !span_is(key, "creds_store")) {
		row_unused(rd, key, value, "");
		return 0;
	}
	if (!rd->trusted && name.n && !(order && span_is(name, "containers-auth.json"))) {
		row_unused(rd, key, value, ": others than root could write the file");
		return 0;
	}
	int r = order ? secrets_add_order(rd->secrets, name)
		      : secrets_add_helper(rd->secrets, scope, name);
	if (r == -EINVAL)
		row_unused(rd, key, value, ": a helper's name is of a-z, 0-9 and -");
	return r == -EINVAL ? 0
	       : r < 0	    ? err_errno(&rd->err, -r, "%s: credential helpers", rd->path)
			    : 0;
}

static int
reader_row(struct conf_reading *rd, struct span key, struct span value)
{
	switch (rd->kind) {
	case CONFIG_BULKHEAD:
		return settings_row(rd->settings, rd->at, key, value, &rd->err);
	case CONFIG_STORAGE:
		return settings_row_storage(rd->settings, key, value, &rd->err);
	default:
		return row_helper(rd, key, value);
	}
}

static int
reader_registry(struct conf_reading *rd, const struct msg_config_registry *m)
{
	if (rd->kind < CONFIG_REGISTRIES || rd->kind > CONFIG_ALIASES ||
	    m->kind == REGISTRY_FILE ||
	    (rd->kind == CONFIG_ALIASES && m->kind != REGISTRY_ALIAS))
		return -EPROTO;
	return reading_keep(
	    rd, (enum registry_row)m->kind, (unsigned)m->flags, m->name, m->value);
}

/* Only auth files have any. */
static int
reader_secret(struct conf_reading *rd, const struct msg_config_secret *m)
{
	bool auth = rd->kind == CONFIG_AUTH || rd->kind == CONFIG_DOCKERCFG;
	int r = auth ? secrets_add(
			   rd->secrets, m->scope, (enum secret_kind)m->kind, m->secret)
		     : -EPROTO;

	return r < 0 ? err_errno(&rd->err, -r, "%s: a credential", rd->path) : 0;
}

/* A file of bounded size has so much to say and no more: a reader that goes on has been
 * taken over. */
static int
reader_count(struct conf_reading *rd, const struct ipc_msg *m)
{
	rd->messages++;
	if (m->type == MSG_config_row)
		rd->bytes += m->config_row.value.n;
	if (m->type == MSG_config_secret)
		rd->bytes += m->config_secret.secret.n + m->config_secret.scope.n;
	if (m->type == MSG_config_registry)
		rd->bytes += m->config_registry.name.n + m->config_registry.value.n;
	if (rd->messages <= LIMIT_CONFIG_ROWS && rd->bytes <= LIMIT_CONFIG_BYTES)
		return 0;
	return err_set(
	    &rd->err, ERR_INTERNAL, "%s: its reader says more than a file can", rd->path);
}

static int
reader_ask(struct conf_reading *rd)
{
	struct ipc_msg ask =
	    IPC_MSG(read_config, .kind = rd->kind, .name = span_str(rd->path));
	struct ipc_msg try = IPC_MSG(setup_verdict, .policy_file = span_str(rd->path));

	memcpy(try.setup_verdict.policy, rd->policy->sha256, sizeof(rd->policy->sha256));
	ask.fds[0] = rd->file;
	try.fds[0] = rd->policy->fd;
	ask.nfds = try.nfds = 1;
	return port_send(&rd->control, rd->step == STEP_POLICY ? &try : &ask);
}

static int
reader_hello(struct conf_reading *rd, const struct ipc_msg *m)
{
	if (memcmp(m->hello.schema, ipc_schema_hash, sizeof(m->hello.schema)) != 0)
		return err_set(&rd->err, ERR_INTERNAL,
		    "the reader of %s is of another build: install all programs together",
		    rd->path);
	rd->control.chan.phase = IPC_RUN;
	return reader_ask(rd);
}

static int
reader_end_of_file(struct conf_reading *rd, uint64_t code, struct span text)
{
	char line[LIMIT_PATH + 1200], shown[1100];

	if (code && rd->optional) {
		snprintf(line, sizeof(line), "%s: not used",
		    span_escape(text, shown, sizeof(shown)));
		rd->note(rd->arg, line);
		secrets_file_drop(rd->secrets);
		return 0;
	}
	if (!code)
		return 0;
	/* Whoever prints it escapes it. */
	return err_set(
	    &rd->err, (enum err_class)code, "%.*s", (int)text.n, (const char *)text.p);
}

static int
reader_message(struct conf_reading *rd, struct ipc_msg *m)
{
	int r = reader_count(rd, m);

	if (r < 0)
		return r;
	switch (m->type) {
	case MSG_hello:
		return reader_hello(rd, m);
	case MSG_log:
		return 0;
	case MSG_config_row:
		return reader_row(rd, m->config_row.key, m->config_row.value);
	case MSG_config_secret:
		return reader_secret(rd, &m->config_secret);
	case MSG_config_registry:
		return reader_registry(rd, &m->config_registry);
	case MSG_config_end:
		return reader_end_of_file(rd, m->config_end.code, m->config_end.text);
	case MSG_policy_read:
		return reader_end_of_file(rd, m->policy_read.code, m->policy_read.text);
	default:
		return err_set(
		    &rd->err, ERR_INTERNAL, "%s: its reader spoke out of turn", rd->path);
	}
}

/* The message is done with before the reader's channel goes. */
static int
control_message(struct port *p, struct ipc_msg *m)
{
	struct conf_reading *rd = p->arg;
	bool over = m->type == MSG_config_end || m->type == MSG_policy_read;
	int r = reader_message(rd, m);

	if (r < 0) {
		ipc_msg_release(m);
		if (!rd->err.code)
			err_errno(&rd->err, -r, "%s", rd->path);
		reading_finish(rd, r);
	} else if (over) {
		ipc_msg_release(m);
		reader_end(rd);
		rd->at++;
		reading_next(rd);
	}
	return 0;
}

static void
control_ended(struct port *p, const char *why)
{
	struct conf_reading *rd = p->arg;

	reading_finish(
	    rd, err_set(&rd->err, ERR_INTERNAL, "the reader of %s ended early%s%s",
		    rd->path, why ? ": " : "", why ? why : ""));
}

static void
early_ready(struct loop_source *source, uint32_t events)
{
	struct conf_reading *rd = source->arg;
	char text[1024];
	int fd = fd_steal(&rd->room.control);

	loop_remove(rd->loop, &rd->early);
	if (sandbox_failure(fd, text, sizeof(text))) {
		fd_close(&fd);
		reading_finish(rd, err_set(&rd->err, ERR_INTERNAL, "the reader of %s: %s",
				       rd->path, text));
		return;
	}
	rd->control =
	    (struct port){.message = control_message, .ended = control_ended, .arg = rd};
	int r = port_open(&rd->control, rd->loop, fd, CH_control, ROOM_SUPERVISOR,
	    rd->step == STEP_POLICY ? ROOM_VERDICT : ROOM_CONF, IPC_START);
	if (r < 0)
		reading_finish(rd, err_errno(&rd->err, -r, "the reader of %s", rd->path));
}

static void
timer_fired(struct loop_timer *t)
{
	struct conf_reading *rd = t->arg;

	if (!rd->running)
		reading_next(rd);
	else
		reading_finish(
		    rd, err_set(&rd->err, ERR_INTERNAL,
			    "the reader of %s has not come to an end within %d seconds",
			    rd->path, CONF_TIMEOUT_MS / 1000));
}

int
reader_start(struct conf_reading *rd, enum room room, enum config_kind kind)
{
	int r = sandbox_spawn(
	    rd->host, profile_find(room, SANDBOX_MODE_PLAIN), -1, &rd->room, &rd->err);

	if (r < 0)
		return r;
	rd->running = true;
	rd->kind = kind;
	rd->messages = 0;
	rd->bytes = 0;
	rd->control = (struct port){0};
	rd->early = (struct loop_source){
	    .fd = rd->room.control, .events = EPOLLIN, .ready = early_ready, .arg = rd};
	loop_timer_set(rd->loop, &rd->timer, CONF_TIMEOUT_MS);
	r = loop_add(rd->loop, &rd->early);
	return r < 0 ? err_errno(&rd->err, -r, "the reader of %s", rd->path) : 0;
}

struct conf_reading *
conf_begin(struct loop *loop, struct sandbox_host *h, const struct configured *c,
    conf_done_fn done, conf_note_fn note, void *arg)
{
	struct conf_reading *rd = calloc(1, sizeof(*rd));

	if (!rd)
		return NULL;
	*rd = (struct conf_reading){.loop = loop,
	    .host = h,
	    .settings = c->settings,
	    .registries = c->registries,
	    .secrets = c->secrets,
	    .policy = c->policy,
	    .done = done,
	    .note = note,
	    .arg = arg,
	    .file = -1,
	    .early = {.fd = -1},
	    .timer = {.fired = timer_fired, .arg = rd}};
	*c->policy = (struct policy_file){.fd = -1};
	settings_begin(c->settings);
	loop_timer_set(loop, &rd->timer, 0);
	return rd;
}

void
conf_cancel(struct conf_reading *rd)
{
	reader_end(rd);
	free(rd);
}

/* ---- at the start, when there is nothing else to do ---- */

struct waiting {
	struct loop loop;
	const struct settings *settings;
	struct err *e;
	int r;
};

static void
waiting_done(void *arg, int r, const struct err *e)
{
	struct waiting *w = arg;

	w->r = r;
	if (r < 0 && w->e)
		*w->e = *e;
	loop_quit(&w->loop);
}

static void
waiting_note(void *arg, const char *text)
{
	struct waiting *w = arg;

	if (w->settings->log_level >= 4)
		fprintf(stderr, "bulkhead: %s\n", text);
}

int
settings_read(const struct configured *c, struct sandbox_host *h, struct err *e)
{
	struct waiting w = {.e = e, .settings = c->settings};

	int r = loop_init(&w.loop);
	if (r < 0)
		return err_errno(e, -r, "event loop");
	if (!conf_begin(&w.loop, h, c, waiting_done, waiting_note, &w))
		r = err_errno(e, ENOMEM, "reading the configuration");
	else
		r = loop_run(&w.loop);
	loop_release(&w.loop);
	return r < 0 ? r : w.r;
}
