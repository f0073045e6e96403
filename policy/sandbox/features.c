#include "policy/sandbox/features.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif
#define LANDLOCK_VERSION 1u /* LANDLOCK_CREATE_RULESET_VERSION */

static const struct {
	unsigned bit;
	const char *name;
} names[] = {
    {DEGRADED_KERNEL, "kernel"},
    {DEGRADED_SECCOMP, "seccomp"},
    {DEGRADED_LANDLOCK, "landlock"},
    {DEGRADED_APPLY_USERNS, "apply-userns"},
    {DEGRADED_LANDLOCK_ABI_2, "landlock-abi-2"},
    {DEGRADED_NO_MDWE, "no-mdwe"},
};

unsigned
features_degraded_bit(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i].name, name) == 0)
			return names[i].bit;
	return 0;
}

char *
features_degraded_text(unsigned bits, char *dst, size_t cap)
{
	size_t n = 0;

	dst[0] = 0;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!(bits & names[i].bit) || n >= cap)
			continue;
		int w = snprintf(dst + n, cap - n, "%s%s", n ? "," : "", names[i].name);
		n += w > 0 ? (size_t)w : 0;
	}
	return dst;
}

static bool
have_kill_process(void)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

static bool
have_openat2(void)
{
	struct open_how how = {
	    .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
	FD_AUTO root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	FD_AUTO fd = (int)syscall(SYS_openat2, root, ".", &how, sizeof how);

	return fd >= 0;
}

static long
read_number(const char *path)
{
	char text[32];
	FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	ssize_t n = fd_read_full(fd, text, sizeof text - 1);
	if (n <= 0)
		return -1;
	text[n] = 0;
	return strtol(text, NULL, 10);
}

int
features_probe(struct features *f, struct err *e)
{
	static const char *const kinds[] = {"mnt", "net", "pid", "ipc", "uts"};
	struct utsname u;
	char path[64];

	*f = (struct features){.namespaces = true};
	if (uname(&u) < 0)
		return err_errno(e, errno, "uname");
	snprintf(f->release, sizeof f->release, "%.64s", u.release);
	if (sscanf(u.release, "%u.%u", &f->major, &f->minor) != 2)
		f->major = f->minor = 0;
	if (access("/proc/self/ns", F_OK) < 0)
		return err_set(e, ERR_INTERNAL,
		    "/proc is not mounted: bulkhead reads its namespaces there; mount "
		    "proc");
	f->seccomp = have_kill_process();
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);
	f->landlock_abi = abi > 0 ? (int)abi : 0;
	f->mdwe = prctl(PR_GET_MDWE, 0, 0, 0, 0) >= 0;
	f->openat2 = have_openat2();
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
		f->namespaces &= access(path, F_OK) == 0;
	}
	f->userns = access("/proc/self/ns/user", F_OK) == 0;
	f->max_user_namespaces = read_number("/proc/sys/user/max_user_namespaces");
	return 0;
}

static int
lacks(struct err *e, const char *what, const char *name)
{
	return err_set(e, ERR_INTERNAL,
	    "%s; bulkhead refuses to start without it (allow_degraded = [\"%s\"] in "
	    "bulkhead.toml allows it)",
	    what, name);
}

static int
check_userns(
    const struct features *f, unsigned allowed, unsigned *degraded, struct err *e)
{
	if (f->userns && f->max_user_namespaces != 0)
		return 0;
	if (!(allowed & DEGRADED_APPLY_USERNS))
		return lacks(e,
		    f->userns ? "user namespaces are switched off: sysctl "
				"user.max_user_namespaces "
				"is 0; set it to 64 or more"
			      : "this kernel has no user namespaces (CONFIG_USER_NS)",
		    "apply-userns");
	*degraded |= DEGRADED_APPLY_USERNS;
	return 0;
}

int
features_check(
    const struct features *f, unsigned allowed, unsigned *degraded, struct err *e)
{
	char text[160];

	*degraded = allowed & (DEGRADED_LANDLOCK_ABI_2 | DEGRADED_NO_MDWE);
	if (!f->openat2)
		return err_set(e, ERR_INTERNAL,
		    "this system refuses openat2, which bulkhead cannot do without "
		    "(Linux "
		    "%s, or a filter around this process); use Linux 6.1 or newer",
		    f->release);
	if (!f->namespaces)
		return err_set(e, ERR_INTERNAL,
		    "Linux %s lacks mount, net, pid, ipc or uts namespaces, which "
		    "bulkhead cannot do without",
		    f->release);
	if (f->major < 6 || (f->major == 6 && f->minor < 1)) {
		snprintf(text, sizeof text, "Linux %s is older than 6.1", f->release);
		if (!(allowed & DEGRADED_KERNEL))
			return lacks(e, text, "kernel");
		*degraded |= DEGRADED_KERNEL;
	}
	if (!f->seccomp) {
		if (!(allowed & DEGRADED_SECCOMP))
			return lacks(e, "this kernel has no seccomp filters", "seccomp");
		*degraded |= DEGRADED_SECCOMP;
	}
	if (f->landlock_abi < 2) {
		snprintf(text, sizeof text,
		    "Landlock ABI 2 is needed, this kernel has %d (is \"landlock\" in "
		    "the "
		    "kernel's lsm= list?)",
		    f->landlock_abi);
		if (!(allowed & DEGRADED_LANDLOCK))
			return lacks(e, text, "landlock");
		*degraded |= DEGRADED_LANDLOCK;
	}
	return check_userns(f, allowed, degraded, e);
}
