/* A room's end of its control channel: fd 3, the supervisor at the other end. */
#ifndef BULKHEAD_IPC_CONTROL_H
#define BULKHEAD_IPC_CONTROL_H

#include "common/ipc/chan.h"

#define CONTROL_FD 3

enum log_level { LOG_ERROR = 3, LOG_WARNING = 4, LOG_INFO = 6, LOG_DEBUG = 7 };

/* Takes fd 3 and says HELLO: the room is in its sandbox. The phase is START for a room
 * that gets a setup message, else RUN. landlock is what the kernel granted, for `status`.
 * 0 or -errno. */
int control_open(struct chan *c, enum room self, unsigned landlock_abi,
    const char *landlock) MUST_CHECK;

/* HELLO on a channel opened otherwise (port_open). 0 or -errno. */
int control_hello(struct chan *c, enum room self, unsigned landlock_abi,
    const char *landlock) MUST_CHECK;

/* One line for the supervisor's log; cut to LIMIT_LOG_TEXT, never blocks, never fails
 * loudly. */
void control_log(struct chan *c, enum log_level level, const char *fmt, ...) PRINTF(3, 4);

/* The same about one request: the number of a pull or of a call. */
void control_log_for(struct chan *c, enum log_level level, uint64_t request,
    const char *fmt, ...) PRINTF(4, 5);

/* Waits for the next message from the supervisor. 0; CHAN_CLOSED when it has gone or said
 * stop; or negative. The phase moves to RUN after the first one. */
int control_wait(struct chan *c, struct ipc_msg *m, int timeout_ms) MUST_CHECK;

#endif
