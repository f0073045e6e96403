/* What the command line and the configuration files decide. Files are read by conf rooms,
 * one a file; here their rows are only compared and kept. */
#ifndef BULKHEAD_SUPERVISOR_SETTINGS_H
#define BULKHEAD_SUPERVISOR_SETTINGS_H

#include "common/base/err.h"
#include "common/base/limits.h"
#include "supervisor/secrets.h"

struct sandbox_host;

struct settings {
	/* From the command line; NULL: not given. */
	const char *config, *root, *runroot, *authfile, *cert_dir, *storage_conf;
	bool embedded;
	unsigned log_level;
	/* Decided, after settings_read. */
	char graph_root[LIMIT_PATH + 1], run_root[LIMIT_PATH + 1];
	char policy[LIMIT_PATH + 1], auth[LIMIT_PATH + 1],
	    certs[LIMIT_PATH + 1]; /* "" = none named */
	char storage[LIMIT_PATH + 1];
	char insecure[16385]; /* a line each */
	uint64_t max_layer, max_image;
	uint64_t uid_base;
	unsigned allow_degraded;
};

/* Command line of bulkheadd. 0, or negative with *e (ERR_USAGE). */
int settings_parse(struct settings *s, int argc, char **argv, struct err *e) MUST_CHECK;

/* The bulkhead configuration file alone: it says what the sandbox of its own reader may
 * lack, so an uncommon `allow_degraded` is read by a first, full-strength conf room. Then
 * storage.conf and the auth file. 0, or negative with *e. */
int settings_read(struct settings *s, struct sandbox_host *h, struct secrets *secrets,
    struct err *e) MUST_CHECK;

#endif
