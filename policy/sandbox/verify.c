#include "policy/sandbox/status.h"

#include "policy/sandbox/caps.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static int
differs(struct err *e, const struct profile *p, const char *what)
{
	err_set(e, ERR_INTERNAL,
	    "room %s is not what profiles.def says: %s; it was ended before it got "
	    "anything",
	    p->name, what);
	return -EPERM;
}

static bool
ids_match(const uint32_t id[4], const struct profile *p, uint32_t own)
{
	uint32_t files = p->ids == IDS_OWN_FSUID_0 ? 0 : own;

	return id[0] == own && id[1] == own && id[2] == own && id[3] == files;
}

static bool
limits_match(const struct sandbox_status *s, const struct profile *p)
{
	for (size_t i = 0; s->limit[i].which >= 0; i++) {
		const struct status_limit *l = &s->limit[i];
		if (l->which == RLIMIT_CORE && l->hard != 0)
			return false;
		for (const struct profile_limit *want = p->limits; want->name; want++) {
#ifdef BULKHEAD_SANITIZE
			if (want->which == RLIMIT_AS)
				continue;
#endif
			/* Lower is possible where the service itself has less. */
			if (want->which == l->which &&
			    (l->hard > want->value || l->soft > want->value))
				return false;
		}
	}
	return true;
}

static int
compare_caps(const struct sandbox_status *s, const struct profile *p, struct err *e)
{
	uint64_t want = profile_caps(p);

	if (s->permitted != want)
		return differs(e, p, "permitted capabilities");
	if (s->effective != want)
		return differs(e, p, "effective capabilities");
	if (s->bounding != want)
		return differs(e, p, "capability bounding set");
	if (s->inheritable != 0 || s->ambient != 0)
		return differs(e, p, "inheritable or ambient capabilities");
	return 0;
}

int
status_compare(const struct sandbox_status *s, const struct profile *p, uid_t uid,
    unsigned degraded, unsigned own_filters, struct err *e)
{
	unsigned ns = p->namespaces;
#ifdef BULKHEAD_SANITIZE
	bool filter = false;
#else
	bool filter = !(degraded & DEGRADED_SECCOMP);
#endif

	if (degraded & DEGRADED_APPLY_USERNS)
		ns &= ~(unsigned)NS_USER;
	if (!ids_match(s->uid, p, uid))
		return differs(e, p, "user ids");
	if (!ids_match(s->gid, p, uid))
		return differs(e, p, "group ids");
	if (s->ngroups != 0)
		return differs(e, p, "supplementary groups");
	int r = compare_caps(s, p, e);
	if (r < 0)
		return r;
	if (s->no_new_privs != 1)
		return differs(e, p, "no_new_privs");
	if (filter && (s->seccomp != 2 || s->filters != own_filters + 1))
		return differs(e, p, "system call filter");
	if (s->threads != 1)
		return differs(e, p, "threads");
	if (s->namespaces != ns)
		return differs(e, p, "namespaces");
	if (ns & NS_PID && s->pid_inside != 1)
		return differs(e, p, "pid");
	if (p->root == ROOT_PROGRAM ? strncmp(s->root, "tmpfs (ro", 9) != 0
				    : p->root != ROOT_HOST && s->mounts != 1)
		return differs(e, p, "root");
	if (!limits_match(s, p))
		return differs(e, p, "resource limits");
	return 0;
}

int
sandbox_verify(
    const struct sandbox_host *h, const struct sandbox_room *room, struct err *e)
{
	struct sandbox_status own = {0}, s = {0};
	int r = status_read_ids(getpid(), &own);

	if (r == 0)
		r = status_read_bounds(h, room->pid, &s);
	if (r < 0)
		return err_errno(e, -r, "reading /proc of room %s", room->profile->name);
	if (room->idle && sched_getscheduler(room->pid) != SCHED_IDLE)
		return differs(e, room->profile, "priority");
	return status_compare(&s, room->profile, room->uid, h->degraded, own.filters, e);
}
