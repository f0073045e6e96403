/* The daemon's listening sockets: bound here, or passed in by the service manager (socket
 * activation, sd_listen_fds(3)). The supervisor keeps them for its life; the frontend
 * gets copies. */
#ifndef BULKHEAD_SUPERVISOR_LISTEN_H
#define BULKHEAD_SUPERVISOR_LISTEN_H

#include "common/base/err.h"
#include "common/base/limits.h"
#include "common/ipc/values.h"

#include <sys/types.h>

#define LISTENERS 3 /* enum listen_kind */

struct listener {
	int fd;
	bool passed; /* the service manager's: its file is not ours */
	bool bound;
	dev_t device; /* of the file that we made */
	ino_t inode;
	char path[LIMIT_SOCKET_PATH + 1];
};

struct listeners {
	struct listener of[LISTENERS];
};

/* "cri", "control", "metrics": in log lines, and as FileDescriptorName=. */
const char *listener_name(enum listen_kind kind);

/* What the environment says was passed in. pid, count, names: LISTEN_PID, LISTEN_FDS and
 * LISTEN_FDNAMES, each may be NULL. */
struct listen_env {
	const char *pid, *count, *names;
};

/* The number of descriptors passed to process `self`, 0 when none are. Negative with *e:
 * what stands there cannot be. */
int listen_env_count(const struct listen_env *env, pid_t self, struct err *e) MUST_CHECK;

/* Takes the descriptors first .. first + n - 1 over. By its name each is one of ours;
 * without LISTEN_FDNAMES a stream is cri and a seqpacket control. Refused: another name,
 * two of a kind, a socket that does not listen, is of another type, or abstract. 0, or
 * negative with *e. */
int listeners_take(struct listeners *l, const struct listen_env *env, int first, int n,
    struct err *e) MUST_CHECK;

/* Makes sockets, not bound yet, for the kinds that were not passed in: a socket shows up
 * in the lists of the network namespace in which it is made. 0, or negative with *e. */
int listeners_make(struct listeners *l, struct err *e) MUST_CHECK;

/* Binds and listens at path: the file 0600, its directory made 0700 when missing and
 * refused when others can write it. A file that nobody listens on any more is replaced; a
 * socket in use is refused. Nothing happens for a kind that was passed in; path "": the
 * socket is closed. 0, or negative with *e. */
int listener_bind(struct listeners *l, enum listen_kind kind, const char *path,
    struct err *e) MUST_CHECK;

/* Whether it still takes connections: who held a copy could have shut it down for all. */
bool listener_lives(const struct listener *l);

/* A new socket in place of one that does not. 0, or negative with *e: also for one that
 * was passed in. */
int listener_renew(struct listeners *l, enum listen_kind kind, struct err *e) MUST_CHECK;

/* Removes the files that we made, if they are still ours. */
void listeners_unlink(struct listeners *l);

void listeners_init(struct listeners *l);
void listeners_release(struct listeners *l);

#endif
