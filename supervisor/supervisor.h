/* The supervisor's state. It starts, wires and ends rooms, and holds what is secret or
 * rooted; it parses nothing but fixed messages of rooms. */
#ifndef BULKHEAD_SUPERVISOR_SUPERVISOR_H
#define BULKHEAD_SUPERVISOR_SUPERVISOR_H

#include "common/ipc/port.h"
#include "policy/sandbox/profile.h"
#include "policy/sandbox/spawn.h"
#include "supervisor/certs.h"
#include "supervisor/config/proxy.h"
#include "supervisor/daemon.h"
#include "supervisor/files.h"
#include "supervisor/secrets.h"
#include "supervisor/settings.h"

#define ROOM_PEERS 8

/* A channel end that a room gets once it is in its sandbox. */
struct pending {
	enum ipc_channel channel;
	uint64_t pull, token;
	int fd;
};

/* What a fetcher and its dial were asked for. */
struct fetch_info {
	enum fetch_scheme scheme;
	uint16_t port;
	bool verify;
	uint64_t parent; /* fetch id that gets the token; 0 = none */
	uint64_t via;	 /* fetch id whose answer led here; 0 = none's */
	bool class_known;
	enum address_floor class; /* of the first address that its dial connected to */
	char host[LIMIT_HOST + 1];
	char repository[LIMIT_REPOSITORY + 1];
	enum secret_kind secret_kind;
	size_t secret_size;
	uint8_t *secret; /* owned */
	struct certs certs;
	char certs_name[301]; /* of its directory below certs.d */
	bool proxied;
	struct proxy proxy;
	size_t proxy_secret_size;
	uint8_t *proxy_secret; /* owned */
};

/* One living room. */
struct room_entry {
	struct room_entry *next;
	struct supervisor *s;
	const struct profile *profile;
	struct sandbox_room sandbox;
	struct loop_source early; /* the control fd before the first packet */
	struct port control;
	struct loop_source ended; /* the pidfd */
	uint64_t pull, token;
	bool confined; /* HELLO came and /proc agrees with the table */
	bool ready;    /* and it has got what it is to begin with */
	bool spare;    /* waits for work: it has got nothing and said nothing but HELLO */
	struct err unready; /* why it did not come so far */
	bool violated;	    /* broke the protocol: has failed, whatever its exit status */
	bool killed;	    /* by us: what else goes wrong with it is no news */
	bool orphan;	    /* who asked for it is gone: nobody is told of its end */
	struct pending peers[ROOM_PEERS];
	unsigned npeers;
	struct fetch_info *fetch; /* of FETCH and DIAL; owned */
	struct search *search;	  /* of HELPER, and of a CONF that reads for one */
	char landlock[513];
	unsigned landlock_abi;
	uint64_t log_second; /* of the last line it logged ... */
	unsigned log_lines;  /* ... and how many in that second */
	char *explain;	     /* of a verdict room that judges nothing: the name; owned */
	bool idle, counted;  /* started for `status` alone; its word has come */
};

/* What outlives single rooms of a pull: ring ends that wait for their neighbour, the
 * address class. */
struct layer_ends {
	struct layer_ends *next;
	uint64_t token;
	int fetch_end, apply_end; /* -1: handed out */
	unsigned claims;
};

struct pull_entry {
	struct pull_entry *next;
	uint64_t id;
	bool access_told;
	bool own_read;			     /* its own auth file has been looked for */
	struct secrets own;		     /* what that said */
	struct secrets found;		     /* what helpers answered, by server */
	char own_file[LIMIT_NAMESPACE + 80]; /* its name; "" = there is none */
	uint64_t own_inode;
	struct err own_problem; /* with it: no endpoint may do without */
	struct layer_ends *layers;
};

#define SPARES_FILES 4

/* Tells a file from what it was. */
struct file_stamp {
	uint64_t dev, ino, sec, nsec;
};

struct supervisor {
	struct loop loop;
	struct sandbox_host host;
	struct settings settings;
	struct registry_rows registries;
	struct secrets secrets;
	struct room_entry *rooms, *store, *frontend;
	struct pull_entry *pulls;
	struct search *searches;
	const char *const *environment; /* ours, for helpers and proxies */
	int cli; /* the command's channel; -1 once the frontend has it */
	struct policy_file policy;
	bool have_access_key, stopping, sweeping;
	uint8_t access_key[32];
	int exit_code;
	struct {
		struct loop_timer fill;
		struct file_stamp stamp[SPARES_FILES]; /* of what they have read */
	} spares;
	struct status_job *status; /* of `bulkhead status`, or NULL */
	struct daemon daemon;	   /* of use only where settings.embedded is not set */
};

/* ---- rooms.c: one room's life ---- */

/* Starts a room. dir: apply's root, else -1. NULL with *e on failure. */
struct room_entry *room_start(struct supervisor *s, enum room room,
    enum sandbox_mode mode, uint64_t pull, uint64_t token, int dir, struct err *e);

/* Gives the room its end of a channel, at once or when it is ready. fd is taken over. */
void room_give(struct room_entry *r, enum ipc_channel channel, uint64_t pull,
    uint64_t token, int fd);

/* SIGKILL; what follows is done when the kernel reports the end. */
void room_kill(struct room_entry *r);

/* One that is confined and wanted gets its first messages and the channels that wait for
 * it. Negative: it cannot be used. */
int room_begin(struct room_entry *r);

struct room_entry *room_find(
    struct supervisor *s, enum room room, uint64_t pull, uint64_t token);

void fetch_info_free(struct fetch_info *f);

/* Makes a channel between two rooms. -ENOMEM, -EMFILE ... */
int rooms_connect(struct room_entry *a, struct room_entry *b, enum ipc_channel channel,
    uint64_t pull, uint64_t token) MUST_CHECK;

/* ---- spares.c: rooms that wait for work in their sandboxes (the daemon's) ---- */

/* A small pull takes a dozen rooms, one after the other, and each start its time: so some
 * of each kind are started beforehand, bare, and used once like any other. */
void spares_begin(struct supervisor *s);

/* A room for this work: a spare, if there is one, else a new one (room_start). What it is
 * to begin with has to be known when what made us want it has been handled, a message or
 * the end of a room: then spares_settle hands it out. */
struct room_entry *room_get(struct supervisor *s, enum room room, enum sandbox_mode mode,
    uint64_t pull, uint64_t token, int dir, struct err *e);
void spares_settle(struct supervisor *s);

void spares_kill(struct supervisor *s);
void spare_gone(struct room_entry *r, int status);

/* How many there are of each kind, for people. Returns dst. */
char *spares_text(const struct supervisor *s, char *dst, size_t cap);

/* ---- pulls.c ---- */

/* Whether one pull more would be too many: only a frontend that has been taken over asks.
 * The oldest one without rooms makes way: a fetcher may be asked for just as the store
 * ends its pull, and nobody ends that pull again. */
bool pulls_full(struct supervisor *s, uint64_t id);

/* The pull's entry; NULL when there is none. */
struct pull_entry *pull_find(struct supervisor *s, uint64_t id);

/* The pull's entry, made when there is none; NULL when memory is short. */
struct pull_entry *pull_get(struct supervisor *s, uint64_t id);
struct layer_ends *layer_find(struct pull_entry *p, uint64_t token);

/* The store is gone: forgets all pulls. The frontend is gone: forgets those that the
 * store has not begun; it ends the others itself. */
void pulls_forget(struct supervisor *s, bool all);

/* ---- fetchers.c: requests about fetchers, as request_handle calls them ---- */

int request_want_fetch(struct room_entry *r, struct ipc_msg *m);

/* What the configuration, or our environment for it, says of proxies. */
struct proxy_rules proxy_rules_now(const struct supervisor *s);

/* Starts the fetcher that the frontend asked for, with what info says; takes info over.
 * The frontend is told when that cannot be. */
void fetcher_begin(
    struct supervisor *s, uint64_t pull, uint64_t fetch, struct fetch_info *info);

/* A copy of the secret for the fetcher. 0 or -ENOMEM. */
int fetch_info_give(
    struct fetch_info *f, enum secret_kind kind, struct span bytes) MUST_CHECK;

/* The access key has come: tells the store about pulls that began before it did. */
int access_tell_waiting(struct supervisor *s);
int request_claim(struct room_entry *r, struct ipc_msg *m);
int request_token(struct room_entry *r, struct ipc_msg *m);
int request_address_class(struct room_entry *r, struct ipc_msg *m);

/* ---- search.c: the secret from files and helpers, before its fetcher is started ---- */

struct search;

/* For want_fetch with AUTH_FILES: looks for the secret of info, which it takes over, and
 * then calls fetcher_begin; at once if nobody has to be waited for. 0 or -ENOMEM. */
int search_begin(struct supervisor *s, struct pull_entry *p, struct fetch_info *info,
    const struct msg_want_fetch *w) MUST_CHECK;

/* The search for that fetcher, or NULL. */
struct search *search_find(struct supervisor *s, uint64_t pull, uint64_t fetch);

/* Ends it, nobody is told; all of a pull, or (all) of all pulls. */
void search_drop(struct search *q);
void searches_drop(struct supervisor *s, uint64_t pull, bool all);

/* Its rooms: one is ready, says something, is reaped. */
int search_setup(struct room_entry *r);
int search_secret(struct room_entry *r, struct ipc_msg *m);
int search_row(struct room_entry *r, struct ipc_msg *m);
int search_read(struct room_entry *r, struct ipc_msg *m);
void search_room_gone(struct room_entry *r, int status);

/* The path of the auth file that a pull of its own has (own_auth of want_fetch); false:
 * it has none. */
bool own_path(const struct supervisor *s, struct span own, char *dst, size_t cap);

/* The pull is over: its own auth file, unless it has been written anew or another pull
 * has read it too, is removed, as whoever wrote it expects. */
void own_file_remove(struct supervisor *s, struct pull_entry *p);

/* Starts a room that `asker` wants, if the privilege table lets it; if not, it is told
 * why. */
struct room_entry *start_for(struct room_entry *asker, enum room room,
    enum sandbox_mode mode, uint64_t pull, uint64_t token, int dir);
void room_refuse(struct room_entry *asker, enum room room, uint64_t pull, uint64_t token,
    const struct err *why);

/* ---- requests.c: what rooms may ask ---- */

/* One message of a room that is ready. Negative: the room broke the protocol. */
int request_handle(struct room_entry *r, struct ipc_msg *m);

/* First messages of a room that has just become ready. */
int room_setup(struct room_entry *r);

/* It has got the channels that waited for it. */
void room_begun(struct room_entry *r);

/* What the frontend has to know, at its start and after each reload. */
int setup_frontend(struct room_entry *r);

/* Kills the rooms that one of these asked for (bits 1 << enum room), and the idle ones;
 * nobody is told of their end. */
void rooms_orphan(struct supervisor *s, unsigned askers);

/* A store that only removes what a dead one left; the loop ends with it. */
void store_sweep_start(struct supervisor *s);

/* A room is reaped: tell who asked for it, and act on what its end means. */
void room_gone(struct room_entry *r, int status);

/* Kills every room of a pull and forgets the pull. */
void pull_drop(struct supervisor *s, uint64_t pull);

/* Orderly end: rooms of pulls are killed, the store cleans up and leaves, then the loop
 * ends. */
void supervisor_stop(struct supervisor *s, int exit_code);

/* ---- report.c ---- */

/* A line on stderr, if the level is wanted; text is escaped. The daemon's in the
 * configured form, with the priority in front when stderr is the journal. */
void supervisor_log(struct supervisor *s, unsigned level, const char *fmt, ...)
    PRINTF(3, 4);

/* The same for what a room said; request: the number it is about, 0 = none. */
void room_log(struct room_entry *r, unsigned level, uint64_t request, struct span text);

/* ---- explain.c: `bulkhead explain` ---- */

/* As request_handle calls it. */
int request_look_up(struct room_entry *r, struct ipc_msg *m);

/* A verdict room that explains has said it; why: it has ended without. Harmless for every
 * other room. */
void explained(struct room_entry *r, const struct msg_policy_read *m);
void explain_gone(struct room_entry *r);

/* ---- idle.c: `bulkhead status` ---- */

/* Starts one idle room of each kind; rows go to the frontend when all are ready or have
 * failed. */
void status_begin(struct supervisor *s, uint64_t req);

/* An idle room is ready, has failed (why), or is gone. */
void status_room(struct room_entry *r, const char *why);

#endif
