/* The store's lock files: whole-file record locks, which exclude the classic POSIX locks
 * that podman, CRI-O and the rest take, but belong to the open file and so do not vanish
 * when another descriptor of the file is closed.
 *
 * Never the blocking call: podman 4.3.1 holds layers.lock through a whole extraction, and
 * this room has other work. A hold is tried again until it has everything it wants. */
#ifndef BULKHEAD_STORE_LOCK_H
#define BULKHEAD_STORE_LOCK_H

#include "common/base/err.h"
#include "common/base/fd.h"

enum lock_file { LOCK_LAYERS, LOCK_IMAGES, LOCK_CONTAINERS, LOCK_N };

/* Zero-initialise with HOLD_NONE. Locks are taken in the order of enum lock_file, each
 * kept while the next is waited for (upstream's order, so nothing can wait in a circle).
 */
struct hold {
	int fd[LOCK_N];
	bool write[LOCK_N];
	unsigned want;	   /* bits 1 << enum lock_file */
	unsigned delay_ms; /* how long to wait before the next try: 1 .. 50 */
	uint64_t since_ns; /* first failure, monotonic; 0 = none */
	bool told;
};
#define HOLD_NONE                    \
	(struct hold)                \
	{                            \
		.fd = { -1, -1, -1 } \
	}

/* Takes what of `want` is not held yet; each entry of files[] is the directory and name
 * of a lock file. Layers and images exclusively, containers shared: it is only read here.
 * A file that is missing is made (0644). 0: all held. -EAGAIN: call again after
 * h->delay_ms. Else negative with e filled. When somebody has been in the way for two
 * seconds, `holder` (may be NULL) gets one sentence for the log, once. */
struct lock_at {
	int dir;
	const char *name;
};
int hold_try(struct hold *h, unsigned want, const struct lock_at files[LOCK_N],
    char holder[200], struct err *e) MUST_CHECK;

/* hold_try until all is held or `deadline_ns` (monotonic, 0 = never) has passed: then
 * -ETIMEDOUT with e of class ERR_DEADLINE. Sleeps in between. */
int hold_wait(struct hold *h, unsigned want, const struct lock_at files[LOCK_N],
    uint64_t deadline_ns, struct err *e) MUST_CHECK;

/* Lets go in reverse order; for CLEANUP too. */
void hold_release(struct hold *h);

/* 64 fresh bytes at offset 0 of a held lock file: upstream's readers compare them, and
 * reload when they have changed. Written before the file they speak of. 0 or negative. */
int lock_token_write(int fd, struct err *e) MUST_CHECK;

/* One exclusive try on an open file. 0, -EAGAIN, or -errno. */
int lock_try(int fd) MUST_CHECK;

uint64_t monotonic_ns(void);

#endif
