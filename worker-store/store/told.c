#include "worker-store/store/told.h"

#include <errno.h>
#include <string.h>

/* IDs are hashes: their first bytes spread well enough, and who could choose them is root
 * on this host. */
static size_t
home(const struct told_table *t, const uint8_t id[32])
{
	uint64_t h;

	memcpy(&h, id, sizeof(h));
	return (size_t)h & (t->cap - 1);
}

static struct told *
probe(const struct told_table *t, const uint8_t id[32])
{
	size_t i = home(t, id);

	while (t->slot[i].pass && memcmp(t->slot[i].id, id, 32) != 0)
		i = (i + 1) & (t->cap - 1);
	return &t->slot[i];
}

void
told_free(struct told_table *t)
{
	free(t->slot);
	*t = (struct told_table){0};
}

static int
rebuild(struct told_table *t, size_t cap, uint64_t oldest)
{
	struct told_table fresh = {.cap = cap};

	fresh.slot = calloc(cap, sizeof(*fresh.slot));
	if (!fresh.slot)
		return -ENOMEM;
	for (size_t i = 0; i < t->cap; i++) {
		if (t->slot[i].pass < oldest || !t->slot[i].pass)
			continue;
		*probe(&fresh, t->slot[i].id) = t->slot[i];
		fresh.n++;
	}
	free(t->slot);
	*t = fresh;
	return 0;
}

struct told *
told_find(const struct told_table *t, const uint8_t id[32])
{
	struct told *e = t->cap ? probe(t, id) : NULL;

	return e && e->pass ? e : NULL;
}

struct told *
told_add(struct told_table *t, const uint8_t id[32], uint64_t pass)
{
	struct told *e = told_find(t, id);

	assert(pass);
	if (!e && (t->n + 1) * 4 > t->cap * 3 &&
	    rebuild(t, t->cap ? 2 * t->cap : 64, 0) < 0)
		return NULL;
	if (!e) {
		e = probe(t, id);
		*e = (struct told){0};
		memcpy(e->id, id, 32);
		t->n++;
	}
	e->pass = pass;
	return e;
}

void
told_sweep(struct told_table *t, uint64_t pass,
    void (*gone)(void *arg, const struct told *e), void *arg)
{
	size_t live = 0, cap = 64;

	for (size_t i = 0; i < t->cap; i++) {
		struct told *e = &t->slot[i];
		if (e->pass >= pass)
			live++;
		else if (e->pass && e->state) {
			gone(arg, e);
			e->state = 0;
		}
	}
	while (cap * 3 < live * 4)
		cap *= 2;
	/* Without memory they stay, and say nothing the next time. */
	if (live != t->n && rebuild(t, cap, pass) < 0)
		return;
}
