/* How a room gives up everything but what its block of profiles.def leaves it.
 *
 * Step 1 happens in the supervisor's child before exec (policy/sandbox/spawn.h). Step 2
 * is sandbox_enter(), the first thing in a room's main(): until it returns, the room runs
 * as root in its new namespaces and must read nothing from anybody.
 *
 * Link `sandbox_room` for this header. */
#ifndef BULKHEAD_SANDBOX_H
#define BULKHEAD_SANDBOX_H

#include "common/base/err.h"
#include "common/ipc/rooms.h"

/* Descriptors at fixed numbers; 0, 1 and 2 are /dev/null (2 is the supervisor's own
 * stderr in a build with sanitizers). Everything else is closed. */
enum sandbox_fd {
	SANDBOX_FD_CONTROL = 3, /* SOCK_SEQPACKET to the supervisor */
	/* The store's: directories, on mounts with nodev, nosuid, noexec, nosymfollow. */
	SANDBOX_FD_STORE_GRAPH = 4, /* graph root: open beneath it, never "/" */
	SANDBOX_FD_STORE_RUN = 5,   /* run root, on a read-only mount */
	/* apply's: the tree it becomes the root of; used up and closed by sandbox_enter.
	 */
	SANDBOX_FD_APPLY_TREE = 4,
	SANDBOX_FD_TICKET = 6, /* used up and closed by sandbox_enter */
};

/* What a room was started for; its rights differ with it. */
enum sandbox_mode {
	SANDBOX_MODE_PLAIN,  /* what every room but apply does */
	SANDBOX_MODE_APPLY,  /* "/" is the layer's diff, writable, links inside it are
				followed */
	SANDBOX_MODE_CHECK,  /* "/" is the layer's diff, only to be read; no link is
				followed */
	SANDBOX_MODE_REMOVE, /* "/" is the tree to empty; no link is followed */
	SANDBOX_MODE_VERIFY, /* of a layer that is there, at idle priority: apply reads it
				("/" is the diff, links inside it are followed), hash
				hashes it
			      */
};

/* What has been put on, for HELLO and for `bulkhead status`. */
struct sandbox_report {
	enum sandbox_mode mode;
	int landlock_abi;     /* 0: none (degraded) */
	const char *landlock; /* what it leaves, for people; static text */
	bool mdwe;	      /* memory-deny-write-execute by the kernel */
	bool seccomp;	      /* false only in a build with sanitizers, or degraded */
	unsigned degraded; /* bits of enum sandbox_degraded (policy/sandbox/features.h) */
};

struct sandbox_setup {
	/* Initialises libraries that would open files or ask for more later (OpenSSL, CA
	 * bundle, json_object_seed, curl_multi_init, tzset ...). Runs as root with the
	 * host's files in sight, on trusted input only. May be NULL. 0, or negative with
	 * *e filled. */
	int (*warm_up)(void *arg, struct err *e);
	void *arg;
	struct sandbox_report *report; /* filled when not NULL */
};

/* Puts the room's block of profiles.def on, in this order: name, warm-up, root, ids,
 * capabilities and bounding set, securebits, no_new_privs, parent-death signal, MDWE,
 * Landlock, dumpable off, seccomp; then tries to get root back and fails the room if that
 * works. setup may be NULL. Returns 0; on any failure one line goes to the supervisor
 * over the control channel and the process exits with 125, because a half-confined room
 * must not run on. */
int sandbox_enter(enum room room, const struct sandbox_setup *setup) MUST_CHECK;

#endif
