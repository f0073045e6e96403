/* fetch -> hash -> inflate -> hash -> apply as five processes with their real messages
 * and rings, with or without the sandbox; fetch and apply are played. */
#ifndef BULKHEAD_TESTS_HASH_CHAIN_H
#define BULKHEAD_TESTS_HASH_CHAIN_H

#include "common/ipc/msg.h"
#include "common/ipc/values.h"
#include "policy/sandbox/spawn.h"

enum chain_fault {
	CHAIN_SOUND,
	CHAIN_FETCH_DIES,   /* after half of the blob */
	CHAIN_FETCH_ABORTS, /* likewise */
	CHAIN_FETCH_LIES,   /* an impossible index */
	CHAIN_FETCH_STALLS, /* after its first slot, ringing the bell all the time */
	CHAIN_INFLATE_DIES, /* at once */
	CHAIN_APPLY_DIES,   /* after its first slot */
	CHAIN_STORE_DIES,   /* closes its end of the channel */
	CHAIN_SUPERVISOR_STOPS,
};

struct chain_plan {
	enum compression compression;
	int blob;      /* file to send, whole */
	uint64_t size; /* as the manifest would say */
	uint64_t max_bytes;
	uint64_t granted; /* at first, and again each time; 0 = all */
	unsigned grants;  /* after so many the store says no: it ends the channel */
	size_t piece;	  /* bytes fetch puts into a slot; 0 = as many as fit */
	enum chain_fault fault;
	bool discard; /* there is no apply */
	bool again;   /* nor fetch: an applier feeds it */
	struct sandbox_host
	    *host; /* run bulkhead-hash and bulkhead-inflate in their sandboxes */
};

struct chain_result {
	bool hashed, failed; /* which answer came */
	struct msg_hashed answer;
	uint64_t code; /* of hash_failed */
	char text[1025];
	unsigned progress;			       /* reports seen */
	unsigned asked;				       /* for more to be granted */
	int hash_status, inflate_status, apply_status; /* of wait() */
	uint64_t apply_bytes;			       /* that apply saw; ~0 = aborted */
	double wall, cpu;			       /* seconds, all five processes */
};

void chain_run(const struct chain_plan *plan, struct chain_result *out);

#endif
