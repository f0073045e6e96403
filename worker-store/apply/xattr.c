#include "worker-store/apply/xattr.h"

#include <endian.h>
#include <errno.h>
#include <linux/capability.h>
#include <sys/xattr.h>

/* overlayfs believes the first, fuse-overlayfs and podman the other two. */
static const char *const markers[] = {
    "user.overlay.",
    "user.containers.",
    "user.fuseoverlayfs.",
};

static bool
is_marker(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(markers); i++) {
		if (span_starts(name, markers[i]))
			return true;
	}
	return false;
}

/* struct vfs_cap_data, vfs_ns_cap_data: revision and length must agree; revision 1 is
 * history. */
static bool
is_capability(struct span v)
{
	uint32_t magic;

	if (v.n < sizeof(magic))
		return false;
	memcpy(&magic, v.p, sizeof(magic));
	magic = le32toh(magic);
	if (magic & ~(uint32_t)(VFS_CAP_REVISION_MASK | VFS_CAP_FLAGS_EFFECTIVE))
		return false;
	magic &= VFS_CAP_REVISION_MASK;
	return (magic == VFS_CAP_REVISION_2 && v.n == XATTR_CAPS_SZ_2) ||
	       (magic == VFS_CAP_REVISION_3 && v.n == XATTR_CAPS_SZ_3);
}

int
xattr_set(
    int fd, enum xattr_node node, const char *name, struct span value, struct err *err)
{
	struct span n = span_str(name);
	bool capability = span_is(n, "security.capability");
	char text[300];

	if ((!capability && !span_starts(n, "user.")) || is_marker(n))
		return XATTR_DROPPED;
	if (capability && node != XATTR_FILE)
		return XATTR_DROPPED;
	if (capability && !is_capability(value))
		return err_set(
		    err, ERR_CONTENT, "layer refused: a malformed security.capability");
	span_escape(n, text, sizeof(text));
	if (node == XATTR_OTHER || n.n == strlen("user."))
		return err_set(err, ERR_CONTENT,
		    "layer refused: the attribute \"%s\" on a node that cannot have it",
		    text);
	if (fsetxattr(fd, name, value.p, value.n, 0) == 0)
		return 0;
	/* As upstream does: a file system without user.* (tmpfs before 6.6) is no reason
	 * to fail. */
	if (errno == ENOTSUP)
		return XATTR_DROPPED;
	return err_errno(
	    err, errno, "cannot set the attribute \"%s\" in the layer", text);
}
