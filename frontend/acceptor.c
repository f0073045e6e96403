#include "frontend/acceptor.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define REST_MS 200

static void
acceptor_rested(struct loop_timer *t)
{
	struct acceptor *a = t->arg;

	loop_want(a->loop, &a->source, EPOLLIN);
}

/* A socket that stays ready while nothing can be accepted would spin the loop. */
static void
acceptor_ready(struct loop_source *s, uint32_t events)
{
	struct acceptor *a = s->arg;

	int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		a->accepted(a->arg, fd);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
		   errno == ENOBUFS) {
		loop_want(a->loop, s, 0);
		loop_timer_set(a->loop, &a->rest, REST_MS);
	}
}

int
acceptor_open(struct acceptor *a, struct loop *l, int fd)
{
	a->loop = l;
	a->source = (struct loop_source){
	    .fd = fd, .events = EPOLLIN, .ready = acceptor_ready, .arg = a};
	a->rest = (struct loop_timer){.fired = acceptor_rested, .arg = a};
	int r = loop_add(l, &a->source);
	if (r < 0)
		close(fd);
	return r;
}

void
acceptor_close(struct acceptor *a)
{
	int fd = a->source.fd;

	loop_timer_clear(a->loop, &a->rest);
	loop_remove(a->loop, &a->source);
	close(fd);
}
