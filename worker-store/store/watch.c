#include "worker-store/store/watch_tell.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICK_MS 1000
#define SLOW_TICKS 10 /* until the file system and others' summaries are looked at */
#define HINT_MS 3     /* who saves twice is read once */
#define REST 4	      /* times as long as reading took, until the next time */
#define REST_MAX_MS 1000
#define SLICE_MS 10		    /* of a pass that nobody waits for */
#define QUEUE_FULL MiB(1)	    /* of messages the frontend has not taken yet */
#define QUEUE_MOST (CHAN_QUEUE / 2) /* then nobody is told at once: it would burst */
#define QUEUE_MS 5
#define KEEP_MS 2000 /* a view that nobody asks for */
#define RETRY_MS 50
#define RETRY_MAX_MS 10000

/* ---- the hint ---- */

int
watch_prepare(int graph)
{
	static const char *const dirs[] = {"overlay-images", "overlay-layers"};
	FD_AUTO fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	FD_AUTO here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || here < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		/* inotify takes no descriptor, and there may be no /proc. */
		FD_AUTO dir =
		    openat(graph, dirs[i], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		bool good = dir >= 0 && fchdir(dir) == 0 &&
			    inotify_add_watch(fd, ".", IN_MOVED_TO | IN_ONLYDIR) >= 0;
		if (fchdir(here) < 0 || !good)
			return -1;
	}
	return fd_steal(&fd);
}

static void
step_in(struct watch *w, uint64_t ms)
{
	uint64_t now = loop_now();

	if (now + ms < w->rest_until_ms)
		ms = w->rest_until_ms - now;
	if (!w->step.at || w->step.at > now + ms)
		loop_timer_set(&w->room->loop, &w->step, ms);
}

static void
hint_ready(struct loop_source *s, uint32_t events)
{
	struct watch *w = s->arg;
	char text[4096];
	ssize_t n;

	do { /* what it says is looked up anyway */
		n = read(s->fd, text, sizeof(text));
	} while (n > 0);
	if (n < 0 && errno == EAGAIN)
		step_in(w, HINT_MS);
	else
		loop_remove(&w->room->loop, s);
}

/* ---- the numbers ---- */

static void
send_end(struct watch *w)
{
	const struct fsinfo *f = &w->fs;
	struct ipc_msg m = IPC_MSG(cache_end, .generation = ++w->generation,
	    .broken = w->broken, .images = f->images, .layers = f->layers,
	    .bytes = f->bytes, .total = f->total, .free = f->free, .inodes = f->inodes,
	    .inodes_free = f->inodes_free, .root = span_str(w->room->graph_root));

	port_send(&w->room->frontend, &m);
	w->differs = false;
	w->filled = true;
}

/* More than a hundredth of what is used. */
static bool
fs_moved(const struct fsinfo *a, const struct fsinfo *b)
{
	uint64_t before = a->total - a->free, now = b->total - b->free;
	uint64_t way = before < now ? now - before : before - now;

	return a->total != b->total || way > before / 100;
}

static void
look_at_fs(struct watch *w)
{
	struct view none = VIEW_NONE;
	struct fsinfo f;

	if (!w->filled || w->passing)
		return;
	if (store_fsinfo(&none, &w->room->store, &f, NULL) < 0 || !fs_moved(&w->fs, &f))
		return;
	f.images = w->fs.images;
	f.layers = w->fs.layers;
	f.bytes = w->fs.bytes;
	w->fs = f;
	send_end(w);
}

/* ---- a pass over all records ---- */

static void
pass_restart(struct watch *w)
{
	w->passing = true;
	w->at = 0;
	w->pass++;
	w->broken = 0;
	w->unlogged = w->missed = false;
	w->loads = w->look.loads;
	w->began_ms = loop_now();
}

/* Other processes describe images, too. Ours says so itself: watch_described. */
static void
look_for_summaries(struct watch *w)
{
	struct stat st;

	if (fstatat(w->room->store.own, "summaries", &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (st.st_mtim.tv_sec == w->summaries.tv_sec &&
		st.st_mtim.tv_nsec == w->summaries.tv_nsec))
		return;
	w->summaries = st.st_mtim;
	w->describe = w->again = true;
	step_in(w, HINT_MS);
}

/* Whether there is anything to go over. */
static bool
pass_begin(struct watch *w)
{
	struct err e = {0};
	bool moved = look_changed(&w->look);

	if (!moved && !w->passing && !w->again && w->filled)
		return false;
	if (look_now(&w->look, &e) < 0) {
		w->passing = false;
		w->again = true;
		if (!w->retry_ms)
			room_log(w->room, LOG_ERROR,
			    "%s; lists show what was there before", e.text);
		w->retry_ms = w->retry_ms ? w->retry_ms * 2 : RETRY_MS;
		if (w->retry_ms > RETRY_MAX_MS)
			w->retry_ms = RETRY_MAX_MS;
		return false;
	}
	w->retry_ms = 0;
	if (!w->passing || w->loads != w->look.loads)
		pass_restart(w);
	return true;
}

static void
pass_end(struct watch *w)
{
	struct fsinfo before = w->fs;

	told_sweep(&w->told, w->pass, tell_gone, w);
	w->passing = w->describe = false;
	(void)!store_fsinfo(&w->look.view, &w->room->store, &w->fs, NULL);
	if (w->differs || !w->filled || before.bytes != w->fs.bytes ||
	    before.layers != w->fs.layers || before.images != w->fs.images ||
	    fs_moved(&before, &w->fs))
		send_end(w);
	uint64_t now = loop_now(), rest = REST * (now - w->began_ms);
	w->rest_until_ms = now + (rest < REST_MAX_MS ? rest : REST_MAX_MS);
	loop_timer_set(&w->room->loop, &w->keep, KEEP_MS);
	w->again = w->unlogged || w->missed;
	if (w->again)
		step_in(w, BROKEN_MS);
}

/* patient: others get their turn after a while, and the frontend time to take what it was
 * told. */
static void
pass_run(struct watch *w, bool patient)
{
	if (!pass_begin(w)) {
		if (w->retry_ms) {
			look_forgive(&w->look);
			step_in(w, w->retry_ms);
		}
		return;
	}
	uint64_t until = loop_now() + SLICE_MS;
	while (w->at < w->look.view.images.n) {
		if (w->room->frontend.chan.queued > (patient ? QUEUE_FULL : QUEUE_MOST)) {
			step_in(w, QUEUE_MS);
			return;
		}
		if (patient && w->at % 64 == 63 && loop_now() >= until) {
			step_in(w, 1);
			return;
		}
		if (tell_record(w, w->at) < 0)
			w->missed = true;
		w->at++;
	}
	pass_end(w);
}

static void
step_fired(struct loop_timer *t)
{
	struct watch *w = t->arg;

	if (w->on)
		pass_run(w, true);
}

static void
tick_fired(struct loop_timer *t)
{
	struct watch *w = t->arg;

	loop_timer_set(&w->room->loop, t, TICK_MS);
	if (look_changed(&w->look))
		step_in(w, HINT_MS);
	if (++w->ticks % SLOW_TICKS == 0) {
		look_at_fs(w);
		look_for_summaries(w);
	}
}

static void
keep_fired(struct loop_timer *t)
{
	struct watch *w = t->arg;

	if (w->passing) {
		loop_timer_set(&w->room->loop, t, KEEP_MS);
		return;
	}
	look_drop(&w->look);
	malloc_trim(0);
}

/* ---- from outside ---- */

static struct watch *
watch_of(struct keeper *room)
{
	if (room->watch)
		return room->watch;
	struct watch *w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->room = room;
	w->source.fd = -1;
	w->step = (struct loop_timer){.fired = step_fired, .arg = w};
	w->tick = (struct loop_timer){.fired = tick_fired, .arg = w};
	w->keep = (struct loop_timer){.fired = keep_fired, .arg = w};
	if (look_open(&w->look, &room->store) < 0) {
		free(w);
		return NULL;
	}
	return room->watch = w;
}

void
watch_start(struct keeper *room)
{
	struct watch *w = watch_of(room);

	if (!w) {
		room_log(room, LOG_ERROR, "no memory for a view of the store");
		return;
	}
	watch_stop(room);
	w->on = true;
	if (room->inotify > 0) {
		w->source = (struct loop_source){.fd = room->inotify,
		    .events = EPOLLIN,
		    .ready = hint_ready,
		    .arg = w};
		if (loop_add(&room->loop, &w->source) < 0)
			w->source.fd = -1; /* the look once a second is enough */
	}
	loop_timer_set(&room->loop, &w->tick, TICK_MS);
	step_in(w, 0);
}

void
watch_stop(struct keeper *room)
{
	struct watch *w = room->watch;

	if (!w)
		return;
	loop_remove(&room->loop, &w->source);
	loop_timer_clear(&room->loop, &w->step);
	loop_timer_clear(&room->loop, &w->tick);
	told_free(&w->told);
	w->on = w->filled = w->passing = w->again = w->differs = w->describe = false;
	w->generation = 0;
	w->retry_ms = 0;
	w->rest_until_ms = 0;
}

void
watch_end(struct keeper *room)
{
	struct watch *w = room->watch;

	if (!w)
		return;
	watch_stop(room);
	loop_timer_clear(&room->loop, &w->keep);
	look_close(&w->look);
	free(ptr_steal(&room->watch));
}

bool
watch_is_on(const struct keeper *room)
{
	return room->watch && room->watch->on;
}

void
watch_changed(struct keeper *room)
{
	struct watch *w = room->watch;

	if (w && w->on)
		pass_run(w, false);
}

void
watch_described(struct keeper *room, const uint8_t id[32])
{
	struct watch *w = room->watch;
	struct told *e = w && w->on ? told_find(&w->told, id) : NULL;
	char hex[ID_HEX + 1];

	if (!e || !(e->state & TOLD_SENT))
		return; /* a pass comes to it */
	e->key = ~e->key;
	if (w->passing || !w->filled || look_changed(&w->look))
		pass_run(w, false); /* it may have been past this image already */
	if (look_now(&w->look, NULL) < 0)
		return;
	loop_timer_set(&room->loop, &w->keep, KEEP_MS);
	struct view *v = &w->look.view;
	struct record *rec = table_find(&v->images, span_str(hex_encode(id, 32, hex)));
	if (rec && tell_record(w, (size_t)(rec - v->images.rec)) == 0 && w->differs)
		send_end(w);
}

void
watch_failed(struct keeper *room, const uint8_t id[32], uint64_t key)
{
	struct told *e = watch_is_on(room) ? told_find(&room->watch->told, id) : NULL;

	if (e && e->state == TOLD_SENT && e->key == key)
		e->state |= TOLD_FAILED;
}

bool
watch_undescribed(struct keeper *room, size_t *at, uint8_t id[32])
{
	const struct told_table *t = watch_is_on(room) ? &room->watch->told : NULL;

	while (t && *at < t->cap) {
		const struct told *e = &t->slot[(*at)++];
		if (!e->pass || e->state != TOLD_SENT)
			continue;
		memcpy(id, e->id, sizeof(e->id));
		return true;
	}
	return false;
}

struct view *
watch_view(struct keeper *room, struct err *e)
{
	struct rows *r = watch_rows(room, e);

	return r ? r->v : NULL;
}

struct rows *
watch_rows(struct keeper *room, struct err *e)
{
	struct watch *w = watch_of(room);

	if (!w) {
		err_errno(e, ENOMEM, "the store's records");
		return NULL;
	}
	if (look_now(&w->look, e) < 0)
		return NULL;
	loop_timer_set(&room->loop, &w->keep, KEEP_MS);
	return &w->look.rows;
}
