#include "cli/connect.h"
#include "common/base/fd.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

int
control_connect(const char *path, bool must, struct err *e)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	if (path[0] != '/' || strlen(path) >= sizeof(to.sun_path))
		return err_set(e, ERR_USAGE,
		    "--socket: write an absolute path of at most %zu characters",
		    sizeof(to.sun_path) - 1);
	memcpy(to.sun_path, path, strlen(path) + 1);
	FD_AUTO fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(e, errno, "socket");
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd_steal(&fd);
	if (!must && (errno == ENOENT || errno == ECONNREFUSED))
		return -ENOENT;
	if (errno == EPROTOTYPE)
		return err_set(e, ERR_USAGE,
		    "%s is no control socket: the socket for kubelet and crictl is "
		    "another",
		    path);
	if (errno == EACCES)
		return err_set(
		    e, ERR_USAGE, "%s: only root may speak to the daemon", path);
	return err_errno(
	    e, errno, "no daemon listens on %s (is bulkhead.service running?)", path);
}
