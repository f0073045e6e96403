/* What the kernel offers, what bulkhead needs of it, and which lesser forms the
 * configuration may allow (`allow_degraded`). */
#ifndef BULKHEAD_SANDBOX_FEATURES_H
#define BULKHEAD_SANDBOX_FEATURES_H

#include "common/base/err.h"

/* Bits; each is one name in allow_degraded. openat2 and namespaces have no lesser form.
 */
enum sandbox_degraded {
	DEGRADED_KERNEL = 1,	   /* "kernel": older than 6.1 */
	DEGRADED_SECCOMP = 2,	   /* "seccomp": no system call filters */
	DEGRADED_LANDLOCK = 4,	   /* "landlock": none, or an ABI below 2 */
	DEGRADED_APPLY_USERNS = 8, /* "apply-userns": apply keeps its capabilities in the
				      initial user namespace */
	/* Not lesser forms that a host needs, but what users of older kernels have: tests
	 * run once more with them, and `status` shows them. */
	DEGRADED_LANDLOCK_ABI_2 = 16, /* "landlock-abi-2": use no more than ABI 2 */
	DEGRADED_NO_MDWE = 32,	      /* "no-mdwe": leave PR_SET_MDWE out */
};

struct features {
	char release[65];
	unsigned major, minor;
	bool seccomp;	  /* filters, with KILL_PROCESS */
	int landlock_abi; /* 0: none */
	bool mdwe;
	bool openat2;
	bool namespaces; /* mount, net, pid, ipc, uts */
	bool userns;
	long max_user_namespaces; /* -1: not known */
};

/* Asks the kernel; needs /proc. Changes nothing. 0, or negative with *e. */
int features_probe(struct features *f, struct err *e) MUST_CHECK;

/* Decides by f alone. `allowed`: bits that the configuration names. *degraded: bits that
 * are in effect. 0, or negative with *e naming what is missing and what to do. */
int features_check(const struct features *f, unsigned allowed, unsigned *degraded,
    struct err *e) MUST_CHECK;

/* The bit of a name in allow_degraded; 0 for a name that is none. */
unsigned features_degraded_bit(const char *name);

/* The names of the bits, comma-separated, "" for none. Returns dst. */
char *features_degraded_text(unsigned bits, char *dst, size_t cap);

#endif
