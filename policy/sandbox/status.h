/* What a running room really is, from /proc: for `bulkhead status`, and to compare with
 * its row of profiles.def before it is given anything. */
#ifndef BULKHEAD_SANDBOX_STATUS_H
#define BULKHEAD_SANDBOX_STATUS_H

#include "policy/sandbox/spawn.h"

#define STATUS_GROUPS 32
#define STATUS_FDS 4096
#define STATUS_LIMITS 8

struct sandbox_status {
	pid_t pid;
	uint32_t uid[4], gid[4]; /* real, effective, saved, file system */
	unsigned ngroups;
	uint32_t group[STATUS_GROUPS];
	uint64_t inheritable, permitted, effective, bounding, ambient;
	unsigned no_new_privs, seccomp, filters, threads;
	unsigned pid_levels; /* 2: pid 1 of its own namespace inside the supervisor's */
	unsigned pid_inside;
	unsigned namespaces; /* NS_ bits that differ from the supervisor's; NET: from the
				host's */
	unsigned mounts;     /* that it can see; 1 for a room with a root of its own */
	char root[160];	     /* the first of them: file system, options */
	struct status_limit {
		int which; /* RLIMIT_...; a list that ends with -1 */
		uint64_t soft, hard;
	} limit[STATUS_LIMITS + 1];
	unsigned nfds;
	char fds[512]; /* "0 /dev/null, 3 socket, ..." */
};

/* Pure parsers of /proc/PID/status, limits, mountinfo. 0; -EPROTO when a line that
 * matters is missing or malformed. */
int status_parse(struct span text, struct sandbox_status *s) MUST_CHECK;
int status_parse_limits(struct span text, struct sandbox_status *s) MUST_CHECK;
int status_parse_mounts(struct span text, struct sandbox_status *s) MUST_CHECK;

/* What confines one process, and everything about it: that has its descriptors, too. h
 * gives the namespaces to compare with. 0 or -errno. */
int status_read_bounds(
    const struct sandbox_host *h, pid_t pid, struct sandbox_status *s) MUST_CHECK;
int status_read(
    const struct sandbox_host *h, pid_t pid, struct sandbox_status *s) MUST_CHECK;

/* Only what /proc/PID/status says. */
int status_read_ids(pid_t pid, struct sandbox_status *s) MUST_CHECK;

/* One fact a call, the value as text for people. */
typedef void status_line_fn(const char *key, const char *value, void *arg);
void status_lines(const struct sandbox_status *s, status_line_fn *fn, void *arg);

/* Compares a room, after its HELLO, with its row: ids, groups, all five capability sets,
 * no_new_privs, seccomp mode and number of filters, threads, pid, namespaces, root,
 * limits. 0; -EPERM with *e naming the first difference; or -errno with *e. */
int sandbox_verify(const struct sandbox_host *h, const struct sandbox_room *room,
    struct err *e) MUST_CHECK;

/* The comparison alone. own: this process's own number of filters. */
int status_compare(const struct sandbox_status *s, const struct profile *p, uid_t uid,
    unsigned degraded, unsigned own_filters, struct err *e) MUST_CHECK;

#endif
