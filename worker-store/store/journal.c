#include "worker-store/store/journal.h"

#include "common/base/base64.h"
#include "worker-store/store/dir.h"
#include "worker-store/store/image.h"
#include "worker-store/store/layer.h"
#include "worker-store/store/summary.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int
journal_write(struct store *s, const struct buf *text, struct err *e)
{
	if (!text->n)
		return 0;
	int r = text->bad ? -ENOMEM : fd_write_all(s->journal, text->p, text->n);
	if (r == 0 && disk_sync_data(s->journal) < 0)
		r = -errno;
	return r < 0 ? err_errno(e, -r, "cannot write the journal") : 0;
}

struct settling {
	struct store *s;
	struct view *v;
	char (*layers)[ID_HEX + 1]; /* those that have a record */
	size_t n;
	struct swept *out;
};

static void
note_published(struct swept *out, const char *id)
{
	if (out->n_published < SWEPT_MAX)
		memcpy(out->published[out->n_published++], id, ID_HEX + 1);
}

/* The key that a file of this name would hold is looked for, whatever its spelling in the
 * record. */
static bool
is_item(const struct record *image, const char *file)
{
	uint8_t key[256];

	if (file[0] != '=')
		return names_have(image->keys, span_str(file));
	ssize_t n = base64_decode(span_str(file + 1), key, sizeof(key));
	return n > 0 && names_have(image->keys, span_of(key, (size_t)n));
}

/* Documents that were moved in for a record which never came. */
static int
settle_items(struct store *s, const struct record *image, const char *id)
{
	CLEANUP(dir_list_end) DIR *d = dir_list(s->images, id);
	int r = 0;

	for (struct dirent *de; r == 0 && d && (de = readdir(d));)
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0 &&
		    !is_item(image, de->d_name))
			r = trash_put(s, dirfd(d), de->d_name);
	return r;
}

static int
settle_image(struct settling *t, const char *id)
{
	struct record *image = table_find(&t->v->images, span_str(id));

	if (image) {
		note_published(t->out, id);
		return settle_items(t->s, image, id);
	}
	t->out->images += dir_has(t->s->images, id) == 1;
	int r = summary_remove(t->s, id);
	return r < 0 ? r : trash_put(t->s, t->s->images, id);
}

static int
settle_layer(struct settling *t, const char *id)
{
	if (table_find(&t->v->volatile_layers, span_str(id)))
		return 0;
	if (!table_find(&t->v->layers, span_str(id))) {
		t->out->layers += dir_has(t->s->overlay, id) == 1;
		return layer_unplace(t->s, id);
	}
	note_published(t->out, id);
	memcpy(t->layers[t->n++], id, ID_HEX + 1);
	return 0;
}

static int
settle_line(struct settling *t, struct span line)
{
	char id[ID_HEX + 1];

	if (line.n != 2 + ID_HEX || !id_is(span_from(line, 2)) ||
	    !span_to_str(span_from(line, 2), id, sizeof(id)))
		return 0;
	return line.p[0] == 'I' ? settle_image(t, id) : settle_layer(t, id);
}

int
journal_settle(struct store *s, const struct hold *h, struct view *v, struct span text,
    bool *stale, struct swept *out, struct err *e)
{
	CLEANUP(free_ptr)
	char(*layers)[ID_HEX + 1] = calloc(text.n / (2 + ID_HEX) + 1, sizeof(*layers));
	struct settling t = {s, v, layers, 0, out};

	if (!layers)
		return err_errno(e, ENOMEM, "a journal");
	while (text.n) {
		const uint8_t *end = memchr(text.p, '\n', text.n);
		size_t len = end ? (size_t)(end - text.p) : text.n;
		int r = settle_line(&t, span_of(text.p, len));
		if (r < 0)
			return err_errno(
			    e, -r, "cannot clear away what a dead store left");
		FAILPOINT(SWEEP_LINE);
		text = span_from(text, end ? len + 1 : len);
	}
	*stale = t.n > 0;
	return t.n ? store_remove_unneeded(s, h, layers, t.n, e) : 0;
}

static int
settle_own(struct store *s, const struct hold *h)
{
	CLEANUP(view_free) struct view v = VIEW_NONE;
	CLEANUP(free_ptr) uint8_t *text = NULL;
	struct swept swept = {0};
	bool stale;
	size_t n;

	int r = fd_read_whole(s->journal, JOURNAL_MAX, &text, &n);
	if (r == 0)
		r = view_load(&v, s, NULL);
	if (r == 0)
		r = journal_settle(s, h, &v, span_of(text, n), &stale, &swept, NULL);
	return r;
}

void
journal_redo(struct store *s, const struct hold *h)
{
	if (s->noted && settle_own(s, h) == 0 && ftruncate(s->journal, 0) == 0)
		s->noted = 0;
}

/* Lines that cannot be taken away do no harm: they are settled once more. */
void
journal_end(struct store *s, const struct hold *h, bool done)
{
	struct stat st;
	off_t end = fstat(s->journal, &st) < 0 ? -1 : st.st_size;

	if (done && (end == s->noted || ftruncate(s->journal, s->noted) == 0))
		return;
	s->noted = end < 0 ? s->noted : end;
	journal_redo(s, h);
}
