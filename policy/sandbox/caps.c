#include "policy/sandbox/caps.h"

#include <ctype.h>
#include <errno.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/prctl.h>

static void
release(cap_t *c)
{
	if (*c)
		cap_free(*c);
}
#define CAP_AUTO CLEANUP(release) cap_t

int
caps_hold_over_setuid(void)
{
	return prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) < 0 ? -errno : 0;
}

/* The running kernel's last capability may lie beyond this header's: ask until it says
 * no. */
static int
limit_bounding(uint64_t keep)
{
	for (int c = 0; c < 64; c++) {
		int have = prctl(PR_CAPBSET_READ, c);
		if (have < 0)
			return 0;
		if (have && !(keep >> c & 1) && prctl(PR_CAPBSET_DROP, c) < 0)
			return -errno;
	}
	return 0;
}

static int
lock_securebits(void)
{
	unsigned bits = SECBIT_NO_SETUID_FIXUP | SECBIT_NOROOT |
			SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_SETUID_FIXUP_LOCKED |
			SECBIT_NOROOT_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED |
			SECBIT_KEEP_CAPS_LOCKED;

	return prctl(PR_SET_SECUREBITS, bits) < 0 ? -errno : 0;
}

static int
set_sets(uint64_t keep)
{
	CAP_AUTO c = cap_init();
	if (!c)
		return -errno;
	for (cap_value_t v = 0; v < 64; v++) {
		if (!(keep >> v & 1))
			continue;
		if (cap_set_flag(c, CAP_PERMITTED, 1, &v, CAP_SET) < 0 ||
		    cap_set_flag(c, CAP_EFFECTIVE, 1, &v, CAP_SET) < 0)
			return -errno;
	}
	return cap_set_proc(c) < 0 ? -errno : 0;
}

static int
read_set(cap_t c, cap_flag_t flag, uint64_t *bits)
{
	*bits = 0;
	for (cap_value_t v = 0; v < 64; v++) {
		cap_flag_value_t on;
		if (cap_get_flag(c, v, flag, &on) < 0)
			break;
		*bits |= (uint64_t)(on == CAP_SET) << v;
	}
	return 0;
}

int
caps_permitted(uint64_t *bits)
{
	CAP_AUTO c = cap_get_proc();

	return c ? read_set(c, CAP_PERMITTED, bits) : -errno;
}

static bool
sets_are(uint64_t keep)
{
	uint64_t permitted, effective, inheritable;
	CAP_AUTO c = cap_get_proc();

	if (!c)
		return false;
	read_set(c, CAP_PERMITTED, &permitted);
	read_set(c, CAP_EFFECTIVE, &effective);
	read_set(c, CAP_INHERITABLE, &inheritable);
	return permitted == keep && effective == keep && inheritable == 0;
}

int
caps_limit(uint64_t keep, bool lock, struct err *e)
{
	char text[512];
	int r = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ? -errno : 0;

	if (r < 0)
		return err_errno(e, -r, "clearing ambient capabilities");
	if ((r = limit_bounding(keep)) < 0)
		return err_errno(e, -r, "emptying the capability bounding set");
	if (lock && (r = lock_securebits()) < 0)
		return err_errno(e, -r, "locking securebits");
	if ((r = set_sets(keep)) < 0)
		return err_errno(e, -r,
		    "keeping capabilities %s (is the bounding set of "
		    "the service too small?)",
		    caps_text(keep, text, sizeof text));
	if (!sets_are(keep))
		return err_set(e, ERR_INTERNAL, "capabilities are not exactly %s",
		    caps_text(keep, text, sizeof text));
	return 0;
}

char *
caps_text(uint64_t bits, char *dst, size_t cap)
{
	size_t n = 0;

	snprintf(dst, cap, "none");
	for (int v = 0; v < 64; v++) {
		if (!(bits >> v & 1) || n >= cap)
			continue;
		char *name = cap_to_name(v);
		const char *shown =
		    name ? name + (strncmp(name, "cap_", 4) == 0 ? 4 : 0) : "?";
		size_t from = n;
		int w = snprintf(dst + n, cap - n, "%s%s", n ? "," : "", shown);
		n += w > 0 ? (size_t)w : 0;
		for (size_t i = from; i < n && i < cap; i++)
			dst[i] = (char)toupper((unsigned char)dst[i]);
		if (name)
			cap_free(name);
	}
	return dst;
}
