/* A disk that remembers: power-recorder IMAGE LOG DIRECTORY mounts a file system on
 * DIRECTORY with one file, "disk", which is IMAGE. A loop device on it is a disk whose
 * every write and every flush is in LOG, in the order they were completed:
 *
 *   kind u64 (1 write, 2 flush) | offset u64 | bytes u64 | the bytes
 *
 * native byte order. One thread answers one request after another, so a flush in LOG
 * covers all writes before it. What would make blocks zero in other ways is refused; the
 * kernel then writes zeros. Ends when it is unmounted. Linked with libfuse, run by tests
 * alone. */
#define FUSE_USE_VERSION 35

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "disk"
enum { DISK = 2, WRITE = 1, FLUSH = 2 };

static int image, record;

/* A record that is not whole would be read as another: then nothing is answered any more.
 */
static void
note(uint64_t kind, uint64_t offset, const char *bytes, size_t n)
{
	uint64_t head[] = {kind, offset, n};

	if (fd_write_all(record, head, sizeof(head)) < 0 ||
	    (n && fd_write_all(record, bytes, n) < 0))
		_exit(1);
}

static int
describe(fuse_ino_t ino, struct stat *st)
{
	struct stat of;

	*st = (struct stat){.st_ino = ino, .st_nlink = 1, .st_mode = S_IFDIR | 0700};
	if (ino == FUSE_ROOT_ID)
		return 0;
	if (ino != DISK || fstat(image, &of) < 0)
		return ENOENT;
	st->st_mode = S_IFREG | 0600;
	st->st_size = of.st_size;
	return 0;
}

static void
on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = {
	    .ino = DISK, .attr_timeout = 60, .entry_timeout = 60};

	if (strcmp(name, NAME) != 0 || describe(DISK, &e.attr) != 0)
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_entry(req, &e);
}

static void
on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	int e = describe(ino, &st);

	if (e)
		fuse_reply_err(req, e);
	else
		fuse_reply_attr(req, &st, 60);
}

static void
on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_open(req, fi);
}

static void
on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fuse_bufvec buf = FUSE_BUFVEC_INIT(size);

	buf.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	buf.buf[0].fd = image;
	buf.buf[0].pos = off;
	fuse_reply_data(req, &buf, 0);
}

static void
on_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	ssize_t n = pwrite(image, bytes, size, off);

	if (n != (ssize_t)size) {
		fuse_reply_err(req, n < 0 ? errno : EIO);
		return;
	}
	note(WRITE, (uint64_t)off, bytes, size);
	fuse_reply_write(req, size);
}

static void
on_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	note(FLUSH, 0, NULL, 0);
	fuse_reply_err(req, 0);
}

static void
on_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t n,
    struct fuse_file_info *fi)
{
	fuse_reply_err(req, EOPNOTSUPP);
}

int
main(int argc, char **argv)
{
	static const struct fuse_lowlevel_ops ops = {.lookup = on_lookup,
	    .getattr = on_getattr,
	    .open = on_open,
	    .read = on_read,
	    .write = on_write,
	    .fsync = on_fsync,
	    .fallocate = on_fallocate};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);

	if (argc != 4)
		return 64;
	image = open(argv[1], O_RDWR | O_CLOEXEC);
	record = open(argv[2], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct fuse_session *s = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (image < 0 || record < 0 || !s || fuse_session_mount(s, argv[3]) != 0) {
		perror("power-recorder");
		return 1;
	}
	int r = fuse_session_loop(s);
	fuse_session_unmount(s);
	fuse_session_destroy(s);
	return r == 0 ? 0 : 1;
}
