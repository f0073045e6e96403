/* File descriptors as owned values: -1 is "no fd", 0 is a good one. */
#ifndef BULKHEAD_BASE_FD_H
#define BULKHEAD_BASE_FD_H

#include "common/base/compiler.h"

#include <sys/types.h>

/* Closes *fd if it is one and sets it to -1; errno is kept. Never use it where a failing
 * close means lost data: call close() there and look. */
void fd_close(int *fd);
#define FD_AUTO CLEANUP(fd_close) int

/* Hands the fd on: returns *fd and leaves -1 behind. */
int fd_steal(int *fd);

/* write(2) until all n bytes are out. 0, or -errno. */
int fd_write_all(int fd, const void *p, size_t n) MUST_CHECK;

/* read(2) until n bytes or end of file. Bytes read, or -errno. */
ssize_t fd_read_full(int fd, void *p, size_t n) MUST_CHECK;

/* pread(2) of exactly n bytes at off. 0, -ENODATA when the file is shorter, or -errno. */
int fd_pread_exact(int fd, void *p, size_t n, off_t off) MUST_CHECK;

/* Reads a whole regular file or memfd of at most max bytes from offset 0 into fresh
 * memory (one NUL byte follows the content). The caller frees *out. 0, -EFBIG, or -errno.
 */
int fd_read_whole(int fd, size_t max, uint8_t **out, size_t *n) MUST_CHECK;

/* A memfd with the given content, sealed against every change (SEAL, SHRINK, GROW,
 * WRITE). The fd, or -errno. */
int fd_sealed_memfd(const char *name, const void *p, size_t n) MUST_CHECK;

/* Whether fd is a memfd whose seals include SEAL|SHRINK|GROW|WRITE. On success its size
 * is in *size. 0, -EPERM when it is not sealed so, or -errno. */
int fd_check_sealed(int fd, size_t max, size_t *size) MUST_CHECK;

/* Number of open descriptors of this process, for leak checks in tests. */
int fd_count_open(void);

#endif
