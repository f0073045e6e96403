/* A channel end: one SEQPACKET socket, one message a packet, fds in the same packet.
 *
 * Everything received passes five gates before a handler sees it: one whole packet of at
 * most 64 KiB with nothing cut off, strict decode, the row belongs to this channel and to
 * the peer's direction, the phase permits it (and ONCE only once), the exact number of
 * fds. */
#ifndef BULKHEAD_IPC_CHAN_H
#define BULKHEAD_IPC_CHAN_H

#include "common/ipc/msg.h"

struct chan {
	int fd; /* -1 = closed */
	enum ipc_channel kind;
	enum room self, peer;
	unsigned phase;	  /* IPC_START or IPC_RUN; the owner moves it on */
	uint8_t seen[32]; /* ids received, for ONCE */
	struct chan_out *queue, **queue_end; /* packets the socket had no room for */
	size_t queued;			     /* what they cost, as CHAN_QUEUE counts it */
	uint8_t *packet; /* last packet received: spans of the message point here */
	size_t written;	 /* bytes of it that packets have reached */
};

/* Most memory that packets which a peer leaves unread may take before it counts as stuck
 * (chan_send: -ENOBUFS). The list of LIMIT_STORE_RECORDS images goes through it at once.
 * A descriptor counts as CHAN_QUEUE_FD: 4,096 of them are the limit, too. */
#define CHAN_QUEUE MiB(64)
#define CHAN_QUEUE_FD KiB(16)

/* Takes fd over (made non-blocking). Starts in phase IPC_START. 0 or -ENOMEM. */
int chan_init(
    struct chan *c, int fd, enum ipc_channel kind, enum room self, enum room peer);

/* Closes the fd, drops what is queued (closing its fds). Safe on a zeroed or released
 * channel. */
void chan_release(struct chan *c);

/* Sends without blocking; what the socket will not take is queued (fds are duplicated
 * then) and goes out by chan_flush. The caller keeps its fds. 0; -EPIPE when the peer is
 * gone; -ENOBUFS when the queue is full; -EINVAL or -EMSGSIZE when the message breaks its
 * own row; -errno. */
int chan_send(struct chan *c, const struct ipc_msg *m) MUST_CHECK;

/* Sends what is queued as far as the socket takes it. 0 or -errno. */
int chan_flush(struct chan *c) MUST_CHECK;

/* Whether chan_flush has work: poll for EPOLLOUT then. */
bool chan_wants_write(const struct chan *c);

enum { CHAN_EMPTY = 1, CHAN_CLOSED = 2 };

/* Receives one message without blocking. 0: *m is one, its spans are valid until the next
 * receive, its fds are the caller's (ipc_msg_release). CHAN_EMPTY: nothing there.
 * CHAN_CLOSED: the peer has gone. -EPROTO: the peer broke the protocol (*why says how; no
 * fd is kept); end that peer. */
int chan_recv(struct chan *c, struct ipc_msg *m, const char **why) MUST_CHECK;

/* As chan_recv, waiting up to timeout_ms (-1 = for ever) for a message. -ETIMEDOUT. */
int chan_recv_wait(
    struct chan *c, struct ipc_msg *m, int timeout_ms, const char **why) MUST_CHECK;

/* Waits until everything queued is out, up to timeout_ms (-1 = for ever) each time that
 * the socket takes no more. */
int chan_flush_wait(struct chan *c, int timeout_ms) MUST_CHECK;

/* As chan_send, then chan_flush_wait. For rooms that only answer. */
int chan_send_wait(struct chan *c, const struct ipc_msg *m, int timeout_ms) MUST_CHECK;

/* A connected pair: non-blocking, close-on-exec. 0 or -errno. */
int chan_pair(int fds[2]) MUST_CHECK;

#endif
