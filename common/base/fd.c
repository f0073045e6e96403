#include "common/base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS_ALL (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

void
fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

int
fd_steal(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

int
fd_write_all(int fd, const void *p, size_t n)
{
	const uint8_t *at = p;

	while (n > 0) {
		ssize_t w = write(fd, at, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		at += w;
		n -= (size_t)w;
	}
	return 0;
}

ssize_t
fd_read_full(int fd, void *p, size_t n)
{
	size_t have = 0;

	while (have < n) {
		ssize_t r = read(fd, (uint8_t *)p + have, n - have);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		have += (size_t)r;
	}
	return (ssize_t)have;
}

int
fd_pread_exact(int fd, void *p, size_t n, off_t off)
{
	size_t have = 0;

	while (have < n) {
		ssize_t r = pread(fd, (uint8_t *)p + have, n - have, off + (off_t)have);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			return -ENODATA;
		have += (size_t)r;
	}
	return 0;
}

int
fd_read_whole(int fd, size_t max, uint8_t **out, size_t *n)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size < 0 || (uint64_t)st.st_size > max)
		return -EFBIG;

	size_t size = (size_t)st.st_size;
	CLEANUP(free_ptr) uint8_t *buf = malloc(size + 1);
	if (!buf)
		return -ENOMEM;
	int r = fd_pread_exact(fd, buf, size, 0);
	if (r < 0)
		return r;
	buf[size] = 0;
	*out = ptr_steal(&buf);
	*n = size;
	return 0;
}

int
fd_sealed_memfd(const char *name, const void *p, size_t n)
{
	FD_AUTO fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	int r = fd_write_all(fd, p, n);
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, SEALS_ALL) < 0)
		return -errno;
	return fd_steal(&fd);
}

int
fd_check_sealed(int fd, size_t max, size_t *size)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 && errno != EINVAL)
		return -errno;
	if (seals < 0 || (seals & SEALS_ALL) != SEALS_ALL)
		return -EPERM;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < 0 || (uint64_t)st.st_size > max)
		return -EFBIG;
	*size = (size_t)st.st_size;
	return 0;
}

int
fd_count_open(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	if (!d)
		return -1;
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n - 1;
}
