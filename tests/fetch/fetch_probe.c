/* Runs exchanges over sockets of its own and says how they ended, a line each;
 * http_test.py drives it against servers that misbehave. fetch_probe [options]
 * URL-OF-ORIGIN TARGET... -m        into memory (else as a stream)     -e N   expected
 * bytes -c N      cap                                -a S   Authorization -f S      POST
 * this form                     -C F   CA certificates; without: no checks -t A,B,C,D
 * first byte, stall, slow, step in ms -p N      the sink says "full" before every Nth
 * piece and is resumed 5 ms later, or -P N ms -x        no socket can be had -w N over
 * so many connections -F N   from this byte on "done STATUS BYTES FNV64", "redirect
 * STATUS URL", "challenge REALM", "failed CODE STATUS TEXT [later] [wait SECONDS]", then
 * "sockets N".
 */
#include "common/base/fd.h"
#include "worker-fetch/fetch/spread.h"
#include "worker-fetch/fetch/transfer_inner.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct job {
	struct transfer *t;
	struct spread *s;
	uint64_t fnv, pieces, bytes, full_at;
	bool full, over;
};

static struct transfer_engine *engine;
static struct transfer_origin origin;
static unsigned running, sockets, pause_every, pause_ms, width;
static bool no_socket;

static void
want_socket(void *arg)
{
	struct sockaddr_in v4 = {
	    .sin_family = AF_INET, .sin_port = htons(origin.url.port)};
	struct sockaddr_in6 v6 = {
	    .sin6_family = AF_INET6, .sin6_port = htons(origin.url.port)};
	bool six = origin.url.ipv6;

	v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	v6.sin6_addr = in6addr_loopback;
	int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* not connect(): that symbol is the engine's own */
	if (no_socket || syscall(SYS_connect, fd, six ? (void *)&v6 : (void *)&v4,
			     six ? sizeof(v6) : sizeof(v4)) < 0) {
		struct err e = {.code = ERR_NETWORK, .text = "no socket"};
		fd_close(&fd);
		transfer_engine_no_socket(engine, &e, true);
		return;
	}
	sockets++;
	transfer_engine_socket(engine, fd);
}

static void
count(struct job *j, struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		j->fnv = (j->fnv ^ s.p[i]) * UINT64_C(0x100000001b3);
}

static int
sink(void *arg, struct span s)
{
	struct job *j = arg;

	if (pause_every && !j->full && ++j->pieces % pause_every == 0) {
		j->full = true;
		j->full_at = now_ms();
		return 1;
	}
	j->full = false;
	j->bytes += s.n;
	count(j, s);
	return 0;
}

static void
done(void *arg, const struct transfer_result *r)
{
	struct job *j = arg;
	char url[URL_TEXT_MAX];

	j->over = true;
	running--;
	j->t = NULL;
	switch (r->outcome) {
	case TRANSFER_DONE:
		count(j, r->body);
		printf("done %d %llu %016llx\n", r->head->status,
		    (unsigned long long)(j->s ? j->bytes : r->bytes),
		    (unsigned long long)j->fnv);
		break;
	case TRANSFER_REDIRECT:
		printf("redirect %d %s\n", r->head->status,
		    url_format(r->location, url, sizeof(url)));
		break;
	case TRANSFER_CHALLENGE:
		printf("challenge %s\n", r->head->challenge.realm);
		break;
	case TRANSFER_FAILED:
		printf("failed %d %d %s%s", (int)r->err->code, r->head->status,
		    r->err->text, r->transient ? " [later]" : "");
		printf(r->head->status ? " [wait %u]\n" : "\n",
		    response_retry_after(r->head, time(NULL)));
	}
}

static int
options(int argc, char **argv, struct transfer_request *rq)
{
	struct transfer_times *t = &origin.times;
	uint8_t *ca;
	size_t n;

	for (int c; (c = getopt(argc, argv, "me:c:a:f:C:t:p:P:xw:F:")) != -1;) {
		FD_AUTO fd = -1;
		switch (c) {
		case 'm':
			rq->kind = TRANSFER_MEMORY;
			break;
		case 'e':
			rq->expect = strtoull(optarg, NULL, 10);
			break;
		case 'c':
			rq->cap = strtoull(optarg, NULL, 10);
			break;
		case 'a':
			rq->authorization = optarg;
			break;
		case 'f':
			rq->form = optarg;
			break;
		case 'C':
			fd = open(optarg, O_RDONLY | O_CLOEXEC);
			if (fd < 0 || fd_read_whole(fd, MiB(1), &ca, &n) < 0)
				return -1;
			origin.verify = true;
			origin.ca = span_of(ca, n);
			break;
		case 't':
			if (sscanf(optarg, "%u,%u,%u,%u", &t->first_byte, &t->stall,
				&t->slow, &t->step) != 4)
				return -1;
			break;
		case 'p':
			pause_every = (unsigned)atoi(optarg);
			break;
		case 'P':
			pause_ms = (unsigned)atoi(optarg);
			break;
		case 'x':
			no_socket = true;
			break;
		case 'w':
			width = (unsigned)atoi(optarg);
			break;
		case 'F':
			rq->from = strtoull(optarg, NULL, 10);
			break;
		default:
			return -1;
		}
	}
	return optind + 1 < argc ? 0 : -1;
}

static void
resume_all(struct job *jobs, int n)
{
	for (int i = 0; i < n; i++) {
		bool go = jobs[i].full && now_ms() - jobs[i].full_at >= pause_ms;
		if (jobs[i].t && go)
			transfer_resume(jobs[i].t);
		if (jobs[i].s && go)
			spread_resume(jobs[i].s);
		if (jobs[i].s)
			spread_step(jobs[i].s);
		if (jobs[i].over) {
			spread_free(jobs[i].s);
			jobs[i].s = NULL;
		}
	}
}

int
main(int argc, char **argv)
{
	static struct job jobs[64];
	struct transfer_request rq = {.kind = TRANSFER_STREAM,
	    .expect = UINT64_MAX,
	    .cap = MiB(512),
	    .sink = sink,
	    .done = done};
	struct err e = {0};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (options(argc, argv, &rq) < 0 ||
	    url_parse(span_str(argv[optind]), &origin.url, &e) < 0)
		return 2;
	int before = fd_count_open();
	engine = transfer_engine_new(&e);
	if (!engine) {
		printf("%s\n", e.text);
		return 3;
	}
	origin.want_socket = want_socket;
	if (transfer_engine_open(engine, &origin, &e) < 0)
		return 3;
	int n = 0;
	for (int i = optind + 1; i < argc && n < 64; i++, n++) {
		rq.target = argv[i];
		rq.arg = &jobs[n];
		jobs[n].fnv = UINT64_C(0xcbf29ce484222325);
		if (width)
			jobs[n].s = spread_start(engine, &rq, width);
		else
			jobs[n].t = transfer_start(engine, &rq);
		running += jobs[n].t || jobs[n].s;
	}
	while (running) {
		if (transfer_engine_poll(
			engine, NULL, 0, pause_every || width ? 5 : 1000) < 0)
			return 4;
		resume_all(jobs, n);
	}
	transfer_engine_free(engine);
	free((void *)(uintptr_t)origin.ca.p);
	printf("sockets %u\n", sockets);
	if (fd_count_open() != before)
		printf("leaked descriptors\n");
	return 0;
}
