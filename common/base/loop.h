/* An event loop over epoll: fds and timers, level-triggered, one thread. */
#ifndef BULKHEAD_BASE_LOOP_H
#define BULKHEAD_BASE_LOOP_H

#include "common/base/compiler.h"

#include <sys/epoll.h>

/* One fd in the loop. Embed it; the owner closes the fd after loop_remove. */
struct loop_source {
	int fd;		 /* -1 = not in a loop */
	uint32_t events; /* EPOLLIN, EPOLLOUT */
	void (*ready)(struct loop_source *s, uint32_t events);
	void *arg;
};

/* One timer. Embed it; at 0 = not armed. */
struct loop_timer {
	uint64_t at; /* CLOCK_MONOTONIC, milliseconds */
	void (*fired)(struct loop_timer *t);
	void *arg;
	struct loop_timer *next;
};

struct loop {
	int epoll;
	bool quit;
	struct loop_timer *timers;
};

int loop_init(struct loop *l) MUST_CHECK;
void loop_release(struct loop *l);

/* Registers s->fd for s->events. 0 or -errno. */
int loop_add(struct loop *l, struct loop_source *s) MUST_CHECK;

/* Changes the events waited for; cheap when they stay. 0 or -errno. */
int loop_want(struct loop *l, struct loop_source *s, uint32_t events);

/* Takes the source out and sets its fd to -1; it may be freed at once, also in a
 * callback: events fetched for it earlier are dropped (each round handles one event of
 * each source). */
void loop_remove(struct loop *l, struct loop_source *s);

/* Arms (or re-arms) the timer to fire once, ms from now. */
void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t ms);
void loop_timer_clear(struct loop *l, struct loop_timer *t);

/* Runs until loop_quit. 0 or -errno. */
int loop_run(struct loop *l) MUST_CHECK;
void loop_quit(struct loop *l);

/* CLOCK_MONOTONIC in milliseconds. */
uint64_t loop_now(void);

#endif
