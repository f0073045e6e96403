#include "frontend/control.h"

#include "frontend/client.h"
#include "frontend/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* After the machine ran out of descriptors or memory. */
#define REST_MS 200

struct control {
	struct frontend *f;
	struct loop_source source;
	struct loop_timer rest;
};

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
control_rested(struct loop_timer *t)
{
	struct control *c = t->arg;

	loop_want(&c->f->loop, &c->source, EPOLLIN);
}

static void
control_ready(struct loop_source *s, uint32_t events)
{
	struct control *c = s->arg;
	struct frontend *f = c->f;

	int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno != EMFILE && errno != ENFILE && errno != ENOMEM &&
		    errno != ENOBUFS)
			return;
		loop_want(&f->loop, s, 0);
		loop_timer_set(&f->loop, &c->rest, REST_MS);
		return;
	}
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
	struct control *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->f = f;
	c->source = (struct loop_source){
	    .fd = fd, .events = EPOLLIN, .ready = control_ready, .arg = c};
	c->rest = (struct loop_timer){.fired = control_rested, .arg = c};
	int r = loop_add(&f->loop, &c->source);
	if (r < 0) {
		close(fd);
		free(c);
		return r;
	}
	control_stop(f);
	f->control_socket = c;
	return 0;
}

void
control_stop(struct frontend *f)
{
	struct control *c = f->control_socket;

	if (!c)
		return;
	int fd = c->source.fd;
	loop_timer_clear(&f->loop, &c->rest);
	loop_remove(&f->loop, &c->source);
	close(fd);
	free(c);
	f->control_socket = NULL;
}
