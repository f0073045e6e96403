/* Dials once and says what happened: `dial_probe HOST PORT FLOOR [MILLISECONDS]`.
 * dns_test.py drives it inside a network and mount namespace of its own. "ok CLASS
 * ADDRESS" or "error CODE TEXT" */
#include "worker-fetch/dial/dial.h"

#include "common/base/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	struct dial_rules rules = {.deadline_ms = LIMIT_DIAL_SECONDS * 1000};
	struct dial_result got = {.fd = -1};
	struct err e = {0};

	close(0);
	if (open("/dev/null", O_RDONLY | O_CLOEXEC) != 0)
		return 2;
	int before = fd_count_open();
	if (argc < 4)
		return 2;
	rules.floor = (enum address_class)atoi(argv[3]);
	if (argc > 4)
		rules.deadline_ms = (unsigned)atoi(argv[4]);
	int r = dial_host(argv[1], (uint16_t)atoi(argv[2]), &rules, &got, &e);
	if (r == 0) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		if (getpeername(got.fd, (struct sockaddr *)&peer, &len) < 0)
			return 3;
		printf("ok %d %s\n", (int)got.class, got.address);
		fd_close(&got.fd);
	} else {
		printf("error %d %s\n", (int)e.code, e.text);
	}
	if (fd_count_open() != before) {
		printf("leaked descriptors\n");
		return 4;
	}
	return 0;
}
