/* Small steps on directories and files by descriptor, each refusing links. */
#ifndef BULKHEAD_STORE_DIR_H
#define BULKHEAD_STORE_DIR_H

#include "common/base/fd.h"
#include "common/ipc/values.h"
#include "worker-store/store/store.h"

#include <dirent.h>

/* Whether what follows is brought to disk at all: it is, unless the configuration says
 * durability = "none". Of the whole process. */
void disk_durability(enum durability d);

/* fsync, fdatasync; nothing without durability. */
int disk_sync(int fd);
int disk_sync_data(int fd);

/* Opens a directory (not through a link) for reading. fd or -errno. */
int dir_open(int at, const char *name) MUST_CHECK;

/* The same, made first with exactly this mode if it is missing. fd or -errno. */
int dir_make(int at, const char *name, mode_t mode) MUST_CHECK;

/* A directory (not through a link) to be listed; NULL with errno. CLEANUP(dir_list_end).
 */
DIR *dir_list(int at, const char *name);
void dir_list_end(DIR **d);

/* A new file of exactly this content and mode, on disk when the call returns. 0 or
 * -errno; nothing is left behind on error. */
int file_new(int at, const char *name, mode_t mode, struct span content) MUST_CHECK;
/* The same, not synced. */
int file_new_unsynced(
    int at, const char *name, mode_t mode, struct span content) MUST_CHECK;

/* Reads a regular file of at most cap - 1 bytes into a NUL-terminated buffer. Length or
 * -errno. */
ssize_t file_text(int at, const char *name, char *dst, size_t cap) MUST_CHECK;

/* Whether something of this name is there: 1, 0 or -errno. */
int dir_has(int at, const char *name) MUST_CHECK;

/* Moves a tree or file out of sight into the trash; one that is not there is no error. */
int trash_put(struct store *s, int at, const char *name) MUST_CHECK;

/* Replaces one of the store's .json files by the table's text: a file in staging (where a
 * dead process's is swept), read back
 * strictly with the same parser, token into the lock file, rename, directory synced. 0,
 * or negative with the file as it was. */
int table_publish(struct store *s, const struct table *t, int dir, const char *name,
    int lock_fd, struct err *e) MUST_CHECK;
/* The same for records that rest on what has changed in some directories: these are
 * synced when the file is written and not yet renamed, so that most file systems have one
 * transaction to finish for all of them. */
int table_publish_on(struct store *s, const struct table *t, const int *rests, size_t n,
    int dir, const char *name, int lock_fd, struct err *e) MUST_CHECK;

#endif
