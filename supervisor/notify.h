/* The service manager's notification protocol (sd_notify(3)): datagrams of VARIABLE=VALUE
 * lines to the socket that NOTIFY_SOCKET names. */
#ifndef BULKHEAD_SUPERVISOR_NOTIFY_H
#define BULKHEAD_SUPERVISOR_NOTIFY_H

#include "common/base/err.h"

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

struct notify {
	int fd; /* -1: nobody wants to know */
};

/* What NOTIFY_SOCKET may be: an absolute path, or '@' and an abstract name. The length of
 * *out, or negative. */
ssize_t notify_address(const char *text, struct sockaddr_un *out) MUST_CHECK;

/* Connects; address NULL or "": nobody wants to know. An abstract name belongs to a
 * network namespace: call it in that of the service manager. 0, or negative with *e. */
int notify_open(struct notify *n, const char *address, struct err *e) MUST_CHECK;
void notify_close(struct notify *n);

/* Sends lines as they are; waits a little for a manager that is busy. */
void notify_send(struct notify *n, const char *lines);

/* "STATUS=" and the text on one line, cut to fit. Returns dst. */
char *notify_status(char *dst, size_t cap, const char *prefix, const char *text);

/* The lines that announce a reload begun at usec of the monotonic clock. Returns dst. */
char *notify_reloading(char *dst, size_t cap, uint64_t usec);

/* Microseconds between keep-alives as WATCHDOG_USEC and WATCHDOG_PID (may be NULL) ask
 * for; 0: the manager does not watch this process. */
uint64_t notify_watchdog(const char *usec, const char *pid, pid_t self);

#endif
