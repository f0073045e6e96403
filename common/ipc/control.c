#include "common/ipc/control.h"

#include <stdarg.h>
#include <stdio.h>

int
control_hello(struct chan *c, enum room self, unsigned landlock_abi, const char *landlock)
{
	struct ipc_msg m = IPC_MSG(hello, .room = self, .landlock_abi = landlock_abi,
	    .landlock = span_str(landlock ? landlock : ""));

	memcpy(m.hello.schema, ipc_schema_hash, sizeof(m.hello.schema));
	return chan_send(c, &m);
}

/* Rooms that get a setup message before anything else. */
static bool
has_setup(enum room room)
{
	return room == ROOM_STORE || room == ROOM_FRONTEND || room == ROOM_FETCH ||
	       room == ROOM_DIAL || room == ROOM_VERDICT || room == ROOM_CONF;
}

int
control_open(struct chan *c, enum room self, unsigned landlock_abi, const char *landlock)
{
	int r = chan_init(c, CONTROL_FD, CH_control, self, ROOM_SUPERVISOR);

	if (r < 0)
		return r;
	c->phase = has_setup(self) ? IPC_START : IPC_RUN;
	r = control_hello(c, self, landlock_abi, landlock);
	/* Nobody else sends what the kernel had no memory for just now. */
	return r < 0 ? r : chan_flush_wait(c, -1);
}

static void PRINTF(4, 0) log_send(
    struct chan *c, enum log_level level, uint64_t request, const char *fmt, va_list ap)
{
	char text[LIMIT_LOG_TEXT + 1], safe[LIMIT_LOG_TEXT + 1];

	vsnprintf(text, sizeof(text), fmt, ap);
	span_escape(span_str(text), safe, sizeof(safe));
	struct ipc_msg m =
	    IPC_MSG(log, .level = level, .request = request, .text = span_str(safe));
	int r = chan_send(c, &m);
	(void)r; /* a log that does not fit is lost; the supervisor's end is seen
		    elsewhere */
}

void
control_log(struct chan *c, enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_send(c, level, 0, fmt, ap);
	va_end(ap);
}

void
control_log_for(
    struct chan *c, enum log_level level, uint64_t request, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_send(c, level, request, fmt, ap);
	va_end(ap);
}

int
control_wait(struct chan *c, struct ipc_msg *m, int timeout_ms)
{
	const char *why;
	int r = chan_recv_wait(c, m, timeout_ms, &why);

	if (r == 0 && m->type == MSG_stop)
		r = CHAN_CLOSED;
	if (r == 0)
		c->phase = IPC_RUN;
	return r;
}
