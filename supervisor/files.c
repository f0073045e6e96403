#include "supervisor/files.h"

#include "common/base/fd.h"
#include "common/base/limits.h"
#include "supervisor/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define POLICY_FILE "/etc/containers/policy.json"

int
files_check_graph(int fd, const char *path, struct err *e)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return err_errno(e, errno, "%s", path);
	if ((unsigned long)fs.f_type == OVERLAYFS_SUPER_MAGIC)
		return err_set(e, ERR_USAGE,
		    "%s lies on an overlay file system, on which overlay images cannot "
		    "be mounted: "
		    "inside a container, put a volume there",
		    path);
	return 0;
}

int
files_check_overlay(const char *path, struct err *e)
{
	char overlay[PATH_MAX];
	struct stat inside, outside;
	FD_AUTO fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	int n = snprintf(overlay, sizeof(overlay), "%s/overlay", path);

	if (fd < 0 || n < 0 || (size_t)n >= sizeof(overlay) ||
	    stat(overlay, &outside) < 0 ||
	    fstatat(fd, "overlay", &inside, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* nothing there yet */
	if (inside.st_dev == outside.st_dev && inside.st_ino == outside.st_ino)
		return 0; /* also where podman has bound it on itself */
	return err_set(e, ERR_USAGE,
	    "another file system is mounted on %s, and layers would land beneath it: "
	    "mount it "
	    "on %s itself, or name another graph root",
	    overlay, path);
}

static int
policy_seal(struct policy_file *p)
{
	CLEANUP(free_ptr) uint8_t *bytes = NULL;
	size_t n = 0;
	FD_AUTO fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0 && errno == ENOENT)
		return err_set(&p->problem, ERR_POLICY,
		    "no signature policy: looked for %s; without one no image is "
		    "accepted (containers-policy.json(5); `policy` in the configuration "
		    "names another file)",
		    p->path);
	if (fd < 0)
		return err_errno(
		    &p->problem, errno, "cannot open the policy file %s", p->path);
	int r = fd_read_whole(fd, LIMIT_POLICY, &bytes, &n);
	if (r < 0)
		return err_errno(
		    &p->problem, r, "cannot read the policy file %s", p->path);
	r = crypto_sha256(span_of(bytes, n), p->sha256);
	if (r == 0)
		r = fd_sealed_memfd("policy", bytes, n);
	return r < 0
		   ? err_errno(&p->problem, r, "cannot keep the policy file %s", p->path)
		   : r;
}

void
files_open_policy(const char *configured, struct policy_file *out)
{
	*out = (struct policy_file){.fd = -1};
	snprintf(
	    out->path, sizeof(out->path), "%s", *configured ? configured : POLICY_FILE);
	int fd = policy_seal(out);
	if (fd >= 0)
		out->fd = fd;
	else
		memset(out->sha256, 0, sizeof(out->sha256));
}
