/* What the command line and the configuration files decide. Files are read by conf rooms,
 * one a file; here their rows are only compared and kept. The keys: config/keys.def. */
#ifndef BULKHEAD_SUPERVISOR_SETTINGS_H
#define BULKHEAD_SUPERVISOR_SETTINGS_H

#include "common/base/err.h"
#include "common/base/limits.h"
#include "common/ipc/values.h"
#include "supervisor/dropins.h"
#include "supervisor/registries.h"
#include "supervisor/secrets.h"

struct policy_file;
struct sandbox_host;

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

enum setting_id {
#define SETTING(key, form, least, most, fallback, field, when, help) KEY_##key,
#include "supervisor/config/keys.def"
#undef SETTING
	KEY_COUNT
};

/* Where a value comes from: one of these, or SOURCE_FILE + index of settings.files. */
enum { SOURCE_DEFAULT, SOURCE_STORAGE, SOURCE_COMMAND, SOURCE_FILE };

#define AUTH_SEARCH 4

struct settings {
	/* From the command line; NULL: not given. Sockets without "unix://". */
	const char *config, *root, *runroot, *authfile, *cert_dir, *storage_conf;
	const char *listen_given, *control_given, *metrics_given;
	unsigned level_given; /* 0: not given */
	/* Where credentials are looked for when no file is named: in the first that has
	 * some. */
	const char *auth_search[AUTH_SEARCH];
	unsigned n_auth_search;
	bool embedded;
	/* Decided, after settings_read. */
	char graph_root[LIMIT_PATH + 1], run_root[LIMIT_PATH + 1];
	char policy[LIMIT_PATH + 1], auth[LIMIT_PATH + 1],
	    certs[LIMIT_PATH + 1]; /* "" = none named */
	char storage[LIMIT_PATH + 1];
	char auth_dir[LIMIT_PATH + 1], helper_dir[LIMIT_PATH + 1];
	char helper_env[4097], proxy[LIMIT_HOST + 17], no_proxy[16385],
	    registry_proxies[16385]; /* lists: a line each */
	char registries[LIMIT_PATH + 1], aliases[LIMIT_PATH + 1];
	char insecure[16385], plain_http[16385], unverified_tls[16385]; /* a line each */
	uint64_t max_layer, max_image;
	enum durability durability;
	uint64_t check_rate; /* bytes a second; 0 = no limit */
	uint64_t uid_base;
	unsigned allow_degraded;
	/* The daemon's. Paths of sockets; "" = none. */
	char listen[LIMIT_SOCKET_PATH + 1], control_socket[LIMIT_SOCKET_PATH + 1],
	    metrics_socket[LIMIT_SOCKET_PATH + 1];
	unsigned log_level; /* 3 error, 4 warning, 6 info, 7 debug */
	enum log_format log_format;
	char pinned[16385 - LIMIT_NAME - 1], pause[LIMIT_NAME + 1];
	char pins[16385]; /* both: patterns, a line each */
	uint64_t max_pulls;
	uint64_t max_pulls_namespace;  /* 0 = no limit of its own */
	uint64_t max_layers;	       /* in flight, of all pulls */
	uint64_t max_layers_pull;      /* of one */
	uint64_t progress_seconds;     /* 0 = off */
	uint64_t max_message;	       /* bytes of a gRPC message */
	uint64_t retries, retry_after; /* retry_after: seconds */
	enum fallback fallback;
	uint64_t ranges;
	/* Who decided what. */
	uint8_t from[KEY_COUNT];
	struct config_files files;
	char storage_used[LIMIT_PATH + 1]; /* the storage.conf that was read, or "" */
};

struct setting_info {
	const char *key, *help;
	bool list, restart; /* restart: a reload does not apply it */
};

/* ---- pure: settings.c, settings_options.c, settings_text.c ---- */

/* Command line of bulkheadd. 0, or negative with *e (ERR_USAGE). */
int settings_parse(struct settings *s, int argc, char **argv, struct err *e) MUST_CHECK;

/* Forgets what files have said; what the command line gave stays. */
void settings_begin(struct settings *s);

/* A row that a reader sent of file number `file` of s->files, or of storage.conf. 0, or
 * negative with *e: a key or a value that no honest reader sends, or a list that takes
 * too many bytes. */
int settings_row(struct settings *s, unsigned file, struct span key, struct span value,
    struct err *e) MUST_CHECK;
int settings_row_storage(
    struct settings *s, struct span key, struct span value, struct err *e) MUST_CHECK;

/* The command line over the files, so that storage_conf, authfile are decided; then,
 * after storage.conf, the fallbacks of all that nobody set. */
void settings_override(struct settings *s);
void settings_finish(struct settings *s);

/* The files in which credentials are looked for when `authfile` names none: what the
 * command line gave, else the daemon's. NULL: there are no more. */
const char *settings_auth_search(const struct settings *s, unsigned i);

/* Whether the values go together: no two sockets on one path. 0, or negative with *e. */
int settings_check(const struct settings *s, struct err *e) MUST_CHECK;

const struct setting_info *setting_info(enum setting_id key);

/* The value as bulkhead.toml would have it, one line; cut with "..." to fit. Returns dst.
 * settings_fallback: what holds when nothing sets the key. */
char *settings_text(const struct settings *s, enum setting_id key, char *dst, size_t cap);
char *settings_fallback(enum setting_id key, char *dst, size_t cap);

/* "default", "command line" or a file's path. Returns dst. */
char *settings_source(
    const struct settings *s, enum setting_id key, char *dst, size_t cap);

/* Tells fn every key whose value differs; returns how many. No value is a secret. */
typedef void (*settings_change_fn)(
    void *arg, const char *key, const char *before, const char *after, bool restart);
unsigned settings_changes(const struct settings *before, const struct settings *after,
    settings_change_fn fn, void *arg);

/* After a reload: what only a restart can change stays as it runs. The next reload names
 * it again. */
void settings_keep_running(struct settings *s, const struct settings *running);

/* ---- conf.c ---- */

/* bulkhead.toml, its drop-ins, storage.conf, registries.conf, the auth file and the
 * policy. For a reload: a copy of the running settings, whose files are read again; on
 * failure nothing of it is of use. registries and secrets are empty before. A policy that
 * cannot be used is no failure: policy->problem; its content is tried by a verdict room,
 * but not for an embedded one. policy->fd is -1 or the caller's. 0, or negative with *e.
 */
struct configured {
	struct settings *settings;
	struct registry_rows *registries;
	struct secrets *secrets;
	struct policy_file *policy;
};
int settings_read(
    const struct configured *c, struct sandbox_host *h, struct err *e) MUST_CHECK;

#endif
