#include "frontend/pull.h"

#include "common/ipc/control.h"
#include "frontend/fetchers.h"
#include "frontend/metrics.h"
#include "frontend/pulls.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct pull *
pull_find(struct frontend *f, uint64_t id)
{
	for (struct pull *p = f->pulls; p; p = p->next) {
		if (p->id == id)
			return p;
	}
	return NULL;
}

static void
pull_unlink(struct frontend *f, struct pull *p)
{
	struct pull **at = &f->pulls;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
}

static void
pull_free(struct pull *p)
{
	queue_leave(&p->f->queue, &p->ticket);
	pace_stop(p);
	sites_drop(p);
	if (p->secret)
		explicit_bzero(p->secret, p->secret_size);
	free(p->secret);
	free(p->names);
	registries_unref(p->registries);
	free(p->layers);
	free(p);
}

/* Asking what is there already, or what may be, holds nobody up. */
static bool
pull_queues(const struct pull *p)
{
	return p->wish.mode != PULL_NEVER && p->wish.mode != PULL_VERDICT_ONLY;
}

static struct span
span_line(struct span text)
{
	const uint8_t *end = text.n ? memchr(text.p, '\n', text.n) : NULL;

	return end ? span_of(text.p, (size_t)(end - text.p)) : text;
}

/* One line an ended pull. An embedded service has its command, which says the same. */
static void
pull_log(const struct pull *p, enum err_class code, bool fresh, struct span text)
{
	struct frontend *f = p->f;
	enum log_level level = code == ERR_OK ? LOG_INFO : LOG_WARNING;
	uint64_t ms = loop_now() - p->asked_at;
	struct span why = span_line(text); /* made safe by the log */

	if (f->embedded || !port_is_open(&f->control) ||
	    level > (f->log_level ? f->log_level : LOG_INFO))
		return;
	if (code == ERR_OK)
		why = span_str(fresh ? "pulled" : "was there");
	control_log_for(&f->control.chan, level, p->id,
	    "pull of %s for %u: %.*s (%llu.%03u s, %llu bytes)", p->name, pull_waiters(p),
	    (int)why.n, (const char *)why.p, (unsigned long long)ms / 1000,
	    (unsigned)(ms % 1000), (unsigned long long)p->pace.bytes);
}

/* Unless its name may mean another image as well. Its waiters are told when it is in no
 * list any more: what they ask anew starts anew. */
void
pull_finish(struct frontend *f, struct pull *p, enum err_class code,
    const uint8_t image[32], bool fresh, struct span text)
{
	if (code != ERR_OK && pull_next_name(p, code, text))
		return;
	if (code != ERR_OK)
		text = pull_names_tried(p, text);
	pull_log(p, code, fresh, text);
	if (p->begun && pull_queues(p))
		metrics_pull(f, code, loop_now() - p->asked_at, p->pace.bytes);
	p->ending = true;
	pull_unlink(f, p);
	while (p->waiters) {
		struct waiter *w = p->waiters;
		p->waiters = w->next;
		w->pull = NULL;
		w->ops->done(w, code, image, fresh, text);
	}
	pull_free(p);
	pulls_begin(f);
}

void
pull_fail(struct pull *p, enum err_class code, const char *fmt, ...)
{
	char raw[1024], text[1024];
	va_list ap;

	if (p->ending)
		return;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	span_escape(span_str(raw), text, sizeof(text));
	p->ending = true;
	struct ipc_msg m =
	    IPC_MSG(cancel, .pull = p->id, .code = code, .text = span_str(text));
	port_send(&p->f->store, &m);
}

/* ---- beginning ---- */

void
pull_begin(struct pull *p)
{
	enum pull_mode mode = pull_mode(p);
	struct ipc_msg s = IPC_MSG(pull, .pull = p->id, .name = span_str(p->name),
	    .pinned = p->pinned, .os = span_str(p->wish.os),
	    .architecture = span_str(p->wish.architecture),
	    .variant = span_str(p->wish.variant), .mode = mode,
	    .namespace = span_str(p->wish.namespace));

	memcpy(s.pull.digest, p->digest, sizeof(s.pull.digest));
	p->begun = true;
	p->begun_at = loop_now();
	metrics_count(p->f, METRIC_PULLS_STARTED, 1);
	port_send(&p->f->store, &s);
	/* NEVER asks no registry; MISSING asks one only if the store then wants a
	 * document. */
	if (mode != PULL_NEVER && mode != PULL_MISSING)
		(void)site_home(sites_first(p));
}

void
pulls_begin(struct frontend *f)
{
	struct ticket *t;

	while (port_is_open(&f->store) && (t = queue_next(&f->queue)))
		pull_begin(t->arg);
}

/* ---- what is wanted ---- */

static int
pull_wish(struct pull *p, const struct pull_options *o, struct err *e)
{
	struct wish *w = &p->wish;

	if (!span_to_str(o->os, w->os, sizeof(w->os)) ||
	    !span_to_str(o->architecture, w->architecture, sizeof(w->architecture)) ||
	    !span_to_str(o->variant, w->variant, sizeof(w->variant)))
		return err_set(e, ERR_USAGE, "the platform is too long");
	if (!span_to_str(o->namespace, w->namespace, sizeof(w->namespace)))
		return err_set(e, ERR_USAGE, "the namespace is too long");
	w->verify = o->verify;
	w->place = o->place;
	w->mode = o->mode;
	w->auth = o->auth;
	w->secret_kind = o->secret_kind;
	if (!span_to_str(o->secret_for, w->secret_for, sizeof(w->secret_for)))
		return err_set(e, ERR_USAGE, "the registry's name is too long");
	w->generation = p->f->generation;
	return 0;
}

static int
pull_secret(struct pull *p, const struct pull_options *o, struct err *e)
{
	if (!o->source.n || !span_to_str(o->source, p->given, sizeof(p->given)))
		snprintf(p->given, sizeof(p->given), "those given with the request");
	if (o->auth != AUTH_GIVEN)
		return 0;
	if (o->secret.n > LIMIT_SECRET)
		return err_set(e, ERR_USAGE, "the credentials are too long");
	p->secret = malloc(o->secret.n ? o->secret.n : 1);
	if (!p->secret)
		return err_errno(e, ENOMEM, "pull");
	if (o->secret.n)
		memcpy(p->secret, o->secret.p, o->secret.n);
	p->secret_size = o->secret.n;
	return 0;
}

static struct pull *
pull_new(struct frontend *f, const struct pull_options *o, struct err *e)
{
	struct pull *p = calloc(1, sizeof(*p));

	if (!p) {
		err_errno(e, ENOMEM, "pull");
		return NULL;
	}
	p->f = f;
	p->id = frontend_next_id(f);
	p->asked_at = loop_now();
	p->ticket.arg = p;
	int r = pull_wish(p, o, e);
	if (r == 0)
		r = pull_secret(p, o, e);
	if (r == 0)
		r = pull_names_begin(p, o->name, e);
	if (r < 0) {
		pull_free(p);
		return NULL;
	}
	return p;
}

/* ---- sharing ---- */

/* How long it takes tells nothing about how much of it was right. */
static bool
secret_same(const struct pull *a, const struct pull *b)
{
	uint8_t differs = 0;

	if (a->secret_size != b->secret_size)
		return false;
	for (size_t i = 0; i < a->secret_size; i++)
		differs |= a->secret[i] ^ b->secret[i];
	return differs == 0;
}

static bool
pull_same(const struct pull *a, const struct pull *b)
{
	const struct wish *x = &a->wish, *y = &b->wish;

	return x->mode == y->mode && x->verify == y->verify && x->place == y->place &&
	       x->auth == y->auth && x->secret_kind == y->secret_kind &&
	       x->generation == y->generation && strcmp(a->name, b->name) == 0 &&
	       pull_names_same(a, b) && strcmp(x->secret_for, y->secret_for) == 0 &&
	       strcmp(x->namespace, y->namespace) == 0 && strcmp(x->os, y->os) == 0 &&
	       strcmp(x->architecture, y->architecture) == 0 &&
	       strcmp(x->variant, y->variant) == 0 && secret_same(a, b);
}

static struct pull *
pull_equal(const struct pull *p)
{
	if (p->wish.mode != PULL_ALWAYS && p->wish.mode != PULL_MISSING &&
	    p->wish.mode != PULL_NEWER)
		return NULL;
	for (struct pull *o = p->f->pulls; o; o = o->next) {
		if (!o->ending && pull_same(o, p))
			return o;
	}
	return NULL;
}

/* All that is known comes before anything new. */
static void
pull_replay(const struct pull *p, struct waiter *w)
{
	for (unsigned i = 0; i < p->n_layers && w->pull == p; i++) {
		const struct known_layer *l = &p->layers[i];
		struct msg_progress m = {
		    .pull = p->id, .index = i, .stage = STAGE_FETCH, .bytes = l->bytes};
		if (l->known && w->ops->layer)
			w->ops->layer(w, &l->m);
		if (l->known && l->m.state == LAYER_WANTED && l->bytes && w->pull == p &&
		    w->ops->progress)
			w->ops->progress(w, &m);
	}
}

static void
pull_add_waiter(struct pull *p, struct waiter *w)
{
	struct waiter **at = &p->waiters;

	while (*at)
		at = &(*at)->next;
	w->pull = p;
	w->next = NULL;
	*at = w;
}

static int
pull_add(struct pull *p, struct err *e)
{
	struct frontend *f = p->f;
	struct pull **at = &f->pulls;
	unsigned n = 0;

	for (; *at; at = &(*at)->next)
		n++;
	if (n >= LIMIT_PULLS)
		return err_set(e, ERR_NO_SPACE,
		    "%u pulls are under way or wait already: try again later", n);
	if (pull_queues(p) &&
	    queue_enter(&f->queue, &p->ticket, span_str(p->wish.namespace)) < 0)
		return err_errno(e, ENOMEM, "pull");
	*at = p;
	if (!pull_queues(p))
		pull_begin(p);
	else
		pulls_begin(f);
	return 0;
}

static int
join(struct frontend *f, struct waiter *w, const struct pull_options *o, struct err *e)
{
	if (*f->policy_problem)
		return err_set(e, ERR_POLICY, "%s", f->policy_problem);
	if (!port_is_open(&f->store))
		return err_set(e, ERR_INTERNAL,
		    "the store worker is being started again: try again");
	struct pull *p = pull_new(f, o, e);
	if (!p)
		return -EINVAL;
	struct pull *same = pull_equal(p);
	if (same) {
		pull_free(p);
		metrics_count(f, METRIC_PULLS_SHARED, 1);
		pull_add_waiter(same, w);
		pull_replay(same, w);
		return PULL_JOINED;
	}
	int r = pull_add(p, e);
	if (r < 0)
		pull_free(p);
	else
		pull_add_waiter(p, w);
	return r;
}

int
pull_join(
    struct frontend *f, struct waiter *w, const struct pull_options *o, struct err *e)
{
	w->pull = NULL;
	int r = join(f, w, o, e);
	if (r < 0)
		metrics_count(f, METRIC_PULLS_REFUSED, 1);
	return r;
}

unsigned
pull_waiters(const struct pull *p)
{
	unsigned n = 0;

	for (const struct waiter *w = p->waiters; w; w = w->next)
		n++;
	return n;
}

/* ---- leaving ---- */

static void
pull_remove_waiter(struct waiter *w)
{
	for (struct waiter **at = &w->pull->waiters; *at; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			break;
		}
	}
	w->pull = NULL;
}

/* Nobody waits any more. One that the store knows ends when the store says so. */
static void
pull_abandon(struct pull *p)
{
	struct frontend *f = p->f;

	if (p->begun) {
		pull_fail(p, ERR_DEADLINE, "cancelled by the client");
		return;
	}
	pull_unlink(f, p);
	pull_free(p);
	pulls_begin(f);
}

void
pull_leave(struct waiter *w)
{
	struct pull *p = w->pull;

	if (!p)
		return;
	pull_remove_waiter(w);
	if (!p->waiters && !p->ending)
		pull_abandon(p);
}

void
pull_cancel(struct waiter *w)
{
	static const uint8_t none[32];
	struct pull *p = w->pull;

	if (!p)
		return;
	if (p->begun && p->waiters == w && !w->next) {
		pull_fail(p, ERR_DEADLINE, "cancelled by the client");
		return;
	}
	pull_leave(w);
	w->ops->done(w, ERR_DEADLINE, none, false, span_str("cancelled by the client"));
}

/* One of those up to that number, first who waits: another's end would let it begin. */
static struct pull *
pull_to_end(struct frontend *f, uint64_t last)
{
	struct pull *found = NULL;

	for (struct pull *p = f->pulls; p; p = p->next) {
		if (p->id <= last && (!found || (found->begun && !p->begun)))
			found = p;
	}
	return found;
}

void
pull_end_all(struct frontend *f, enum err_class code, const char *text)
{
	static const uint8_t none[32];
	uint64_t last = f->last_id;
	struct pull *p;

	while ((p = pull_to_end(f, last)))
		pull_finish(f, p, code, none, false, span_str(text));
}
