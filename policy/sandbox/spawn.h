/* Starting rooms: step 1 of putting a sandbox on, in the supervisor's child before exec.
 *
 * sandbox_host_init() makes this process a supervisor: a mount namespace of its own, the
 * empty network namespace that all rooms but the dialer share, the programs opened, the
 * filters made. Link `sandbox`. */
#ifndef BULKHEAD_SANDBOX_SPAWN_H
#define BULKHEAD_SANDBOX_SPAWN_H

#include "policy/sandbox/features.h"
#include "policy/sandbox/filter.h"
#include "policy/sandbox/uids.h"

#define SANDBOX_ROWS 24 /* at least the rows of profiles.def */

struct sandbox_host {
	struct features features;
	unsigned degraded; /* in effect: bits of enum sandbox_degraded */
	int landlock_abi;  /* to use; 0: none */
	bool mdwe;
	struct uids uids;
	int net_host; /* the network namespace that we came from */
	int null;
	int program[ROOM_COUNT]; /* the rooms' executables, O_PATH */
	int graph, run; /* directories on the mount clones; -1 before sandbox_graph */
	uint64_t graph_mount; /* mount id, device */
	uint64_t graph_device;
	struct filter *filter[SANDBOX_ROWS];
	unsigned live[SANDBOX_ROWS];
	bool hurry; /* rows of mode VERIFY run at normal priority */
	struct sandbox_rate {
		uint64_t second;
		unsigned starts;
	} rate[SANDBOX_ROWS];
};

struct sandbox_options {
	const char *programs; /* directory of the rooms' executables */
	const char *uids;     /* directory of the uid locks */
	uid_t uid_base;
	unsigned allow_degraded; /* bits of enum sandbox_degraded */
};

/* Once, in a process with one thread, as root. 0, or negative with *e. */
int sandbox_host_init(
    struct sandbox_host *h, const struct sandbox_options *o, struct err *e) MUST_CHECK;
void sandbox_host_release(struct sandbox_host *h);

/* Gives up what row `supervisor` does not list: the bounding set, and a filter. After it,
 * sandbox_host_init and sandbox_graph no longer work. 0, or negative with *e. */
int sandbox_host_confine(struct sandbox_host *h, struct err *e) MUST_CHECK;

/* Clones the mounts of graph root and run root (made when missing, 0700; refused when
 * others could write them) with nodev, nosuid, noexec, nosymfollow, the run root's
 * read-only as well, and attaches the clones in this mount namespace, over the originals.
 * 0, or negative with *e. */
int sandbox_graph(struct sandbox_host *h, const char *graph_root, const char *run_root,
    struct err *e) MUST_CHECK;

/* A room that was started. */
struct sandbox_room {
	const struct profile *profile;
	pid_t pid;
	int pidfd;   /* readable when it has ended; waitid(P_PIDFD) reaps it */
	int control; /* our end of its control channel, non-blocking, close-on-exec */
	uid_t uid;
	bool idle; /* at idle priority */
};

/* Starts a room by its row. dir: for apply's rows the directory that becomes the room's
 * root, as the store sent it (checked: a directory on the mount that sandbox_graph made;
 * still the caller's); for helper the directory of its program, which is then seen under
 * its own path, or -1; else -1. Reports of a child that fails before exec come over
 * out->control as SANDBOX_FAILED. 0, or negative with *e: also when too many live or
 * start (ERR_IN_USE). */
int sandbox_spawn(struct sandbox_host *h, const struct profile *p, int dir,
    struct sandbox_room *out, struct err *e) MUST_CHECK;

/* Waits for the end of a room whose pidfd is readable (or for a room just killed), frees
 * its uid and closes both fds. *status: exit code, or 256 + signal. 0 or -errno. */
int sandbox_reap(
    struct sandbox_host *h, struct sandbox_room *room, int *status) MUST_CHECK;

/* If the next packet on a control channel is a report of failure (SANDBOX_FAILED), takes
 * it: true, with its text (escaped) in dst. Anything else stays where it is. */
bool sandbox_failure(int control, char *dst, size_t cap);

#endif
