#include "worker-store/store/watch_tell.h"

#include <errno.h>

/* Names as recorded, then the repo digests that are not among them. */
static void
all_names(const struct image_row *row, struct buf *out)
{
	struct span digests = buf_span(&row->digests), line;

	buf_add(out, buf_span(&row->names));
	while (line_next(&digests, &line))
		if (!lines_have(buf_span(&row->names), line))
			buf_add(out, span_of(line.p, line.n + 1));
}

/* As many whole lines as one message takes, off the front. */
static struct span
names_part(struct span *names)
{
	size_t n = names->n;

	if (n > LIMIT_CACHE_NAMES) {
		n = LIMIT_CACHE_NAMES;
		while (n && names->p[n - 1] != '\n')
			n--;
	}
	struct span part = span_of(names->p, n);
	*names = span_from(*names, n);
	return part;
}

static void
describe_row(struct msg_cache_image *m, const struct summary *x)
{
	m->described = 1;
	m->user = span_str(x->user);
	m->annotations = span_of(x->annotations, x->n_annotations);
}

/* x: NULL as long as it is not known. */
static int
send_row(struct watch *w, const struct image_row *row, const struct summary *x)
{
	CLEANUP(buf_free) struct buf text = {0};
	struct port *frontend = &w->room->frontend;

	all_names(row, &text);
	if (text.bad)
		return -ENOMEM;
	struct span names = text.n ? buf_span(&text) : span_of("", 0);
	struct ipc_msg m =
	    IPC_MSG(cache_image, .created = row->created.s, .created_ns = row->created.ns,
		.size = row->size, .names = names_part(&names));
	memcpy(m.cache_image.id, row->id, sizeof(row->id));
	memcpy(m.cache_image.digest, row->digest, sizeof(row->digest));
	if (x)
		describe_row(&m.cache_image, x);
	int r = port_send(frontend, &m);
	while (r == 0 && names.n) {
		struct ipc_msg more = IPC_MSG(cache_names, .names = names_part(&names));
		memcpy(more.cache_names.id, row->id, sizeof(row->id));
		r = port_send(frontend, &more);
	}
	w->differs = true;
	return r;
}

void
tell_gone(void *arg, const struct told *e)
{
	struct watch *w = arg;
	struct ipc_msg m = IPC_MSG(cache_gone);

	if (!(e->state & TOLD_SENT))
		return;
	memcpy(m.cache_gone.id, e->id, sizeof(e->id));
	port_send(&w->room->frontend, &m);
	w->differs = true;
}

/* Programs save an image's record several times while they make it: one that stays broken
 * is worth a line, once. */
static void
note_broken(struct watch *w, struct told *e, const char *why)
{
	char hex[2 * sizeof(e->id) + 1];

	w->broken++;
	if (e->state & TOLD_LOGGED)
		return;
	if (loop_now() - e->since_ms < BROKEN_MS) {
		w->unlogged = true;
		return;
	}
	e->state |= TOLD_LOGGED;
	room_log(w->room, LOG_WARNING,
	    "an image of the store is broken and left out of every list (%.12s): %s; "
	    "`bulkhead check` tells more",
	    hex_encode(e->id, sizeof(e->id), hex), why);
}

static void
now_broken(struct watch *w, struct told *e, uint64_t key, const char *why)
{
	tell_gone(w, e);
	e->key = key;
	e->state = TOLD_BROKEN;
	e->since_ms = loop_now();
	note_broken(w, e, why);
}

/* A record without an ID of the usual form still needs an entry, to be logged once. */
static void
odd_id(uint64_t key, uint8_t id[DIGEST_BYTES])
{
	memset(id, 0xff, DIGEST_BYTES);
	memcpy(id, &key, sizeof(key));
}

/* Whether nothing has to be told of a record that was seen before. */
static bool
is_told(struct watch *w, const struct told *e, const struct record *rec)
{
	if (e->state & TOLD_BROKEN)
		return e->state & TOLD_LOGGED;
	if (!(e->state & TOLD_SENT))
		return false;
	return e->state & TOLD_DESCRIBED || !w->describe ||
	       summary_load(&w->room->store, rec, &w->summary) != 0;
}

static int
tell_row(struct watch *w, struct told *e, uint64_t key, const struct record *rec,
    const struct image_row *row)
{
	bool described = summary_load(&w->room->store, rec, &w->summary) == 0;
	int r = send_row(w, row, described ? &w->summary : NULL);

	if (r == 0) {
		e->key = key;
		e->state = described ? TOLD_SENT | TOLD_DESCRIBED : TOLD_SENT;
	}
	return r;
}

int
tell_record(struct watch *w, size_t i)
{
	const struct record *rec = &w->look.view.images.rec[i];
	uint64_t key = rows_key(&w->look.rows, i);
	uint8_t id[DIGEST_BYTES];
	struct image_row row = {0};
	char why[300];

	if (!hex_decode(rec->id, id, sizeof(id)))
		odd_id(key, id);
	struct told *e = told_add(&w->told, id, w->pass);
	if (!e)
		return -ENOMEM;
	bool known = e->state && e->key == key;
	if (known && is_told(w, e, rec)) {
		w->broken += e->state & TOLD_BROKEN ? 1 : 0;
		return 0;
	}
	int r = rows_read(&w->look.rows, i, &row, why);
	if (r == 1 && known)
		note_broken(w, e, why);
	else if (r == 1)
		now_broken(w, e, key, why);
	else if (r == 0)
		r = tell_row(w, e, key, rec, &row);
	image_row_free(&row);
	return r < 0 ? r : 0;
}
