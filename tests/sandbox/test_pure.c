/* The parts that decide by their arguments alone: /proc parsers, the comparison with the
 * table, required features, uid blocks. */
#include "policy/sandbox/caps.h"
#include "policy/sandbox/status.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- /proc ---- */

static const char good_status[] =
    "Name:\tbulkhead-store\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t77\n"
    "Uid:\t1879113730\t1879113730\t1879113730\t0\nGid:"
    "\t1879113730\t1879113730\t1879113730\t0\n"
    "FDSize:\t64\nGroups:\t \nNStgid:\t77\t1\nNSpid:\t77\t1\nThreads:\t1\n"
    "CapInh:\t0000000000000000\nCapPrm:\t000000000020001b\nCapEff:\t000000000020001b\n"
    "CapBnd:\t000000000020001b\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"
    "Seccomp_filters:\t2\n";

static void
status_of_a_room(void **state)
{
	struct sandbox_status s = {0};

	assert_int_equal(status_parse(span_str(good_status), &s), 0);
	assert_int_equal(s.uid[0], 1879113730);
	assert_int_equal(s.uid[3], 0);
	assert_int_equal(s.gid[2], 1879113730);
	assert_int_equal(s.ngroups, 0);
	assert_int_equal(s.permitted, 0x20001b);
	assert_int_equal(s.bounding, 0x20001b);
	assert_int_equal(s.ambient, 0);
	assert_int_equal(s.no_new_privs, 1);
	assert_int_equal(s.seccomp, 2);
	assert_int_equal(s.filters, 2);
	assert_int_equal(s.threads, 1);
	assert_int_equal(s.pid_levels, 2);
	assert_int_equal(s.pid_inside, 1);
}

/* Each line that matters, taken away or damaged, is noticed. */
static void
status_misses_nothing(void **state)
{
	static const char *const lines[] = {"Uid:", "Gid:", "Groups:", "NSpid:",
	    "Threads:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:",
	    "NoNewPrivs:", "Seccomp:", "Seccomp_filters:"};
	char text[sizeof good_status];

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct sandbox_status s = {0};
		char key[32];
		snprintf(key, sizeof key, "\n%s", lines[i]);
		strcpy(text, good_status);
		strstr(text, key)[1] = 'X';
		assert_int_equal(status_parse(span_str(text), &s), -EPROTO);
		strcpy(text, good_status);
		strstr(text, key)[strlen(key) + 1] = '-';
		assert_int_equal(status_parse(span_str(text), &s), -EPROTO);
	}
	for (size_t n = 0; n < strlen(good_status) - 1; n++) {
		struct sandbox_status s = {0};
		int r = status_parse(span_of(good_status, n), &s);
		assert_true(r == -EPROTO);
	}
}

static void
status_groups(void **state)
{
	char text[2048] = "Groups:\t4 24 27 \n";
	struct sandbox_status s = {0};

	strcat(text, strstr(good_status, "NStgid"));
	strcat(text, "Uid:\t1 2 3 4\nGid:\t1 2 3 4\n");
	assert_int_equal(status_parse(span_str(text), &s), 0);
	assert_int_equal(s.ngroups, 3);
	assert_int_equal(s.group[2], 27);
	assert_int_equal(s.uid[3], 4);
}

static const char good_limits[] =
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max cpu time              10                   20                   seconds   \n"
    "Max file size             unlimited            unlimited            bytes     \n"
    "Max data size             unlimited            unlimited            bytes     \n"
    "Max stack size            8388608              unlimited            bytes     \n"
    "Max core file size        0                    0                    bytes     \n"
    "Max resident set          unlimited            unlimited            bytes     \n"
    "Max processes             0                    0                    processes \n"
    "Max open files            16                   16                   files     \n"
    "Max locked memory         8388608              8388608              bytes     \n"
    "Max address space         268435456            268435456            bytes     \n";

static void
limits_of_a_room(void **state)
{
	struct sandbox_status s = {0};
	unsigned found = 0;
	char text[sizeof good_limits];

	assert_int_equal(status_parse_limits(span_str(good_limits), &s), 0);
	for (size_t i = 0; s.limit[i].which >= 0; i++) {
		if (s.limit[i].which == RLIMIT_CPU) {
			assert_int_equal(s.limit[i].soft, 10);
			assert_int_equal(s.limit[i].hard, 20);
			found++;
		}
		if (s.limit[i].which == RLIMIT_FSIZE) {
			assert_true(s.limit[i].hard == RLIM_INFINITY);
			found++;
		}
	}
	assert_int_equal(found, 2);
	strcpy(text, good_limits);
	memcpy(strstr(text, "16  "), "1x", 2);
	assert_int_equal(status_parse_limits(span_str(text), &s), -EPROTO);
	assert_int_equal(status_parse_limits(span_of(good_limits, 600), &s), -EPROTO);
}

static void
mounts_of_a_room(void **state)
{
	struct sandbox_status s = {0};
	const char *one =
	    "99 50 0:40 / / ro,nosuid,nodev,noexec - tmpfs bulkhead rw,size=4k\n";
	const char *two = "99 50 0:40 / / ro shared:1 master:2 - tmpfs none rw\n"
			  "100 99 0:41 / /proc rw - proc proc rw\n";

	assert_int_equal(status_parse_mounts(span_str(one), &s), 0);
	assert_int_equal(s.mounts, 1);
	assert_string_equal(s.root, "tmpfs (ro,nosuid,nodev,noexec)");
	assert_int_equal(status_parse_mounts(span_str(two), &s), 0);
	assert_int_equal(s.mounts, 2);
	assert_string_equal(s.root, "tmpfs (ro)");
	assert_int_equal(status_parse_mounts(span_str(""), &s), -EPROTO);
	assert_int_equal(status_parse_mounts(span_str("1 2 3 4 5 6 7\n"), &s), -EPROTO);
	assert_int_equal(status_parse_mounts(span_str("1 2 3 4 5 6 7 -\n"), &s), -EPROTO);
}

/* ---- the comparison ---- */

#define UID 1879113730u

static struct sandbox_status
as_in_the_table(const struct profile *p)
{
	uint64_t caps = profile_caps(p);
	struct sandbox_status s = {
	    .uid = {UID, UID, UID, p->ids == IDS_OWN_FSUID_0 ? 0 : UID},
	    .gid = {UID, UID, UID, p->ids == IDS_OWN_FSUID_0 ? 0 : UID},
	    .permitted = caps,
	    .effective = caps,
	    .bounding = caps,
	    .no_new_privs = 1,
	    .seccomp = 2,
	    .filters = 3,
	    .threads = 1,
	    .pid_levels = 2,
	    .pid_inside = 1,
	    .namespaces = p->namespaces,
	    .mounts = 1,
	    .root = "tmpfs (ro,nosuid)",
	};
	unsigned n = 0;

	for (const struct profile_limit *l = p->limits; l->name; l++)
		s.limit[n++] = (struct status_limit){l->which, l->value, l->value};
	s.limit[n++] = (struct status_limit){RLIMIT_CORE, 0, 0};
	s.limit[n].which = -1;
	return s;
}

static void
expect_difference(
    const struct sandbox_status *s, const struct profile *p, const char *what)
{
	struct err e = {0};

	assert_int_equal(status_compare(s, p, UID, 0, 2, &e), -EPERM);
	if (!strstr(e.text, what))
		fail_msg("\"%s\" does not name %s", e.text, what);
}

static void
every_difference_is_named(void **state)
{
	size_t n;
	const struct profile *rows = profile_rows(&n);

	for (size_t r = 0; r < n; r++) {
		const struct profile *p = &rows[r];
		struct err e = {0};
		if (!profile_program(p->room))
			continue;
		const struct sandbox_status good = as_in_the_table(p);
		struct sandbox_status s = good;
		assert_int_equal(status_compare(&s, p, UID, 0, 2, &e), 0);
#define DIFFER(change, what)                    \
	do {                                    \
		s = good;                       \
		change;                         \
		expect_difference(&s, p, what); \
	} while (0)
		for (int i = 0; i < 4; i++) {
			DIFFER(s.uid[i] ^= 1, "user ids");
			DIFFER(s.gid[i] ^= 1, "group ids");
		}
		DIFFER(s.ngroups = 1, "supplementary groups");
		DIFFER(s.permitted ^= 1u << 12, "permitted");
		DIFFER(s.effective ^= 1u << 12, "effective");
		DIFFER(s.bounding ^= 1u << 12, "bounding");
		DIFFER(s.inheritable = 1, "inheritable");
		DIFFER(s.ambient = 1, "ambient");
		DIFFER(s.no_new_privs = 0, "no_new_privs");
#ifndef BULKHEAD_SANITIZE
		DIFFER(s.seccomp = 0, "filter");
		DIFFER(s.filters = 2, "filter");
#endif
		DIFFER(s.threads = 2, "threads");
		for (unsigned ns = 1; ns <= NS_USER; ns <<= 1)
			DIFFER(s.namespaces ^= ns, "namespaces");
		DIFFER(s.pid_inside = 2, "pid");
		if (p->root == ROOT_PROGRAM)
			DIFFER(s.root[7] = 'w', "root");
		else
			DIFFER(s.mounts = 2, "root");
		DIFFER(s.limit[0].hard++, "limits");
		DIFFER(s.limit[0].soft++, "limits");
	}
}

/* ---- features ---- */

static struct features
modern(void)
{
	return (struct features){
	    .release = "6.1.0",
	    .major = 6,
	    .minor = 1,
	    .seccomp = true,
	    .landlock_abi = 2,
	    .openat2 = true,
	    .namespaces = true,
	    .userns = true,
	    .max_user_namespaces = 1000,
	};
}

static void
refused_unless_allowed(struct features f, unsigned bit, const char *names)
{
	struct err e = {0};
	unsigned degraded = 99;

	assert_true(features_check(&f, 0, &degraded, &e) < 0);
	if (!strstr(e.text, names))
		fail_msg("\"%s\" does not name %s", e.text, names);
	e = (struct err){0};
	assert_true(features_check(&f, ~bit, &degraded, &e) < 0);
	if (bit) {
		assert_int_equal(features_check(&f, bit, &degraded, &e), 0);
		assert_int_equal(degraded, bit);
	}
}

static void
features_that_are_needed(void **state)
{
	struct features f = modern();
	unsigned degraded;

	assert_int_equal(features_check(&f, 0, &degraded, NULL), 0);
	assert_int_equal(degraded, 0);
	f.major = 5;
	f.minor = 19;
	refused_unless_allowed(f, DEGRADED_KERNEL, "6.1");
	f = modern();
	f.minor = 0;
	refused_unless_allowed(f, DEGRADED_KERNEL, "allow_degraded = [\"kernel\"]");
	f = modern();
	f.seccomp = false;
	refused_unless_allowed(f, DEGRADED_SECCOMP, "seccomp");
	f = modern();
	f.landlock_abi = 1;
	refused_unless_allowed(f, DEGRADED_LANDLOCK, "Landlock ABI 2");
	f.landlock_abi = 0;
	refused_unless_allowed(f, DEGRADED_LANDLOCK, "landlock");
	f = modern();
	f.max_user_namespaces = 0;
	refused_unless_allowed(f, DEGRADED_APPLY_USERNS, "user.max_user_namespaces");
	f = modern();
	f.userns = false;
	refused_unless_allowed(f, DEGRADED_APPLY_USERNS, "apply-userns");
	f = modern();
	f.openat2 = false;
	refused_unless_allowed(f, 0, "openat2");
	f = modern();
	f.namespaces = false;
	refused_unless_allowed(f, 0, "namespaces");
}

static void
degraded_names(void **state)
{
	char text[128];
	struct features f;

	assert_int_equal(features_degraded_bit("apply-userns"), DEGRADED_APPLY_USERNS);
	assert_int_equal(features_degraded_bit("landlock"), DEGRADED_LANDLOCK);
	assert_int_equal(features_degraded_bit("land"), 0);
	assert_int_equal(features_degraded_bit(""), 0);
	assert_string_equal(features_degraded_text(0, text, sizeof text), "");
	assert_string_equal(
	    features_degraded_text(DEGRADED_KERNEL | DEGRADED_NO_MDWE, text, sizeof text),
	    "kernel,no-mdwe");
	assert_string_equal(features_degraded_text(DEGRADED_KERNEL, text, 4), "ker");
	assert_int_equal(features_probe(&f, NULL), 0);
	assert_true(f.major >= 5);
}

/* ---- uids ---- */

static void
uids_are_never_shared(void **state)
{
	char dir[] = "/tmp/bulkhead-uids-XXXXXX", command[80];
	struct uids a, b;
	uid_t first, uid, others[UIDS_BLOCK * UIDS_CLAIMS];
	struct err e = {0};

	assert_non_null(mkdtemp(dir));
	assert_int_equal(uids_init(&a, dir, 100000, &e), 0);
	assert_int_equal(uids_init(&b, dir, 100000, &e), 0);
	assert_int_equal(uids_take(&a, &first, &e), 0);
	assert_int_equal(first, 100000);
	assert_int_equal(uids_take(&b, &uid, &e), 0);
	assert_int_equal(uid, 100000 + UIDS_BLOCK);
	/* A uid that has just become free is the last to be used again. */
	uids_give(&a, first);
	assert_int_equal(uids_take(&a, &others[0], &e), 0);
	assert_int_equal(others[0], first + 1);
	for (unsigned i = 1; i < UIDS_BLOCK * UIDS_CLAIMS; i++) {
		assert_int_equal(uids_take(&a, &others[i], &e), 0);
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(others[i], others[k]);
		assert_int_not_equal(others[i], uid);
	}
	assert_true(uids_take(&a, &uid, &e) < 0);
	assert_int_equal(e.code, ERR_IN_USE);
	assert_non_null(strstr(e.text, "256"));
	uids_give(&a, others[100]);
	assert_int_equal(uids_take(&a, &uid, &e), 0);
	assert_int_equal(uid, others[100]);
	uids_release(&b);
	uids_release(&a);
	snprintf(command, sizeof command, "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

static void
uid_blocks_run_out(void **state)
{
	char dir[] = "/tmp/bulkhead-uids-XXXXXX", command[80];
	struct uids u[UIDS_BLOCKS], more;
	struct err e = {0};

	assert_non_null(mkdtemp(dir));
	for (unsigned i = 0; i < UIDS_BLOCKS; i++)
		assert_int_equal(uids_init(&u[i], dir, 100000, NULL), 0);
	assert_true(uids_init(&more, dir, 100000, &e) < 0);
	assert_int_equal(e.code, ERR_IN_USE);
	uids_release(&u[17]);
	assert_int_equal(uids_init(&more, dir, 100000, NULL), 0);
	assert_int_equal(more.block[0].number, 17);
	uids_release(&more);
	for (unsigned i = 0; i < UIDS_BLOCKS; i++)
		uids_release(&u[i]);
	e = (struct err){0};
	assert_true(uids_init(&more, dir, 999, &e) < 0);
	assert_int_equal(e.code, ERR_USAGE);
	assert_true(uids_init(&more, dir, UINT32_MAX - 4095, NULL) < 0);
	assert_int_equal(uids_init(&more, dir, UINT32_MAX - 4096, NULL), 0);
	uids_release(&more);
	snprintf(command, sizeof command, "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

static void
caps_as_text(void **state)
{
	char text[256];

	assert_string_equal(caps_text(0, text, sizeof text), "none");
	assert_string_equal(
	    caps_text(1u << 0 | 1u << 21, text, sizeof text), "CHOWN,SYS_ADMIN");
	assert_string_equal(caps_text(~UINT64_C(0), text, 6), "CHOWN");
}

/* Who may start whom. */
static void
who_asks(void **state)
{
	size_t n;
	const struct profile *rows = profile_rows(&n);

	for (size_t r = 0; r < n; r++) {
		unsigned by = rows[r].asked_by;
		switch (rows[r].room) {
		case ROOM_DIAL:
		case ROOM_FETCH:
			assert_int_equal(by, 1u << ROOM_FRONTEND);
			break;
		case ROOM_HASH:
		case ROOM_INFLATE:
		case ROOM_DOCUMENT:
		case ROOM_VERDICT:
		case ROOM_APPLY:
			assert_int_equal(by, 1u << ROOM_STORE);
			break;
		case ROOM_CONF:
		case ROOM_HELPER:
		case ROOM_FRONTEND:
		case ROOM_STORE:
			assert_int_equal(by, 1u << ROOM_SUPERVISOR);
			break;
		default:
			assert_int_equal(by, 0);
		}
	}
	assert_null(profile_find(ROOM_APPLY, SANDBOX_MODE_PLAIN));
	assert_null(profile_find(ROOM_FETCH, SANDBOX_MODE_APPLY));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(status_of_a_room),
	    cmocka_unit_test(status_misses_nothing),
	    cmocka_unit_test(status_groups),
	    cmocka_unit_test(limits_of_a_room),
	    cmocka_unit_test(mounts_of_a_room),
	    cmocka_unit_test(every_difference_is_named),
	    cmocka_unit_test(features_that_are_needed),
	    cmocka_unit_test(degraded_names),
	    cmocka_unit_test(uids_are_never_shared),
	    cmocka_unit_test(uid_blocks_run_out),
	    cmocka_unit_test(caps_as_text),
	    cmocka_unit_test(who_asks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
