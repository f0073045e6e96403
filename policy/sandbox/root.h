/* The root directory that a room ends up with. */
#ifndef BULKHEAD_SANDBOX_ROOT_H
#define BULKHEAD_SANDBOX_ROOT_H

#include "policy/sandbox/profile.h"

/* Makes `kind` this process's root and detaches everything else. The mount namespace must
 * be this process's own and not shared. For the ROOT_TREE kinds, `tree` is a detached
 * mount; for ROOT_PROGRAM any directory, or none. 0, or negative with *e. */
int root_enter(enum profile_root kind, int tree, struct err *e) MUST_CHECK;

#endif
