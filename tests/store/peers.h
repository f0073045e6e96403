/* A keeper with its own loop, and the test at the other end of its channels. */
#ifndef BULKHEAD_TESTS_STORE_PEERS_H
#define BULKHEAD_TESTS_STORE_PEERS_H

#include "tests/store/fixture.h"
#include "worker-store/store/pull.h"
#include "worker-store/store/query.h"

/* Over the fixture's store, which stays its own. reap: what the room's timer does, arg =
 * k. */
void keeper_begin(
    struct keeper *k, const struct fixture *f, void (*reap)(struct loop_timer *t));

/* Opens a port of the keeper; *c is the peer's end. An end of it fails the test. */
void peer_open(struct keeper *k, struct port *p, struct chan *c, enum ipc_channel kind,
    enum room peer, int (*message)(struct port *, struct ipc_msg *));

void spin(struct keeper *k, unsigned ms);

/* What is waited for comes much sooner, but not on a busy machine. */
#define SOON_MS 30000

/* The next message within ms; its fds are the caller's. An end of the channel fails the
 * test. */
bool hear(struct keeper *k, struct chan *c, struct ipc_msg *m, unsigned ms);

#endif
