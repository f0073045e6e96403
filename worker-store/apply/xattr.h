/* Which extended attributes of an image reach the tree. */
#ifndef BULKHEAD_APPLY_XATTR_H
#define BULKHEAD_APPLY_XATTR_H

#include "common/base/err.h"

enum xattr_node { XATTR_FILE, XATTR_DIRECTORY, XATTR_OTHER };

#define XATTR_DROPPED 1

/* Sets `user.*` and, on files, `security.capability`; fd is unused for XATTR_OTHER.
 * Markers that a container engine would believe, everything else of trusted, security and
 * system, and what the file system cannot hold are left out: XATTR_DROPPED. 0 when set.
 * Negative with *err: user.* on a node that cannot have it, a capability that is none. */
int xattr_set(int fd, enum xattr_node node, const char *name, struct span value,
    struct err *err) MUST_CHECK;

#endif
