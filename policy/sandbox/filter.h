/* A profile's system calls as a BPF program. The one user of libseccomp.
 *
 * Programs are made where the rooms are started from, once a row; a room only installs
 * the bytes that its ticket brings. */
#ifndef BULKHEAD_SANDBOX_FILTER_H
#define BULKHEAD_SANDBOX_FILTER_H

#include "policy/sandbox/profile.h"

#define FILTER_MAX 16384 /* bytes of a program */

struct filter {
	size_t n; /* bytes; 8 an instruction */
	uint8_t bytes[FILTER_MAX];
};

/* 0, or negative with *e. */
int filter_build(const struct profile *p, struct filter *out, struct err *e) MUST_CHECK;

#endif
