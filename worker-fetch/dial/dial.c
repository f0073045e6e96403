#include "worker-fetch/dial/dial.h"

#include "common/base/fd.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#define STAGGER_MS 250

struct race {
	const union address *at[LIMIT_ADDRESSES]; /* those the rules allow */
	size_t n, started;
	struct pollfd fds[LIMIT_ADDRESSES]; /* fd -1: lost or not started */
	int last_error;
	const union address *failed;
};

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void
race_release(struct race *r)
{
	for (size_t i = 0; i < r->started; i++)
		fd_close(&r->fds[i].fd);
}

static void
lost(struct race *r, size_t i, int error)
{
	r->last_error = error;
	r->failed = r->at[i];
	fd_close(&r->fds[i].fd);
}

/* Starts the next connect. true when it is connected at once. */
static bool
start_next(struct race *r)
{
	size_t i = r->started++;
	const union address *a = r->at[i];
	socklen_t len = a->sa.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
	int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	r->fds[i] = (struct pollfd){.fd = fd, .events = POLLOUT};
	if (fd < 0) {
		lost(r, i, errno);
		return false;
	}
	if (connect(fd, &a->sa, len) == 0)
		return true;
	if (errno != EINPROGRESS)
		lost(r, i, errno);
	return false;
}

/* The index of a connected socket, or -1. */
static int
take_finished(struct race *r)
{
	for (size_t i = 0; i < r->started; i++) {
		int error = 0;
		socklen_t len = sizeof(error);
		if (r->fds[i].fd < 0 || !r->fds[i].revents)
			continue;
		if (getsockopt(r->fds[i].fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
			error = errno;
		if (!error)
			return (int)i;
		lost(r, i, error);
	}
	return -1;
}

static bool
any_running(const struct race *r)
{
	for (size_t i = 0; i < r->started; i++) {
		if (r->fds[i].fd >= 0)
			return true;
	}
	return false;
}

/* Index of the winner; -1 when all lost; -ETIMEDOUT. */
static int
race_run(struct race *r, unsigned deadline_ms)
{
	uint64_t now = now_ms(), end = now + deadline_ms, next = now;

	for (; now < end; now = now_ms()) {
		if (r->started < r->n && (now >= next || !any_running(r))) {
			if (start_next(r))
				return (int)r->started - 1;
			next = now + STAGGER_MS;
			continue;
		}
		if (!any_running(r))
			return -1;
		uint64_t until = r->started < r->n && next < end ? next : end;
		if (poll(r->fds, r->started, (int)(until - now)) > 0) {
			int winner = take_finished(r);
			if (winner >= 0)
				return winner;
		}
	}
	return -ETIMEDOUT;
}

static int
refused_all(const struct addresses *list, const char *host,
    const struct dial_rules *rules, struct err *e)
{
	char text[ADDRESS_TEXT];
	enum address_class class = address_class_of(&list->at[0].sa);

	address_format(&list->at[0].sa, text);
	if (class < rules->floor)
		return err_set(e, ERR_NETWORK,
		    "no connection to %s: %s is %s, and this pull began at %s", host,
		    text, address_class_name(class), address_class_name(rules->floor));
	return err_set(e, ERR_NETWORK,
	    "no connection to %s: %s is %s, which is never dialled", host, text,
	    address_class_name(class));
}

static int
failed_all(const struct race *r, const char *host, uint16_t port, struct err *e)
{
	char text[ADDRESS_TEXT];

	err_set(e, ERR_NETWORK,
	    "cannot connect to %s port %u (%s, %zu address%s tried): %s", host, port,
	    address_format(&r->failed->sa, text), r->n, r->n == 1 ? "" : "es",
	    strerror(r->last_error));
	return -EAGAIN;
}

int
dial_addresses(const struct addresses *list, const char *host, uint16_t port,
    const struct dial_rules *rules, struct dial_result *out, struct err *e)
{
	CLEANUP(race_release) struct race r = {0};

	for (size_t i = 0; i < list->n; i++) {
		enum address_class class = address_class_of(&list->at[i].sa);
		if (address_allowed(class, rules->floor, rules->allow_link))
			r.at[r.n++] = &list->at[i];
	}
	if (!r.n)
		return refused_all(list, host, rules, e);
	int winner = race_run(&r, rules->deadline_ms);
	if (winner == -ETIMEDOUT) {
		err_set(e, ERR_NETWORK,
		    "cannot connect to %s port %u: none of %zu address%s answered within "
		    "the %u s for resolving and connecting",
		    host, port, r.n, r.n == 1 ? "" : "es", LIMIT_DIAL_SECONDS);
		return -EAGAIN;
	}
	if (winner < 0)
		return failed_all(&r, host, port, e);
	out->fd = fd_steal(&r.fds[winner].fd);
	out->class = address_class_of(&r.at[winner]->sa);
	address_format(&r.at[winner]->sa, out->address);
	return 0;
}

int
dial_host(const char *host, uint16_t port, const struct dial_rules *rules,
    struct dial_result *out, struct err *e)
{
	struct addresses list;
	struct dial_rules rest = *rules;
	uint64_t start = now_ms();

	int r = resolve_host(host, port, rules->deadline_ms, &list, e);
	if (r < 0)
		return r;
	uint64_t took = now_ms() - start;
	rest.deadline_ms =
	    took < rules->deadline_ms ? rules->deadline_ms - (unsigned)took : 0;
	return dial_addresses(&list, host, port, &rest, out, e);
}

int
dial_behind_proxy(const char *host, uint16_t port, const struct dial_rules *rules,
    enum address_class *class, struct err *e)
{
	struct addresses list;

	*class = ADDRESS_PUBLIC;
	if (!resolve_literal(host, port, &list))
		return 0;
	*class = address_class_of(&list.at[0].sa);
	return address_allowed(*class, rules->floor, rules->allow_link)
		   ? 0
		   : refused_all(&list, host, rules, e);
}
