#include "policy/sandbox/profile.h"

#include "common/base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>

/* Calls that newer architectures do without. */
#ifdef SYS_poll
#define NR_poll SYS_poll
#define WITHOUT_poll(nr) -1
#else
#define NR_poll -1
#define WITHOUT_poll(nr) nr
#endif
#ifdef SYS_epoll_wait
#define NR_epoll_wait SYS_epoll_wait
#define WITHOUT_epoll_wait(nr) -1
#else
#define NR_epoll_wait -1
#define WITHOUT_epoll_wait(nr) nr
#endif
#ifdef SYS_renameat
#define NR_renameat SYS_renameat
#else
#define NR_renameat -1
#endif

/* profiles.def is read twice: first the sets of calls, then the rows that name them. */
#define IF(...) IF_(#__VA_ARGS__, __VA_ARGS__)
#define IF_(...) IF__(__VA_ARGS__)
#define IF__(txt, at_, mask_, value_) {at_, mask_, value_, txt},
#define COUNT_ARGS(...) \
	(sizeof((const struct profile_arg[]){__VA_ARGS__}) / sizeof(struct profile_arg))
#define RULE(n, number, err, reason, ...)    \
	{.name = n,                          \
	    .nr = number,                    \
	    .error = err,                    \
	    .narg = COUNT_ARGS(__VA_ARGS__), \
	    .arg = {__VA_ARGS__},            \
	    .why = reason},
#define BARE(n, number, err, reason) \
	{.name = n, .nr = number, .error = err, .why = reason},
#define CALL(name, why) BARE(#name, SYS_##name, 0, why)
#define LEGACY(name, why) BARE(#name, NR_##name, 0, why)
#define MODERN(name, old, why) BARE(#name, WITHOUT_##old(SYS_##name), 0, why)
#define CALL_IF(name, why, ...) RULE(#name, SYS_##name, 0, why, __VA_ARGS__)
#define ANSWER(name, err, why) BARE(#name, SYS_##name, err, why)
#define ANSWER_IF(name, err, why, ...) RULE(#name, SYS_##name, err, why, __VA_ARGS__)

#define CALL_GROUP(set, ...) \
	static const struct profile_call calls_##set[] = {__VA_ARGS__{.name = NULL}};
#define PROFILE(...)
#include "policy/sandbox/profiles.def"
#undef CALL_GROUP
#undef PROFILE
#undef INT
#undef TYPE
#undef NO_EXEC

#define CALL_GROUP(...)
#define PROFILE(row, room_, mode_, does_, sees_, ...) \
	{.room = ROOM_##room_,                        \
	    .mode = SANDBOX_MODE_##mode_,             \
	    .name = #row,                             \
	    .does = does_,                            \
	    .sees = sees_,                            \
	    __VA_ARGS__},
#define BY(r) (1u << ROOM_##r)
#define ASKED_BY(who) .asked_by = who,
#define LIVES(alive, rate) .live = alive, .per_second = rate,
#define ENDS(how) .dies_with_supervisor = ENDS_##how,
#define ENDS_WITH_SUPERVISOR true
#define ENDS_ON_EOF false
#define IDS(rule) .ids = IDS_##rule,
#define NAMESPACES(bits) .namespaces = bits,
#define NS_ALL (NS_MNT | NS_NET | NS_PID | NS_IPC | NS_UTS)
#define ROOT(kind) .root = ROOT_##kind,
#define LANDLOCK(kind) .landlock = LANDLOCK_##kind,
#define SECCOMP(kind) .seccomp = SECCOMP_##kind,
#define CAPS(...) .caps = (const struct profile_cap[]){__VA_ARGS__{.name = NULL}},
#define CAP(n, reason) {.name = #n, .cap = CAP_##n, .why = reason},
#define LIMITS(...) .limits = (const struct profile_limit[]){__VA_ARGS__{.name = NULL}},
#define LIMIT(n, v, reason) {.name = #n, .which = RLIMIT_##n, .value = v, .why = reason},
#define FDS(...) .fds = (const struct profile_fd[]){__VA_ARGS__{.name = NULL}},
#define FD(n, what) {.name = what, .number = n},
#define GROUPS(...) .groups = (const struct profile_group[]){__VA_ARGS__{.name = NULL}},
#define G(n) {.name = #n, .calls = calls_##n},
#define CALLS(...)                             \
	.calls = (const struct profile_call[]) \
	{                                      \
		__VA_ARGS__                    \
		{                              \
			.name = NULL           \
		}                              \
	}

static const struct profile rows[] = {
#include "policy/sandbox/profiles.def"
};

const struct profile *
profile_rows(size_t *n)
{
	*n = ARRAY_LEN(rows);
	return rows;
}

const struct profile *
profile_find(enum room room, enum sandbox_mode mode)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].room == room && rows[i].mode == mode)
			return &rows[i];
	return NULL;
}

static int
each_of(const struct profile_call *c, const char *group,
    int (*fn)(const struct profile_call *call, const char *group, void *arg), void *arg)
{
	for (; c->name; c++) {
		int r = fn(c, group, arg);
		if (r < 0)
			return r;
	}
	return 0;
}

int
profile_each_call(const struct profile *p,
    int (*fn)(const struct profile_call *call, const char *group, void *arg), void *arg)
{
	for (const struct profile_group *g = p->groups; g->name; g++) {
		int r = each_of(g->calls, g->name, fn, arg);
		if (r < 0)
			return r;
	}
	return each_of(p->calls, NULL, fn, arg);
}

uint64_t
profile_caps(const struct profile *p)
{
	uint64_t bits = 0;

	for (const struct profile_cap *c = p->caps; c->name; c++)
		bits |= UINT64_C(1) << c->cap;
	return bits;
}

const char *
profile_program(enum room room)
{
	static const char *const programs[ROOM_COUNT] = {
#define R(id, name) [id] = "bulkhead-" name,
	    ROOMS(R)
#undef R
	};

	if (room == ROOM_SUPERVISOR || room == ROOM_CLI || (unsigned)room >= ROOM_COUNT)
		return NULL;
	return programs[room];
}
