#include "supervisor/listen.h"

#include "common/base/fd.h"
#include "common/base/span.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 512
#define LOCK_TRIES 100 /* of 10 ms */

static const struct {
	const char *name;
	int type;
} kinds[LISTENERS] = {
    [LISTEN_CRI] = {"cri", SOCK_STREAM},
    [LISTEN_CONTROL] = {"control", SOCK_SEQPACKET},
    [LISTEN_METRICS] = {"metrics", SOCK_STREAM},
};

const char *
listener_name(enum listen_kind kind)
{
	return kinds[kind].name;
}

void
listeners_init(struct listeners *l)
{
	for (size_t i = 0; i < LISTENERS; i++)
		l->of[i] = (struct listener){.fd = -1};
}

void
listeners_release(struct listeners *l)
{
	for (size_t i = 0; i < LISTENERS; i++)
		fd_close(&l->of[i].fd);
}

/* ---- passed in ---- */

/* 0..most; -1 for everything else. */
static long
number(const char *text, long most)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	long v = strtol(text, &end, 10);
	return errno || *end || v > most ? -1 : v;
}

int
listen_env_count(const struct listen_env *env, pid_t self, struct err *e)
{
	if (!env->pid || !env->count || number(env->pid, INT32_MAX) != self)
		return 0; /* meant for another process */
	long n = number(env->count, LISTENERS);
	if (n < 0)
		return err_set(e, ERR_USAGE,
		    "LISTEN_FDS=%s: at most %d sockets can be passed in (cri, control, "
		    "metrics)",
		    env->count, LISTENERS);
	return (int)n;
}

/* The kind that the i-th name means; -1: none of ours. */
static int
kind_named(const char *names, int i)
{
	for (; i > 0; i--) {
		names += strcspn(names, ":");
		if (!*names)
			return -1;
		names++;
	}
	struct span name = span_of(names, strcspn(names, ":"));
	for (int k = 0; k < LISTENERS; k++) {
		if (span_is(name, kinds[k].name))
			return k;
	}
	return -1;
}

static int
option(int fd, int what)
{
	int value = -1;
	socklen_t n = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, what, &value, &n) < 0 ? -1 : value;
}

static const char *
take_problem(int fd, int type)
{
	struct sockaddr_un name = {0};
	socklen_t n = sizeof(name);

	if (option(fd, SO_DOMAIN) != AF_UNIX || getsockname(fd, (void *)&name, &n) < 0)
		return "is no unix socket";
	if (option(fd, SO_TYPE) != type)
		return type == SOCK_STREAM ? "is no stream socket (ListenStream=)"
					   : "is no ListenSequentialPacket= socket";
	if (option(fd, SO_ACCEPTCONN) != 1)
		return "does not listen (Accept=yes cannot be used)";
	if (n <= offsetof(struct sockaddr_un, sun_path) || !name.sun_path[0])
		return "has no path, so that no file mode protects it";
	return NULL;
}

static int
take_one(struct listeners *l, const struct listen_env *env, int fd, int i, struct err *e)
{
	struct sockaddr_un name = {0};
	socklen_t n = sizeof(name);
	int kind = env->names				   ? kind_named(env->names, i)
		   : option(fd, SO_TYPE) == SOCK_SEQPACKET ? LISTEN_CONTROL
							   : LISTEN_CRI;

	if (kind < 0)
		return err_set(e, ERR_USAGE,
		    "LISTEN_FDNAMES=%s: FileDescriptorName= of a socket is cri, control "
		    "or metrics",
		    env->names);
	struct listener *at = &l->of[kind];
	if (at->fd >= 0)
		return err_set(e, ERR_USAGE,
		    "two sockets were passed in for %s: name them with "
		    "FileDescriptorName=",
		    kinds[kind].name);
	const char *problem = take_problem(fd, kinds[kind].type);
	if (problem)
		return err_set(e, ERR_USAGE, "the socket passed in for %s %s",
		    kinds[kind].name, problem);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
	    getsockname(fd, (void *)&name, &n) < 0)
		return err_errno(
		    e, errno, "the socket passed in for %s", kinds[kind].name);
	*at = (struct listener){.fd = fd, .passed = true, .bound = true};
	snprintf(at->path, sizeof(at->path), "%.*s", LIMIT_SOCKET_PATH, name.sun_path);
	return 0;
}

int
listeners_take(
    struct listeners *l, const struct listen_env *env, int first, int n, struct err *e)
{
	int r = 0;

	for (int i = 0; r == 0 && i < n; i++)
		r = take_one(l, env, first + i, i, e);
	return r;
}

/* ---- our own ---- */

static int
make_one(enum listen_kind kind, struct err *e)
{
	int fd = socket(AF_UNIX, kinds[kind].type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? err_errno(e, errno, "making the %s socket", kinds[kind].name)
		      : fd;
}

int
listeners_make(struct listeners *l, struct err *e)
{
	for (size_t i = 0; i < LISTENERS; i++) {
		if (l->of[i].fd >= 0)
			continue;
		l->of[i].fd = make_one((enum listen_kind)i, e);
		if (l->of[i].fd < 0)
			return l->of[i].fd;
	}
	return 0;
}

static socklen_t
address(const char *path, struct sockaddr_un *out)
{
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(out->sun_path, path, strlen(path));
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
}

/* Whether somebody listens at path: a file whose owner has gone refuses, and so does one
 * that was shut down. A full queue or another type of socket mean that one is there. */
static bool
answers(const char *path, int type)
{
	struct sockaddr_un to;
	socklen_t n = address(path, &to);
	FD_AUTO fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 || connect(fd, (const struct sockaddr *)&to, n) == 0 ||
	       (errno != ECONNREFUSED && errno != ENOENT);
}

/* Two daemons that start at once must not take each other's fresh socket for a stale one.
 */
static int
lock_directory(int dir)
{
	const struct timespec pause = {.tv_nsec = 10000000};

	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(dir, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		nanosleep(&pause, NULL);
	}
	return -EBUSY;
}

static int
open_directory(const char *path, struct err *e)
{
	char dir[LIMIT_SOCKET_PATH + 1];
	struct stat st;
	size_t n = (size_t)(strrchr(path, '/') - path);

	snprintf(dir, sizeof(dir), "%.*s", n ? (int)n : 1, path);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_errno(e, errno, "cannot make %s for the socket %s", dir, path);
	FD_AUTO fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, errno, "cannot open %s", dir);
	if (st.st_uid != 0 || (st.st_mode & 0022))
		return err_set(e, ERR_POLICY,
		    "others can write %s (owner %u, mode %04o), where the socket %s is "
		    "to "
		    "be: make it root's with mode 0700, or name another path",
		    dir, st.st_uid, st.st_mode & 07777, path);
	int r = lock_directory(fd);
	if (r < 0)
		return err_errno(e, -r, "locking %s", dir);
	return fd_steal(&fd);
}

/* Takes the file of a socket out of the way if its owner has gone. */
static int
remove_stale(const char *path, int type, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "%s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, ERR_USAGE,
		    "%s exists and is no socket: remove it, or name another path", path);
	if (answers(path, type))
		return err_set(e, ERR_IN_USE,
		    "another process listens on %s already: if it is bulkheadd, stop it "
		    "first (systemctl stop bulkhead); else name another path",
		    path);
	return unlink(path) < 0
		   ? err_errno(e, errno, "removing the stale socket %s", path)
		   : 0;
}

int
listener_bind(struct listeners *l, enum listen_kind kind, const char *path, struct err *e)
{
	struct listener *at = &l->of[kind];
	struct sockaddr_un name;
	struct stat st;

	if (at->passed)
		return 0;
	if (!*path) {
		fd_close(&at->fd);
		return 0;
	}
	assert(*path == '/' && strlen(path) <= LIMIT_SOCKET_PATH);
	FD_AUTO dir = open_directory(path, e);
	if (dir < 0)
		return dir;
	int r = remove_stale(path, kinds[kind].type, e);
	if (r < 0)
		return r;
	socklen_t n = address(path, &name);
	mode_t old = umask(0177);
	r = bind(at->fd, (const struct sockaddr *)&name, n) < 0 ? -errno : 0;
	umask(old);
	if (r < 0)
		return err_errno(e, -r, "cannot make the socket %s", path);
	at->bound = true;
	snprintf(at->path, sizeof(at->path), "%s", path);
	if (lstat(path, &st) == 0) {
		at->device = st.st_dev;
		at->inode = st.st_ino;
	}
	return listen(at->fd, BACKLOG) < 0
		   ? err_errno(e, errno, "cannot listen on %s", path)
		   : 0;
}

bool
listener_lives(const struct listener *l)
{
	struct sockaddr_un to;
	socklen_t n = address(l->path, &to);
	FD_AUTO fd =
	    socket(AF_UNIX, option(l->fd, SO_TYPE) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* The file may have been removed by an admin; only a refusal speaks of the
	 * socket. */
	return fd < 0 || connect(fd, (const struct sockaddr *)&to, n) == 0 ||
	       errno != ECONNREFUSED;
}

int
listener_renew(struct listeners *l, enum listen_kind kind, struct err *e)
{
	struct listener *at = &l->of[kind];
	char path[LIMIT_SOCKET_PATH + 1];

	if (at->passed)
		return err_set(e, ERR_INTERNAL,
		    "%s takes no connections any more: restart its socket unit",
		    at->path);
	snprintf(path, sizeof(path), "%s", at->path);
	int fd = make_one(kind, e);
	if (fd < 0)
		return fd;
	fd_close(&at->fd);
	at->fd = fd;
	return listener_bind(l, kind, path, e);
}

void
listeners_unlink(struct listeners *l)
{
	struct stat st;

	for (size_t i = 0; i < LISTENERS; i++) {
		struct listener *at = &l->of[i];
		/* An open socket keeps its inode: the number is nobody else's. */
		if (at->fd >= 0 && at->bound && !at->passed &&
		    lstat(at->path, &st) == 0 && st.st_dev == at->device &&
		    st.st_ino == at->inode)
			unlink(at->path);
		at->bound = at->bound && at->passed;
	}
}
