/* What the supervisor is only as a daemon: listening sockets, the service manager,
 * signals, rooms that come again. */
#ifndef BULKHEAD_SUPERVISOR_DAEMON_H
#define BULKHEAD_SUPERVISOR_DAEMON_H

#include "common/base/loop.h"
#include "supervisor/backoff.h"
#include "supervisor/listen.h"
#include "supervisor/notify.h"

#include <sys/types.h>

struct supervisor;
struct room_entry;
struct reload;

/* A room of the daemon's life. */
struct lasting {
	struct loop_timer timer; /* its next start */
	struct backoff backoff;
	uint64_t begun; /* loop_now of the last start */
	uint64_t count; /* starts after the first */
	uint64_t asked; /* the last self-check that it got; 0 = none */
	uint64_t pong;	/* the last one that it answered */
	bool stuck;	/* it did not answer the last one in time */
	bool serves;	/* the frontend: it has said so; the store: it is set up */
};

enum ending {
	ENDING_NOT,
	ENDING_CALLS, /* calls in flight may end */
	ENDING_STORE, /* the store ends pulls and removes its staging */
};

struct daemon {
	struct listeners listeners;
	struct notify notify;
	uint64_t watchdog_ms; /* between keep-alives; 0: nobody watches */
	struct loop_source signals;
	struct lasting store, frontend;
	struct loop_timer check, grace;
	uint64_t ping;	     /* the last one sent; 0 = none */
	uint64_t generation; /* of the configuration */
	struct reload *reload;
	bool telling; /* a reload is over once the frontend says so */
	enum ending ending;
	int lock; /* on the graph root */
	bool opened;
	bool ready; /* the manager knows */
};

/* ---- daemon.c ---- */

/* Before privileges and namespaces change: takes signals and what the service manager
 * passed. 0, or negative with *e. */
int daemon_open(struct daemon *d, struct err *e) MUST_CHECK;

/* With the settings read: claims the graph root, binds the sockets that were not passed,
 * starts the rooms. 0, or negative with *e. */
int daemon_start(struct supervisor *s, struct err *e) MUST_CHECK;

/* The rooms are gone: removes the sockets. Safe on one that was only
 * opened, or not even that. */
void daemon_close(struct daemon *d);

/* The frontend serves, or the store is set up; when both are, the manager hears of it. */
void daemon_serves(struct supervisor *s, const struct room_entry *r);

/* The frontend has ended because it was told to. */
void daemon_calls_over(struct supervisor *s);

/* Tells the manager in a few words what goes on. */
void daemon_status(struct supervisor *s, const char *prefix, const char *text);

/* ---- restart.c ---- */

/* Starts store and frontend for the first time. 0, or negative with *e. */
int daemon_rooms_start(struct supervisor *s, struct err *e) MUST_CHECK;

/* The frontend is set up: it gets the listening sockets. */
void daemon_serve(struct supervisor *s);

/* The store or the frontend is reaped. */
void daemon_store_gone(struct supervisor *s, int status);
void daemon_frontend_gone(struct supervisor *s, int status);

/* ---- selfcheck.c ---- */

/* From now on both rooms are asked, a new one at once; the manager hears of us as long as
 * they answer. */
void daemon_check_begin(struct supervisor *s);
void daemon_check_ask(struct supervisor *s, struct room_entry *r);
void daemon_pong(struct supervisor *s, const struct room_entry *r, uint64_t seq);

/* ---- reload.c ---- */

/* An error in the log if the policy in force accepts nothing. */
void daemon_policy_log(struct supervisor *s);

/* SIGHUP: all files once more. Nothing changes if one of them is refused. */
void daemon_reload(struct supervisor *s);
void daemon_reload_cancel(struct supervisor *s);

/* The frontend has what a reload brought, or there is none: the manager hears of it. */
void daemon_reload_holds(struct supervisor *s);

#endif
