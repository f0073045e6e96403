/* profiles.def as C values: what each room is given, and why.
 *
 * The tables are constant; everything that applies, checks or prints privilege reads them
 * and nothing else. Functions take a profile by pointer, so that a test can pass an
 * altered copy. */
#ifndef BULKHEAD_SANDBOX_PROFILE_H
#define BULKHEAD_SANDBOX_PROFILE_H

#include "common/base/compiler.h"
#include "common/ipc/rooms.h"
#include "policy/sandbox/sandbox.h"

/* One system call, or one rule of several for it. Rules of the same call are
 * alternatives. */
struct profile_call {
	const char *name; /* NULL ends a list */
	int nr;		  /* -1: this architecture has no such call */
	int error;	  /* 0: allowed; otherwise the errno it fails with */
	unsigned narg;
	struct profile_arg {
		unsigned at; /* argument 0..5: allowed when (argument & mask) == value */
		uint64_t mask, value;
		const char *text;
	} arg[2];
	const char *why;
};

/* A named set of calls that several rooms share. */
struct profile_group {
	const char *name; /* NULL ends a list */
	const struct profile_call *calls;
};

struct profile_cap {
	const char *name; /* NULL ends a list */
	int cap;
	const char *why;
};

struct profile_limit {
	const char *name; /* NULL ends a list */
	int which;	  /* RLIMIT_... */
	uint64_t value;
	const char *why;
};

struct profile_fd {
	const char *name; /* NULL ends a list */
	int number;
};

enum profile_ids {
	IDS_ROOT,	 /* stays root */
	IDS_OWN,	 /* a uid and gid of its own */
	IDS_OWN_FSUID_0, /* that, but what it makes on disk belongs to root */
	IDS_NOBODY,	 /* root becomes nobody, anybody else stays who he is */
};

/* Namespaces that are the room's own. NET: the empty one; without it: the host's. */
enum profile_namespace {
	NS_MNT = 1,
	NS_NET = 2,
	NS_PID = 4,
	NS_IPC = 8,
	NS_UTS = 16,
	NS_USER = 32,
};

enum profile_root {
	ROOT_HOST,     /* the host's files, and nothing stops at them but Landlock */
	ROOT_EMPTY,    /* an empty read-only tmpfs */
	ROOT_RESOLVER, /* read-only tmpfs with /etc/{hosts,resolv.conf,nsswitch.conf} */
	ROOT_TREE,     /* one layer's tree, links followed inside it */
	ROOT_TREE_NO_LINKS, /* that, and no link is followed */
	ROOT_PROGRAM, /* tmpfs with /usr and /etc read-only, the programs' directory, an
			 own /proc, an empty /tmp */
};

/* What Landlock leaves. Everything that it knows and that is not listed is refused. */
enum profile_landlock {
	LANDLOCK_OFF,
	LANDLOCK_NOTHING,     /* no file at all, no TCP port */
	LANDLOCK_ETC_AND_TCP, /* read /etc, connect over TCP */
	LANDLOCK_TREE_WRITE,  /* make and change files beneath "/" */
	LANDLOCK_TREE_READ,   /* read beneath "/" */
	LANDLOCK_TREE_REMOVE, /* list and unlink beneath "/" */
	LANDLOCK_STORE,	      /* parts of the graph root: see landlock.c */
	LANDLOCK_PROGRAM,     /* read and run beneath "/", write in /tmp, connect */
};

enum profile_seccomp {
	SECCOMP_LIST,	/* the calls listed are allowed, everything else kills */
	SECCOMP_REFUSE, /* the calls listed fail, everything else is allowed */
};

struct profile {
	enum room room;
	enum sandbox_mode mode;
	const char *name; /* of the row: the room's, or "check", "rehash" ... */
	const char *does;
	const char *sees;
	unsigned asked_by;   /* bits 1 << enum room */
	unsigned live;	     /* most alive at once */
	unsigned per_second; /* most starts in one second */
	enum profile_ids ids;
	bool dies_with_supervisor; /* SIGKILL, by the kernel */
	unsigned namespaces;	   /* enum profile_namespace */
	enum profile_root root;
	enum profile_landlock landlock;
	enum profile_seccomp seccomp;
	const struct profile_cap *caps;
	const struct profile_limit *limits;
	const struct profile_fd *fds;
	const struct profile_group *groups;
	const struct profile_call *calls; /* beyond the groups' */
};

/* The row of a room in a mode; NULL when there is none. */
const struct profile *profile_find(enum room room, enum sandbox_mode mode);

/* All rows. */
const struct profile *profile_rows(size_t *n);

/* Calls fn for each rule of the profile, groups first. Stops at the first negative answer
 * and returns it; else 0. */
int profile_each_call(const struct profile *p,
    int (*fn)(const struct profile_call *call, const char *group, void *arg), void *arg);

/* Capabilities kept, as bits. */
uint64_t profile_caps(const struct profile *p);

/* The room's program ("bulkhead-fetch"); NULL for supervisor and cli. */
const char *profile_program(enum room room);

#endif
