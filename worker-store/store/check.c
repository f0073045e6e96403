#include "worker-store/store/check.h"

#include "worker-store/store/inspector.h"
#include "worker-store/store/query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECKS_MAX 4
#define ROWS_MAX 1000 /* findings that are told; the others are counted */
#define ROUNDS 3      /* as often it is begun again when the records change */
#define STEP_MS 5
#define AGE_S 10

struct finding {
	char id[ID_HEX + 1];
	char *text;
};

enum phase { PHASE_LOAD, PHASE_IMAGES, PHASE_LAYERS, PHASE_DIRS, PHASE_END };

struct check {
	struct check *next;
	struct keeper *room;
	uint64_t req;
	struct inspector in;
	struct loop_timer step;
	enum phase phase;
	size_t at; /* image, layer or directory */
	DIR *dir;
	unsigned rounds;
	struct finding *rows;
	size_t n, kept;
};

static void
findings_free(struct check *c)
{
	for (size_t i = 0; i < c->kept; i++)
		free(c->rows[i].text);
	free(ptr_steal(&c->rows));
	c->n = c->kept = 0;
}

static void
check_free(struct check *c)
{
	struct check **at = &c->room->checks;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	loop_timer_clear(&c->room->loop, &c->step);
	if (c->dir)
		closedir(c->dir);
	inspector_free(&c->in);
	findings_free(c);
	free(c);
}

/* Kept until the end: what was true only of a moment is not told. */
static void
check_found(void *arg, struct span id, const char *text)
{
	struct check *c = arg;

	c->n++;
	if (c->kept == ROWS_MAX)
		return;
	if (!c->rows && !(c->rows = calloc(ROWS_MAX, sizeof(*c->rows))))
		return;
	struct finding *f = &c->rows[c->kept];
	f->text = strdup(text);
	if (!f->text)
		return;
	if (!id_is(id) || !span_to_str(id, f->id, sizeof(f->id)))
		f->id[0] = 0;
	c->kept++;
}

static void
send_row(struct check *c, const char *id, const char *text)
{
	char safe[1000];
	struct ipc_msg m = IPC_MSG(check_row, .req = c->req, .id = span_str(id),
	    .text = span_str(span_escape(span_str(text), safe, sizeof(safe))));

	port_send(&c->room->frontend, &m);
}

static void
check_end(struct check *c)
{
	char text[200];

	for (size_t i = 0; i < c->kept; i++)
		send_row(c, c->rows[i].id, c->rows[i].text);
	if (c->n > c->kept) {
		snprintf(text, sizeof(text), "%zu more findings are not listed",
		    c->n - c->kept);
		send_row(c, "", text);
	}
	snprintf(text, sizeof(text), "%zu finding%s%s", c->n, c->n == 1 ? "" : "s",
	    c->rounds >= ROUNDS ? ", in a store that changed all the while" : "");
	if (c->n)
		query_done(c->room, c->req, ERR_CONTENT, text);
	else
		query_done(c->room, c->req, ERR_OK, "");
	check_free(c);
}

/* One entry; false at the end of the last directory. */
static bool
step_dirs(struct check *c)
{
	if (!c->dir && c->at == INSPECT_DIRS)
		return false;
	if (!c->dir)
		c->dir = inspect_dir(&c->in, c->at);
	struct dirent *de = c->dir ? readdir(c->dir) : NULL;
	if (de) {
		inspect_entry(&c->in, c->at, de->d_name);
		return true;
	}
	if (c->dir)
		closedir(c->dir);
	c->dir = NULL;
	c->at++;
	return true;
}

/* One thing; false when the phase is over. */
static bool
step_phase(struct check *c)
{
	switch (c->phase) {
	case PHASE_IMAGES:
		if (c->at == c->in.look.view.images.n)
			return false;
		inspect_image(&c->in, c->at++);
		return true;
	case PHASE_LAYERS:
		if (c->at == inspect_layers(&c->in))
			return false;
		inspect_layer(&c->in, c->at++);
		return true;
	case PHASE_DIRS:
		return step_dirs(c);
	default:
		return false;
	}
}

/* Negative: it has been answered and is gone. */
static int
step_load(struct check *c)
{
	struct err e = {0};

	findings_free(c);
	int r = inspector_load(&c->in, &e);
	if (r < 0) {
		query_done(c->room, c->req, e.code, e.text);
		check_free(c);
		return r;
	}
	c->phase = r ? PHASE_END : PHASE_IMAGES;
	c->at = 0;
	return 0;
}

static void
check_step(struct loop_timer *t)
{
	struct check *c = t->arg;
	uint64_t until = loop_now() + STEP_MS;

	if (c->phase == PHASE_LOAD && step_load(c) < 0)
		return;
	while (c->phase != PHASE_END && loop_now() < until) {
		if (step_phase(c))
			continue;
		c->phase++;
		c->at = 0;
	}
	if (c->phase == PHASE_END && c->n && c->rounds < ROUNDS &&
	    look_changed(&c->in.look)) {
		c->rounds++;
		c->phase = PHASE_LOAD;
	}
	if (c->phase == PHASE_END)
		check_end(c);
	else
		loop_timer_set(&c->room->loop, t, 1);
}

void
check_begin(struct keeper *room, uint64_t req)
{
	unsigned n = 0;

	for (struct check *c = room->checks; c; c = c->next)
		n++;
	struct check *c = n < CHECKS_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (!c || look_open(&c->in.look, &room->store) < 0) {
		free(c);
		query_done(room, req, ERR_INTERNAL,
		    "the store is being checked for others already: try again later");
		return;
	}
	c->room = room;
	c->req = req;
	c->in.s = &room->store;
	c->in.age_s = AGE_S;
	c->in.found = check_found;
	c->in.arg = c;
	c->step = (struct loop_timer){.fired = check_step, .arg = c};
	c->next = room->checks;
	room->checks = c;
	loop_timer_set(&room->loop, &c->step, 0);
}

void
checks_end(struct keeper *room)
{
	for (struct check *c = room->checks, *next; c; c = next) {
		next = c->next;
		check_free(c);
	}
}
