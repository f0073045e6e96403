/* What the supervisor tells a room's sandbox_enter(): the room's row of profiles.def as
 * far as step 2 needs it, its uid, and its system call filter, as one sealed memfd at
 * SANDBOX_FD_TICKET. */
#ifndef BULKHEAD_SANDBOX_TICKET_H
#define BULKHEAD_SANDBOX_TICKET_H

#include "policy/sandbox/filter.h"

#define TICKET_MAGIC 0x626b6831u

struct ticket {
	uint32_t magic;
	uint32_t room; /* enum room */
	uint32_t mode; /* enum sandbox_mode */
	uint32_t ids;  /* enum profile_ids */
	uint32_t uid, gid;
	uint32_t root;	       /* enum profile_root */
	uint32_t landlock;     /* enum profile_landlock */
	uint32_t landlock_abi; /* use this one; 0: none */
	uint32_t mdwe;	       /* 1: PR_SET_MDWE must work */
	uint32_t dies;	       /* 1: SIGKILL when the supervisor ends */
	uint32_t degraded;     /* bits of enum sandbox_degraded */
	uint64_t caps;
	uint32_t nfilter; /* bytes of the filter that follow; 0: none */
	uint32_t idle;	  /* 1: run at idle priority */
};

/* A room that cannot put its sandbox on says why in one packet on its control channel,
 * instead of HELLO: this byte (which begins no message), then text. */
#define SANDBOX_FAILED 0xc1

#endif
