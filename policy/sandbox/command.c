#include "policy/sandbox/command.h"

#include "policy/sandbox/caps.h"
#include "policy/sandbox/features.h"
#include "policy/sandbox/filter.h"
#include "policy/sandbox/landlock.h"

#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY 65534

static int
give_up_root(struct err *e)
{
	if (geteuid() != 0)
		return 0;
	int r = caps_hold_over_setuid();
	if (r < 0)
		return err_errno(e, -r, "securebits");
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return err_errno(e, errno, "giving up root");
	r = caps_limit(0, true, e);
	if (r < 0)
		return r;
	if (setresuid(0, 0, 0) == 0)
		return err_set(e, ERR_INTERNAL, "root came back after it was given up");
	return 0;
}

static int
enter_filter(const struct profile *p, struct err *e)
{
#ifdef BULKHEAD_SANITIZE
	(void)p; /* the sanitizers' own calls are not in the table */
	return 0;
#else
	static struct filter f;
	int r = filter_build(p, &f, e);

	if (r < 0)
		return r;
	struct sock_fprog prog = {
	    .len = (unsigned short)(f.n / sizeof(struct sock_filter)),
	    .filter = (struct sock_filter *)(void *)f.bytes,
	};
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return err_errno(e, errno, "seccomp");
	return 0;
#endif
}

int
sandbox_enter_command(struct err *e)
{
	const struct profile *p = profile_find(ROOM_CLI, SANDBOX_MODE_PLAIN);
	struct rlimit none = {0, 0};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1u);
	int r = give_up_root(e);

	if (r < 0)
		return r;
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return err_errno(e, errno, "core limit");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_errno(e, errno, "no_new_privs");
	r = landlock_enter(p->landlock, abi >= 2 ? (int)abi : 0, e);
	return r < 0 ? r : enter_filter(p, e);
}
