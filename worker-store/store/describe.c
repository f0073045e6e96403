#include "worker-store/store/describe.h"

#include "common/base/fd.h"
#include "worker-store/store/description.h"
#include "worker-store/store/pull.h"
#include "worker-store/store/watch.h"

#include <stdio.h>
#include <stdlib.h>

#define ASKERS_MAX 1024
#define AT_ONCE 4     /* of those that somebody waits for */
#define PACE_MS 100   /* between two that nobody waits for: two documents each */
#define PAUSE_MS 1000 /* while pulls run */
#define ROUND_MS 3000 /* when all are done that can be */
#define AGAIN_MS 200  /* after a room could not be had */
#define TRIES 20
#define FAILURES_MAX 4096
#define SWEEP_MS 3600000

/* What is wrong with an image, as long as its record says what it said. */
struct failure {
	struct failure *next;
	uint8_t id[DIGEST_BYTES];
	uint64_t key;
	char why[300];
};

struct describer {
	struct keeper *room;
	struct description *list; /* in the order they came */
	struct failure *failures;
	unsigned n_failures, n_askers;
	struct loop_timer step, reap, idle;
	size_t at; /* watch_undescribed */
	uint64_t swept_ms;
};

/* ---- what is remembered ---- */

static struct failure *
failure_find(struct describer *d, const uint8_t id[DIGEST_BYTES], uint64_t key)
{
	for (struct failure *f = d->failures; f; f = f->next)
		if (f->key == key && memcmp(f->id, id, DIGEST_BYTES) == 0)
			return f;
	return NULL;
}

static void
failure_cut(struct failure **at)
{
	struct failure *f = *at;

	*at = f->next;
	free(f);
}

static void
failure_add(struct describer *d, const char *id, uint64_t key, const char *why)
{
	struct failure *f = calloc(1, sizeof(*f)), **at = &d->failures;

	if (!f || !hex_decode(span_str(id), f->id, sizeof(f->id))) {
		free(f);
		return;
	}
	for (; *at; at = &(*at)->next) { /* what its record was before */
		if (memcmp((*at)->id, f->id, sizeof(f->id)) != 0)
			continue;
		failure_cut(at);
		d->n_failures--;
		break;
	}
	f->key = key;
	snprintf(f->why, sizeof(f->why), "%.*s", (int)sizeof(f->why) - 1, why);
	f->next = d->failures;
	d->failures = f;
	if (++d->n_failures <= FAILURES_MAX)
		return;
	for (at = &d->failures; (*at)->next;)
		at = &(*at)->next;
	failure_cut(at);
	d->n_failures--;
}

/* ---- ends ---- */

static void
answer(struct keeper *room, uint64_t req, enum err_class code, const char *text)
{
	struct ipc_msg m =
	    IPC_MSG(done, .req = req, .code = code, .text = span_str(text));

	port_send(&room->frontend, &m);
}

static void
askers_answer(struct description *x, enum err_class code, const char *text)
{
	while (x->askers) {
		struct asker *a = x->askers;
		answer(x->of->room, a->req, code, text);
		x->askers = a->next;
		x->of->n_askers--;
		free(a);
	}
}

/* Freed by the next reaping: the helper that has ended may be what calls. */
static void
description_over(struct description *x, enum err_class code, const char *text)
{
	askers_answer(x, code, text);
	x->id[0] = 0;
	fd_close(&x->fd);
	loop_timer_set(&x->of->room->loop, &x->of->reap, 1);
}

static void
description_ended(struct description *x)
{
	struct describer *d = x->of;
	const struct err *e = &x->e;
	char text[1200];

	if (!e->code) {
		description_over(x, ERR_OK, "");
		return;
	}
	snprintf(
	    text, sizeof(text), "image %.12s cannot be described: %s", x->id, e->text);
	if (e->code == ERR_CONTENT) {
		failure_add(d, x->id, x->key, text);
		if (d->failures)
			watch_failed(d->room, d->failures->id, d->failures->key);
		room_log(d->room, LOG_WARNING, "%s", text);
	}
	description_over(x, e->code, text);
}

static void
description_no_room(struct description *x, const char *why)
{
	fd_close(&x->fd);
	helper_drop(&x->reader);
	x->running = false;
	if (++x->tries >= TRIES) {
		err_set(&x->e, ERR_INTERNAL, "%s", why);
		description_ended(x);
		return;
	}
	x->rest_until_ms = loop_now() + AGAIN_MS;
	loop_timer_set(&x->of->room->loop, &x->of->step, AGAIN_MS);
}

static struct description *
description_new(struct describer *d, const char *id)
{
	struct description *x = calloc(1, sizeof(*x)), **at = &d->list;

	if (!x)
		return NULL;
	x->of = d;
	x->room = d->room;
	x->ended = description_ended;
	x->no_room = description_no_room;
	x->fd = -1;
	memcpy(x->id, id, sizeof(x->id));
	while (*at)
		at = &(*at)->next;
	*at = x;
	return x;
}

/* ---- those that nobody waits for ---- */

static bool
pulls_run(const struct keeper *room)
{
	for (const struct pull *p = room->pulls; p; p = p->next)
		if (!p->ended)
			return true;
	return false;
}

/* The next one worth trying; false at the end of a round. */
static bool
next_undescribed(struct describer *d, char id[ID_HEX + 1])
{
	uint8_t bytes[DIGEST_BYTES];
	uint64_t key;

	while (watch_undescribed(d->room, &d->at, bytes)) {
		hex_encode(bytes, sizeof(bytes), id);
		if (!d->failures)
			return true;
		if (!record_now(d->room, id, &key, NULL))
			continue;
		if (!failure_find(d, bytes, key))
			return true;
		watch_failed(d->room, bytes, key);
	}
	d->at = 0;
	return false;
}

static void
sweep_now_and_then(struct describer *d)
{
	uint64_t now = loop_now();

	if (d->swept_ms && now - d->swept_ms < SWEEP_MS)
		return;
	struct view *v = watch_view(d->room, NULL);
	if (v)
		summary_sweep(&d->room->store, v);
	d->swept_ms = now;
}

static void
idle_fired(struct loop_timer *t)
{
	struct describer *d = t->arg;
	char id[ID_HEX + 1];

	if (!watch_is_on(d->room) || d->room->stopping)
		return;
	loop_timer_set(&d->room->loop, t, PAUSE_MS);
	if (d->list || pulls_run(d->room))
		return;
	if (!next_undescribed(d, id)) {
		sweep_now_and_then(d);
		loop_timer_set(&d->room->loop, t, ROUND_MS);
		return;
	}
	struct description *x = description_new(d, id);
	if (!x)
		return;
	description_run(x);
	loop_timer_set(&d->room->loop, t, PACE_MS);
}

/* ---- all ---- */

static void
step_fired(struct loop_timer *t)
{
	struct describer *d = t->arg;
	uint64_t now = loop_now();
	unsigned n = 0;

	for (struct description *x = d->list; x; x = x->next)
		n += x->id[0] && x->running;
	for (struct description *x = d->list; x && n < AT_ONCE; x = x->next) {
		if (!x->id[0] || x->running)
			continue;
		if (now < x->rest_until_ms) {
			loop_timer_set(&d->room->loop, t, x->rest_until_ms - now);
			continue;
		}
		description_run(x);
		n++;
	}
}

static void
reap_fired(struct loop_timer *t)
{
	struct describer *d = t->arg;

	for (struct description **at = &d->list; *at;) {
		struct description *x = *at;
		if (x->id[0]) {
			at = &x->next;
			continue;
		}
		*at = x->next;
		helper_drop(&x->reader);
		free(x);
	}
	loop_timer_set(&d->room->loop, &d->step, 1);
}

static struct describer *
describer_of(struct keeper *room)
{
	struct describer *d = room->describer;

	if (d || !(d = calloc(1, sizeof(*d))))
		return d;
	d->room = room;
	d->step = (struct loop_timer){.fired = step_fired, .arg = d};
	d->reap = (struct loop_timer){.fired = reap_fired, .arg = d};
	d->idle = (struct loop_timer){.fired = idle_fired, .arg = d};
	return room->describer = d;
}

/* What can be said at once: it is described already, it is gone, it is known to be
 * broken. */
static bool
answered_at_once(
    struct describer *d, uint64_t req, const uint8_t id[DIGEST_BYTES], const char *hex)
{
	struct summary *known = malloc(sizeof(*known));
	struct err e = {0};
	uint64_t key;

	const struct record *r = record_now(d->room, hex, &key, &e);
	struct failure *f = r ? failure_find(d, id, key) : NULL;
	bool described = r && known && summary_load(&d->room->store, r, known) == 0;
	free(known);
	if (described)
		watch_described(d->room, id);
	if (!r || described)
		answer(d->room, req, e.code, e.text);
	else if (f)
		answer(d->room, req, ERR_CONTENT, f->why);
	return !r || described || f;
}

void
describe_image(struct keeper *room, const struct msg_describe *m)
{
	struct describer *d = describer_of(room);
	struct description *x;
	char hex[ID_HEX + 1];

	hex_encode(m->id, sizeof(m->id), hex);
	struct asker *a = d && d->n_askers < ASKERS_MAX ? calloc(1, sizeof(*a)) : NULL;
	if (!a) {
		answer(room, m->req, ERR_INTERNAL, "too many requests wait already");
		return;
	}
	a->req = m->req;
	for (x = d->list; x && strcmp(x->id, hex) != 0;)
		x = x->next;
	if (!x && answered_at_once(d, m->req, m->id, hex)) {
		free(a);
		return;
	}
	if (!x && !(x = description_new(d, hex))) {
		free(a);
		answer(room, m->req, ERR_INTERNAL, "out of memory");
		return;
	}
	a->next = x->askers;
	x->askers = a;
	d->n_askers++;
	if (!d->step.at)
		loop_timer_set(&room->loop, &d->step, 1);
}

void
describe_all(struct keeper *room)
{
	struct describer *d = describer_of(room);

	if (d)
		loop_timer_set(&room->loop, &d->idle, PACE_MS);
}

static void
askers_drop(struct description *x)
{
	while (x->askers) {
		struct asker *a = x->askers;
		x->askers = a->next;
		x->of->n_askers--;
		free(a);
	}
}

void
describe_stop(struct keeper *room)
{
	struct describer *d = room->describer;

	if (!d)
		return;
	loop_timer_clear(&room->loop, &d->idle);
	for (struct description *x = d->list; x; x = x->next) {
		askers_drop(x);
		if (!x->running)
			x->id[0] = 0;
	}
	loop_timer_set(&room->loop, &d->reap, 1);
}

void
describe_end(struct keeper *room)
{
	struct describer *d = room->describer;

	if (!d)
		return;
	loop_timer_clear(&room->loop, &d->step);
	loop_timer_clear(&room->loop, &d->reap);
	loop_timer_clear(&room->loop, &d->idle);
	while (d->list) {
		struct description *x = d->list;
		d->list = x->next;
		askers_drop(x);
		helper_drop(&x->reader);
		fd_close(&x->fd);
		free(x);
	}
	while (d->failures)
		failure_cut(&d->failures);
	free(ptr_steal(&room->describer));
}
