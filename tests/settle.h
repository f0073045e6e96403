/* A loop under test, and what it still has to do. */
#ifndef BULKHEAD_TESTS_SETTLE_H
#define BULKHEAD_TESTS_SETTLE_H

#include "common/base/loop.h"

#include <poll.h>

static void
settle_over(struct loop_timer *t)
{
	loop_quit(t->arg);
}

/* Runs it for that long, and on until nothing is ready: on a busy machine the time may be
 * over before the first event was looked at. 0 or -errno. */
static inline int
loop_settle(struct loop *l, unsigned ms)
{
	struct loop_timer over = {.fired = settle_over, .arg = l};
	struct pollfd ready = {.fd = l->epoll, .events = POLLIN};
	int r;

	do {
		l->quit = false;
		loop_timer_set(l, &over, ms);
		r = loop_run(l);
		loop_timer_clear(l, &over);
		ms = 1;
	} while (r == 0 &&
		 (poll(&ready, 1, 0) == 1 || (l->timers && l->timers->at <= loop_now())));
	return r;
}

#endif
