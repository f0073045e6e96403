/* The generated BPF, run in a small interpreter over every system call number and the
 * arguments that matter, against the table's own meaning: allowed if an allowing rule
 * matches, else the errno of a matching answer, else the default. */
#include "policy/sandbox/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include <cmocka.h>

#ifdef __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#else
#define ARCH AUDIT_ARCH_AARCH64
#endif
#define LAST_CALL 520

/* Classic BPF as seccomp allows it; anything else ends the test. */
static uint32_t
run(const struct filter *f, const struct seccomp_data *d)
{
	struct sock_filter insn[FILTER_MAX / sizeof(struct sock_filter)];
	size_t n = f->n / sizeof insn[0];
	uint32_t a = 0, word;

	memcpy(insn, f->bytes, f->n);
	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *i = &insn[pc];
		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(i->k + 4 <= sizeof *d && i->k % 4 == 0);
			memcpy(&word, (const char *)d + i->k, 4);
			a = word;
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			break;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			pc += a > i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += a >= i->k ? i->jt : i->jf;
			break;
		case BPF_RET | BPF_K:
			return i->k;
		default:
			fail_msg("instruction %#x", i->code);
		}
	}
	fail_msg("the filter has no end");
	return 0;
}

struct meaning {
	const struct seccomp_data *d;
	bool allowed;
	int error;
};

static int
match(const struct profile_call *c, const char *group, void *arg)
{
	struct meaning *m = arg;

	if (c->nr != m->d->nr)
		return 0;
	for (unsigned i = 0; i < c->narg; i++)
		if ((m->d->args[c->arg[i].at] & c->arg[i].mask) != c->arg[i].value)
			return 0;
	if (c->error)
		m->error = c->error;
	else
		m->allowed = true;
	return 0;
}

static uint32_t
meant(const struct profile *p, const struct seccomp_data *d)
{
	struct meaning m = {.d = d};

	profile_each_call(p, match, &m);
	if (m.allowed)
		return SECCOMP_RET_ALLOW;
	if (m.error)
		return SECCOMP_RET_ERRNO | (uint32_t)m.error;
	return p->seccomp == SECCOMP_REFUSE ? SECCOMP_RET_ALLOW
					    : SECCOMP_RET_KILL_PROCESS;
}

static unsigned long compared;

static void
compare(const struct profile *p, const struct filter *f, const struct seccomp_data *d)
{
	uint32_t is = run(f, d), should = meant(p, d);

	compared++;
	if (is != should)
		fail_msg("%s: call %d(%#llx, %#llx, %#llx, %#llx): filter %#x, table %#x",
		    p->name, d->nr, d->args[0], d->args[1], d->args[2], d->args[3], is,
		    should);
}

/* Every value that a rule knows, and its neighbours, in every argument that a rule looks
 * at. */
struct around {
	const struct profile *p;
	const struct filter *f;
	int nr;
};

static int
around(const struct profile_call *c, const char *group, void *arg)
{
	const struct around *w = arg;
	static const uint64_t twist[] = {0, 1, 2, 4, 0x80, 0x40000, 0x80000,
	    UINT64_C(1) << 31, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX};
	struct seccomp_data d = {.nr = w->nr, .arch = ARCH};

	if (c->nr != w->nr)
		return 0;
	for (unsigned i = 0; i < c->narg; i++)
		d.args[c->arg[i].at] = c->arg[i].value;
	compare(w->p, w->f, &d);
	for (unsigned i = 0; i < 6; i++) {
		uint64_t kept = d.args[i];
		for (size_t t = 0; t < ARRAY_LEN(twist); t++) {
			d.args[i] = kept ^ twist[t];
			compare(w->p, w->f, &d);
		}
		d.args[i] = kept;
	}
	return 0;
}

static void
filter_is_the_table(void **state)
{
	size_t n;
	const struct profile *rows = profile_rows(&n);
	static struct filter f;

	for (size_t r = 0; r < n; r++) {
		struct err e = {0};
		if (filter_build(&rows[r], &f, &e) < 0)
			fail_msg("%s", e.text);
		for (int nr = 0; nr <= LAST_CALL; nr++) {
			struct around w = {&rows[r], &f, nr};
			struct seccomp_data d = {.nr = nr, .arch = ARCH};
			compare(&rows[r], &f, &d);
			memset(d.args, 0xff, sizeof d.args);
			compare(&rows[r], &f, &d);
			profile_each_call(&rows[r], around, &w);
		}
	}
	assert_true(compared > 50000);
}

/* 32-bit and x32 calls, and numbers beyond the table, never pass: not even the
 * supervisor's. */
static void
other_worlds_die(void **state)
{
	size_t n;
	const struct profile *rows = profile_rows(&n);
	static struct filter f;

	for (size_t r = 0; r < n; r++) {
		assert_int_equal(filter_build(&rows[r], &f, NULL), 0);
		for (int nr = 0; nr <= LAST_CALL; nr++) {
			struct seccomp_data d = {.nr = nr, .arch = AUDIT_ARCH_I386};
			assert_int_equal(run(&f, &d), SECCOMP_RET_KILL_PROCESS);
			d.arch = AUDIT_ARCH_ARM;
			assert_int_equal(run(&f, &d), SECCOMP_RET_KILL_PROCESS);
#ifdef __x86_64__
			d = (struct seccomp_data){.nr = nr | 0x40000000, .arch = ARCH};
			assert_int_equal(run(&f, &d), SECCOMP_RET_KILL_PROCESS);
#endif
		}
	}
}

static int
is_listed(const struct profile_call *c, const char *group, void *arg)
{
	return !c->error && strcmp(c->name, arg) == 0 ? -1 : 0;
}

static bool
lists(const struct profile *p, const char *name)
{
	return profile_each_call(p, is_listed, (void *)(uintptr_t)name) < 0;
}

/* What no room may have, whatever else changes in the table. */
static void
never_listed(void **state)
{
	static const char *const never[] = {"ptrace", "process_vm_readv",
	    "process_vm_writev", "bpf", "io_uring_setup", "userfaultfd", "keyctl",
	    "add_key", "perf_event_open", "mount", "umount2", "fsopen", "open_tree",
	    "move_mount", "open_by_handle_at", "execve", "execveat", "clone", "clone3",
	    "fork", "vfork", "setns", "unshare", "chroot", "pivot_root", "personality",
	    "kexec_load", "init_module", "setuid", "setresuid", "setfsuid", "capset",
	    "seccomp", "prctl", "kill", "setxattr", "prlimit64"};
	size_t n;
	const struct profile *rows = profile_rows(&n);

	for (size_t r = 0; r < n; r++)
		for (size_t i = 0;
		     rows[r].seccomp == SECCOMP_LIST && i < ARRAY_LEN(never); i++)
			if (lists(&rows[r], never[i]))
				fail_msg("room %s lists %s", rows[r].name, never[i]);
}

/* SYS_ADMIN is the store's for one call: no other that it could serve is in its list. */
static void
store_uses_sys_admin_for_one_call(void **state)
{
	const struct profile *p = profile_find(ROOM_STORE, SANDBOX_MODE_PLAIN);

	assert_true(lists(p, "fsetxattr"));
	assert_false(lists(p, "setxattr"));
	assert_false(lists(p, "lsetxattr"));
	assert_false(lists(p, "ioctl"));
	assert_false(lists(p, "quotactl"));
	assert_false(lists(p, "sethostname"));
	assert_false(lists(p, "fanotify_init"));
}

struct count {
	const char *seen[128];
	unsigned n;
};

static int
count(const struct profile_call *c, const char *group, void *arg)
{
	struct count *k = arg;

	for (unsigned i = 0; i < k->n; i++)
		if (strcmp(k->seen[i], c->name) == 0)
			return 0;
	if (!c->error && c->nr >= 0 && k->n < ARRAY_LEN(k->seen))
		k->seen[k->n++] = c->name;
	return 0;
}

/* A budget: a call more needs a look at this number. */
static void
budgets(void **state)
{
	static const struct {
		const char *row;
		unsigned calls;
	} most[] = {{"conf", 29}, {"frontend", 35}, {"store", 55}, {"dial", 44},
	    {"fetch", 38}, {"hash", 34}, {"rehash", 34}, {"inflate", 31},
	    {"document", 31}, {"verdict", 29}, {"apply", 48}, {"check", 33},
	    {"remove", 32}, {"verify", 34}, {"cli", 36}};
	size_t n, found = 0;
	const struct profile *rows = profile_rows(&n);

	for (size_t r = 0; r < n; r++)
		for (size_t i = 0; i < ARRAY_LEN(most); i++) {
			struct count k = {.n = 0};
			if (strcmp(rows[r].name, most[i].row) != 0)
				continue;
			profile_each_call(&rows[r], count, &k);
			if (k.n > most[i].calls)
				fail_msg("%s may make %u calls, budget %u", rows[r].name,
				    k.n, most[i].calls);
			found++;
		}
	assert_int_equal(found, ARRAY_LEN(most));
}

static int
has_reason(const struct profile_call *c, const char *group, void *arg)
{
	assert_non_null(c->why);
	assert_true(strlen(c->why) > 3);
	return 0;
}

static void
everything_has_a_reason(void **state)
{
	size_t n;
	const struct profile *rows = profile_rows(&n);

	for (size_t r = 0; r < n; r++) {
		profile_each_call(&rows[r], has_reason, NULL);
		for (const struct profile_cap *c = rows[r].caps; c->name; c++)
			assert_true(strlen(c->why) > 3);
		for (const struct profile_limit *l = rows[r].limits; l->name; l++)
			assert_true(strlen(l->why) > 3);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(filter_is_the_table),
	    cmocka_unit_test(other_worlds_die),
	    cmocka_unit_test(never_listed),
	    cmocka_unit_test(store_uses_sys_admin_for_one_call),
	    cmocka_unit_test(budgets),
	    cmocka_unit_test(everything_has_a_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
