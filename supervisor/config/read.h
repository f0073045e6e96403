/* The readers behind config_read. Internal. */
#ifndef BULKHEAD_CONFIG_READ_H
#define BULKHEAD_CONFIG_READ_H

#include "supervisor/config/config.h"
#include "supervisor/config/toml.h"

#include <sys/types.h>

struct reading {
	const char *name; /* of the file, escaped for a message */
	const struct config_sink *sink;
	struct err *e;
};

int bulkhead_read(struct reading *r, struct span bytes) MUST_CHECK;
int storage_read(struct reading *r, struct span bytes) MUST_CHECK;
int auth_read(struct reading *r, struct span bytes) MUST_CHECK;
int registries_read(
    struct reading *r, enum config_kind kind, struct span bytes) MUST_CHECK;
int dockercfg_read(struct reading *r, struct span bytes) MUST_CHECK;
int helper_read(struct reading *r, struct span bytes) MUST_CHECK;
int helper_error_read(struct reading *r, struct span bytes) MUST_CHECK;

/* toml_scan and toml_read over the bytes, refusals put into words. */
int reading_toml(
    struct reading *r, struct span bytes, toml_row_fn row, void *arg) MUST_CHECK;

/* "FILE:LINE: ..." of class ERR_USAGE; -EINVAL. */
int reading_refuse(struct reading *r, unsigned line, const char *fmt, ...) PRINTF(3, 4);

/* Whether the text is an absolute path without control characters. */
bool path_ok(struct span path);

#endif
