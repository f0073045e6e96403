/* Configuration files through conf rooms, one a file, one after another: what a later
 * file says holds. Last comes the policy, which a verdict room tries. */
#include "supervisor/conf.h"

#include "common/base/fd.h"
#include "common/ipc/port.h"
#include "policy/sandbox/profile.h"
#include "policy/sandbox/spawn.h"
#include "supervisor/files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CONFIG_FILE "/etc/bulkhead/bulkhead.toml"
#define CONF_TIMEOUT_MS 15000 /* for one file, all of it */

/* Where storage.conf is looked for, the first that exists: containers-storage.conf(5). */
static const char *const storage_files[] = {
    "/etc/containers/storage.conf", "/usr/share/containers/storage.conf"};

/* What comes next. */
enum step { STEP_OWN, STEP_STORAGE, STEP_AUTH, STEP_POLICY, STEP_END };

struct conf_reading {
	struct loop *loop;
	struct sandbox_host *host;
	struct settings *settings;
	struct secrets *secrets;
	struct policy_file *policy;
	conf_done_fn done;
	conf_note_fn note;
	void *arg;
	struct err err;
	enum step step;
	unsigned at; /* of the step's files: the one that is read now */
	/* The file that is read now. */
	int file;
	enum config_kind kind;
	char path[LIMIT_PATH + LIMIT_COMPONENT + 2];
	unsigned messages;
	size_t bytes;
	/* Its reader. */
	bool running;
	struct sandbox_room room;
	struct loop_source early; /* the control fd before the first packet */
	struct port control;
	struct loop_timer timer; /* the file's time; also what begins the reading */
};

static void reading_next(struct conf_reading *rd);

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

/* What the auth file names and bulkhead does not use is said, so that nobody looks for
 * the reason of a refused login elsewhere. */
static void
row_auth(const struct conf_reading *rd, struct span key, struct span value)
{
	char what[129], text[512], line[LIMIT_PATH + 1024];

	snprintf(line, sizeof(line), "%s: %s: %s: not used", rd->path,
	    span_escape(key, what, sizeof(what)), span_escape(value, text, sizeof(text)));
	rd->note(rd->arg, line);
}

static int
reader_row(struct conf_reading *rd, struct span key, struct span value)
{
	switch (rd->kind) {
	case CONFIG_BULKHEAD:
		return settings_row(rd->settings, rd->at, key, value, &rd->err);
	case CONFIG_STORAGE:
		return settings_row_storage(rd->settings, key, value, &rd->err);
	case CONFIG_AUTH:
		row_auth(rd, key, value);
		return 0;
	}
	return -EINVAL;
}

/* Only the auth file has any. */
static int
reader_secret(struct conf_reading *rd, const struct msg_config_secret *m)
{
	int r = rd->kind == CONFIG_AUTH ? secrets_add(rd->secrets, m->scope,
					      (enum secret_kind)m->kind, m->secret)
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

/* Starts the reader of what rd->path names: rd->file, or the policy. */
static int
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

/* ---- one file after another: 0 = a reader is at work, 1 = the step is over ---- */

/* The main file, then its drop-ins. */
static int
step_own(struct conf_reading *rd)
{
	struct settings *s = rd->settings;
	int r = rd->at == 0 ? config_files_find(&s->files,
				  s->config ? s->config : CONFIG_FILE, &rd->err)
			    : 0;

	if (r < 0)
		return r;
	if (rd->at == s->files.n)
		return 1;
	config_files_path(&s->files, rd->at, rd->path, sizeof(rd->path));
	rd->file = config_files_open(&s->files, rd->at, &rd->err);
	if (rd->file >= 0)
		return reader_start(rd, ROOM_CONF, CONFIG_BULKHEAD);
	if (rd->file != -ENOENT || rd->err.code)
		return rd->file;
	if (rd->at > 0 || s->config)
		return err_set(&rd->err, ERR_USAGE, "%s: no such file", rd->path);
	rd->at++;
	return step_own(rd);
}

/* Another program's file, whoever owns it. Also 2: there is none. */
static int
foreign(struct conf_reading *rd, const char *path, enum config_kind kind)
{
	snprintf(rd->path, sizeof(rd->path), "%s", path);
	rd->file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (rd->file >= 0)
		return reader_start(rd, ROOM_CONF, kind);
	return errno == ENOENT ? 2 : err_errno(&rd->err, errno, "cannot open %s", path);
}

static int
step_storage(struct conf_reading *rd)
{
	struct settings *s = rd->settings;
	const char *const one[] = {s->storage};
	const char *const *paths = *s->storage ? one : storage_files;
	size_t n = *s->storage ? 1 : ARRAY_LEN(storage_files);

	if (rd->at > 0)
		return 1;
	for (size_t i = 0; i < n; i++) {
		int r = foreign(rd, paths[i], CONFIG_STORAGE);
		if (r == 2)
			continue;
		snprintf(s->storage_used, sizeof(s->storage_used), "%s", paths[i]);
		return r;
	}
	if (*s->storage)
		return err_set(&rd->err, ERR_USAGE, "%s: no such file", s->storage);
	return 1;
}

static int
step_auth(struct conf_reading *rd)
{
	struct settings *s = rd->settings;

	if (rd->at > 0 || !*s->auth)
		return 1;
	int r = foreign(rd, s->auth, CONFIG_AUTH);
	return r == 2 ? err_set(&rd->err, ERR_USAGE, "%s: no such file", s->auth) : r;
}

/* A command's own daemon tries none: its one verdict comes at once. */
static int
step_policy(struct conf_reading *rd)
{
	if (rd->at > 0)
		return 1;
	files_open_policy(rd->settings->policy, rd->policy);
	snprintf(rd->path, sizeof(rd->path), "%s", rd->policy->path);
	if (rd->policy->fd < 0 || rd->settings->embedded)
		return 1;
	return reader_start(rd, ROOM_VERDICT, 0);
}

/* What is decided once all files of a step are read. */
static int
step_over(struct conf_reading *rd)
{
	if (rd->step == STEP_OWN)
		settings_override(rd->settings);
	if (rd->step == STEP_STORAGE) {
		settings_finish(rd->settings);
		int r = settings_check(rd->settings, &rd->err);
		if (r < 0)
			return r;
	}
	rd->step++;
	rd->at = 0;
	return 0;
}

static void
reading_next(struct conf_reading *rd)
{
	static int (*const steps[])(struct conf_reading * rd) = {[STEP_OWN] = step_own,
	    [STEP_STORAGE] = step_storage,
	    [STEP_AUTH] = step_auth,
	    [STEP_POLICY] = step_policy};
	int r = 1;

	while (r == 1 && rd->step != STEP_END) {
		r = steps[rd->step](rd);
		if (r == 1) {
			int over = step_over(rd);
			r = over < 0 ? over : 1;
		}
	}
	if (r != 0)
		reading_finish(rd, r < 0 ? r : 0);
}

struct conf_reading *
conf_begin(struct loop *loop, struct sandbox_host *h, struct settings *settings,
    struct secrets *secrets, struct policy_file *policy, conf_done_fn done,
    conf_note_fn note, void *arg)
{
	struct conf_reading *rd = calloc(1, sizeof(*rd));

	if (!rd)
		return NULL;
	*rd = (struct conf_reading){.loop = loop,
	    .host = h,
	    .settings = settings,
	    .secrets = secrets,
	    .policy = policy,
	    .done = done,
	    .note = note,
	    .arg = arg,
	    .file = -1,
	    .early = {.fd = -1},
	    .timer = {.fired = timer_fired, .arg = rd}};
	*policy = (struct policy_file){.fd = -1};
	settings_begin(settings);
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
settings_read(struct settings *s, struct sandbox_host *h, struct secrets *secrets,
    struct policy_file *policy, struct err *e)
{
	struct waiting w = {.e = e, .settings = s};

	int r = loop_init(&w.loop);
	if (r < 0)
		return err_errno(e, -r, "event loop");
	if (!conf_begin(&w.loop, h, s, secrets, policy, waiting_done, waiting_note, &w))
		r = err_errno(e, ENOMEM, "reading the configuration");
	else
		r = loop_run(&w.loop);
	loop_release(&w.loop);
	return r < 0 ? r : w.r;
}
