#include "worker-store/store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TOKEN_BYTES 64
#define DELAY_MAX_MS 50
#define TELL_AFTER_NS UINT64_C(2000000000)

uint64_t
monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static int
ofd_lock(int fd, short type)
{
	struct flock fl = {.l_type = type, .l_whence = SEEK_SET};

	if (fcntl(fd, F_OFD_SETLK, &fl) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

int
lock_try(int fd)
{
	return ofd_lock(fd, F_WRLCK);
}

static int
lock_open(const struct lock_at *at, bool write)
{
	int flags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd = openat(at->dir, at->name, (write ? O_RDWR : O_RDONLY) | flags);

	if (fd < 0 && errno == ENOENT) {
		fd = openat(at->dir, at->name, O_RDWR | O_CREAT | O_EXCL | flags, 0644);
		if (fd < 0 && errno == EEXIST) /* somebody else has just made it */
			fd = openat(
			    at->dir, at->name, (write ? O_RDWR : O_RDONLY) | flags);
	}
	if (fd < 0)
		return -errno;
	struct stat st;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

/* A holder in another pid namespace, or of an open-file lock, has no pid to tell. */
static void
tell_holder(struct hold *h, int fd, const char *name, short type, char holder[200])
{
	struct flock fl = {.l_type = type, .l_whence = SEEK_SET};

	if (h->told || !holder || monotonic_ns() - h->since_ns < TELL_AFTER_NS)
		return;
	h->told = true;
	if (fcntl(fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK && fl.l_pid > 0)
		snprintf(
		    holder, 200, "waiting for %s: process %d holds it", name, fl.l_pid);
	else
		snprintf(holder, 200,
		    "waiting for %s: another program that uses the store holds it", name);
}

static void
hold_later(struct hold *h)
{
	if (!h->since_ns)
		h->since_ns = monotonic_ns();
	h->delay_ms = h->delay_ms ? h->delay_ms * 2 : 1;
	if (h->delay_ms > DELAY_MAX_MS)
		h->delay_ms = DELAY_MAX_MS;
}

int
hold_try(struct hold *h, unsigned want, const struct lock_at files[LOCK_N],
    char holder[200], struct err *e)
{
	for (int i = 0; i < LOCK_N; i++) {
		bool write = i != LOCK_CONTAINERS;
		if (!(want & 1u << i) || h->want & 1u << i)
			continue;
		if (h->fd[i] < 0) {
			int fd = lock_open(&files[i], write);
			if (fd < 0)
				return err_errno(
				    e, -fd, "cannot open %s of the store", files[i].name);
			h->fd[i] = fd;
		}
		short type = write ? F_WRLCK : F_RDLCK;
		int r = ofd_lock(h->fd[i], type);
		if (r == -EAGAIN) {
			hold_later(h);
			tell_holder(h, h->fd[i], files[i].name, type, holder);
			return -EAGAIN;
		}
		if (r < 0)
			return err_errno(
			    e, -r, "cannot lock %s of the store", files[i].name);
		h->want |= 1u << i;
		h->write[i] = write;
		h->delay_ms = 0;
	}
	return 0;
}

int
hold_wait(struct hold *h, unsigned want, const struct lock_at files[LOCK_N],
    uint64_t deadline_ns, struct err *e)
{
	for (;;) {
		int r = hold_try(h, want, files, NULL, e);
		if (r != -EAGAIN)
			return r;
		if (deadline_ns && monotonic_ns() >= deadline_ns) {
			err_set(e, ERR_DEADLINE,
			    "the store stayed locked by another program until the "
			    "deadline");
			return -ETIMEDOUT;
		}
		struct timespec ts = {0, (long)h->delay_ms * 1000000};
		nanosleep(&ts, NULL);
	}
}

void
hold_release(struct hold *h)
{
	for (int i = LOCK_N - 1; i >= 0; i--)
		fd_close(&h->fd[i]);
	*h = HOLD_NONE;
}

int
lock_token_write(int fd, struct err *e)
{
	uint8_t token[TOKEN_BYTES];

	if (getrandom(token, sizeof(token), 0) != sizeof(token))
		return err_errno(e, errno, "no random bytes");
	/* One call as a rule. The half that a reader might see of a short one is as good:
	 * it differs from the token before. */
	for (size_t at = 0; at < sizeof(token);) {
		ssize_t n = pwrite(fd, token + at, sizeof(token) - at, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, errno, "cannot write a lock file's token");
		at += (size_t)n;
	}
	return 0;
}
