/* bulkhead-dial: one fetcher's way to the network. The supervisor names the one host and
 * port; the fetcher can only say "another connection, please". */
#include "common/ipc/control.h"
#include "policy/sandbox/sandbox.h"
#include "worker-fetch/dial/dial.h"

#include "common/base/fd.h"

#include <errno.h>
#include <stdlib.h>

enum { EXIT_FAILED = 1, EXIT_PROTOCOL = 2 };

struct room_state {
	struct chan control, fetch;
	char host[LIMIT_HOST + 1];
	char origin[LIMIT_HOST + 1]; /* behind the proxy at host; "" = host itself */
	uint16_t port;
	struct dial_rules rules;
	bool told; /* the class of the first address */
};

/* The first two messages: what to dial, and for whom. Any other order ends the room. */
static int
set_up(struct room_state *s)
{
	struct ipc_msg m;

	if (control_wait(&s->control, &m, -1) != 0)
		return -1;
	if (m.type != MSG_setup_dial || m.setup_dial.address_floor > ADDRESS_PUBLIC ||
	    !span_to_str(m.setup_dial.host, s->host, sizeof(s->host)) ||
	    !span_to_str(m.setup_dial.origin, s->origin, sizeof(s->origin)))
		return -1;
	s->port = (uint16_t)m.setup_dial.port;
	s->rules = (struct dial_rules){
	    .floor = (enum address_class)m.setup_dial.address_floor,
	    .deadline_ms = LIMIT_DIAL_SECONDS * 1000,
	};
	if (control_wait(&s->control, &m, -1) != 0)
		return -1;
	if (m.type != MSG_peer || m.peer.channel != CH_fetch_dial)
		return -1;
	int fd = ipc_msg_take_fd(&m, 0);
	if (chan_init(&s->fetch, fd, CH_fetch_dial, ROOM_DIAL, ROOM_FETCH) < 0)
		return -1;
	s->fetch.phase = IPC_RUN;
	return 0;
}

static int
tell_class(struct room_state *s, enum address_class class)
{
	if (s->told || class > ADDRESS_PUBLIC)
		return 0;
	s->told = true;
	struct ipc_msg m = IPC_MSG(address_class, .class = (uint64_t) class);
	return chan_send_wait(&s->control, &m, 1000);
}

/* A proxy is where the configuration says; the rules are for the origin, and so is the
 * class. */
static int
dial_proxy(const struct room_state *s, struct dial_result *got, struct err *e)
{
	struct dial_rules any = s->rules;
	enum address_class class;
	struct err why = {0};

	int r = dial_behind_proxy(s->origin, 0, &s->rules, &class, e);
	if (r < 0)
		return r;
	any.floor = ADDRESS_LOOPBACK;
	r = dial_host(s->host, s->port, &any, got, &why);
	got->class = class;
	if (r < 0) /* r tells whether another time may do better */
		err_set(e, why.code, "the proxy for %s: %.700s", s->origin, why.text);
	return r;
}

static int
answer(struct room_state *s, uint64_t id)
{
	struct dial_result got = {.fd = -1};
	struct err e = {0};

	int r = *s->origin ? dial_proxy(s, &got, &e)
			   : dial_host(s->host, s->port, &s->rules, &got, &e);
	if (r < 0) {
		struct ipc_msg m =
		    IPC_MSG(dial_failed, .id = id, .code = (uint64_t)e.code,
			.text = span_str(e.text), .transient = r == -EAGAIN);
		return chan_send_wait(&s->fetch, &m, 1000);
	}
	FD_AUTO fd = got.fd;
	if (tell_class(s, got.class) < 0)
		return -1;
	struct ipc_msg m = IPC_MSG(dialed, .id = id, .address = span_str(got.address));
	m.fds[0] = fd;
	m.nfds = 1;
	return chan_send_wait(&s->fetch, &m, 1000);
}

int
main(void)
{
	static struct room_state s;
	struct sandbox_report report = {0};
	const struct sandbox_setup setup = {.report = &report};
	struct ipc_msg m;
	const char *why = NULL;

	if (sandbox_enter(ROOM_DIAL, &setup) < 0)
		return EXIT_FAILED;
	if (control_open(&s.control, ROOM_DIAL, (unsigned)report.landlock_abi, "") < 0)
		return EXIT_FAILED;
	if (set_up(&s) < 0)
		return EXIT_PROTOCOL;
	for (;;) {
		int r = chan_recv_wait(&s.fetch, &m, -1, &why);
		if (r == CHAN_CLOSED)
			return EXIT_SUCCESS;
		if (r != 0 || m.type != MSG_dial) {
			control_log(&s.control, LOG_ERROR, "fetch broke the protocol: %s",
			    why ? why : "wrong message");
			return EXIT_PROTOCOL;
		}
		if (answer(&s, m.dial.id) < 0)
			return EXIT_FAILED;
	}
}
