/* Which configuration files there are: the main one and, in the directory beside it, its
 * drop-ins. They are opened here and read by others. */
#ifndef BULKHEAD_SUPERVISOR_DROPINS_H
#define BULKHEAD_SUPERVISOR_DROPINS_H

#include "common/base/err.h"
#include "common/base/limits.h"

/* The main file is number 0; the drop-ins follow in the order of their names' bytes: that
 * in which they are merged. */
struct config_files {
	unsigned n;
	const char *main; /* not owned */
	char dir[LIMIT_PATH + 1];
	char names[LIMIT_CONFIG_DROPINS][LIMIT_COMPONENT + 1];
};

/* Looks for both. The directory of a file X.toml is X.conf.d. Taken are names that end in
 * ".toml" and do not begin with a dot. 0, or negative with *e: more than
 * LIMIT_CONFIG_DROPINS, or a directory that others could write. */
int config_files_find(struct config_files *f, const char *main, struct err *e) MUST_CHECK;

/* The same for another program's file, containers-registries.conf.d(5): its drop-ins are
 * the files *.conf of the directory MAIN.d, whoever owns it. */
int config_files_find_foreign(
    struct config_files *f, const char *main, struct err *e) MUST_CHECK;

/* Opens file number i: a regular file of root's that nobody else can write; a drop-in is
 * no symbolic link. The fd; -ENOENT without *e: there is none; else negative with *e. */
int config_files_open(const struct config_files *f, unsigned i, struct err *e) MUST_CHECK;

/* Its path. Returns dst. */
char *config_files_path(const struct config_files *f, unsigned i, char *dst, size_t cap);

#endif
