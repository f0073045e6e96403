#include "policy/sandbox/landlock.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's ABI, here in full: distributions' headers end at the kernel they were made
 * for. */
enum fs_right {
	EXECUTE = 1 << 0,
	WRITE_FILE = 1 << 1,
	READ_FILE = 1 << 2,
	READ_DIR = 1 << 3,
	REMOVE_DIR = 1 << 4,
	REMOVE_FILE = 1 << 5,
	MAKE_CHAR = 1 << 6,
	MAKE_DIR = 1 << 7,
	MAKE_REG = 1 << 8,
	MAKE_SOCK = 1 << 9,
	MAKE_FIFO = 1 << 10,
	MAKE_BLOCK = 1 << 11,
	MAKE_SYM = 1 << 12,
	REFER = 1 << 13,     /* ABI 2 */
	TRUNCATE = 1 << 14,  /* ABI 3 */
	IOCTL_DEV = 1 << 15, /* ABI 5 */
};
enum net_right { BIND_TCP = 1, CONNECT_TCP = 2 }; /* ABI 4 */
enum scope { ABSTRACT_UNIX = 1, SIGNAL = 2 };	  /* ABI 6 */

struct ruleset_attr {
	uint64_t fs, net, scoped;
};
struct path_beneath {
	uint64_t allowed;
	int32_t parent;
} __attribute__((packed));
#define RULE_PATH_BENEATH 1

#define READS (READ_FILE | READ_DIR)
#define REMOVES (REMOVE_DIR | REMOVE_FILE)
/* A whiteout is a character device 0:0; without CAP_MKNOD no other can be made. */
#define TREE_WRITES                                                              \
	(READS | REMOVES | WRITE_FILE | TRUNCATE | REFER | MAKE_DIR | MAKE_REG | \
	    MAKE_FIFO | MAKE_SYM | MAKE_CHAR)
/* Renaming a tree from staging into place needs MAKE_DIR alone. */
#define STORE_WRITES \
	(READS | REMOVES | WRITE_FILE | TRUNCATE | REFER | MAKE_DIR | MAKE_REG | MAKE_SYM)

/* A helper may keep state in its own /tmp for as long as it lives. */
#define TMP_WRITES                                                               \
	(READS | REMOVES | WRITE_FILE | TRUNCATE | REFER | MAKE_DIR | MAKE_REG | \
	    MAKE_FIFO | MAKE_SOCK | MAKE_SYM)

const char *const landlock_store_writes[] = {
    "bulkhead", "overlay", "overlay-layers", "overlay-images", NULL};
const char *const landlock_store_reads[] = {"overlay-containers", NULL};

const char *
landlock_text(enum profile_landlock kind)
{
	switch (kind) {
	case LANDLOCK_OFF:
		return "none";
	case LANDLOCK_NOTHING:
		return "no file, no TCP";
	case LANDLOCK_ETC_AND_TCP:
		return "reads /etc, connects over TCP";
	case LANDLOCK_TREE_WRITE:
		return "makes and changes files of its tree, runs none";
	case LANDLOCK_TREE_READ:
		return "reads its tree";
	case LANDLOCK_TREE_REMOVE:
		return "lists and removes in its tree";
	case LANDLOCK_STORE:
		return "writes bulkhead, overlay, overlay-layers, overlay-images; reads "
		       "overlay-containers and the run root";
	case LANDLOCK_PROGRAM:
		return "reads and runs what its root has, writes /tmp, connects over TCP";
	}
	return "?";
}

static uint64_t
known_fs(int abi)
{
	uint64_t all = (REFER << 1) - 1;

	if (abi >= 3)
		all |= TRUNCATE;
	if (abi >= 5)
		all |= IOCTL_DEV;
	return all;
}

static int
allow_beneath(int ruleset, int dir, const char *path, uint64_t rights, int abi)
{
	FD_AUTO at = openat(dir, path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (at < 0)
		return -errno;
	struct path_beneath rule = {.allowed = rights & known_fs(abi), .parent = at};
	if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0)
		return -errno;
	return 0;
}

static int
allow_store(int ruleset, int abi)
{
	int r = 0;

	for (size_t i = 0; r == 0 && landlock_store_writes[i]; i++)
		r = allow_beneath(ruleset, SANDBOX_FD_STORE_GRAPH,
		    landlock_store_writes[i], STORE_WRITES, abi);
	for (size_t i = 0; r == 0 && landlock_store_reads[i]; i++)
		r = allow_beneath(
		    ruleset, SANDBOX_FD_STORE_GRAPH, landlock_store_reads[i], READS, abi);
	return r == 0 ? allow_beneath(ruleset, SANDBOX_FD_STORE_RUN, ".", READS, abi) : r;
}

static int
allow_program(int ruleset, int abi)
{
	int r = allow_beneath(ruleset, AT_FDCWD, "/", READS | EXECUTE, abi);

	if (r == 0)
		r = allow_beneath(ruleset, AT_FDCWD, "/tmp", TMP_WRITES, abi);
	return r == 0 ? allow_beneath(
			    ruleset, AT_FDCWD, "/dev/null", READ_FILE | WRITE_FILE, abi)
		      : r;
}

static int
add_rules(int ruleset, enum profile_landlock kind, int abi)
{
	switch (kind) {
	case LANDLOCK_ETC_AND_TCP:
		return allow_beneath(ruleset, AT_FDCWD, "/etc", READS, abi);
	case LANDLOCK_TREE_WRITE:
		return allow_beneath(ruleset, AT_FDCWD, "/", TREE_WRITES, abi);
	case LANDLOCK_TREE_READ:
		return allow_beneath(ruleset, AT_FDCWD, "/", READS, abi);
	case LANDLOCK_TREE_REMOVE:
		return allow_beneath(ruleset, AT_FDCWD, "/", READ_DIR | REMOVES, abi);
	case LANDLOCK_STORE:
		return allow_store(ruleset, abi);
	case LANDLOCK_PROGRAM:
		return allow_program(ruleset, abi);
	case LANDLOCK_NOTHING:
	case LANDLOCK_OFF:
		break;
	}
	return 0;
}

int
landlock_enter(enum profile_landlock kind, int abi, struct err *e)
{
	if (kind == LANDLOCK_OFF || abi == 0)
		return 0;
	struct ruleset_attr attr = {.fs = known_fs(abi)};
	size_t size = sizeof attr.fs;
	if (abi >= 4) {
		bool connects = kind == LANDLOCK_ETC_AND_TCP || kind == LANDLOCK_PROGRAM;
		attr.net = BIND_TCP | (connects ? 0 : CONNECT_TCP);
		size += sizeof attr.net;
	}
	if (abi >= 6) {
		attr.scoped = ABSTRACT_UNIX | SIGNAL;
		size += sizeof attr.scoped;
	}
	FD_AUTO ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0)
		return err_errno(e, errno, "Landlock ABI %d: making a ruleset", abi);
	int r = add_rules(ruleset, kind, abi);
	if (r < 0)
		return err_errno(e, -r, "Landlock ABI %d: adding rules (%s)", abi,
		    landlock_text(kind));
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return err_errno(e, errno, "Landlock ABI %d: entering", abi);
	return 0;
}
