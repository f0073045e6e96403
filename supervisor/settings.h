/* What the command line and the configuration files decide. Files are read by conf rooms,
 * one a file; here their rows are only compared and kept. */
#ifndef BULKHEAD_SUPERVISOR_SETTINGS_H
#define BULKHEAD_SUPERVISOR_SETTINGS_H

#include "common/base/err.h"
#include "common/base/limits.h"
#include "supervisor/secrets.h"

struct sandbox_host;

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct settings {
	/* From the command line; NULL: not given. */
	const char *config, *root, *runroot, *authfile, *cert_dir, *storage_conf;
	const char *listen_given, *control_given, *metrics_given;
	bool embedded, level_given;
	/* Decided, after settings_read. */
	char graph_root[LIMIT_PATH + 1], run_root[LIMIT_PATH + 1];
	char policy[LIMIT_PATH + 1], auth[LIMIT_PATH + 1],
	    certs[LIMIT_PATH + 1]; /* "" = none named */
	char storage[LIMIT_PATH + 1];
	char insecure[16385]; /* a line each */
	uint64_t max_layer, max_image;
	uint64_t uid_base;
	unsigned allow_degraded;
	/* The daemon's. Paths of sockets; "" = none. */
	char listen[LIMIT_SOCKET_PATH + 1], control_socket[LIMIT_SOCKET_PATH + 1],
	    metrics_socket[LIMIT_SOCKET_PATH + 1];
	unsigned log_level; /* 3 error, 4 warning, 6 info, 7 debug */
	enum log_format log_format;
	char pins[16385]; /* patterns, a line each; the pause image is among them */
	uint64_t max_pulls,
	    max_pulls_namespace;   /* at once; the latter: 0 = no own limit */
	uint64_t progress_seconds; /* 0 = off */
	uint64_t max_message;	   /* bytes of a gRPC message */
};

/* Command line of bulkheadd. 0, or negative with *e (ERR_USAGE). */
int settings_parse(struct settings *s, int argc, char **argv, struct err *e) MUST_CHECK;

/* The bulkhead configuration file alone: it says what the sandbox of its own reader may
 * lack, so an uncommon `allow_degraded` is read by a first, full-strength conf room. Then
 * storage.conf and the auth file. 0, or negative with *e. */
int settings_read(struct settings *s, struct sandbox_host *h, struct secrets *secrets,
    struct err *e) MUST_CHECK;

#endif
