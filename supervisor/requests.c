/* What rooms may ask of the supervisor, one function a request. Which room may send which
 * message is the message table's word; which room may ask for which is the privilege
 * table's, and is checked here once more for every start. */
#include "supervisor/supervisor.h"

#include "common/base/fd.h"
#include "supervisor/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- pulls
 * ------------------------------------------------------------------------------------------
 */

static struct pull_entry *
pull_get(struct supervisor *s, uint64_t id)
{
	for (struct pull_entry *p = s->pulls; p; p = p->next) {
		if (p->id == id)
			return p;
	}
	struct pull_entry *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->id = id;
	p->next = s->pulls;
	s->pulls = p;
	return p;
}

static void
layer_free(struct layer_ends *l)
{
	fd_close(&l->fetch_end);
	fd_close(&l->apply_end);
	free(l);
}

static void
pull_forget(struct supervisor *s, uint64_t id)
{
	for (struct pull_entry **at = &s->pulls; *at; at = &(*at)->next) {
		struct pull_entry *p = *at;
		if (p->id != id)
			continue;
		*at = p->next;
		for (struct layer_ends *l = p->layers, *next; l; l = next) {
			next = l->next;
			layer_free(l);
		}
		free(p);
		return;
	}
}

void
pull_drop(struct supervisor *s, uint64_t pull)
{
	for (struct room_entry *r = s->rooms; r; r = r->next) {
		if (r->pull == pull && r != s->store && r != s->frontend && !r->idle)
			room_kill(r);
	}
	pull_forget(s, pull);
}

static struct layer_ends *
layer_find(struct pull_entry *p, uint64_t token)
{
	for (struct layer_ends *l = p->layers; l; l = l->next) {
		if (l->token == token)
			return l;
	}
	return NULL;
}

/* ---- starting
 * ----------------------------------------------------------------------------------------
 */

static void
refuse(struct room_entry *asker, enum room room, uint64_t pull, uint64_t token,
    const char *text)
{
	char safe[1024];
	struct ipc_msg m = IPC_MSG(refused, .room = room, .pull = pull, .token = token,
	    .text = span_str(span_escape(span_str(text), safe, sizeof(safe))));

	supervisor_log(
	    asker->s, 4, "%s for %s: %s", room_name(room), asker->profile->name, text);
	port_send(&asker->control, &m);
}

/* Starts a room that `asker` wants, if the table lets it. */
static struct room_entry *
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
		r = room_start(asker->s, room, mode, pull, token, dir, &e);
	if (!r)
		refuse(asker, room, pull, token, e.text);
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
	room_give(hash, CH_hash_fetch, hash->token, fetch[0]);
	room_give(hash, CH_hash_apply, hash->token, apply[0]);
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
	hash = start_for(store, ROOM_HASH, SANDBOX_MODE_PLAIN, w->pull, w->token, -1);
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
	if (rooms_connect(store, hash, CH_store_hash, w->token) < 0 ||
	    !layer_new(hash, p) ||
	    (inflate && rooms_connect(hash, inflate, CH_hash_inflate, w->token) < 0))
		room_kill(hash);
	return 0;
}

static int
want_one(struct room_entry *store, const struct msg_want *w, enum ipc_channel channel)
{
	struct room_entry *r = start_for(
	    store, (enum room)w->room, SANDBOX_MODE_PLAIN, w->pull, w->token, -1);

	if (r && rooms_connect(store, r, channel, w->token) < 0)
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
	};
	const struct msg_want_apply *w = &m->want_apply;
	struct pull_entry *p = pull_get(r->s, w->pull);
	struct layer_ends *l = p ? layer_find(p, w->token) : NULL;
	FD_AUTO dir = ipc_msg_take_fd(m, 0);

	if (!p || (w->mode == APPLY_UNTAR && (!l || l->apply_end < 0)))
		return -EPROTO;
	struct room_entry *a =
	    start_for(r, ROOM_APPLY, modes[w->mode], w->pull, w->token, dir);
	if (!a)
		return 0;
	if (rooms_connect(r, a, CH_store_apply, w->token) < 0)
		room_kill(a);
	else if (w->mode == APPLY_UNTAR)
		room_give(a, CH_hash_apply, w->token, fd_steal(&l->apply_end));
	return 0;
}

/* ---- fetchers
 * ------------------------------------------------------------------------------------------
 */

static struct fetch_info *
fetch_info_new(const struct msg_want_fetch *w)
{
	struct fetch_info *f = calloc(1, sizeof(*f));

	if (!f || !span_to_str(w->host, f->host, sizeof(f->host)) ||
	    !span_to_str(w->repository, f->repository, sizeof(f->repository))) {
		free(f);
		return NULL;
	}
	f->scheme = (enum fetch_scheme)w->scheme;
	f->port = (uint16_t)w->port;
	f->verify = w->verify;
	f->parent = w->parent;
	return f;
}

/* The one secret of a fetcher: the client's own, or that of the registry from files. */
static int
fetch_info_secret(
    struct supervisor *s, struct fetch_info *f, const struct msg_want_fetch *w)
{
	char host[301];
	struct span bytes = w->secret;
	enum secret_kind kind = SECRET_BASIC;

	if (w->auth == AUTH_NONE)
		return 0;
	if (w->auth == AUTH_FILES) {
		if (!span_to_str(w->auth_host, host, sizeof(host)))
			return -EPROTO;
		const struct secret *found =
		    secrets_find(&s->secrets, host, f->repository);
		if (!found)
			return 0;
		bytes = span_of(found->bytes, found->n);
		kind = found->kind;
	}
	f->secret = malloc(bytes.n ? bytes.n : 1);
	if (!f->secret)
		return -ENOMEM;
	if (bytes.n)
		memcpy(f->secret, bytes.p, bytes.n);
	f->secret_size = bytes.n;
	f->secret_kind = kind;
	return 0;
}

/* What the store may record about who has shown access to this pull's layers. */
static int
access_tell(struct supervisor *s, struct pull_entry *p, const struct fetch_info *f)
{
	struct ipc_msg m = IPC_MSG(access, .pull = p->id, .public = f->secret == NULL);
	char origin[LIMIT_HOST + 16];

	if (p->access_told || !s->store || !s->have_access_key)
		return 0;
	p->access_told = true;
	snprintf(origin, sizeof(origin), "%s:%u", f->host, f->port);
	if (f->secret && secret_proof(s->access_key, origin,
			     span_of(f->secret, f->secret_size), m.access.proof) < 0)
		return -ENOMEM;
	return port_send(&s->store->control, &m);
}

static int
fetch_connect(
    struct room_entry *fe, struct room_entry *frontend, const struct fetch_info *info)
{
	struct supervisor *s = fe->s;
	struct err e = {0};
	struct room_entry *dial =
	    room_start(s, ROOM_DIAL, SANDBOX_MODE_PLAIN, fe->pull, fe->token, -1, &e);

	if (!dial) {
		refuse(frontend, ROOM_DIAL, fe->pull, fe->token, e.text);
		return -EAGAIN;
	}
	dial->fetch = calloc(1, sizeof(*dial->fetch));
	if (!dial->fetch)
		return -ENOMEM;
	snprintf(dial->fetch->host, sizeof(dial->fetch->host), "%s", info->host);
	dial->fetch->port = info->port;
	int r = rooms_connect(fe, dial, CH_fetch_dial, fe->token);
	if (r == 0 && s->store && !info->parent)
		r = rooms_connect(s->store, fe, CH_fetch_store, fe->token);
	if (r == 0)
		r = rooms_connect(frontend, fe, CH_frontend_fetch, fe->token);
	return r;
}

static int
on_want_fetch(struct room_entry *r, struct ipc_msg *m)
{
	const struct msg_want_fetch *w = &m->want_fetch;
	struct pull_entry *p = pull_get(r->s, w->pull);
	struct fetch_info *info = fetch_info_new(w);

	if (!p || !info || room_find(r->s, ROOM_FETCH, w->pull, w->fetch) ||
	    fetch_info_secret(r->s, info, w) < 0 || access_tell(r->s, p, info) < 0) {
		fetch_info_free(info);
		return -EPROTO;
	}
	struct room_entry *fe =
	    start_for(r, ROOM_FETCH, SANDBOX_MODE_PLAIN, w->pull, w->fetch, -1);
	if (!fe) {
		fetch_info_free(info);
		return 0;
	}
	fe->fetch = info;
	if (fetch_connect(fe, r, info) < 0)
		room_kill(fe);
	return 0;
}

static int
on_claim(struct room_entry *r, struct ipc_msg *m)
{
	struct pull_entry *p = pull_get(r->s, m->claim.pull);
	struct layer_ends *l = p ? layer_find(p, m->claim.token) : NULL;

	if (m->claim.pull != r->pull || !l || l->fetch_end < 0)
		return -EPROTO;
	room_give(r, CH_hash_fetch, m->claim.token, fd_steal(&l->fetch_end));
	return 0;
}

/* A token server's answer becomes the secret of the fetcher that it was asked for,
 * unread. */
static int
on_token(struct room_entry *r, struct ipc_msg *m)
{
	if (!r->fetch || !r->fetch->parent)
		return -EPROTO;
	struct room_entry *parent =
	    room_find(r->s, ROOM_FETCH, r->pull, r->fetch->parent);
	struct ipc_msg secret =
	    IPC_MSG(secret, .kind = SECRET_BEARER, .secret = m->token.secret);
	return parent && parent->ready ? port_send(&parent->control, &secret) : 0;
}

static int
on_address_class(struct room_entry *r, struct ipc_msg *m)
{
	struct pull_entry *p = pull_get(r->s, r->pull);

	if (p && !p->class_known) {
		p->class_known = true;
		p->class = (enum address_floor)m->address_class.class;
	}
	return 0;
}

/* ---- the rest
 * --------------------------------------------------------------------------------------------
 */

static int
on_end(struct room_entry *r, struct ipc_msg *m)
{
	struct supervisor *s = r->s;

	if (r != s->store && r != s->frontend)
		return -EPROTO;
	if (m->end.room == 0) {
		pull_drop(s, m->end.pull);
		return 0;
	}
	struct room_entry *victim =
	    room_find(s, (enum room)m->end.room, m->end.pull, m->end.token);
	if (victim && (victim->profile->asked_by & 1u << r->profile->room))
		room_kill(victim);
	return 0;
}

static int
on_log(struct room_entry *r, struct ipc_msg *m)
{
	char text[LIMIT_LOG_TEXT + 1];

	span_escape(m->log.text, text, sizeof(text));
	supervisor_log(r->s, (unsigned)m->log.level, "%s: %s", r->profile->name, text);
	return 0;
}

static int
on_access_key(struct room_entry *r, struct ipc_msg *m)
{
	memcpy(r->s->access_key, m->access_key.key, sizeof(r->s->access_key));
	r->s->have_access_key = true;
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
    {MSG_want, on_want},
    {MSG_want_apply, on_want_apply},
    {MSG_want_fetch, on_want_fetch},
    {MSG_end, on_end},
    {MSG_claim, on_claim},
    {MSG_token, on_token},
    {MSG_access_key, on_access_key},
    {MSG_status, on_status},
    {MSG_address_class, on_address_class},
};

int
request_handle(struct room_entry *r, struct ipc_msg *m)
{
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		if (requests[i].type == m->type)
			return requests[i].handle(r, m);
	}
	return -EPROTO;
}

/* ---- a room's first messages
 * --------------------------------------------------------------------------------- */

static int
setup_store(struct room_entry *r)
{
	struct supervisor *s = r->s;
	struct ipc_msg m =
	    IPC_MSG(setup_store, .graph_root = span_str(s->settings.graph_root),
		.run_root = span_str(s->settings.run_root),
		.max_layer = s->settings.max_layer, .max_image = s->settings.max_image,
		.policy_file = span_str(s->policy_file), .sweep_only = s->sweeping);

	memcpy(m.setup_store.policy, s->policy_hash, sizeof(m.setup_store.policy));
	return port_send(&r->control, &m);
}

static int
setup_frontend(struct room_entry *r)
{
	struct supervisor *s = r->s;
	struct ipc_msg m = IPC_MSG(setup_frontend, .embedded = s->settings.embedded,
	    .insecure = span_str(s->settings.insecure),
	    .policy_problem = span_str(s->policy_problem));

	return port_send(&r->control, &m);
}

static int
setup_fetch(struct room_entry *r)
{
	struct supervisor *s = r->s;
	struct fetch_info *f = r->fetch;
	const char *certs = *s->settings.certs ? s->settings.certs : NULL;
	struct err e = {0};
	char authority[LIMIT_HOST + 16];
	struct ipc_msg m = IPC_MSG(setup_fetch, .pull = r->pull, .fetch = r->token,
	    .scheme = f->scheme, .host = span_str(f->host), .port = f->port,
	    .repository = span_str(f->repository), .verify = f->verify,
	    .secret = f->secret != NULL);

	snprintf(authority, sizeof(authority), "%s:%u", f->host, f->port);
	FD_AUTO cas = f->scheme == SCHEME_HTTPS ? files_open_cas(certs, authority, &e)
						: fd_sealed_memfd("ca", "", 0);
	if (cas < 0) {
		supervisor_log(s, 3, "%s", e.text);
		return -EIO;
	}
	m.fds[0] = cas;
	m.nfds = 1;
	int rc = port_send(&r->control, &m);
	if (rc == 0 && f->secret) {
		struct ipc_msg secret = IPC_MSG(secret, .kind = f->secret_kind,
		    .secret = span_of(f->secret, f->secret_size));
		rc = port_send(&r->control, &secret);
	}
	return rc;
}

static int
setup_dial(struct room_entry *r)
{
	struct pull_entry *p = pull_get(r->s, r->pull);
	bool first = !p || !p->class_known;
	struct ipc_msg m = IPC_MSG(setup_dial, .host = span_str(r->fetch->host),
	    .port = r->fetch->port, .address_floor = first ? FLOOR_LOOPBACK : p->class);

	return port_send(&r->control, &m);
}

static int
setup_verdict(struct room_entry *r)
{
	struct supervisor *s = r->s;
	struct ipc_msg m =
	    IPC_MSG(setup_verdict, .policy_file = span_str(s->policy_file));

	if (s->policy < 0)
		return -EIO;
	memcpy(m.setup_verdict.policy, s->policy_hash, sizeof(m.setup_verdict.policy));
	m.fds[0] = s->policy;
	m.nfds = 1;
	return port_send(&r->control, &m);
}

int
room_setup(struct room_entry *r)
{
	switch (r->profile->room) {
	case ROOM_STORE:
		return setup_store(r);
	case ROOM_FRONTEND:
		return setup_frontend(r);
	case ROOM_FETCH:
		return setup_fetch(r);
	case ROOM_DIAL:
		return setup_dial(r);
	case ROOM_VERDICT:
		return setup_verdict(r);
	default:
		return 0;
	}
}

/* ---- ends
 * --------------------------------------------------------------------------------------------------------
 */

static void
gone_tell(struct room_entry *to, const struct room_entry *r, int status)
{
	struct ipc_msg m = IPC_MSG(gone, .room = r->profile->room, .pull = r->pull,
	    .token = r->token, .status = (uint64_t)status & 511);

	if (to && to->ready)
		port_send(&to->control, &m);
}

/* Without a store nothing can be done; a fresh one removes what the dead one left, and
 * ends. */
static void
store_gone(struct supervisor *s, int status)
{
	struct err e = {0};

	s->store = NULL;
	if (s->stopping && !s->sweeping && status == 0) {
		loop_quit(&s->loop);
		return;
	}
	if (s->sweeping) {
		loop_quit(&s->loop);
		return;
	}
	if (status != 0 || !s->stopping)
		supervisor_log(s, 3,
		    "the store worker ended (%s %d); cleaning up after it",
		    status >= 256 ? "signal" : "status", status & 255);
	s->exit_code = ERR_INTERNAL;
	for (struct room_entry *r = s->rooms; r; r = r->next) {
		if (r != s->frontend)
			room_kill(r);
	}
	s->sweeping = true;
	s->stopping = false;
	s->store = room_start(s, ROOM_STORE, SANDBOX_MODE_PLAIN, 0, 0, -1, &e);
	if (!s->store) {
		supervisor_log(s, 3, "%s", e.text);
		loop_quit(&s->loop);
	}
}

void
supervisor_stop(struct supervisor *s, int exit_code)
{
	struct ipc_msg m = IPC_MSG(stop);

	if (s->stopping)
		return;
	s->stopping = true;
	if (!s->exit_code)
		s->exit_code = exit_code;
	for (struct room_entry *r = s->rooms; r; r = r->next) {
		if (r != s->store && r->profile->mode != SANDBOX_MODE_REMOVE)
			room_kill(r);
	}
	if (!s->store)
		loop_quit(&s->loop);
	else if (s->store->ready)
		port_send(&s->store->control, &m);
	else
		room_kill(s->store);
}

void
room_gone(struct room_entry *r, int status)
{
	struct supervisor *s = r->s;

	if (r->idle) {
		status_room(r, "ended early");
	} else if (r == s->store) {
		store_gone(s, status);
	} else if (r == s->frontend) {
		s->frontend = NULL;
		if (status != 0 && !s->stopping)
			supervisor_log(s, 3, "the frontend ended (%s %d)",
			    status >= 256 ? "signal" : "status", status & 255);
		if (!s->sweeping)
			supervisor_stop(s, status == 0 ? 0 : ERR_INTERNAL);
	} else if (r->profile->asked_by & 1u << ROOM_STORE) {
		gone_tell(s->store, r, status);
	} else if (r->profile->room == ROOM_FETCH) {
		gone_tell(s->frontend, r, status);
	}
}
