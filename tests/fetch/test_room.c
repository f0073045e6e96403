/* One fetcher as a child process over socket pairs; this program plays every neighbour:
 * supervisor, frontend, dial, store, hash, and in a second child the registry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/base/fd.h"
#include "common/ipc/values.h"
#include "worker-fetch/fetch/feed.h"
#include "worker-fetch/fetch/room.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 5000
#define BIG_SIZE (3u << 20)

static uint8_t big[BIG_SIZE];
static uint16_t port;
static pid_t registry_pid;

/* ---- the registry ---- */

static void
reply(int c, const char *status, const char *lines, const void *body, size_t announced,
    size_t n)
{
	char head[1024];

	snprintf(head, sizeof(head),
	    "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", status,
	    announced, lines);
	if (fd_write_all(c, head, strlen(head)) < 0 || fd_write_all(c, body, n) < 0)
		return;
}

static void
text(int c, const char *status, const char *lines, const char *body)
{
	reply(c, status, lines, body, strlen(body), strlen(body));
}

static void
serve(int c, const char *request)
{
	if (strstr(request, "GET /v2/team/app/manifests/open ")) {
		if (!strstr(request, "Accept: application/vnd.oci.image.index.v1+json"))
			text(c, "406 x", "", "");
		else if (strstr(request, "Authorization"))
			text(c, "400 x", "", "a secret came unasked");
		else
			text(c, "200 OK", "Content-Type: application/json\r\n",
			    "{\"open\":1}");
	} else if (strstr(request, "GET /v2/team/app/manifests/closed ")) {
		if (strstr(request, "Authorization: Bearer tok1\r\n") ||
		    strstr(request, "Authorization: Basic dTpw\r\n"))
			text(c, "200 OK", "Content-Type: a/b\r\n", "{\"closed\":1}");
		else
			text(c, "401 x",
			    "WWW-Authenticate: Bearer "
			    "realm=\"https://a/t\",service=\"s\"\r\n",
			    "");
	} else if (strstr(request, "GET /v2/team/app/manifests/odd ")) {
		text(c, "401 x", "WWW-Authenticate: Negotiate\r\n", "");
	} else if (strstr(request,
		       "GET /token?x=y&service=s%20s&scope=repository%3Aa%3Apull ")) {
		text(c, "200 OK", "", "{\"token\":\"tok1\"}");
	} else if (strstr(request, "POST /token ") &&
		   strstr(request,
		       "\r\n\r\ngrant_type=refresh_token&client_id=bulkhead&service=s%"
		       "20s&"
		       "scope=repository%3Aa%3Apull&refresh_token=id%2Ftok")) {
		text(c, "200 OK", "", "{\"access_token\":\"tok2\"}");
	} else if (strstr(request, "GET /badtoken")) {
		text(c, "200 OK", "", "{\"token\":\"a\\r\\nX: y\"}");
	} else if (strstr(request, "GET /v2/team/app/blobs/sha256:big ")) {
		reply(c, "200 OK", "", big, BIG_SIZE, BIG_SIZE);
	} else if (strstr(request, "GET /v2/team/app/blobs/sha256:parts ")) {
		const char *range = strstr(request, "Range: bytes=");
		size_t from = range ? strtoul(range + 13, NULL, 10) : 0;
		char line[128];
		snprintf(line, sizeof(line), "Content-Range: bytes %zu-%u/%u\r\n", from,
		    BIG_SIZE - 1, BIG_SIZE);
		reply(c, from ? "206 x" : "200 OK", from ? line : "", big + from,
		    BIG_SIZE - from, BIG_SIZE - from);
	} else if (strstr(request, "GET /v2/team/app/manifests/busy ")) {
		text(c, "429 x", "Retry-After: 9\r\n", "");
	} else if (strstr(request, "GET /v2/team/app/blobs/sha256:wrong ")) {
		reply(c, "200 OK", "", big, BIG_SIZE - 1, BIG_SIZE - 1);
	} else if (strstr(request, "GET /v2/team/app/blobs/sha256:moved ")) {
		text(c, "307 x", "Location: http://cdn.example/x?sig=1\r\n", "");
	} else if (strstr(request, "GET /elsewhere?q ")) {
		reply(c, "200 OK", "", big, BIG_SIZE, BIG_SIZE);
	} else {
		text(c, "404 x", "", "{\"errors\":[{\"code\":\"NAME_UNKNOWN\"}]}");
	}
}

static void
registry(int listener)
{
	for (;;) {
		char request[32768] = "";
		size_t n = 0;
		int c = accept(listener, NULL, NULL);
		if (c < 0)
			_exit(1);
		while (n < sizeof(request) - 1 &&
		       (!strstr(request, "\r\n\r\n") ||
			   (strstr(request, "POST") &&
			       !strstr(request, "refresh_token=")))) {
			ssize_t got = read(c, request + n, sizeof(request) - 1 - n);
			if (got <= 0)
				break;
			n += (size_t)got;
			request[n] = 0;
		}
		serve(c, request);
		close(c);
	}
}

static int
registry_start(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&at, len) < 0 || listen(fd, 64) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		return -1;
	port = ntohs(at.sin_port);
	for (size_t i = 0; i < BIG_SIZE; i++)
		big[i] = (uint8_t)(i * 2654435761u >> 13);
	signal(SIGPIPE, SIG_IGN);
	registry_pid = fork();
	if (registry_pid == 0)
		registry(fd);
	close(fd);
	return 0;
}

static int
registry_stop(void **state)
{
	kill(registry_pid, SIGKILL);
	waitpid(registry_pid, NULL, 0);
	return 0;
}

/* ---- one fetcher and its neighbours ---- */

struct play {
	pid_t pid;
	struct chan control, frontend, dial, store;
	bool no_dial; /* connections are refused */
};

static void
must_send(struct chan *c, const struct ipc_msg *m)
{
	assert_int_equal(chan_send_wait(c, m, WAIT_MS), 0);
}

static void
give_peer(struct play *p, struct chan *mine, enum ipc_channel kind, enum room self,
    uint64_t token)
{
	int fds[2];
	struct ipc_msg m = IPC_MSG(peer, .channel = kind, .pull = 7, .token = token);

	assert_int_equal(chan_pair(fds), 0);
	assert_int_equal(chan_init(mine, fds[0], kind, self, ROOM_FETCH), 0);
	mine->phase = kind == CH_hash_fetch ? IPC_START : IPC_RUN;
	m.fds[0] = fds[1];
	m.nfds = 1;
	must_send(&p->control, &m);
	close(fds[1]);
}

static void
child(int fd)
{
	struct err e = {0};
	struct chan control;
	struct transfer_engine *engine = transfer_engine_new(&e);

	if (!engine ||
	    chan_init(&control, fd, CH_control, ROOM_FETCH, ROOM_SUPERVISOR) < 0)
		_exit(99);
	int r = fetch_room(&control, engine);
	chan_release(&control);
	_exit(r);
}

static void
give_secret(struct play *p, enum secret_kind kind, const char *secret)
{
	struct ipc_msg m = IPC_MSG(secret, .kind = kind, .secret = span_str(secret));

	must_send(&p->control, &m);
}

static void
play_start(struct play *p, enum secret_kind kind, const char *secret)
{
	int fds[2];
	struct ipc_msg m = IPC_MSG(setup_fetch, .pull = 7, .fetch = 3,
	    .scheme = SCHEME_HTTP, .host = span_str("127.0.0.1"), .port = port,
	    .repository = span_str("team/app"), .verify = 1,
	    .secret = kind != SECRET_NONE);

	memset(p, 0, sizeof(*p));
	assert_int_equal(chan_pair(fds), 0);
	p->pid = fork();
	if (p->pid == 0) {
		close(fds[0]);
		child(fds[1]);
	}
	close(fds[1]);
	assert_int_equal(
	    chan_init(&p->control, fds[0], CH_control, ROOM_SUPERVISOR, ROOM_FETCH), 0);
	p->control.phase = IPC_RUN;
	m.fds[0] = fd_sealed_memfd("ca", "", 0);
	m.fds[1] = fd_sealed_memfd("clients", "", 0);
	m.nfds = 2;
	must_send(&p->control, &m);
	ipc_msg_release(&m);
	if (kind != SECRET_NONE)
		give_secret(p, kind, secret);
	give_peer(p, &p->frontend, CH_frontend_fetch, ROOM_FRONTEND, 3);
	give_peer(p, &p->dial, CH_fetch_dial, ROOM_DIAL, 3);
	if (kind != SECRET_IDENTITY) /* a token server's fetcher has no store */
		give_peer(p, &p->store, CH_fetch_store, ROOM_STORE, 3);
}

/* The exit code of the fetcher once the given channel is closed (NULL: it ends by
 * itself). */
static int
play_end(struct play *p, struct chan *closed)
{
	int status;

	if (closed)
		chan_release(closed);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	chan_release(&p->control);
	chan_release(&p->frontend);
	chan_release(&p->dial);
	chan_release(&p->store);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
answer_dial(struct play *p, const struct msg_dial *d)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct ipc_msg ok =
	    IPC_MSG(dialed, .id = d->id, .address = span_str("127.0.0.1"));
	struct ipc_msg no = IPC_MSG(dial_failed, .id = d->id, .code = ERR_NETWORK,
	    .text = span_str("cannot connect: refused"), .transient = 1);

	if (p->no_dial) {
		must_send(&p->dial, &no);
		return;
	}
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ok.fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ok.nfds = 1;
	assert_int_equal(syscall(SYS_connect, ok.fds[0], &at, sizeof(at)), 0);
	must_send(&p->dial, &ok);
	ipc_msg_release(&ok);
}

/* Waits for the next message on c while dialling for the fetcher. Skips progress. */
static void
expect(struct play *p, struct chan *c, enum ipc_type type, struct ipc_msg *m)
{
	const char *why = NULL;
	struct ipc_msg d;

	for (int ms = 0; ms < WAIT_MS; ms += 5) {
		int r = chan_recv_wait(c, m, 5, &why);
		if (r == 0 && m->type == MSG_fetch_progress)
			continue;
		if (r == 0) {
			if (m->type != type)
				fail_msg("message %x instead of %x", m->type, type);
			return;
		}
		if (r != -ETIMEDOUT)
			fail_msg("channel: %d %s", r, why ? why : "");
		if (p->dial.packet && chan_recv(&p->dial, &d, &why) == 0)
			answer_dial(p, &d.dial);
	}
	fail_msg("no message %x", type);
}

static void
get(struct play *p, uint64_t req, enum fetch_kind kind, const char *ref, const char *url,
    uint64_t size, unsigned auth)
{
	struct ipc_msg m = IPC_MSG(get, .req = req, .kind = kind, .ref = span_str(ref),
	    .url = span_str(url), .size = size, .token = 100 + req, .auth = auth);

	must_send(&p->frontend, &m);
}

static void
get_rest(struct play *p, uint64_t req, const char *ref)
{
	struct ipc_msg m = IPC_MSG(get, .req = req, .kind = FETCH_LAYER,
	    .ref = span_str(ref), .size = BIG_SIZE, .token = 100 + req, .resume = 1);

	must_send(&p->frontend, &m);
}

static void
get_token(struct play *p, uint64_t req, const char *url, bool own)
{
	struct ipc_msg m = IPC_MSG(get_token, .req = req, .url = span_str(url),
	    .service = span_str("s s"), .scope = span_str("repository:a:pull"),
	    .own = own);

	must_send(&p->frontend, &m);
}

static void
expect_document(struct play *p, uint64_t req, const char *body, const char *type)
{
	struct ipc_msg m;
	size_t n;
	CLEANUP(free_ptr) uint8_t *got = NULL;

	expect(p, &p->store, MSG_document, &m);
	assert_int_equal(m.document.req, req);
	assert_true(span_is(m.document.media_type, type));
	assert_int_equal(fd_check_sealed(m.fds[0], LIMIT_DOCUMENT, &n), 0);
	assert_int_equal(fd_read_whole(m.fds[0], LIMIT_DOCUMENT, &got, &n), 0);
	assert_string_equal(got, body);
	ipc_msg_release(&m);
	expect(p, &p->frontend, MSG_fetched, &m);
	assert_int_equal(m.fetched.req, req);
	assert_int_equal(m.fetched.bytes, strlen(body));
}

static void
expect_failed(struct play *p, uint64_t req, enum err_class code, const char *part)
{
	struct ipc_msg m;
	char reason[1100];

	expect(p, &p->frontend, MSG_fetch_failed, &m);
	assert_int_equal(m.fetch_failed.req, req);
	assert_true(span_to_str(m.fetch_failed.text, reason, sizeof(reason)));
	if (m.fetch_failed.code != (uint64_t)code || !strstr(reason, part))
		fail_msg("%d %s", (int)m.fetch_failed.code, reason);
}

/* ---- tests ---- */

static void
documents(void **state)
{
	struct play p;

	play_start(&p, SECRET_BASIC, "u:p");
	get(&p, 1, FETCH_MANIFEST, "open", "", 0, 0);
	expect_document(&p, 1, "{\"open\":1}", "application/json");
	get(&p, 2, FETCH_MANIFEST, "open", "", 10, 0);
	expect_document(&p, 2, "{\"open\":1}", "application/json");
	get(&p, 3, FETCH_MANIFEST, "open", "", 11, 0);
	expect_failed(&p, 3, ERR_CONTENT, "announces 10 bytes");
	get(&p, 4, FETCH_CONFIG, "sha256:none", "", 0, 0);
	expect_failed(&p, 4, ERR_NOT_FOUND, "NAME_UNKNOWN");
	assert_int_equal(play_end(&p, &p.frontend), FETCH_EXIT_DONE);
}

static void
challenges(void **state)
{
	struct play p;
	struct ipc_msg m;

	play_start(&p, SECRET_NONE, NULL);
	get(&p, 1, FETCH_MANIFEST, "closed", "", 0, 0);
	expect(&p, &p.frontend, MSG_challenge, &m);
	assert_int_equal(m.challenge.req, 1);
	assert_int_equal(m.challenge.scheme, CHALLENGE_BEARER);
	assert_true(span_is(m.challenge.realm, "https://a/t"));
	assert_true(span_is(m.challenge.service, "s"));
	get_token(&p, 2, "/token?x=y", true);
	expect(&p, &p.frontend, MSG_fetched, &m);
	assert_int_equal(m.fetched.req, 2);
	assert_int_equal(m.fetched.expires, 60); /* the server says nothing */
	get(&p, 3, FETCH_MANIFEST, "closed", "", 0, 2);
	expect_document(&p, 3, "{\"closed\":1}", "a/b");
	get(&p, 4, FETCH_MANIFEST, "odd", "", 0, 0);
	expect_failed(&p, 4, ERR_AUTH, "Negotiate");
	get(&p, 5, FETCH_MANIFEST, "open", "", 0, 1);
	expect_failed(&p, 5, ERR_AUTH, "no credentials");
	get_token(&p, 6, "/badtoken", true);
	expect_failed(&p, 6, ERR_AUTH, "header must not");
	assert_int_equal(play_end(&p, &p.store), FETCH_EXIT_DONE);
}

static void
secrets(void **state)
{
	struct play p;
	struct ipc_msg m;

	play_start(&p, SECRET_BASIC, "u:p");
	get(&p, 1, FETCH_MANIFEST, "closed", "", 0, 1);
	expect_document(&p, 1, "{\"closed\":1}", "a/b");
	/* a token from elsewhere: the request waits for it */
	get(&p, 2, FETCH_MANIFEST, "closed", "", 0, 2);
	get(&p, 3, FETCH_MANIFEST, "open", "", 0, 0);
	expect_document(&p, 3, "{\"open\":1}", "application/json");
	give_secret(&p, SECRET_BEARER, "tok1");
	expect_document(&p, 2, "{\"closed\":1}", "a/b");
	/* a second basic secret is nonsense */
	give_secret(&p, SECRET_BASIC, "x:y");
	assert_int_equal(play_end(&p, NULL), FETCH_EXIT_PROTOCOL);

	play_start(&p, SECRET_IDENTITY, "id/tok");
	get_token(&p, 1, "/token", false);
	expect(&p, &p.control, MSG_token, &m);
	assert_true(span_is(m.token.secret, "tok2"));
	expect(&p, &p.frontend, MSG_fetched, &m);
	get(&p, 2, FETCH_LAYER, "sha256:big", "", 0, 1);
	expect_failed(&p, 2, ERR_AUTH, "identity token");
	assert_int_equal(play_end(&p, &p.control), FETCH_EXIT_DONE);
}

/* Claims and connects the ring of a layer, as supervisor and hash do. */
static void
give_ring_from(
    struct play *p, uint64_t token, struct chan *hash, struct ring *ring, uint64_t from)
{
	struct ipc_msg m, feed = IPC_MSG(feed_ring, .from = from);

	expect(p, &p->control, MSG_claim, &m);
	assert_int_equal(m.claim.pull, 7);
	assert_int_equal(m.claim.token, token);
	assert_int_equal(ring_create(ring, RING_CONSUMER, RING_BLOB, feed.fds), 0);
	feed.nfds = RING_FDS;
	give_peer(p, hash, CH_hash_fetch, ROOM_HASH, token);
	must_send(hash, &feed);
	ipc_msg_release(&feed);
}

static void
give_ring(struct play *p, uint64_t token, struct chan *hash, struct ring *ring)
{
	give_ring_from(p, token, hash, ring, 0);
}

/* Reads the ring to its end; the bytes must be those of big from *total on. The ring's
 * last answer. */
static int
read_ring(struct ring *ring, size_t *total)
{
	struct ring *rings[] = {ring};
	struct span bytes;

	for (;;) {
		int r = ring_peek(ring, &bytes);
		if (r == -EAGAIN) {
			if (ring_wait(rings, 1, NULL, 0, WAIT_MS) == -ETIMEDOUT)
				return -ETIMEDOUT;
			continue;
		}
		if (r != 0)
			return r;
		assert_true(*total + bytes.n <= BIG_SIZE);
		assert_memory_equal(bytes.p, big + *total, bytes.n);
		*total += bytes.n;
		ring_consume(ring, bytes.n);
	}
}

static void
layers(void **state)
{
	struct play p;
	struct ipc_msg m;
	struct chan hash[2] = {0};
	struct ring ring[2] = {RING_CLOSED, RING_CLOSED};
	size_t n = 0;

	play_start(&p, SECRET_NONE, NULL);
	get(&p, 1, FETCH_LAYER, "sha256:big", "", BIG_SIZE, 0);
	give_ring(&p, 101, &hash[0], &ring[0]);
	get(&p, 2, FETCH_LAYER, "", "/elsewhere?q", BIG_SIZE, 0);
	give_ring(&p, 102, &hash[1], &ring[1]);
	/* the first one is full by now; the second is not held up by it */
	assert_int_equal(read_ring(&ring[1], &n), RING_ENDED);
	assert_int_equal(n, BIG_SIZE);
	expect(&p, &p.frontend, MSG_fetched, &m);
	assert_int_equal(m.fetched.req, 2);
	assert_int_equal(m.fetched.bytes, BIG_SIZE);
	n = 0;
	assert_int_equal(read_ring(&ring[0], &n), RING_ENDED);
	assert_int_equal(n, BIG_SIZE);
	expect(&p, &p.frontend, MSG_fetched, &m);
	assert_int_equal(m.fetched.req, 1);
	for (int i = 0; i < 2; i++) {
		ring_close(&ring[i]);
		chan_release(&hash[i]);
	}
	assert_int_equal(play_end(&p, &p.frontend), FETCH_EXIT_DONE);
}

static void
dial_once(struct play *p)
{
	struct ipc_msg d;
	const char *why;

	assert_int_equal(chan_recv_wait(&p->dial, &d, WAIT_MS, &why), 0);
	answer_dial(p, &d.dial);
}

/* Another has begun: the ring is claimed first, and what is asked for is the rest. */
static void
layers_that_go_on(void **state)
{
	static const size_t froms[] = {0, 1, 1000000, BIG_SIZE - 1, BIG_SIZE};
	struct play p;
	struct ipc_msg m;

	play_start(&p, SECRET_NONE, NULL);
	for (size_t i = 0; i < ARRAY_LEN(froms); i++) {
		struct chan hash = {0};
		struct ring ring = RING_CLOSED;
		size_t n = froms[i];
		get_rest(&p, i + 1, i % 2 ? "sha256:parts" : "sha256:big");
		give_ring_from(&p, 101 + i, &hash, &ring, froms[i]);
		if (froms[i] < BIG_SIZE)
			dial_once(&p);
		assert_int_equal(read_ring(&ring, &n), RING_ENDED);
		assert_int_equal(n, BIG_SIZE);
		expect(&p, &p.frontend, MSG_fetched, &m);
		assert_int_equal(m.fetched.req, i + 1);
		assert_int_equal(m.fetched.bytes, BIG_SIZE);
		ring_close(&ring);
		chan_release(&hash);
	}
	/* one that is not to go on finds that it should: nonsense, but of this layer
	 * alone */
	struct chan hash = {0};
	struct ring ring = RING_CLOSED;
	get(&p, 20, FETCH_LAYER, "sha256:big", "", BIG_SIZE, 0);
	give_ring_from(&p, 120, &hash, &ring, 5);
	expect_failed(&p, 20, ERR_INTERNAL, "pipeline");
	ring_close(&ring);
	chan_release(&hash);
	assert_int_equal(play_end(&p, &p.frontend), FETCH_EXIT_DONE);
}

/* Its claim is answered when its layer has failed already: no reason to end. */
static void
claims_that_come_late(void **state)
{
	struct play p;
	struct ipc_msg m;
	struct chan hash = {0};

	play_start(&p, SECRET_NONE, NULL);
	p.no_dial = true;
	get_rest(&p, 1, "sha256:big");
	expect(&p, &p.control, MSG_claim, &m);
	chan_release(&p.dial);
	get(&p, 2, FETCH_MANIFEST, "open", "", 0, 0);
	expect_failed(&p, 2, ERR_INTERNAL, "dials is gone");
	give_peer(&p, &hash, CH_hash_fetch, ROOM_HASH, 101);
	chan_release(&hash); /* and its hash room is gone, too */
	expect_failed(&p, 1, ERR_INTERNAL, "pipeline");
	assert_int_equal(play_end(&p, &p.frontend), FETCH_EXIT_DONE);
}

static void
failures_say_when(void **state)
{
	struct play p;
	struct ipc_msg m;

	play_start(&p, SECRET_NONE, NULL);
	get(&p, 1, FETCH_MANIFEST, "busy", "", 0, 0);
	expect(&p, &p.frontend, MSG_fetch_failed, &m);
	assert_int_equal(m.fetch_failed.transient, 1);
	assert_int_equal(m.fetch_failed.retry_after, 9);
	get(&p, 2, FETCH_MANIFEST, "none", "", 0, 0);
	expect(&p, &p.frontend, MSG_fetch_failed, &m);
	assert_int_equal(m.fetch_failed.transient, 0);
	p.no_dial = true;
	get(&p, 3, FETCH_MANIFEST, "open", "", 0, 0);
	expect(&p, &p.frontend, MSG_fetch_failed, &m);
	assert_int_equal(m.fetch_failed.transient, 1);
	assert_int_equal(play_end(&p, &p.frontend), FETCH_EXIT_DONE);
}

static void
layers_that_fail(void **state)
{
	struct play p;
	struct ipc_msg m;
	struct chan hash = {0};
	struct ring ring = RING_CLOSED;

	play_start(&p, SECRET_NONE, NULL);
	get(&p, 1, FETCH_LAYER, "sha256:wrong", "", BIG_SIZE, 0);
	expect_failed(&p, 1, ERR_CONTENT, "announces");
	get(&p, 2, FETCH_LAYER, "sha256:moved", "", BIG_SIZE, 0);
	expect(&p, &p.frontend, MSG_redirect, &m);
	assert_true(span_is(m.redirect.url, "http://cdn.example/x?sig=1"));
	/* the hash room dies in the middle */
	get(&p, 3, FETCH_LAYER, "sha256:big", "", BIG_SIZE, 0);
	give_ring(&p, 103, &hash, &ring);
	ring_close(&ring);
	chan_release(&hash);
	expect_failed(&p, 3, ERR_INTERNAL, "pipeline");
	/* the fetcher goes on */
	get(&p, 4, FETCH_MANIFEST, "open", "", 0, 0);
	expect_document(&p, 4, "{\"open\":1}", "application/json");
	p.no_dial = true;
	get(&p, 5, FETCH_MANIFEST, "open", "", 0, 0);
	expect_failed(&p, 5, ERR_NETWORK, "cannot connect: refused");
	chan_release(&p.dial);
	get(&p, 6, FETCH_MANIFEST, "open", "", 0, 0);
	expect_failed(&p, 6, ERR_INTERNAL, "dials is gone");
	assert_int_equal(play_end(&p, &p.frontend), FETCH_EXIT_DONE);
}

static void
nonsense(void **state)
{
	static const char *const refs[] = {
	    "", "..", "a/b", "a?b", "a#b", "a%2f", "-a", "a b"};
	struct play p;
	struct chan hash = {0};

	for (size_t i = 0; i < ARRAY_LEN(refs); i++) {
		play_start(&p, SECRET_NONE, NULL);
		get(&p, 1, FETCH_MANIFEST, refs[i], "", 0, 0);
		assert_int_equal(play_end(&p, NULL), FETCH_EXIT_PROTOCOL);
	}
	play_start(&p, SECRET_NONE, NULL);
	get_token(&p, 1, "", true);
	assert_int_equal(play_end(&p, NULL), FETCH_EXIT_PROTOCOL);
	/* a ring that nobody claimed */
	play_start(&p, SECRET_NONE, NULL);
	give_peer(&p, &hash, CH_hash_fetch, ROOM_HASH, 5);
	assert_int_equal(play_end(&p, NULL), FETCH_EXIT_PROTOCOL);
	chan_release(&hash);
	/* a path that is none is the request's failure only */
	play_start(&p, SECRET_NONE, NULL);
	get(&p, 1, FETCH_MANIFEST, "x", "no-slash", 0, 0);
	expect_failed(&p, 1, ERR_INTERNAL, "cannot be started");
	assert_int_equal(play_end(&p, &p.frontend), FETCH_EXIT_DONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(documents),
	    cmocka_unit_test(challenges),
	    cmocka_unit_test(secrets),
	    cmocka_unit_test(layers),
	    cmocka_unit_test(layers_that_go_on),
	    cmocka_unit_test(claims_that_come_late),
	    cmocka_unit_test(failures_say_when),
	    cmocka_unit_test(layers_that_fail),
	    cmocka_unit_test(nonsense),
	};
	return cmocka_run_group_tests(tests, registry_start, registry_stop);
}
