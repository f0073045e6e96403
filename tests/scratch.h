/* A directory for one test: in memory, which is quicker, where its file system has user.*
 * attributes (tmpfs from Linux 6.6 on), else on disk. */
#ifndef BULKHEAD_TESTS_SCRATCH_H
#define BULKHEAD_TESTS_SCRATCH_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The path goes into dir (64 bytes are enough for a short name). False: there is none. */
static inline bool
scratch_make(char *dir, size_t cap, const char *name)
{
	snprintf(dir, cap, "/dev/shm/%s-XXXXXX", name);
	if (mkdtemp(dir)) {
		if (setxattr(dir, "user.probe", "", 0, 0) == 0 &&
		    removexattr(dir, "user.probe") == 0)
			return true;
		rmdir(dir);
	}
	snprintf(dir, cap, "/var/tmp/%s-XXXXXX", name);
	return mkdtemp(dir) != NULL;
}

#endif
