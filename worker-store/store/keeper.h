/* The store room around the core: its event loop, the rooms it asks for, the jobs that
 * wait for the store's locks. One thread; nothing here blocks but the disk. */
#ifndef BULKHEAD_STORE_KEEPER_H
#define BULKHEAD_STORE_KEEPER_H

#include "common/ref/pins.h"
#include "common/ipc/control.h"
#include "common/ipc/port.h"
#include "common/ipc/values.h"
#include "worker-store/store/store.h"

struct keeper;
struct helper;

/* What a helper's owner does. All but `message` may be NULL. */
struct helper_ops {
	/* The channel is open: ask. */
	void (*ask)(struct helper *h);
	/* Negative: not what may come now; the helper is ended and `failed` called. */
	int (*message)(struct helper *h, struct ipc_msg *m);
	/* Ended and reaped with exit status 0, everything it sent handled. */
	void (*gone)(struct helper *h);
	/* Not started, ended badly, or broke the protocol. The text is for people. */
	void (*failed)(struct helper *h, const char *text);
};

/* One process that the supervisor starts for this room: a document, verdict, hash,
 * inflate or apply room. Embedded in its owner; zero-initialised is "none". */
struct helper {
	struct keeper *room;
	const struct helper_ops *ops;
	enum room kind;
	uint64_t pull, token;
	struct port port;
	struct helper *next;
	bool alive;  /* asked for, and not known to be gone: its trees must not be touched
		      */
	bool opened; /* its channel was, so it may have read something */
	bool failed;
	bool broke; /* said what it may not, or died as nobody's kill ends it */
	bool late;  /* ended because it did not in time */
	struct loop_timer limit; /* of a document or verdict room */
	void *arg;
};

/* Asks for the room. arg: compression, for a hash room. */
void helper_want(struct keeper *room, struct helper *h, enum room kind, uint64_t pull,
    uint64_t token, unsigned arg, const struct helper_ops *ops);
/* The same for a hash room that an apply room in mode APPLY_VERIFY feeds. */
void helper_want_rehash(struct keeper *room, struct helper *h, uint64_t pull,
    uint64_t token, const struct helper_ops *ops);
/* The same for an apply room in a mode, on a directory (kept by the caller). */
void helper_want_apply(struct keeper *room, struct helper *h, enum apply_mode mode,
    uint64_t pull, uint64_t token, int dir, const struct helper_ops *ops);
/* An inflate room comes with its hash room: only its end is told. */
void helper_expect(struct keeper *room, struct helper *h, enum room kind, uint64_t pull,
    uint64_t token, const struct helper_ops *ops);
/* Has it killed, if alive; no callback follows but the bookkeeping of `alive`. */
void helper_kill(struct helper *h);
/* Forgets it; it must not be alive, or its owner must not care. */
void helper_drop(struct helper *h);

/* Work that needs locks of the store. Embedded in its owner. */
struct job {
	struct job *next;
	unsigned want;		    /* HOLD_* */
	void (*run)(struct job *j); /* the locks are held in room->hold */
	void (*failed)(struct job *j, const struct err *e); /* they could not be had */
	struct keeper *room;
	void *arg;
	bool queued;
};
void job_add(struct keeper *room, struct job *j);
void job_cancel(struct job *j);
void job_timer_fired(struct loop_timer *t);

struct erase {
	struct helper helper;
	struct loop_timer again;
	unsigned delay_ms; /* of `again`; 0 = it did not fail the last time */
	char name[16];	   /* of the directory in staging */
	int dir;
	bool busy, erased;
};
/* Has the trash removed, if there is any and nobody is at it. */
void erase_kick(struct keeper *room);

/* janitor.c: the room that removes the staging when nobody else can any more. Whether it
 * is ready; if not it is started, and when it is, pulls go on with their layers. Nothing
 * is staged before. */
bool janitor_ready(struct keeper *room);
/* Has it do so; the loop ends when it has. false: there is none, so nothing was staged.
 */
bool janitor_work(struct keeper *room);

/* flush.c: has the disk write while layers are still being unpacked. */
struct flush {
	struct helper helper;
	uint64_t bytes; /* unpacked since it was asked last */
	bool busy, over;
};
/* So many more bytes of layers are on their way into trees. */
void flush_moved(struct keeper *room, uint64_t bytes);
/* Ends that room if nothing is being unpacked any more. */
void flush_rest(struct keeper *room);

struct pull;
struct query;
struct watch;
struct check;

struct keeper {
	struct loop loop;
	struct port control, frontend;
	struct store store;
	struct space space;
	int graph, run;
	char graph_root[LIMIT_PATH + 1];
	uint64_t max_layer, max_image;
	uint64_t max_layers, max_layers_pull; /* in flight: of all pulls, of one */
	enum durability durability;
	struct pins pins;			/* images that are not removed */
	uint8_t policy[32];			/* the hash that a verdict has to name */
	bool sweep_only, stopping, swept, lost; /* lost: the supervisor is gone */
	uint64_t tokens;
	/* Milliseconds; 0: LIMIT_ANSWER_SECONDS, LIMIT_ARRIVAL_SECONDS. */
	unsigned answer_ms, arrival_ms;
	struct helper *helpers;
	struct job *jobs;
	struct job sweep;
	struct hold hold;
	struct loop_timer job_timer, reap_timer, stop_timer;
	struct erase erase;
	struct helper janitor;
	struct flush flush;
	struct pull *pulls;
	uint64_t turn; /* counts layers that began */
	struct query *queries;
	struct describer *describer; /* describe.c; likewise */
	struct watch *watch;	     /* watch.c; NULL until somebody asks */
	struct check *checks;	     /* check.c; those that run */
	uint64_t check_rate;	     /* bytes a second, of a deep one; 0 = any */
	char (*wanted)[ID_HEX + 1];  /* check.c: what pulls are to put again */
	size_t n_wanted;
	int inotify;	    /* watch_prepare's, or -1 */
	uint64_t ended[64]; /* pulls that are over: late messages for them mean nothing */
	unsigned n_ended;
};

uint64_t room_token(struct keeper *room);
void room_log(struct keeper *room, enum log_level level, const char *fmt, ...)
    PRINTF(3, 4);
/* Ends the process once nothing is left to do, when told to stop. */
void room_stop_check(struct keeper *room);

/* Messages of the supervisor about helpers: true when one was meant. */
bool helper_peer(struct keeper *room, struct ipc_msg *m);
bool helper_gone(struct keeper *room, const struct msg_gone *g);
bool helper_refused(struct keeper *room, const struct msg_refused *r);

/* query.c. Negative: the frontend broke the protocol. */
int query_message(struct keeper *room, struct ipc_msg *m);
/* Answers any request of the frontend with this error. */
int query_refuse(struct keeper *room, struct ipc_msg *m, const struct err *e);
void query_reap(struct keeper *room);
void queries_end(struct keeper *room, const char *why);

#endif
