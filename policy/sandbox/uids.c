#include "policy/sandbox/uids.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int
lock_block(struct uids *u, unsigned number)
{
	char name[16];
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	snprintf(name, sizeof name, "%u", number);
	FD_AUTO fd =
	    openat(u->dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
		return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
	return fd_steal(&fd);
}

static int
claim(struct uids *u, struct err *e)
{
	if (u->nblocks == UIDS_CLAIMS)
		return err_set(e, ERR_IN_USE,
		    "all %u room ids of this service are in use; wait for pulls to end",
		    UIDS_CLAIMS * UIDS_BLOCK);
	for (unsigned n = 0; n < UIDS_BLOCKS; n++) {
		int fd = lock_block(u, n);
		if (fd == -EBUSY)
			continue;
		if (fd < 0)
			return err_errno(e, -fd, "locking a block of room ids");
		u->block[u->nblocks++] = (struct uids_block){.lock = fd, .number = n};
		return 0;
	}
	return err_set(e, ERR_IN_USE,
	    "all %u blocks of room ids from uid_base %u on are claimed by other bulkhead "
	    "processes; wait for them to end",
	    UIDS_BLOCKS, u->base);
}

int
uids_init(struct uids *u, const char *dir, uid_t base, struct err *e)
{
	*u = (struct uids){.base = base, .dir = -1};
	if (base < 1000 || base > UINT32_MAX - UIDS_BLOCK * UIDS_BLOCKS)
		return err_set(e, ERR_USAGE,
		    "uid_base %u: must be at least 1000 and leave room for %u ids", base,
		    UIDS_BLOCK * UIDS_BLOCKS);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_errno(e, errno, "making %s", dir);
	u->dir = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (u->dir < 0)
		return err_errno(e, errno, "opening %s", dir);
	int r = claim(u, e);
	if (r < 0)
		fd_close(&u->dir);
	return r;
}

void
uids_release(struct uids *u)
{
	for (unsigned i = 0; i < u->nblocks; i++)
		fd_close(&u->block[i].lock);
	u->nblocks = 0;
	fd_close(&u->dir);
}

static bool
take_from(struct uids *u, struct uids_block *b, uid_t *uid)
{
	for (unsigned i = 0; i < UIDS_BLOCK; i++) {
		unsigned at = (b->next + i) % UIDS_BLOCK;
		if (b->used >> at & 1)
			continue;
		b->used |= UINT64_C(1) << at;
		b->next = (at + 1) % UIDS_BLOCK;
		*uid = u->base + b->number * UIDS_BLOCK + at;
		return true;
	}
	return false;
}

int
uids_take(struct uids *u, uid_t *uid, struct err *e)
{
	for (unsigned i = 0; i < u->nblocks; i++)
		if (take_from(u, &u->block[i], uid))
			return 0;
	int r = claim(u, e);
	if (r < 0)
		return r;
	bool taken = take_from(u, &u->block[u->nblocks - 1], uid);
	assert(taken);
	return 0;
}

void
uids_give(struct uids *u, uid_t uid)
{
	for (unsigned i = 0; i < u->nblocks; i++) {
		struct uids_block *b = &u->block[i];
		uid_t first = u->base + b->number * UIDS_BLOCK;
		if (uid >= first && uid - first < UIDS_BLOCK)
			b->used &= ~(UINT64_C(1) << (uid - first));
	}
}
