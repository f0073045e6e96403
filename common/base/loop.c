#include "common/base/loop.h"

#include "common/base/fd.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

int
loop_init(struct loop *l)
{
	*l = (struct loop){.epoll = epoll_create1(EPOLL_CLOEXEC)};
	return l->epoll < 0 ? -errno : 0;
}

void
loop_release(struct loop *l)
{
	fd_close(&l->epoll);
}

int
loop_add(struct loop *l, struct loop_source *s)
{
	struct epoll_event ev = {.events = s->events, .data.ptr = s};

	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, s->fd, &ev) < 0 ? -errno : 0;
}

int
loop_want(struct loop *l, struct loop_source *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	if (s->fd < 0 || s->events == events)
		return 0;
	s->events = events;
	return epoll_ctl(l->epoll, EPOLL_CTL_MOD, s->fd, &ev) < 0 ? -errno : 0;
}

void
loop_remove(struct loop *l, struct loop_source *s)
{
	if (s->fd >= 0)
		epoll_ctl(l->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	s->fd = -1;
}

uint64_t
loop_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void
loop_timer_clear(struct loop *l, struct loop_timer *t)
{
	for (struct loop_timer **at = &l->timers; t->at && *at; at = &(*at)->next) {
		if (*at == t) {
			*at = t->next;
			break;
		}
	}
	t->at = 0;
	t->next = NULL;
}

void
loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t ms)
{
	loop_timer_clear(l, t);
	t->at = loop_now() + ms;

	struct loop_timer **at = &l->timers;
	while (*at && (*at)->at <= t->at)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
}

/* Fires what is due; milliseconds until the next timer, -1 for none. */
static int
timers_run(struct loop *l)
{
	while (l->timers) {
		struct loop_timer *t = l->timers;
		uint64_t now = loop_now();
		if (t->at > now) {
			uint64_t left = t->at - now;
			return left > 60000 ? 60000 : (int)left;
		}
		loop_timer_clear(l, t);
		t->fired(t);
		if (l->quit)
			return 0;
	}
	return -1;
}

/* One event a round: a callback may remove and free any other source, and no stale event
 * of it is in hand then. Level-triggered epoll serves ready fds in turn, so nobody
 * starves. */
int
loop_run(struct loop *l)
{
	while (!l->quit) {
		struct epoll_event ev;
		int timeout = timers_run(l);
		if (l->quit)
			break;
		int n = epoll_wait(l->epoll, &ev, 1, timeout);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 1) {
			struct loop_source *s = ev.data.ptr;
			s->ready(s, ev.events);
		}
	}
	return 0;
}

void
loop_quit(struct loop *l)
{
	l->quit = true;
}
