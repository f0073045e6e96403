#include "policy/sandbox/filter.h"

#include "common/base/fd.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

static void
release(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

static int
add_call(const struct profile_call *c, const char *group, void *arg)
{
	struct scmp_arg_cmp cmp[ARRAY_LEN(c->arg)];
	uint32_t action = c->error ? SCMP_ACT_ERRNO((uint16_t)c->error) : SCMP_ACT_ALLOW;

	if (c->nr < 0)
		return 0;
	for (unsigned i = 0; i < c->narg; i++)
		cmp[i] = (struct scmp_arg_cmp){
		    .arg = c->arg[i].at,
		    .op = SCMP_CMP_MASKED_EQ,
		    .datum_a = c->arg[i].mask,
		    .datum_b = c->arg[i].value,
		};
	int r =
	    seccomp_rule_add_array(*(scmp_filter_ctx *)arg, action, c->nr, c->narg, cmp);
	/* Two sets may hold the same rule. */
	return r == -EEXIST ? 0 : r;
}

static int export(scmp_filter_ctx ctx, struct filter *out)
{
	FD_AUTO fd = memfd_create("filter", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return r;
	off_t n = lseek(fd, 0, SEEK_END);
	if (n <= 0 || n > FILTER_MAX || n % 8 != 0)
		return -E2BIG;
	out->n = (size_t)n;
	return fd_pread_exact(fd, out->bytes, out->n, 0);
}

int
filter_build(const struct profile *p, struct filter *out, struct err *e)
{
	bool refuse = p->seccomp == SECCOMP_REFUSE;
	CLEANUP(release)
	scmp_filter_ctx ctx =
	    seccomp_init(refuse ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS);

	if (!ctx)
		return err_set(e, ERR_INTERNAL, "libseccomp: cannot start a filter");
	/* 32-bit and x32 calls have other numbers: never let them in. */
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = profile_each_call(p, add_call, &ctx);
	if (r == 0)
		r = export(ctx, out);
	if (r < 0)
		return err_errno(
		    e, -r, "libseccomp: filter of room %s (see profiles.def)", p->name);
	return 0;
}
