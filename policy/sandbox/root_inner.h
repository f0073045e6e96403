/* Pieces of a new root that both kinds of it need. Internal. */
#ifndef BULKHEAD_SANDBOX_ROOT_INNER_H
#define BULKHEAD_SANDBOX_ROOT_INNER_H

#include "policy/sandbox/root.h"

/* Any directory that is always there: what it shows is gone after the pivot. */
#define SPOT "/proc"

/* Makes the working directory the root, and the old one is gone. */
int root_pivot(struct err *e) MUST_CHECK;

/* A file for everybody to read. 0 or -errno. */
int root_write_file(int dir, const char *name, const void *p, size_t n) MUST_CHECK;

/* The same with the content of another one. A file that is missing stays missing. */
int root_copy_file(int dir, const char *from, const char *name, struct err *e) MUST_CHECK;

/* ROOT_PROGRAM. */
int root_program(int dir, struct err *e) MUST_CHECK;

#endif
