#include "frontend/query.h"

#include <errno.h>
#include <stdlib.h>

static struct query *
query_find(struct frontend *f, uint64_t id)
{
	for (struct query *q = f->queries; q; q = q->next) {
		if (q->id == id)
			return q;
	}
	return NULL;
}

static void
query_unlink(struct frontend *f, struct query *q)
{
	struct query **at = &f->queries;
	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
}

static void
query_finish(struct frontend *f, struct query *q, enum err_class code, struct span text)
{
	query_unlink(f, q);
	q->done(q, code, text);
	free(q);
}

static void
no_store(struct loop_timer *t)
{
	struct frontend *f = t->arg;

	if (!port_is_open(&f->store))
		query_end_all(f, ERR_INTERNAL,
		    "the store worker is being started again: try again");
}

struct query *
query_new(struct frontend *f)
{
	struct query *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->f = f;
	q->id = frontend_next_id(f);
	q->next = f->queries;
	f->queries = q;
	if (!port_is_open(&f->store) && f->no_store.at == 0) {
		f->no_store.fired = no_store;
		f->no_store.arg = f;
		/* Before a new store can come, which was never asked. */
		loop_timer_set(&f->loop, &f->no_store, 0);
	}
	return q;
}

void
query_forget(struct query *q)
{
	query_unlink(q->f, q);
	free(q);
}

/* Only questions of now: what a callback asks anew waits for its own end. */
void
query_end_all(struct frontend *f, enum err_class code, const char *text)
{
	uint64_t last = f->last_id;
	struct query *q = f->queries;

	while (q) {
		if (q->id > last || q->of_supervisor) {
			q = q->next;
			continue;
		}
		query_finish(f, q, code, span_str(text));
		q = f->queries;
	}
}

static int
query_row(struct frontend *f, uint64_t req, struct ipc_msg *m)
{
	struct query *q = query_find(f, req);

	if (q && q->row)
		q->row(q, m);
	return 0;
}

static int
query_end(struct frontend *f, uint64_t req, uint64_t code, struct span text)
{
	struct query *q = query_find(f, req);

	if (q)
		query_finish(f, q, (enum err_class)code, text);
	return 0;
}

#define ROW(name)        \
	case MSG_##name: \
		return query_row(f, m->name.req, m);

int
query_answer(struct frontend *f, struct ipc_msg *m)
{
	switch (m->type) {
		ROW(image)
		ROW(image_name)
		ROW(text)
		ROW(removed)
		ROW(fsinfo_row)
		ROW(check_row)
		ROW(check_fetch)
		ROW(check_progress)
		ROW(status_row)
	case MSG_done:
		return query_end(f, m->done.req, m->done.code, m->done.text);
	case MSG_status_end:
		return query_end(
		    f, m->status_end.req, m->status_end.code, m->status_end.text);
	default:
		return -EPROTO;
	}
}
