#include "worker-fetch/fetch/connect.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>

__attribute__((visibility("default"))) int
connect(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sockaddr_storage peer;
	socklen_t n = sizeof(peer);

	if (getpeername(fd, (struct sockaddr *)&peer, &n) == 0)
		return 0;
	errno = EACCES;
	return -1;
}

bool
connect_is_ours(void)
{
	return dlsym(RTLD_DEFAULT, "connect") == (void *)connect;
}
