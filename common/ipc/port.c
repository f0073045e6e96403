#include "common/ipc/port.h"

#include <errno.h>
#include <sys/socket.h>

static void
port_end(struct port *p, const char *why)
{
	p->ended(p, why);
}

static void
port_ready(struct loop_source *s, uint32_t events)
{
	struct port *p = s->arg;
	struct ipc_msg m;
	const char *why = NULL;

	if ((events & EPOLLOUT) && chan_flush(&p->chan) < 0) {
		port_end(p, NULL);
		return;
	}
	loop_want(p->loop, s, EPOLLIN | (chan_wants_write(&p->chan) ? EPOLLOUT : 0));
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	int r = chan_recv(&p->chan, &m, &why);
	if (r == CHAN_EMPTY)
		return;
	if (r != 0) {
		port_end(p, r == CHAN_CLOSED ? NULL : why ? why : "cannot receive");
		return;
	}
	r = p->message(p, &m);
	ipc_msg_release(&m);
	if (r < 0)
		port_end(p, "sent what cannot be");
}

int
port_open(struct port *p, struct loop *l, int fd, enum ipc_channel kind, enum room self,
    enum room peer, unsigned phase)
{
	int r = chan_init(&p->chan, fd, kind, self, peer);
	if (r < 0)
		return r;
	p->chan.phase = phase;
	p->loop = l;
	p->source = (struct loop_source){
	    .fd = p->chan.fd, .events = EPOLLIN, .ready = port_ready, .arg = p};
	r = loop_add(l, &p->source);
	if (r < 0)
		chan_release(&p->chan);
	return r;
}

void
port_release(struct port *p)
{
	if (!p->chan.packet)
		return;
	loop_remove(p->loop, &p->source);
	chan_release(&p->chan);
}

bool
port_is_open(const struct port *p)
{
	return p->chan.packet != NULL;
}

int
port_send(struct port *p, const struct ipc_msg *m)
{
	if (!port_is_open(p))
		return 0;
	int r = chan_send(&p->chan, m);
	if (r == -EINVAL || r == -EMSGSIZE)
		return r;
	/* Stuck, or the message is lost for want of memory or descriptors: the peer would
	 * wait for it. It is cut off, and the loop delivers the end. */
	if (r < 0 && r != -EPIPE)
		shutdown(p->chan.fd, SHUT_RDWR);
	if (chan_wants_write(&p->chan))
		loop_want(p->loop, &p->source, EPOLLIN | EPOLLOUT);
	return 0;
}
