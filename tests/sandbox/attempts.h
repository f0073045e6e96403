/* Things a room might try. The probe runs one at a time inside its sandbox. */
#ifndef BULKHEAD_TESTS_SANDBOX_ATTEMPTS_H
#define BULKHEAD_TESTS_SANDBOX_ATTEMPTS_H

#include <stdint.h>
#include <stddef.h>

struct attempt {
	const char *name;
	long (*fn)(void); /* >= 0: it worked; else -1 with errno */
};

extern const struct attempt attempts[];
extern const size_t nattempts;

/* Parent to probe: which attempt. Probe to parent: that attempt, and 0 or its errno. The
 * first packet of a probe has HELLO as index and the report's words. */
#define PROBE_HELLO 0xffffffffu
struct probe_packet {
	uint32_t index;
	int32_t result;
	int32_t landlock_abi, mdwe, seccomp, mode;
};

/* In the parent: a tree that the attempts know (graph root). */
#define TREE "overlay/t/diff"

#endif
