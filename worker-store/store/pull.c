#include "worker-store/store/pull.h"
#include "worker-store/store/watch.h"

#include "common/base/fd.h"
#include "common/ref/ref.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PATIENCE_MS 1000
#define PULLS_MAX 256 /* known at once; more is a frontend gone wild */

static struct pull *
pull_find(struct keeper *room, uint64_t id)
{
	for (struct pull *p = room->pulls; p; p = p->next)
		if (p->id == id)
			return p;
	return NULL;
}

static bool
pull_is_over(const struct keeper *room, uint64_t id)
{
	for (size_t i = 0; i < ARRAY_LEN(room->ended) && i < room->n_ended; i++)
		if (room->ended[i] == id)
			return true;
	return false;
}

static void
patience_over(struct loop_timer *t)
{
	struct pull *p = t->arg;

	pull_fail(p, p->reason.code, "%s", p->reason.text);
}

struct pull *
pull_get(struct keeper *room, uint64_t id)
{
	struct pull *p = pull_find(room, id);
	unsigned n = 0;

	if (p)
		return p->ended ? NULL : p;
	for (struct pull *q = room->pulls; q; q = q->next)
		n++;
	if (!id || id & PULL_OF_STORE || n >= PULLS_MAX || pull_is_over(room, id) ||
	    !(p = calloc(1, sizeof(*p))))
		return NULL;
	p->room = room;
	p->id = id;
	p->top.fd = p->manifest.fd = p->config.fd = -1;
	p->docs = COMMIT_NOTHING;
	p->patience = (struct loop_timer){.fired = patience_over, .arg = p};
	p->arrival = (struct loop_timer){.fired = docs_late, .arg = p};
	p->next = room->pulls;
	room->pulls = p;
	return p;
}

void
pull_access(struct keeper *room, const struct msg_access *a)
{
	struct pull *p = pull_get(room, a->pull);

	if (!p)
		return;
	p->access.public = a->public;
	memcpy(p->access.proof, a->proof, sizeof(p->access.proof));
	p->access_known = true;
}

/* ---- fetchers ---- */

static int
fetcher_message(struct port *port, struct ipc_msg *m)
{
	struct fetcher *f = port->arg;

	if (!f->pull->ended)
		docs_message(f->pull, m);
	return 0;
}

static void
fetcher_free(struct fetcher *f)
{
	struct fetcher **at = &f->pull->fetchers;
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	port_release(&f->port);
	free(f);
}

/* A fetcher's end is the frontend's affair: it says `cancel` when nobody else can go on.
 */
static void
fetcher_ended(struct port *port, const char *why)
{
	struct fetcher *f = port->arg;
	struct pull *p = f->pull;

	fetcher_free(f); /* first: the end of the pull frees all that are left */
	if (why && !p->ended)
		pull_fail(p, ERR_NETWORK, "a fetcher broke the protocol: %s", why);
}

void
pull_peer(struct keeper *room, struct ipc_msg *m)
{
	struct pull *p = pull_get(room, m->peer.pull);
	struct fetcher *f = p ? calloc(1, sizeof(*f)) : NULL;

	if (p && !f)
		pull_fail(p, ERR_INTERNAL, "no memory for a fetcher's channel");
	if (!f)
		return;
	f->pull = p;
	f->port.message = fetcher_message;
	f->port.ended = fetcher_ended;
	f->port.arg = f;
	f->next = p->fetchers;
	p->fetchers = f;
	if (port_open(&f->port, &room->loop, ipc_msg_take_fd(m, 0), CH_fetch_store,
		ROOM_STORE, ROOM_FETCH, IPC_RUN) < 0) {
		fetcher_free(f);
		pull_fail(p, ERR_INTERNAL, "no memory for a fetcher's channel");
	}
}

/* ---- ends ---- */

static void
pull_close(struct pull *p)
{
	struct keeper *room = p->room;
	struct ipc_msg end = IPC_MSG(end, .pull = p->id);

	p->ended = true;
	room->ended[room->n_ended++ % ARRAY_LEN(room->ended)] = p->id;
	loop_timer_clear(&room->loop, &p->patience);
	loop_timer_clear(&room->loop, &p->arrival);
	commit_cancel(p);
	layers_kill(p);
	/* Whatever of the pull lives in any room. */
	port_send(&room->control, &end);
	for (struct fetcher *f = p->fetchers, *next; f; f = next) {
		next = f->next;
		fetcher_free(f);
	}
	loop_timer_set(&room->loop, &room->reap_timer, 1);
}

static void
pull_tell(struct pull *p, enum err_class code, const char *text, bool fresh)
{
	struct ipc_msg m = IPC_MSG(pull_end, .pull = p->id, .code = code, .fresh = fresh,
	    .text = span_str(text));

	memcpy(m.pull_end.image, p->image, sizeof(p->image));
	if (p->started)
		port_send(&p->room->frontend, &m);
}

void
pull_fail(struct pull *p, enum err_class code, const char *fmt, ...)
{
	char raw[1500], text[2000];
	va_list ap;

	if (p->ended)
		return;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	span_escape(span_str(raw), text, sizeof(text));
	pull_tell(p, code == ERR_OK ? ERR_INTERNAL : code, text, false);
	pull_close(p);
}

void
pull_fail_later(struct pull *p, const char *text)
{
	if (p->ended || p->reason.code)
		return;
	err_set(&p->reason, ERR_INTERNAL, "%s", text);
	loop_timer_set(&p->room->loop, &p->patience, PATIENCE_MS);
}

void
pull_succeed(struct pull *p, bool fresh)
{
	if (p->ended)
		return;
	if (fresh) { /* the lists have it before its puller hears of it */
		hold_release(&p->room->hold);
		watch_changed(p->room);
	}
	pull_tell(p, ERR_OK, "", fresh);
	pull_close(p);
}

void
pulls_end(struct keeper *room, const char *why)
{
	for (struct pull *p = room->pulls; p; p = p->next)
		pull_fail(p, ERR_INTERNAL, "%s", why);
}

void
pulls_forget(struct keeper *room)
{
	for (struct pull *p = room->pulls; p; p = p->next)
		if (p->ended)
			p->id = 0;
	room->n_ended = 0;
}

static void
pull_free(struct pull *p)
{
	helper_drop(&p->reader);
	helper_drop(&p->judge.helper);
	store_commit_drop(&p->room->store, &p->docs);
	layers_free(p);
	document_free(&p->top);
	document_free(&p->manifest);
	document_free(&p->config);
	free(p->summary);
	free(p);
}

void
pulls_reap(struct keeper *room)
{
	for (struct pull **at = &room->pulls; *at;) {
		struct pull *p = *at;
		/* An applier that lives may still write: its tree has to wait. */
		if (!p->ended || (layers_alive(p) && !room->lost)) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		pull_free(p);
	}
	flush_rest(room);
	layers_step_all(room);
	erase_kick(room);
	space_retry(room);
}

/* ---- beginning ---- */

static void
pull_decided(struct judge *j, const struct err *e)
{
	struct pull *p = j->arg;

	if (p->ended)
		return;
	if (e)
		pull_fail(p, e->code, "%s", e->text);
	else if (p->local || p->mode == PULL_VERDICT_ONLY)
		pull_succeed(p, false);
	else if (p->mode == PULL_REMOTE)
		docs_render(p);
	else if (p->committing)
		commit_begin(p); /* the policy had changed meanwhile */
	else
		layers_begin(p);
}

void
pull_judge(struct pull *p, const uint8_t digest[DIGEST_BYTES])
{
	p->judge.name = p->name;
	p->judge.decided = pull_decided;
	p->judge.arg = p;
	memcpy(p->judge.digest, digest, DIGEST_BYTES);
	judge_start(p->room, &p->judge, p->id);
}

/* Presence never skips the verdict. */
static bool
pull_local(struct pull *p)
{
	CLEANUP(view_free) struct view v = VIEW_NONE;
	struct err e = {0};
	uint8_t manifest[DIGEST_BYTES];

	if (view_load(&v, &p->room->store, &e) < 0) {
		pull_fail(p, e.code, "%s", e.text);
		return true;
	}
	struct record *image = view_find(&v, span_str(p->name), &e);
	if (!image || !hex_decode(image->id, p->image, sizeof(p->image)) ||
	    !image_manifest_digest(image, manifest))
		return false;
	p->local = true;
	pull_judge(p, manifest);
	return true;
}

static int
pull_take(struct pull *p, const struct msg_pull *m)
{
	p->started = true;
	p->pinned = m->pinned;
	p->mode = (enum pull_mode)m->mode;
	memcpy(p->pin, m->digest, sizeof(p->pin));
	if (!ref_is_canonical(m->name) ||
	    !span_to_str(m->name, p->name, sizeof(p->name)) ||
	    !span_to_str(m->os, p->os, sizeof(p->os)) ||
	    !span_to_str(m->architecture, p->architecture, sizeof(p->architecture)) ||
	    !span_to_str(m->variant, p->variant, sizeof(p->variant)) ||
	    !span_to_str(m->namespace, p->namespace, sizeof(p->namespace)))
		return -1;
	return 0;
}

/* A digest in the name is the digest that is fetched, whatever else the frontend says. */
static bool
pull_pin_fits(const struct pull *p)
{
	struct ref ref;

	if (ref_parse(span_str(p->name), &ref, NULL) < 0)
		return false;
	return !ref.has_digest ||
	       (p->pinned && memcmp(ref.digest, p->pin, sizeof(p->pin)) == 0);
}

static int
pull_begin(struct keeper *room, const struct msg_pull *m)
{
	struct ipc_msg full = IPC_MSG(pull_end, .pull = m->pull, .code = ERR_INTERNAL,
	    .text = span_str("too many pulls wait already: try again later"));
	struct pull *p = pull_get(room, m->pull);

	if (!p)
		return pull_is_over(room, m->pull) ? 0
						   : port_send(&room->frontend, &full);
	if (p->started)
		return -1;
	if (pull_take(p, m) < 0 || !pull_pin_fits(p)) {
		pull_fail(p, ERR_USAGE, "the name to record is not canonical");
		return 0;
	}
	if (room->stopping)
		pull_fail(p, ERR_INTERNAL, "shutting down");
	else if ((p->mode == PULL_MISSING || p->mode == PULL_NEVER) && pull_local(p))
		return 0;
	else if (p->mode == PULL_NEVER)
		pull_fail(p, ERR_NOT_FOUND,
		    "%s is not in the store, and with --policy never no registry is "
		    "asked",
		    p->name);
	else
		docs_begin(p);
	return 0;
}

int
pull_message(struct keeper *room, struct ipc_msg *m)
{
	struct pull *p;
	char text[1024];

	switch (m->type) {
	case MSG_pull:
		return pull_begin(room, &m->pull);
	case MSG_again:
		p = pull_find(room, m->again.pull);
		if (p)
			layer_again(p, m->again.index);
		return 0;
	case MSG_cancel:
		p = pull_find(room, m->cancel.pull);
		if (p)
			pull_fail(p, (enum err_class)m->cancel.code, "%s",
			    span_to_str(m->cancel.text, text, sizeof(text))
				? text
				: "cancelled");
		return 0;
	default:
		return -1;
	}
}
