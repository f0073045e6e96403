/* What rooms may ask of the supervisor, one function a request. Which room may send which
 * message is the message table's word; which room may ask for which is the privilege
 * table's, and is checked here once more for every start. */
#include "supervisor/supervisor.h"

#include "common/base/fd.h"

#include <errno.h>
#include <stdlib.h>

/* A room that has been taken over must not fill the node's disk with lines. */
static bool
may_log(struct room_entry *r)
{
	uint64_t second = loop_now() / 1000;

	if (r->log_second != second) {
		r->log_second = second;
		r->log_lines = 0;
	}
	if (++r->log_lines == LIMIT_LOG_LINES + 1)
		supervisor_log(r->s, 4, "%s: logs more than %u lines a second: dropped",
		    r->profile->name, LIMIT_LOG_LINES);
	return r->log_lines <= LIMIT_LOG_LINES;
}

void
room_refuse(struct room_entry *asker, enum room room, uint64_t pull, uint64_t token,
    const struct err *why)
{
	char safe[1024];
	struct ipc_msg m = IPC_MSG(refused, .room = room, .pull = pull, .token = token,
	    .text = span_str(span_escape(span_str(why->text), safe, sizeof(safe))),
	    .code = why->code);

	/* A command says itself what it was refused. */
	if (may_log(asker))
		supervisor_log(asker->s,
		    asker->s->stopping || asker->s->settings.embedded ? 7 : 4,
		    "%s for %s: %s", room_name(room), asker->profile->name, why->text);
	port_send(&asker->control, &m);
}

/* Starts a room that `asker` wants, if the table lets it. */
struct room_entry *
start_for(struct room_entry *asker, enum room room, enum sandbox_mode mode, uint64_t pull,
    uint64_t token, int dir)
{
	const struct profile *p = profile_find(room, mode);
	struct err e = {0};
	struct room_entry *r = NULL;

	if (!p || !(p->asked_by & 1u << asker->profile->room))
		err_set(
		    &e, ERR_INTERNAL, "the privilege table does not let it ask for that");
	else if (asker->s->stopping && mode != SANDBOX_MODE_REMOVE)
		err_set(&e, ERR_INTERNAL, "shutting down");
	else
		r = room_get(asker->s, room, mode, pull, token, dir, &e);
	if (!r)
		room_refuse(asker, room, pull, token, &e);
	return r;
}

/* The two ring channels that wait for their neighbours. */
static struct layer_ends *
layer_new(struct room_entry *hash, struct pull_entry *p)
{
	int fetch[2], apply[2];
	struct layer_ends *l = calloc(1, sizeof(*l));

	if (!l || chan_pair(fetch) < 0) {
		free(l);
		return NULL;
	}
	if (chan_pair(apply) < 0) {
		fd_close(&fetch[0]);
		fd_close(&fetch[1]);
		free(l);
		return NULL;
	}
	room_give(hash, CH_hash_fetch, hash->pull, hash->token, fetch[0]);
	room_give(hash, CH_hash_apply, hash->pull, hash->token, apply[0]);
	*l = (struct layer_ends){.token = hash->token,
	    .fetch_end = fetch[1],
	    .apply_end = apply[1],
	    .next = p->layers};
	p->layers = l;
	return l;
}

/* A hash room, its inflater if the layer is compressed, and the channels of both. */
static int
want_hash(struct room_entry *store, const struct msg_want *w)
{
	struct supervisor *s = store->s;
	struct pull_entry *p = pull_get(s, w->pull);
	struct room_entry *hash, *inflate = NULL;

	if (!p || layer_find(p, w->token))
		return -EPROTO;
	hash = start_for(store, ROOM_HASH,
	    w->again ? SANDBOX_MODE_VERIFY : SANDBOX_MODE_PLAIN, w->pull, w->token, -1);
	if (!hash)
		return 0;
	if (w->arg != COMPRESSION_NONE) {
		inflate = start_for(
		    store, ROOM_INFLATE, SANDBOX_MODE_PLAIN, w->pull, w->token, -1);
		if (!inflate) {
			room_kill(hash);
			return 0;
		}
	}
	if (rooms_connect(store, hash, CH_store_hash, w->pull, w->token) < 0 ||
	    !layer_new(hash, p) ||
	    (inflate &&
		rooms_connect(hash, inflate, CH_hash_inflate, w->pull, w->token) < 0))
		room_kill(hash);
	return 0;
}

static int
want_one(struct room_entry *store, const struct msg_want *w, enum ipc_channel channel)
{
	struct room_entry *r = start_for(
	    store, (enum room)w->room, SANDBOX_MODE_PLAIN, w->pull, w->token, -1);

	if (r && rooms_connect(store, r, channel, w->pull, w->token) < 0)
		room_kill(r);
	return 0;
}

static int
on_want(struct room_entry *r, struct ipc_msg *m)
{
	switch (m->want.room) {
	case ROOM_HASH:
		return want_hash(r, &m->want);
	case ROOM_DOCUMENT:
		return want_one(r, &m->want, CH_store_document);
	case ROOM_VERDICT:
		return want_one(r, &m->want, CH_store_verdict);
	default:
		return -EPROTO;
	}
}

static int
on_want_apply(struct room_entry *r, struct ipc_msg *m)
{
	static const enum sandbox_mode modes[] = {
	    [APPLY_UNTAR] = SANDBOX_MODE_APPLY,
	    [APPLY_CHECK] = SANDBOX_MODE_CHECK,
	    [APPLY_ERASE] = SANDBOX_MODE_REMOVE,
	    [APPLY_VERIFY] = SANDBOX_MODE_VERIFY,
	};
	const struct msg_want_apply *w = &m->want_apply;
	struct pull_entry *p = pull_get(r->s, w->pull);
	struct layer_ends *l = p ? layer_find(p, w->token) : NULL;
	bool ring = w->mode == APPLY_UNTAR || w->mode == APPLY_VERIFY;
	FD_AUTO dir = ipc_msg_take_fd(m, 0);

	if (!p)
		return -ENOMEM;
	/* Not the store's fault: the pull may have been ended while it asked. */
	if (ring && (!l || l->apply_end < 0)) {
		struct err e = {.code = ERR_INTERNAL, .text = "its layer has ended"};
		room_refuse(r, ROOM_APPLY, w->pull, w->token, &e);
		return 0;
	}
	struct room_entry *a =
	    start_for(r, ROOM_APPLY, modes[w->mode], w->pull, w->token, dir);
	if (!a)
		return 0;
	if (rooms_connect(r, a, CH_store_apply, w->pull, w->token) < 0)
		room_kill(a);
	else if (ring)
		room_give(a, CH_hash_apply, w->pull, w->token, fd_steal(&l->apply_end));
	return 0;
}

/* ---- the rest ---- */

static int
on_end(struct room_entry *r, struct ipc_msg *m)
{
	struct supervisor *s = r->s;

	if (r != s->store && r != s->frontend)
		return -EPROTO;
	/* The whole of a pull ends by the store's word alone: its rooms are the store's.
	 */
	if (m->end.room == 0) {
		if (r == s->store)
			pull_drop(s, m->end.pull);
		return 0;
	}
	if (m->end.room == ROOM_FETCH && r == s->frontend)
		search_drop(search_find(s, m->end.pull, m->end.token));
	struct room_entry *victim =
	    room_find(s, (enum room)m->end.room, m->end.pull, m->end.token);
	if (victim && (victim->profile->asked_by & 1u << r->profile->room))
		room_kill(victim);
	return 0;
}

static int
on_log(struct room_entry *r, struct ipc_msg *m)
{
	if (may_log(r))
		room_log(r, (unsigned)m->log.level, m->log.request, m->log.text);
	return 0;
}

static int
on_access_key(struct room_entry *r, struct ipc_msg *m)
{
	memcpy(r->s->access_key, m->access_key.key, sizeof(r->s->access_key));
	r->s->have_access_key = true;
	return access_tell_waiting(r->s); /* a fetcher may have been asked for already */
}

static int
on_ready(struct room_entry *r, struct ipc_msg *m)
{
	daemon_serves(r->s, r);
	return 0;
}

static int
on_set_up(struct room_entry *r, struct ipc_msg *m)
{
	if (m->set_up.generation == r->s->daemon.generation)
		daemon_reload_holds(r->s);
	return 0;
}

static int
on_pong(struct room_entry *r, struct ipc_msg *m)
{
	daemon_pong(r->s, r, m->pong.seq);
	return 0;
}

/* The policy has been tried already; what is wrong with it the verdict will say. */
static int
on_policy_read(struct room_entry *r, struct ipc_msg *m)
{
	explained(r, &m->policy_read);
	return 0;
}

static int
on_status(struct room_entry *r, struct ipc_msg *m)
{
	status_begin(r->s, m->status.req);
	return 0;
}

static const struct {
	enum ipc_type type;
	int (*handle)(struct room_entry *r, struct ipc_msg *m);
} requests[] = {
    {MSG_log, on_log},
    {MSG_policy_read, on_policy_read},
    {MSG_ready, on_ready},
    {MSG_set_up, on_set_up},
    {MSG_pong, on_pong},
    {MSG_want, on_want},
    {MSG_want_apply, on_want_apply},
    {MSG_want_fetch, request_want_fetch},
    {MSG_end, on_end},
    {MSG_claim, request_claim},
    {MSG_token, request_token},
    {MSG_access_key, on_access_key},
    {MSG_status, on_status},
    {MSG_look_up, request_look_up},
    {MSG_address_class, request_address_class},
    {MSG_config_secret, search_secret},
    {MSG_config_row, search_row},
    {MSG_config_end, search_read},
};

int
request_handle(struct room_entry *r, struct ipc_msg *m)
{
	/* Nobody waits for it any more; its pull must not come to life again by its word.
	 */
	if (r->orphan && m->type != MSG_log)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		if (requests[i].type == m->type)
			return requests[i].handle(r, m);
	}
	return -EPROTO;
}
