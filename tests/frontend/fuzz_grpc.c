/* Bytes from a client into a server connection. The first byte says how they are cut, and
 * whether a good preface goes before them. The client reads everything and then leaves.
 */
#include "common/base/fd.h"
#include "tests/frontend/grpc_methods.h"

#include <sys/socket.h>
#include <unistd.h>

struct client {
	struct frontend *f;
	struct loop_source source;
	const uint8_t *p;
	size_t n, step;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
client_ready(struct loop_source *s, uint32_t events)
{
	static uint8_t buf[65536];
	struct client *c = s->arg;

	if (events & EPOLLOUT) {
		size_t n = c->n < c->step ? c->n : c->step;
		ssize_t r = n ? send(s->fd, c->p, n, MSG_NOSIGNAL) : 0;
		if (r > 0) {
			c->p += r;
			c->n -= (size_t)r;
		}
		if (c->n == 0) {
			shutdown(s->fd, SHUT_WR);
			loop_want(&c->f->loop, s, EPOLLIN);
		}
	}
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) &&
	    read(s->fd, buf, sizeof(buf)) <= 0 && c->f->grpc->conns_n == 0)
		loop_quit(&c->f->loop);
}

static void
client_run(struct frontend *f, const uint8_t *data, size_t size, size_t step)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		abort();
	struct client c = {.f = f, .p = data, .n = size, .step = step};
	c.source = (struct loop_source){
	    .fd = fds[1], .events = EPOLLIN | EPOLLOUT, .ready = client_ready, .arg = &c};
	f->loop.quit = false;
	if (grpc_serve(f->grpc, fds[0]) < 0 || loop_add(&f->loop, &c.source) < 0 ||
	    loop_run(&f->loop) < 0)
		abort();
	loop_remove(&f->loop, &c.source);
	close(fds[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
	static const size_t steps[] = {65536, 1, 7, 100};
	static uint8_t bytes[sizeof(hello) + 65536];
	static struct world w;

	if (size < 1 || size > 65536)
		return 0;
	if (!w.f.grpc)
		world_init(&w);
	size_t n =
	    data[0] & 4 ? sizeof(hello) : 0; /* with its NUL: the last byte of SETTINGS */
	memcpy(bytes, hello, n);
	memcpy(bytes + n, data + 1, size - 1);
	client_run(&w.f, bytes, n + size - 1, steps[data[0] & 3]);
	struct grpc *g = w.f.grpc;
	if (g->conns_n || g->calls_n || g->memory.used || w.waiting_n ||
	    w.chunk->refs != 1)
		abort();
	return 0;
}
