#include "frontend/control.h"

#include "frontend/acceptor.h"
#include "frontend/client.h"
#include "frontend/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* The answer is one packet to a fresh socket: it needs no loop. */
static void
client_refuse(int fd)
{
	struct ipc_msg m = IPC_MSG(cli_done, .code = ERR_INTERNAL,
	    .text = span_str("too many commands speak to the daemon: try again"));
	struct chan c;

	if (chan_init(&c, fd, CH_cli, ROOM_FRONTEND, ROOM_CLI) < 0) {
		close(fd);
		return;
	}
	c.phase = IPC_RUN;
	(void)!chan_send(&c, &m);
	chan_release(&c);
}

static void
control_accepted(void *arg, int fd)
{
	struct frontend *f = arg;

	if (f->n_clients >= LIMIT_CONTROL_CLIENTS) {
		metrics_count(f, METRIC_CONTROL_REFUSED, 1);
		client_refuse(fd);
		return;
	}
	int r = client_open(f, fd);
	if (r < 0)
		frontend_log(f, "a command was not accepted: %s", strerror(-r));
}

int
control_listen(struct frontend *f, int fd)
{
	struct acceptor *a = calloc(1, sizeof(*a));

	if (!a) {
		close(fd);
		return -ENOMEM;
	}
	a->accepted = control_accepted;
	a->arg = f;
	int r = acceptor_open(a, &f->loop, fd);
	if (r < 0) {
		free(a);
		return r;
	}
	control_stop(f);
	f->control_socket = a;
	return 0;
}

void
control_stop(struct frontend *f)
{
	struct acceptor *a = f->control_socket;

	if (!a)
		return;
	acceptor_close(a);
	free(a);
	f->control_socket = NULL;
}
