#include "policy/sandbox/sandbox.h"

#include "common/base/fd.h"
#include "policy/sandbox/caps.h"
#include "policy/sandbox/landlock.h"
#include "policy/sandbox/root.h"
#include "policy/sandbox/ticket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/ioprio.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

#ifdef BULKHEAD_SANITIZE
/* LeakSanitizer attaches to its own process: not to one that is not dumpable. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

struct pass {
	struct ticket t;
	uint8_t filter[FILTER_MAX];
};

/* Another uid, the room's own, sticks to the end; signals that belong to a terminal do
 * not. */
NORETURN static void
give_up(enum room room, const struct err *e)
{
	char packet[sizeof e->text + 64];
	int n = snprintf(packet, sizeof packet, "%croom %s cannot confine itself: %s",
	    SANDBOX_FAILED, room_name(room), e->text);
	ssize_t w =
	    send(SANDBOX_FD_CONTROL, packet, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);

	(void)w; /* nobody is left to tell */
	_exit(ERR_INTERNAL);
}

static int
read_ticket(enum room room, struct pass *p, struct err *e)
{
	size_t n;
	FD_AUTO fd = SANDBOX_FD_TICKET;
	int r = fd_check_sealed(fd, sizeof *p, &n);

	if (r < 0)
		return err_errno(e, -r, "no ticket: a room is started by bulkheadd only");
	if (n < sizeof p->t || fd_pread_exact(fd, p, n, 0) < 0)
		return err_set(e, ERR_INTERNAL, "the ticket cannot be read");
	if (p->t.magic != TICKET_MAGIC || p->t.nfilter != n - sizeof p->t)
		return err_set(e, ERR_INTERNAL, "the ticket is of another version");
	if (p->t.room != (uint32_t)room)
		return err_set(e, ERR_INTERNAL, "the ticket is for room %s",
		    room_name((enum room)p->t.room));
	return 0;
}

/* Landlock's rules hang on directories: they must be there before. Modes as
 * containers/storage makes them. */
static int
make_store_parts(struct err *e)
{
	const char *const *lists[] = {landlock_store_writes, landlock_store_reads};

	for (size_t l = 0; l < ARRAY_LEN(lists); l++)
		for (const char *const *name = lists[l]; *name; name++)
			if (mkdirat(SANDBOX_FD_STORE_GRAPH, *name, 0700) < 0 &&
			    errno != EEXIST)
				return err_errno(
				    e, errno, "making \"%s\" in the graph root", *name);
	return 0;
}

static int
enter_root(const struct ticket *t, struct err *e)
{
	bool tree = t->root == ROOT_TREE || t->root == ROOT_TREE_NO_LINKS ||
		    t->root == ROOT_PROGRAM;
	FD_AUTO fd = tree ? SANDBOX_FD_APPLY_TREE : -1;

	if (t->landlock == LANDLOCK_STORE) {
		int r = make_store_parts(e);
		if (r < 0)
			return r;
	}
	return root_enter((enum profile_root)t->root, fd, e);
}

static int
enter_ids(const struct ticket *t, struct err *e)
{
	int r = caps_hold_over_setuid();

	if (r < 0)
		return err_errno(e, -r, "securebits");
	if (t->ids != IDS_OWN && t->ids != IDS_OWN_FSUID_0)
		return err_set(e, ERR_INTERNAL, "the ticket has no rule for ids");
	if (setgroups(0, NULL) < 0)
		return err_errno(e, errno, "setgroups");
	if (setresgid(t->gid, t->gid, t->gid) < 0)
		return err_errno(e, errno, "setresgid %u", t->gid);
	if (setresuid(t->uid, t->uid, t->uid) < 0)
		return err_errno(e, errno, "setresuid %u", t->uid);
	if (t->ids == IDS_OWN_FSUID_0) {
		setfsgid(0);
		setfsuid(0);
		if (setfsgid((gid_t)-1) != 0 || setfsuid((uid_t)-1) != 0)
			return err_set(e, ERR_INTERNAL, "setfsuid 0 has no effect");
	}
	return 0;
}

static int
enter_flags(const struct ticket *t, struct err *e)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(e, errno, "no_new_privs");
	/* After the ids: a change of them clears it. */
	if (t->dies && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_errno(e, errno, "parent-death signal");
	if (t->mdwe && prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) < 0)
		return err_errno(e, errno, "memory-deny-write-execute");
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_errno(e, errno, "dumpable");
	return 0;
}

/* Only what nobody else needs of processor and disk; from here on, because others wait
 * for a room to come. */
static int
enter_idle(const struct ticket *t, struct err *e)
{
	struct sched_param none = {0};

	if (!t->idle)
		return 0;
	if (sched_setscheduler(0, SCHED_IDLE, &none) < 0 ||
	    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT) < 0)
		return err_errno(e, errno, "idle priority");
	return 0;
}

static int
enter_filter(const struct pass *p, struct err *e)
{
	struct sock_fprog prog = {
	    .len = (unsigned short)(p->t.nfilter / sizeof(struct sock_filter)),
	    .filter = (struct sock_filter *)(uintptr_t)p->filter,
	};

	if (p->t.nfilter == 0)
		return 0;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return err_errno(e, errno, "seccomp");
	return 0;
}

/* Trying is the proof: root, whether as a uid or as a capability, must not come back. */
static int
prove(const struct ticket *t, struct err *e)
{
	if (setresuid(0, 0, 0) == 0 || seteuid(0) == 0)
		return err_set(e, ERR_INTERNAL, "root came back after it was given up");
	if (setresgid(0, 0, 0) == 0)
		return err_set(
		    e, ERR_INTERNAL, "group root came back after it was given up");
	if (getuid() != t->uid || geteuid() != t->uid || getgid() != t->gid)
		return err_set(e, ERR_INTERNAL, "the room's ids are not its own");
	if (caps_hold_over_setuid() == 0)
		return err_set(e, ERR_INTERNAL, "securebits are not locked");
	return 0;
}

static int
enter(enum room room, const struct sandbox_setup *setup, struct pass *p, struct err *e)
{
	char name[32];
	int r = read_ticket(room, p, e);

	if (r < 0)
		return r;
	/* Executed by descriptor, its name would be a number. */
	snprintf(name, sizeof name, "bulkhead-%s", room_name(room));
	prctl(PR_SET_NAME, name);
	if (setup && setup->warm_up && (r = setup->warm_up(setup->arg, e)) < 0)
		return r;
	if ((r = enter_root(&p->t, e)) < 0 || (r = enter_ids(&p->t, e)) < 0)
		return r;
	if ((r = caps_limit(p->t.caps, true, e)) < 0 || (r = enter_flags(&p->t, e)) < 0)
		return r;
	r = landlock_enter(
	    (enum profile_landlock)p->t.landlock, (int)p->t.landlock_abi, e);
	if (r < 0 || (r = prove(&p->t, e)) < 0 || (r = enter_idle(&p->t, e)) < 0)
		return r;
	return enter_filter(p, e);
}

int
sandbox_enter(enum room room, const struct sandbox_setup *setup)
{
	static struct pass p;
	struct err e = {.code = ERR_OK};

	if (enter(room, setup, &p, &e) < 0)
		give_up(room, &e);
	if (setup && setup->report)
		*setup->report = (struct sandbox_report){
		    .mode = (enum sandbox_mode)p.t.mode,
		    .landlock_abi =
			p.t.landlock == LANDLOCK_OFF ? 0 : (int)p.t.landlock_abi,
		    .landlock = landlock_text((enum profile_landlock)p.t.landlock),
		    .mdwe = p.t.mdwe != 0,
		    .seccomp = p.t.nfilter != 0,
		    .degraded = p.t.degraded,
		};
	return 0;
}
