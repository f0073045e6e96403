/* Files that only root may have written: who writes them decides what the service does.
 */
#ifndef BULKHEAD_SUPERVISOR_ROOTFILE_H
#define BULKHEAD_SUPERVISOR_ROOTFILE_H

#include "common/base/err.h"

/* Whether what fd shows is root's and nobody else can write it. path is for messages. 0,
 * or negative with *e. */
int rootfile_check(int fd, const char *path, struct err *e) MUST_CHECK;

/* Opens dir/name (AT_FDCWD: name itself) for reading: a regular file that passes
 * rootfile_check; flags are added (O_NOFOLLOW). The fd; -ENOENT without *e: there is
 * none; else negative with *e. */
int rootfile_open(
    int dir, const char *name, int flags, const char *path, struct err *e) MUST_CHECK;

#endif
