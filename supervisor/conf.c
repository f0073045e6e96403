/* Configuration files through conf rooms, one a file. */
#include "common/base/fd.h"
#include "common/ipc/chan.h"
#include "policy/sandbox/profile.h"
#include "policy/sandbox/spawn.h"
#include "supervisor/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CONFIG_FILE "/etc/bulkhead/bulkhead.toml"
#define CONF_TIMEOUT_MS 15000 /* for one file, all of it */

/* Where storage.conf is looked for, the first that exists: containers-storage.conf(5). */
static const char *const storage_files[] = {
    "/etc/containers/storage.conf", "/usr/share/containers/storage.conf"};

struct reading {
	struct settings *settings;
	struct secrets *secrets;
	const char *path;
	enum config_kind kind;
	unsigned file; /* its number in settings->files, of bulkhead's own */
	unsigned messages;
	size_t bytes;
	int64_t end; /* in milliseconds of the monotonic clock */
	struct err *e;
};

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int
time_left(const struct reading *rd)
{
	int64_t left = rd->end - now_ms();

	return left > 0 ? (int)left : 0;
}

/* What the auth file names and bulkhead does not use is said, so that nobody looks for
 * the reason of a refused login elsewhere. */
static void
row_auth(const struct reading *rd, struct span key, struct span value)
{
	char what[129], text[512];

	if (rd->settings->log_level >= 4)
		fprintf(stderr, "bulkhead: %s: %s: %s: not used\n", rd->path,
		    span_escape(key, what, sizeof(what)),
		    span_escape(value, text, sizeof(text)));
}

static int
reading_row(struct reading *rd, struct span key, struct span value)
{
	switch (rd->kind) {
	case CONFIG_BULKHEAD:
		return settings_row(rd->settings, rd->file, key, value, rd->e);
	case CONFIG_STORAGE:
		return settings_row_storage(rd->settings, key, value, rd->e);
	case CONFIG_AUTH:
		row_auth(rd, key, value);
		return 0;
	}
	return -EINVAL;
}

/* A file of bounded size has so much to say and no more: a reader that goes on has been
 * taken over. */
static int
reading_count(struct reading *rd, const struct ipc_msg *m)
{
	rd->messages++;
	if (m->type == MSG_config_row)
		rd->bytes += m->config_row.value.n;
	if (m->type == MSG_config_secret)
		rd->bytes += m->config_secret.secret.n + m->config_secret.scope.n;
	if (rd->messages <= LIMIT_CONFIG_ROWS && rd->bytes <= LIMIT_CONFIG_BYTES)
		return 0;
	return err_set(
	    rd->e, ERR_INTERNAL, "%s: its reader says more than a file can", rd->path);
}

static int
reading_message(struct reading *rd, struct ipc_msg *m, bool *over)
{
	char text[1024];
	int r = reading_count(rd, m);

	if (r < 0)
		return r;
	switch (m->type) {
	case MSG_log:
		return 0;
	case MSG_config_row:
		return reading_row(rd, m->config_row.key, m->config_row.value);
	case MSG_config_secret:
		/* Only the auth file has any. */
		r = rd->kind == CONFIG_AUTH
			? secrets_add(rd->secrets, m->config_secret.scope,
			      (enum secret_kind)m->config_secret.kind,
			      m->config_secret.secret)
			: -EPROTO;
		return r < 0 ? err_errno(rd->e, r, "%s: a credential", rd->path) : 0;
	case MSG_config_end:
		*over = true;
		if (m->config_end.code)
			return err_set(rd->e, (enum err_class)m->config_end.code, "%s",
			    span_escape(m->config_end.text, text, sizeof(text)));
		return 0;
	default:
		return err_set(
		    rd->e, ERR_INTERNAL, "%s: its reader spoke out of turn", rd->path);
	}
}

/* HELLO, then the file goes in and rows come out until the end. */
static int
reading_talk(struct reading *rd, struct chan *c, int file)
{
	struct ipc_msg m;
	const char *why = NULL;
	char text[1024];
	bool over = false;

	if (sandbox_failure(c->fd, text, sizeof(text)))
		return err_set(
		    rd->e, ERR_INTERNAL, "the reader of %s: %s", rd->path, text);
	int r = chan_recv_wait(c, &m, time_left(rd), &why);
	if (r != 0 && sandbox_failure(c->fd, text, sizeof(text)))
		return err_set(
		    rd->e, ERR_INTERNAL, "the reader of %s: %s", rd->path, text);
	if (r != 0 || m.type != MSG_hello ||
	    memcmp(m.hello.schema, ipc_schema_hash, sizeof(m.hello.schema)) != 0)
		return err_set(rd->e, ERR_INTERNAL, "the reader of %s did not start: %s",
		    rd->path, why ? why : "no word of it");
	struct ipc_msg ask =
	    IPC_MSG(read_config, .kind = rd->kind, .name = span_str(rd->path));
	ask.fds[0] = file;
	ask.nfds = 1;
	r = chan_send(c, &ask);
	c->phase = IPC_RUN;
	while (r == 0 && !over) {
		r = chan_recv_wait(c, &m, time_left(rd), &why);
		if (r != 0)
			return err_set(rd->e, ERR_INTERNAL,
			    "the reader of %s ended early%s%s", rd->path, why ? ": " : "",
			    why ? why : "");
		r = reading_message(rd, &m, &over);
		ipc_msg_release(&m);
	}
	return r;
}

static int
reading_run(struct reading *rd, struct sandbox_host *h, int file)
{
	struct sandbox_room room;
	struct chan c;
	int status;

	int r = sandbox_spawn(
	    h, profile_find(ROOM_CONF, SANDBOX_MODE_PLAIN), -1, &room, rd->e);
	if (r < 0)
		return r;
	rd->end = now_ms() + CONF_TIMEOUT_MS;
	struct pollfd p = {room.control, POLLIN, 0};
	(void)!poll(&p, 1, time_left(rd));
	r = chan_init(
	    &c, fd_steal(&room.control), CH_control, ROOM_SUPERVISOR, ROOM_CONF);
	if (r == 0)
		r = reading_talk(rd, &c, file);
	chan_release(&c);
	syscall(SYS_pidfd_send_signal, room.pidfd, SIGKILL, NULL, 0);
	(void)!sandbox_reap(h, &room, &status);
	return r;
}

/* What is needed to read files. */
struct readers {
	struct settings *s;
	struct sandbox_host *h;
	struct secrets *secrets;
	struct err *e;
};

/* Another program's file, whoever owns it. 0; positive 1: there is no such file; negative
 * with *e. */
static int
read_foreign(const struct readers *w, enum config_kind kind, const char *path)
{
	struct reading rd = {.settings = w->s,
	    .secrets = w->secrets,
	    .path = path,
	    .kind = kind,
	    .e = w->e};
	FD_AUTO file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (file < 0 && errno == ENOENT)
		return 1;
	if (file < 0)
		return err_errno(w->e, errno, "cannot open %s", path);
	return reading_run(&rd, w->h, file);
}

/* One of bulkhead's own. -ENOENT without *e: there is none. */
static int
read_own(const struct readers *w, unsigned number)
{
	char path[LIMIT_PATH + LIMIT_COMPONENT + 2];
	struct reading rd = {.settings = w->s,
	    .secrets = w->secrets,
	    .path = config_files_path(&w->s->files, number, path, sizeof(path)),
	    .kind = CONFIG_BULKHEAD,
	    .file = number,
	    .e = w->e};
	FD_AUTO file = config_files_open(&w->s->files, number, w->e);

	return file < 0 ? file : reading_run(&rd, w->h, file);
}

/* The main file, then its drop-ins: what a later one says holds. */
static int
read_all(const struct readers *w)
{
	struct settings *s = w->s;
	char path[LIMIT_PATH + LIMIT_COMPONENT + 2];

	int r = config_files_find(&s->files, s->config ? s->config : CONFIG_FILE, w->e);
	for (unsigned i = 0; r == 0 && i < s->files.n; i++) {
		r = read_own(w, i);
		if (r != -ENOENT || w->e->code)
			continue;
		if (i == 0 && !s->config)
			r = 0;
		else
			r = err_set(w->e, ERR_USAGE, "%s: no such file",
			    config_files_path(&s->files, i, path, sizeof(path)));
	}
	return r;
}

static int
read_storage(const struct readers *w)
{
	struct settings *s = w->s;
	const char *const one[] = {s->storage};
	const char *const *paths = *s->storage ? one : storage_files;
	size_t n = *s->storage ? 1 : ARRAY_LEN(storage_files);
	int r = 1;

	for (size_t i = 0; r == 1 && i < n; i++) {
		snprintf(s->storage_used, sizeof(s->storage_used), "%s", paths[i]);
		r = read_foreign(w, CONFIG_STORAGE, paths[i]);
	}
	if (r == 1)
		*s->storage_used = 0;
	if (r == 1 && *s->storage)
		return err_set(w->e, ERR_USAGE, "%s: no such file", s->storage);
	return r < 0 ? r : 0;
}

int
settings_read(
    struct settings *s, struct sandbox_host *h, struct secrets *secrets, struct err *e)
{
	struct err local = {0};
	struct readers w = {s, h, secrets, e ? e : &local};

	settings_begin(s);
	int r = read_all(&w);
	if (r < 0)
		return r;
	settings_override(s);
	r = read_storage(&w);
	if (r < 0)
		return r;
	settings_finish(s);
	r = settings_check(s, w.e);
	if (r < 0 || !*s->auth)
		return r;
	r = read_foreign(&w, CONFIG_AUTH, s->auth);
	return r == 1 ? err_set(w.e, ERR_USAGE, "%s: no such file", s->auth) : r;
}
