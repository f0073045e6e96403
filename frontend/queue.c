#include "frontend/queue.h"

#include <errno.h>
#include <stdlib.h>

struct space {
	struct space *next;
	/* When one of it was let in last. A newcomer comes behind all who wait already,
	 * but before the one that was let in last. */
	uint64_t turn;
	unsigned tickets, running;
	size_t n;
	uint8_t name[];
};

static struct space *
space_of(struct queue *q, struct span name)
{
	for (struct space *s = q->spaces; s; s = s->next) {
		if (span_eq(span_of(s->name, s->n), name))
			return s;
	}
	struct space *s = calloc(1, sizeof(*s) + name.n);
	if (!s)
		return NULL;
	s->turn = q->turn ? q->turn - 1 : 0;
	s->n = name.n;
	if (name.n)
		memcpy(s->name, name.p, name.n);
	s->next = q->spaces;
	q->spaces = s;
	return s;
}

static void
space_left(struct queue *q, struct space *s)
{
	if (--s->tickets)
		return;
	for (struct space **at = &q->spaces; *at; at = &(*at)->next) {
		if (*at == s) {
			*at = s->next;
			break;
		}
	}
	free(s);
}

int
queue_enter(struct queue *q, struct ticket *t, struct span space)
{
	struct ticket **at = &q->first;

	t->space = space_of(q, space);
	if (!t->space)
		return -ENOMEM;
	t->space->tickets++;
	t->running = false;
	t->next = NULL;
	while (*at)
		at = &(*at)->next;
	*at = t;
	q->waiting++;
	return 0;
}

struct ticket *
queue_next(struct queue *q)
{
	struct ticket *best = NULL;

	if (q->max && q->running >= q->max)
		return NULL;
	for (struct ticket *t = q->first; t; t = t->next) {
		if (t->running || (q->max_space && t->space->running >= q->max_space))
			continue;
		if (!best || t->space->turn < best->space->turn)
			best = t;
	}
	if (!best)
		return NULL;
	best->running = true;
	best->space->running++;
	best->space->turn = q->turn += 2;
	q->running++;
	q->waiting--;
	return best;
}

void
queue_leave(struct queue *q, struct ticket *t)
{
	if (!t->space)
		return;
	for (struct ticket **at = &q->first; *at; at = &(*at)->next) {
		if (*at == t) {
			*at = t->next;
			break;
		}
	}
	if (t->running) {
		q->running--;
		t->space->running--;
	} else {
		q->waiting--;
	}
	space_left(q, t->space);
	t->space = NULL;
	t->running = false;
}

struct queue_place
queue_where(const struct queue *q, const struct ticket *t)
{
	struct queue_place p = {.running = t->space ? t->space->running : 0};

	for (const struct ticket *o = q->first; o && o != t; o = o->next)
		p.before += o->space == t->space && !o->running;
	return p;
}
