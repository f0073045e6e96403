#include "worker-fetch/dial/resolve.h"

#include "common/base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <resolv.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* getaddrinfo has no deadline: attempts times servers times search domains add up, and a
 * name server that takes a TCP connection and says nothing holds it for ever. A thread
 * could be left behind; instead, when time is over, a timer signal puts /dev/null in the
 * place of every descriptor that the resolver has opened, again and again until it has
 * run out of servers: what it waits for ends with EINTR, what it tries next with ENOTSOCK
 * or an end of file. (shutdown() is not enough: a UDP socket then polls readable and
 * reads EAGAIN, for ever.) dup3 and fcntl are async-signal-safe, and dial needs no
 * thread. */
#define WATCHED_FDS 256
#define AGAIN_MS 20
#define NULL_FD 0

static struct {
	volatile sig_atomic_t fired;
	bool ours[WATCHED_FDS]; /* open before the resolver began: hands off */
} watch;

static void
on_alarm(int sig)
{
	int saved = errno;

	watch.fired = 1;
	for (int fd = NULL_FD + 1; fd < WATCHED_FDS; fd++) {
		if (!watch.ours[fd] && fcntl(fd, F_GETFD) >= 0)
			dup3(NULL_FD, fd, O_CLOEXEC);
	}
	errno = saved;
}

static void
timer_set(unsigned first_ms, unsigned again_ms)
{
	struct itimerval t = {
	    .it_value = {first_ms / 1000, (suseconds_t)(first_ms % 1000) * 1000},
	    .it_interval = {0, (suseconds_t)again_ms * 1000},
	};

	setitimer(ITIMER_REAL, &t, NULL);
}

static void
watch_start(unsigned deadline_ms)
{
	struct sigaction sa = {.sa_handler = on_alarm}; /* no SA_RESTART: connect ends */

	watch.fired = 0;
	for (int fd = 0; fd < WATCHED_FDS; fd++)
		watch.ours[fd] = fcntl(fd, F_GETFD) >= 0;
	sigaction(SIGALRM, &sa, NULL);
	timer_set(deadline_ms ? deadline_ms : 1, AGAIN_MS);
}

static void
watch_stop(void)
{
	timer_set(0, 0);
}

/* A dead first name server must not eat the time of the second. */
static void
resolver_hurry(void)
{
	if (res_init() < 0)
		return;
	if (_res.retrans > 2)
		_res.retrans = 2;
	if (_res.retry > 2)
		_res.retry = 2;
}

static void
add(struct addresses *out, const struct sockaddr *sa)
{
	if (sa->sa_family != AF_INET && sa->sa_family != AF_INET6)
		return;
	if (out->n == LIMIT_ADDRESSES) {
		out->left_out++;
		return;
	}
	union address *a = &out->at[out->n++];
	memset(a, 0, sizeof(*a));
	memcpy(a, sa, sa->sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6));
}

static bool
add_literal(struct addresses *out, const char *host, uint16_t port)
{
	union address a = {.v4 = {.sin_family = AF_INET, .sin_port = htons(port)}};

	if (inet_pton(AF_INET, host, &a.v4.sin_addr) == 1) {
		add(out, &a.sa);
		return true;
	}
	a = (union address){.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};
	if (inet_pton(AF_INET6, host, &a.v6.sin6_addr) != 1)
		return false;
	add(out, &a.sa);
	return true;
}

static bool
is_localhost(const char *host)
{
	static const char name[] = "localhost";
	size_t n = strlen(host), k = sizeof(name) - 1;

	return n >= k && strcmp(host + n - k, name) == 0 &&
	       (n == k || host[n - k - 1] == '.');
}

static unsigned
elapsed_ms(const struct timespec *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned)((now.tv_sec - since->tv_sec) * 1000 +
			  (now.tv_nsec - since->tv_nsec) / 1000000);
}

/* Asks one name server for the root's servers, only to see whether the network brings an
 * error back: 0 when it does not, else the errno. */
static int
server_error(const struct sockaddr_in *server)
{
	static const uint8_t query[17] = {0x42, 0x48, 1, 0, 0, 1, [14] = 2, [16] = 1};
	FD_AUTO fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint8_t byte;

	if (fd < 0 || connect(fd, (const struct sockaddr *)server, sizeof(*server)) < 0 ||
	    send(fd, query, sizeof(query), MSG_NOSIGNAL) < 0)
		return errno;
	if (poll(&p, 1, 200) == 1 && recv(fd, &byte, 1, 0) < 0 && errno != EAGAIN)
		return errno;
	return 0;
}

/* The errno with which every name server of resolv.conf is out of reach; 0 when one is
 * not. */
static int
servers_error(void)
{
	int error = 0;

	for (int i = 0; i < _res.nscount && i < MAXNS; i++) {
		const struct sockaddr_in *server = &_res.nsaddr_list[i];
		if (server->sin_family != AF_INET)
			return 0; /* kept elsewhere in _res: not worth the trouble */
		error = server_error(server);
		if (!error)
			return 0;
	}
	return error;
}

/* glibc answers EAI_AGAIN for a failing server, an unreachable one and a silent one, with
 * no errno to go by. It waits at least a second for each, so the time tells silence from
 * a failure. */
static int
explain_again(bool silent, unsigned took_ms, const char *host, struct err *e)
{
	if (silent)
		return err_set(e, ERR_NETWORK,
		    "cannot resolve %s: no name server answered within %u.%u s; look at "
		    "/etc/resolv.conf and the network",
		    host, took_ms / 1000, took_ms / 100 % 10);
	int error = servers_error();
	if (error)
		return err_set(e, ERR_NETWORK,
		    "cannot resolve %s: no name server of /etc/resolv.conf is within "
		    "reach: %s",
		    host, strerror(error));
	return err_set(e, ERR_NETWORK,
	    "cannot resolve %s: the name server answers with a failure (SERVFAIL or "
	    "REFUSED); "
	    "try again, or look at that server",
	    host);
}

static int
explain(int gai, int errnum, unsigned took_ms, const char *host, struct err *e)
{
	if (watch.fired || gai == EAI_AGAIN)
		return explain_again(watch.fired || took_ms >= 1000, took_ms, host, e);
	if (gai == EAI_NONAME)
		return err_set(e, ERR_NETWORK,
		    "cannot resolve %s: there is no such name (NXDOMAIN)", host);
	if (gai == EAI_NODATA)
		return err_set(e, ERR_NETWORK,
		    "cannot resolve %s: the name exists but has no IPv4 or IPv6 address",
		    host);
	return err_set(e, ERR_NETWORK, "cannot resolve %s: %s", host,
	    gai == EAI_SYSTEM ? strerror(errnum) : gai_strerror(gai));
}

bool
resolve_literal(const char *host, uint16_t port, struct addresses *out)
{
	memset(out, 0, sizeof(*out));
	if (is_localhost(host))
		return add_literal(out, "127.0.0.1", port) &&
		       add_literal(out, "::1", port);
	return add_literal(out, host, port);
}

int
resolve_host(const char *host, uint16_t port, unsigned deadline_ms, struct addresses *out,
    struct err *e)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	struct timespec start;

	if (resolve_literal(host, port, out))
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &start);
	watch_start(deadline_ms);
	resolver_hurry();
	errno = 0;
	int gai = getaddrinfo(host, NULL, &hints, &list);
	int errnum = errno;
	watch_stop();
	if (gai)
		return explain(gai, errnum, elapsed_ms(&start), host, e);
	for (struct addrinfo *a = list; a; a = a->ai_next) {
		if (a->ai_family == AF_INET)
			((struct sockaddr_in *)a->ai_addr)->sin_port = htons(port);
		else if (a->ai_family == AF_INET6)
			((struct sockaddr_in6 *)a->ai_addr)->sin6_port = htons(port);
		add(out, a->ai_addr);
	}
	freeaddrinfo(list);
	return out->n ? 0 : explain(EAI_NODATA, 0, 0, host, e);
}
