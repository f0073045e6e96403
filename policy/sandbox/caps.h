/* Capability sets. The one user of libcap. */
#ifndef BULKHEAD_SANDBOX_CAPS_H
#define BULKHEAD_SANDBOX_CAPS_H

#include "common/base/err.h"

/* Keeps the capabilities `keep` (bits) of this process's permitted and effective sets,
 * with the bounding set equal to them; inheritable and ambient end empty. When `lock`,
 * all securebits are set and locked first. Needs CAP_SETPCAP for that and for the
 * bounding set. 0, or negative with *e; also when afterwards the sets are not exactly
 * these. */
int caps_limit(uint64_t keep, bool lock, struct err *e) MUST_CHECK;

/* Changes of uid no longer touch the capability sets (SECBIT_NO_SETUID_FIXUP). 0 or
 * -errno. */
int caps_hold_over_setuid(void) MUST_CHECK;

/* The permitted set of this process. 0 or -errno. */
int caps_permitted(uint64_t *bits) MUST_CHECK;

/* "CHOWN,SETFCAP" for bits; "none" for 0. Returns dst. */
char *caps_text(uint64_t bits, char *dst, size_t cap);

#endif
