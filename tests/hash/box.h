/* A supervisor's side of the sandbox for these tests, with the real rooms' programs. */
#ifndef BULKHEAD_TESTS_HASH_BOX_H
#define BULKHEAD_TESTS_HASH_BOX_H

#include "policy/sandbox/spawn.h"

/* Programs are looked for in ../bin beside the directory of the running one, or in its
 * own. NULL when this is not root. Exits on any other failure. */
struct sandbox_host *box_open(void);
void box_close(void);

#endif
