#include "supervisor/notify.h"

#include "common/base/fd.h"
#include "common/base/span.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#define WAIT_MS 500

ssize_t
notify_address(const char *text, struct sockaddr_un *out)
{
	size_t n = strlen(text);

	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	if ((*text != '/' && *text != '@') || n < 2 || n >= sizeof(out->sun_path))
		return -EINVAL;
	memcpy(out->sun_path, text, n);
	if (*text == '@') {
		out->sun_path[0] = 0;
		return (ssize_t)(offsetof(struct sockaddr_un, sun_path) + n);
	}
	return (ssize_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
}

int
notify_open(struct notify *n, const char *address, struct err *e)
{
	struct sockaddr_un to;
	const struct timeval wait = {.tv_usec = WAIT_MS * 1000};

	n->fd = -1;
	if (!address || !*address)
		return 0;
	ssize_t size = notify_address(address, &to);
	if (size < 0)
		return err_set(e, ERR_USAGE,
		    "NOTIFY_SOCKET=%s: neither a path nor an abstract name", address);
	FD_AUTO fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0 ||
	    connect(fd, (const struct sockaddr *)&to, (socklen_t)size) < 0)
		return err_errno(e, errno, "NOTIFY_SOCKET=%s", address);
	n->fd = fd_steal(&fd);
	return 0;
}

void
notify_close(struct notify *n)
{
	fd_close(&n->fd);
}

void
notify_send(struct notify *n, const char *lines)
{
	if (n->fd < 0)
		return;
	ssize_t sent = send(n->fd, lines, strlen(lines), MSG_NOSIGNAL);
	(void)sent; /* a manager that has gone comes back with a new socket and a restart
		     */
}

char *
notify_status(char *dst, size_t cap, const char *prefix, const char *text)
{
	int n = snprintf(dst, cap, "%sSTATUS=", prefix);

	if (n > 0 && (size_t)n < cap)
		span_escape(span_str(text), dst + n, cap - (size_t)n);
	return dst;
}

char *
notify_reloading(char *dst, size_t cap, uint64_t usec)
{
	snprintf(dst, cap, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reloading",
	    (unsigned long long)usec);
	return dst;
}

/* Decimal digits alone; -1 for everything else. */
static long long
number(const char *text)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	long long v = strtoll(text, &end, 10);
	return errno || *end ? -1 : v;
}

uint64_t
notify_watchdog(const char *usec, const char *pid, pid_t self)
{
	long long v = usec ? number(usec) : -1;

	if (v <= 0 || (pid && *pid && number(pid) != self))
		return 0;
	return (uint64_t)v;
}
