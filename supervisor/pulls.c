/* What outlives single rooms of a pull. */
#include "supervisor/supervisor.h"

#include "common/base/fd.h"

#include <stdlib.h>

struct pull_entry *
pull_find(struct supervisor *s, uint64_t id)
{
	for (struct pull_entry *p = s->pulls; p; p = p->next) {
		if (p->id == id)
			return p;
	}
	return NULL;
}

struct pull_entry *
pull_get(struct supervisor *s, uint64_t id)
{
	struct pull_entry *p = pull_find(s, id);

	if (p || !(p = calloc(1, sizeof(*p))))
		return p;
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
		own_file_remove(s, p);
		secrets_release(&p->own);
		secrets_release(&p->found);
		for (struct layer_ends *l = p->layers, *next; l; l = next) {
			next = l->next;
			layer_free(l);
		}
		free(p);
		return;
	}
}

static bool
has_rooms(const struct supervisor *s, uint64_t pull)
{
	for (const struct room_entry *r = s->rooms; r; r = r->next) {
		if (r->pull == pull)
			return true;
	}
	return false;
}

bool
pulls_full(struct supervisor *s, uint64_t id)
{
	const struct pull_entry *oldest = NULL;
	unsigned n = 0;

	for (const struct pull_entry *p = s->pulls; p; p = p->next) {
		if (p->id == id)
			return false;
		if (!p->layers && !has_rooms(s, p->id))
			oldest = p;
		n++;
	}
	if (n < LIMIT_PULLS)
		return false;
	if (!oldest)
		return true;
	pull_forget(s, oldest->id);
	return false;
}

void
pulls_forget(struct supervisor *s, bool all)
{
	for (struct pull_entry *p = s->pulls, *next; p; p = next) {
		next = p->next;
		if (all || !p->layers)
			pull_forget(s, p->id);
	}
}

void
pull_drop(struct supervisor *s, uint64_t pull)
{
	searches_drop(s, pull, false);
	for (struct room_entry *r = s->rooms; r; r = r->next) {
		if (r->pull == pull && r != s->store && r != s->frontend && !r->idle &&
		    !r->spare)
			room_kill(r);
	}
	pull_forget(s, pull);
}

struct layer_ends *
layer_find(struct pull_entry *p, uint64_t token)
{
	for (struct layer_ends *l = p->layers; l; l = l->next) {
		if (l->token == token)
			return l;
	}
	return NULL;
}
