/* Registries as files say them, through the reader's own code. */
#ifndef BULKHEAD_TESTS_REGISTRY_FILES_H
#define BULKHEAD_TESTS_REGISTRY_FILES_H

#include "frontend/registries.h"
#include "supervisor/config/config.h"

static inline int
registry_files_row(void *arg, const char *key, struct span value)
{
	return 0;
}

static inline int
registry_files_secret(
    void *arg, struct span scope, enum secret_kind kind, struct span secret)
{
	return -1;
}

static inline int
registry_files_add(void *arg, enum registry_row kind, unsigned flags, struct span name,
    struct span value)
{
	return registries_add(arg, kind, flags, name, value);
}

/* Adds what a file of that name and content says. */
static inline int
registry_files_read(struct registries *r, enum config_kind kind, const char *name,
    struct span text, struct err *e)
{
	const struct config_sink sink = {
	    registry_files_row, registry_files_secret, registry_files_add, r};
	int rc = registries_add(r, REGISTRY_FILE, 0, span_str(name), span_str(""));

	return rc < 0 ? rc : config_read(kind, text, name, &sink, e);
}

#endif
