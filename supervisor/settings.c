#include "supervisor/settings.h"

#include "common/base/fd.h"
#include "common/ipc/chan.h"
#include "policy/sandbox/profile.h"
#include "policy/sandbox/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CONFIG_FILE "/etc/bulkhead/bulkhead.toml"
#define GRAPH_ROOT "/var/lib/containers/storage"
#define RUN_ROOT "/run/containers/storage"
#define LISTEN_SOCKET "/run/bulkhead/bulkhead.sock"
#define CONTROL_SOCKET "/run/bulkhead/control.sock"
#define CONF_TIMEOUT_MS 15000

/* Where storage.conf is looked for, the first that exists: containers-storage.conf(5). */
static const char *const storage_files[] = {
    "/etc/containers/storage.conf", "/usr/share/containers/storage.conf"};

int
settings_parse(struct settings *s, int argc, char **argv, struct err *e)
{
	enum {
		CONFIG = 256,
		ROOT,
		RUNROOT,
		AUTHFILE,
		CERT_DIR,
		STORAGE_CONF,
		LEVEL,
		EMBEDDED
	};
	static const struct option options[] = {
	    {"config", required_argument, NULL, CONFIG},
	    {"root", required_argument, NULL, ROOT},
	    {"runroot", required_argument, NULL, RUNROOT},
	    {"authfile", required_argument, NULL, AUTHFILE},
	    {"cert-dir", required_argument, NULL, CERT_DIR},
	    {"storage-conf", required_argument, NULL, STORAGE_CONF},
	    {"log-level", required_argument, NULL, LEVEL},
	    {"embedded", no_argument, NULL, EMBEDDED},
	    {0},
	};
	static const char *const levels[] = {
	    [3] = "error", [4] = "warning", [6] = "info", [7] = "debug"};

	*s = (struct settings){.log_level = 4,
	    .max_layer = LIMIT_LAYER_DEFAULT,
	    .max_image = LIMIT_IMAGE_DEFAULT,
	    .uid_base = UIDS_BASE,
	    .listen = LISTEN_SOCKET,
	    .control_socket = CONTROL_SOCKET,
	    .max_pulls = 6,
	    .max_message = LIMIT_GRPC_MESSAGE_DEFAULT};
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		const char **text = c == CONFIG		? &s->config
				    : c == ROOT		? &s->root
				    : c == RUNROOT	? &s->runroot
				    : c == AUTHFILE	? &s->authfile
				    : c == CERT_DIR	? &s->cert_dir
				    : c == STORAGE_CONF ? &s->storage_conf
							: NULL;
		if (text) {
			*text = optarg;
			if (*optarg != '/')
				return err_set(
				    e, ERR_USAGE, "%s: not an absolute path", optarg);
		} else if (c == EMBEDDED) {
			s->embedded = true;
		} else if (c == LEVEL) {
			unsigned level = 0;
			for (unsigned i = 3; i < ARRAY_LEN(levels); i++) {
				if (levels[i] && strcmp(levels[i], optarg) == 0)
					level = i;
			}
			if (!level)
				return err_set(e, ERR_USAGE,
				    "--log-level %s: error, warning, info or debug",
				    optarg);
			s->log_level = level;
		} else {
			return err_set(
			    e, ERR_USAGE, "unknown option %s", argv[optind - 1]);
		}
	}
	if (optind != argc)
		return err_set(e, ERR_USAGE, "unexpected argument %s", argv[optind]);
	return 0;
}

/* ---- one file through one conf room ---- */

struct reading {
	struct settings *settings;
	struct secrets *secrets;
	const char *file;
	int (*row)(struct settings *s, struct span key, struct span value);
	struct err *e;
};

static int
reading_message(struct reading *rd, struct ipc_msg *m, bool *over)
{
	char key[129], text[1024];
	int r;

	switch (m->type) {
	case MSG_log:
		return 0;
	case MSG_config_row:
		r = rd->row(rd->settings, m->config_row.key, m->config_row.value);
		if (r < 0)
			return err_set(rd->e, ERR_USAGE,
			    "%s: the value of %s cannot be used", rd->file,
			    span_escape(m->config_row.key, key, sizeof(key)));
		return 0;
	case MSG_config_secret:
		r = secrets_add(rd->secrets, m->config_secret.scope,
		    (enum secret_kind)m->config_secret.kind, m->config_secret.secret);
		return r < 0 ? err_errno(rd->e, r, "%s: a credential", rd->file) : 0;
	case MSG_config_end:
		*over = true;
		if (m->config_end.code)
			return err_set(rd->e, (enum err_class)m->config_end.code, "%s",
			    span_escape(m->config_end.text, text, sizeof(text)));
		return 0;
	default:
		return err_set(
		    rd->e, ERR_INTERNAL, "%s: its reader spoke out of turn", rd->file);
	}
}

/* HELLO, then the file goes in and rows come out until the end. */
static int
reading_talk(struct reading *rd, struct chan *c, enum config_kind kind, int file)
{
	struct ipc_msg m;
	const char *why = NULL;
	char text[1024];
	bool over = false;

	if (sandbox_failure(c->fd, text, sizeof(text)))
		return err_set(
		    rd->e, ERR_INTERNAL, "the reader of %s: %s", rd->file, text);
	int r = chan_recv_wait(c, &m, CONF_TIMEOUT_MS, &why);
	if (r != 0 && sandbox_failure(c->fd, text, sizeof(text)))
		return err_set(
		    rd->e, ERR_INTERNAL, "the reader of %s: %s", rd->file, text);
	if (r != 0 || m.type != MSG_hello ||
	    memcmp(m.hello.schema, ipc_schema_hash, sizeof(m.hello.schema)) != 0)
		return err_set(rd->e, ERR_INTERNAL, "the reader of %s did not start: %s",
		    rd->file, why ? why : "no word of it");
	struct ipc_msg ask =
	    IPC_MSG(read_config, .kind = kind, .name = span_str(rd->file));
	ask.fds[0] = file;
	ask.nfds = 1;
	r = chan_send(c, &ask);
	c->phase = IPC_RUN;
	while (r == 0 && !over) {
		r = chan_recv_wait(c, &m, CONF_TIMEOUT_MS, &why);
		if (r != 0)
			return err_set(rd->e, ERR_INTERNAL,
			    "the reader of %s ended early%s%s", rd->file, why ? ": " : "",
			    why ? why : "");
		r = reading_message(rd, &m, &over);
		ipc_msg_release(&m);
	}
	return r;
}

static void
wait_readable(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};

	(void)!poll(&p, 1, CONF_TIMEOUT_MS);
}

static int
reading_run(struct reading *rd, struct sandbox_host *h, enum config_kind kind, int file)
{
	struct sandbox_room room;
	struct chan c;
	int status;

	int r = sandbox_spawn(
	    h, profile_find(ROOM_CONF, SANDBOX_MODE_PLAIN), -1, &room, rd->e);
	if (r < 0)
		return r;
	wait_readable(room.control);
	r = chan_init(
	    &c, fd_steal(&room.control), CH_control, ROOM_SUPERVISOR, ROOM_CONF);
	if (r == 0)
		r = reading_talk(rd, &c, kind, file);
	chan_release(&c);
	syscall(SYS_pidfd_send_signal, room.pidfd, SIGKILL, NULL, 0);
	(void)!sandbox_reap(h, &room, &status);
	return r;
}

/* 0; positive 1: there is no such file; negative with *e. */
static int
read_file(struct settings *s, struct secrets *secrets, struct sandbox_host *h,
    enum config_kind kind, const char *path,
    int (*row)(struct settings *s, struct span key, struct span value), struct err *e)
{
	struct reading rd = {s, secrets, path, row, e};
	FD_AUTO file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (file < 0 && errno == ENOENT)
		return 1;
	if (file < 0)
		return err_errno(e, errno, "cannot open %s", path);
	return reading_run(&rd, h, kind, file);
}

/* ---- rows ---- */

static int
keep_text(char *dst, size_t cap, struct span value)
{
	return span_to_str(value, dst, cap) ? 0 : -EINVAL;
}

static int
keep_number(uint64_t *dst, uint64_t max, struct span value)
{
	char text[24], *end;

	if (!span_to_str(value, text, sizeof(text)) || text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	unsigned long long v = strtoull(text, &end, 10);
	if (errno || *end || v > max)
		return -EINVAL;
	*dst = v;
	return 0;
}

static int
keep_insecure(struct settings *s, struct span value)
{
	size_t at = strlen(s->insecure);

	if (at + value.n + 2 > sizeof(s->insecure) || memchr(value.p, '\n', value.n))
		return -EINVAL;
	memcpy(s->insecure + at, value.p, value.n);
	memcpy(s->insecure + at + value.n, "\n", 2);
	return 0;
}

static int
keep_degraded(struct settings *s, struct span value)
{
	char name[64];
	unsigned bit =
	    span_to_str(value, name, sizeof(name)) ? features_degraded_bit(name) : 0;

	s->allow_degraded |= bit;
	return bit ? 0 : -EINVAL;
}

static int
row_bulkhead(struct settings *s, struct span key, struct span value)
{
	const struct {
		const char *key;
		char *dst;
		size_t cap;
	} texts[] = {
	    {"root", s->graph_root, sizeof(s->graph_root)},
	    {"runroot", s->run_root, sizeof(s->run_root)},
	    {"policy", s->policy, sizeof(s->policy)},
	    {"authfile", s->auth, sizeof(s->auth)},
	    {"cert_dir", s->certs, sizeof(s->certs)},
	    {"storage_conf", s->storage, sizeof(s->storage)},
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (span_is(key, texts[i].key))
			return keep_text(texts[i].dst, texts[i].cap, value);
	}
	if (span_is(key, "insecure_registries"))
		return keep_insecure(s, value);
	if (span_is(key, "allow_degraded"))
		return keep_degraded(s, value);
	if (span_is(key, "max_layer_bytes"))
		return keep_number(&s->max_layer, LIMIT_LAYER_HARD, value);
	if (span_is(key, "max_image_bytes"))
		return keep_number(&s->max_image, LIMIT_IMAGE_HARD, value);
	if (span_is(key, "uid_base"))
		return keep_number(&s->uid_base, UINT32_MAX - 4096, value);
	return -EINVAL;
}

/* Only where nothing has decided yet: the command line and bulkhead's own file come
 * first. */
static int
row_storage(struct settings *s, struct span key, struct span value)
{
	if (span_is(key, "graphroot") && !*s->graph_root)
		return keep_text(s->graph_root, sizeof(s->graph_root), value);
	if (span_is(key, "runroot") && !*s->run_root)
		return keep_text(s->run_root, sizeof(s->run_root), value);
	return 0;
}

/* What the auth file names and bulkhead does not use is said, so that nobody looks for
 * the reason of a refused login elsewhere. */
static int
row_auth(struct settings *s, struct span key, struct span value)
{
	char what[129], text[512];

	if (s->log_level >= 4)
		fprintf(stderr, "bulkhead: %s: %s: %s: not used\n", s->auth,
		    span_escape(key, what, sizeof(what)),
		    span_escape(value, text, sizeof(text)));
	return 0;
}

/* ---- all of it ---- */

static void
override(char *dst, size_t cap, const char *text)
{
	if (text)
		snprintf(dst, cap, "%s", text);
}

static int
read_storage(
    struct settings *s, struct secrets *secrets, struct sandbox_host *h, struct err *e)
{
	int r = 1;

	if (*s->storage) {
		r = read_file(s, secrets, h, CONFIG_STORAGE, s->storage, row_storage, e);
		return r == 1 ? err_set(e, ERR_USAGE, "%s: no such file", s->storage) : r;
	}
	for (size_t i = 0; r == 1 && i < ARRAY_LEN(storage_files); i++)
		r = read_file(
		    s, secrets, h, CONFIG_STORAGE, storage_files[i], row_storage, e);
	return r < 0 ? r : 0;
}

int
settings_read(
    struct settings *s, struct sandbox_host *h, struct secrets *secrets, struct err *e)
{
	const char *config = s->config ? s->config : CONFIG_FILE;

	int r = read_file(s, secrets, h, CONFIG_BULKHEAD, config, row_bulkhead, e);
	if (r == 1 && s->config)
		return err_set(e, ERR_USAGE, "%s: no such file", s->config);
	if (r < 0)
		return r;
	override(s->graph_root, sizeof(s->graph_root), s->root);
	override(s->run_root, sizeof(s->run_root), s->runroot);
	override(s->auth, sizeof(s->auth), s->authfile);
	override(s->certs, sizeof(s->certs), s->cert_dir);
	override(s->storage, sizeof(s->storage), s->storage_conf);
	r = read_storage(s, secrets, h, e);
	if (r < 0)
		return r;
	if (!*s->graph_root)
		snprintf(s->graph_root, sizeof(s->graph_root), "%s", GRAPH_ROOT);
	if (!*s->run_root)
		snprintf(s->run_root, sizeof(s->run_root), "%s", RUN_ROOT);
	if (!*s->auth)
		return 0;
	r = read_file(s, secrets, h, CONFIG_AUTH, s->auth, row_auth, e);
	return r == 1 ? err_set(e, ERR_USAGE, "%s: no such file", s->auth) : r;
}
