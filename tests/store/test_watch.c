/* What the frontend is told of the store: everything once, then what differs, whoever
 * made it so; never less than the truth because one record or one file is damaged. */
#include "tests/store/peers.h"

#include "worker-store/store/check.h"
#include "worker-store/store/image.h"
#include "worker-store/store/summary.h"
#include "worker-store/store/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct world {
	struct fixture *f;
	struct keeper k;
	struct chan frontend;
	char logged[16][600];
	size_t n_logged;
	bool news; /* of an image was heard since the last end */
	struct msg_cache_end told;
};

static struct world *world;

void
room_log(struct keeper *k, enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (world->n_logged == ARRAY_LEN(world->logged))
		return;
	va_start(ap, fmt);
	vsnprintf(world->logged[world->n_logged++], 600, fmt, ap);
	va_end(ap);
}

static int
frontend_message(struct port *p, struct ipc_msg *m)
{
	return query_message(p->arg, m);
}

static void
reap(struct loop_timer *t)
{
	query_reap(t->arg);
}

static int
setup(void **state)
{
	struct world *w = world = calloc(1, sizeof(*w));
	struct keeper *k = &w->k;
	void *f = NULL;

	if (fixture_new(&f) < 0)
		return -1;
	w->f = f;
	keeper_begin(k, w->f, reap);
	k->erase.busy = true; /* nobody is here to remove anything */
	snprintf(k->graph_root, sizeof(k->graph_root), "/some/where");
	k->inotify = watch_prepare(w->f->graph);
	assert_true(k->inotify > 0);
	peer_open(k, &k->frontend, &w->frontend, CH_frontend_store, ROOM_FRONTEND,
	    frontend_message);
	sh(w->f, 0, "python3 tests/store/many.py @D/G 3 2 files");
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;
	struct keeper *k = &w->k;
	void *f = w->f;

	queries_end(k, "over");
	query_reap(k);
	checks_end(k);
	watch_end(k);
	loop_timer_clear(&k->loop, &k->reap_timer);
	loop_timer_clear(&k->loop, &k->job_timer);
	assert_null(k->loop.timers);
	port_release(&k->frontend);
	chan_release(&w->frontend);
	hold_release(&k->hold);
	loop_release(&k->loop);
	fd_close(&k->inotify);
	free(w);
	return fixture_free(&f);
}

static void
tell(struct world *w, const struct ipc_msg *m)
{
	assert_int_equal(chan_send(&w->frontend, m), 0);
}

static void
watch(struct world *w)
{
	struct ipc_msg m = IPC_MSG(watch);

	tell(w, &m);
}

/* ---- what was told ---- */

struct heard {
	uint8_t id[32];
	bool gone, described;
	uint64_t size;
	char user[64];
	struct buf names;
};

struct batch {
	struct heard image[16];
	size_t n;
	struct msg_cache_end end;
	bool done; /* a `done` was heard before the end */
};

static void
batch_free(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		buf_free(&b->image[i].names);
	b->n = 0;
}

static struct heard *
batch_add(struct batch *b, const uint8_t id[32])
{
	assert_true(b->n < ARRAY_LEN(b->image));
	struct heard *h = &b->image[b->n++];

	*h = (struct heard){0};
	memcpy(h->id, id, 32);
	return h;
}

static void
batch_take(struct batch *b, const struct ipc_msg *m)
{
	struct heard *h = b->n ? &b->image[b->n - 1] : NULL;

	switch (m->type) {
	case MSG_cache_image:
		h = batch_add(b, m->cache_image.id);
		h->size = m->cache_image.size;
		h->described = m->cache_image.described;
		assert_true(span_to_str(m->cache_image.user, h->user, sizeof(h->user)));
		buf_add(&h->names, m->cache_image.names);
		break;
	case MSG_cache_names:
		assert_true(h && !memcmp(h->id, m->cache_names.id, 32));
		buf_add(&h->names, m->cache_names.names);
		break;
	case MSG_cache_gone:
		batch_add(b, m->cache_gone.id)->gone = true;
		break;
	case MSG_done:
		b->done = true;
		break;
	default:
		break;
	}
}

/* The next message but those that tell of nothing but the disk's free space: the disk is
 * everybody's. */
static bool
heard(struct world *w, struct ipc_msg *m, unsigned ms)
{
	while (hear(&w->k, &w->frontend, m, ms)) {
		const struct msg_cache_end *now = &m->cache_end, *old = &w->told;
		if (m->type != MSG_cache_end) {
			w->news = w->news || m->type != MSG_done;
			return true;
		}
		bool same = !w->news && now->generation > 1 &&
			    now->broken == old->broken && now->images == old->images &&
			    now->layers == old->layers && now->bytes == old->bytes;
		w->told = *now;
		w->news = false;
		if (!same)
			return true;
	}
	return false;
}

/* All up to the next cache_end. */
static bool
batch_hear(struct world *w, struct batch *b, unsigned ms)
{
	struct ipc_msg m;

	*b = (struct batch){0};
	while (heard(w, &m, ms)) {
		batch_take(b, &m);
		if (m.type != MSG_cache_end)
			continue;
		b->end = m.cache_end;
		return true;
	}
	return false;
}

static void
batch_expect(struct world *w, struct batch *b)
{
	if (!batch_hear(w, b, SOON_MS))
		fail_msg("nothing was told");
}

static void
quiet(struct world *w, unsigned ms)
{
	struct ipc_msg m;

	if (heard(w, &m, ms))
		fail_msg("a message %x that says nothing new", m.type);
}

/* So much is said of what is broken, by and by. */
static void
logged(struct world *w, size_t n)
{
	for (unsigned ms = 0; w->n_logged < n && ms < SOON_MS; ms += 10)
		spin(&w->k, 10);
	assert_int_equal(w->n_logged, n);
}

/* Everything, and how many of it. */
static void
filled(struct world *w, size_t images, uint64_t broken)
{
	CLEANUP(batch_free) struct batch b;

	watch(w);
	batch_expect(w, &b);
	assert_int_equal(b.n, images);
	assert_int_equal(b.end.broken, broken);
}

static void
image_id(unsigned n, uint8_t id[32])
{
	char config[32];
	struct fixture *f = world->f;

	snprintf(config, sizeof(config), "config %u", n);
	char *hex = sh(f, 0, "printf '%%s' '%s' | sha256sum", config);
	assert_true(hex_decode(span_of(hex, 64), id, 32));
}

static const struct heard *
only(const struct batch *b, unsigned n)
{
	uint8_t id[32];

	image_id(n, id);
	assert_int_equal(b->n, 1);
	assert_memory_equal(b->image[0].id, id, 32);
	return &b->image[0];
}

#define EDIT(w, code) sh((w)->f, 0, "python3 tests/store/edit.py @D/G '%s'", code)

/* ---- tests ---- */

static void
test_fill(void **state)
{
	CLEANUP(batch_free) struct batch b;
	struct world *w = *state;
	char lines[600];

	EDIT(w, "del images[1][\"layer\"]");
	watch(w);
	batch_expect(w, &b);
	assert_int_equal(b.n, 3);
	assert_int_equal(b.end.images, 3);
	assert_int_equal(b.end.layers, 4);
	assert_int_equal(b.end.broken, 0);
	assert_true(b.end.generation > 0 && b.end.total > 0);
	/* Each of documents of 8, 7, 10 and 10 bytes, two of two layers. */
	assert_int_equal(b.end.bytes, 4 * 80000003 + 3 * 35);
	const struct heard *h = &b.image[0];
	assert_int_equal(h->size, 2 * 80000003 + 35);
	assert_int_equal(b.image[1].size, 35);
	assert_false(h->described);
	assert_true(span_to_str(buf_span(&h->names), lines, sizeof(lines)));
	const char *want = sh(w->f, 0,
	    "r=registry0.example.com/team0/service-0; echo $r:v1.0; echo $r:latest; "
	    "for d in index manifest; do printf '%%s' \"$d 0\" | sha256sum | "
	    "sed \"s,\\([0-9a-f]*\\).*,$r@sha256:\\1,\"; done");
	assert_string_equal(lines, want);
	quiet(w, 1300);
}

static void
test_changes_of_others(void **state)
{
	struct world *w = *state;
	struct batch b;

	filled(w, 3, 0);
	EDIT(w, "images[1][\"names\"].append(\"localhost/a:b\")");
	uint64_t start = loop_now();
	batch_expect(w, &b);
	assert_true(loop_now() - start < 500); /* inotify's hint, not the tick */
	assert_true(lines_have(buf_span(&only(&b, 1)->names), span_str("localhost/a:b")));
	batch_free(&b);
	quiet(w, 1300);
	EDIT(w, "del images[0]");
	batch_expect(w, &b);
	assert_true(only(&b, 0)->gone);
	assert_int_equal(b.end.images, 2);
	batch_free(&b);
	/* Only the totals. */
	EDIT(w, "layers.append({\"id\": sha(\"x\"), \"diff-size\": 5, \"created\": "
		"layers[0][\"created\"]})");
	batch_expect(w, &b);
	assert_int_equal(b.n, 0);
	assert_int_equal(b.end.layers, 5);
}

static void
test_without_hint(void **state)
{
	CLEANUP(batch_free) struct batch b;
	struct world *w = *state;

	fd_close(&w->k.inotify);
	filled(w, 3, 0);
	EDIT(w, "del images[2]");
	batch_expect(w, &b);
	assert_true(only(&b, 2)->gone);
}

/* The last writer's token alone: a file of the same size, number and time. */
static void
test_token(void **state)
{
	struct world *w = *state;
	struct err e = {0};

	struct view *v = watch_view(&w->k, &e);
	assert_non_null(v);
	const uint8_t *before = v->images.text;
	assert_ptr_equal(watch_view(&w->k, &e)->images.text, before);
	sh(w->f, 0, "head -c 64 /dev/urandom > @D/G/overlay-images/images.lock");
	struct ipc_msg m = IPC_MSG(images, .req = 1);
	tell(w, &m);
	v = watch_view(&w->k, &e);
	assert_non_null(v);
	assert_int_equal(v->images.n, 3);
	/* Kept only as long as somebody asks. */
	spin(&w->k, 2300);
	watch_view(&w->k, &e);
}

static void
break_one(struct world *w, const char *code, const char *why)
{
	char text[400];
	struct batch b;
	struct ipc_msg m = IPC_MSG(images, .req = 4);
	unsigned rows = 0;

	sh(w->f, 0,
	    "rm -rf @D/G/overlay @D/G/overlay-images/* @D/G/overlay-layers/* && "
	    "mkdir -p @D/G/overlay/l && python3 tests/store/many.py @D/G 3 2 files");
	filled(w, 3, 0);
	snprintf(text, sizeof(text), "%s", code);
	EDIT(w, text);
	batch_expect(w, &b);
	if (b.n != 1 || !b.image[0].gone || b.end.broken != 1)
		fail_msg("%s: %zu images, %llu broken", code, b.n,
		    (unsigned long long)b.end.broken);
	batch_free(&b);
	/* The list of the command leaves it out, too, and the log says why. */
	watch_stop(&w->k);
	w->n_logged = 0;
	tell(w, &m);
	do {
		assert_true(heard(w, &m, SOON_MS));
		rows += m.type == MSG_image;
	} while (m.type != MSG_done);
	assert_int_equal(m.done.code, ERR_OK);
	assert_int_equal(rows, 2);
	assert_int_equal(w->n_logged, 1);
	if (!strstr(w->logged[0], why))
		fail_msg("%s: %s", code, w->logged[0]);
}

static void
test_broken_each(void **state)
{
	static const char *const cases[][2] = {
	    {"images[1][\"layer\"] = sha(\"none\")", "is not in the store"},
	    {"images[1][\"layer\"] = \"?\"", "is not in the store"},
	    {"layers[2][\"flags\"] = {\"incomplete\": True}", "incomplete"},
	    {"layers[2][\"parent\"] = layers[2][\"id\"]", "no end"},
	    {"images[1][\"id\"] = \"abc\"", "not 64"},
	    {"images[1][\"id\"] = images[1][\"id\"].upper()", "not 64"},
	    {"images[1][\"big-data-sizes\"][\"manifest\"] = -1", "no size"},
	    {"images[1][\"big-data-sizes\"][\"manifest\"] = 0", "no manifest"},
	    {"del images[1][\"big-data-sizes\"][\"manifest\"]", "no size"},
	    {"images[1][\"big-data-names\"].remove(\"manifest\")", "no manifest"},
	    {"images[1][\"big-data-names\"].remove(\"sha256:\" + images[1][\"id\"])",
		"no image config"},
	    {"images[1][\"names\"] = [\"not a name\"]", "name"},
	    {"images[1][\"names\"].append(\"docker.io/library/x\")",
		"docker.io/library/x"},
	    {"images[1][\"names\"].append(\"x\" * 600 + \":y\")", "name"},
	    {"images[1][\"names\"].append(\"a/b:\\u0001\")", "name"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		break_one(w, cases[i][0], cases[i][1]);
}

static void
test_broken_is_logged_once(void **state)
{
	struct world *w = *state;
	struct batch b;

	EDIT(w, "images[1][\"names\"] = [\"BAD\"]; images[2][\"id\"] = \"odd\"");
	filled(w, 1, 2);
	assert_int_equal(w->n_logged, 0); /* it may be in the making */
	logged(w, 2);
	EDIT(w, "images[0][\"names\"].append(\"a.b/c:d\")");
	batch_expect(w, &b);
	assert_false(only(&b, 0)->gone);
	assert_int_equal(b.end.broken, 2);
	batch_free(&b);
	spin(&w->k, 3300);
	assert_int_equal(w->n_logged, 2);
	EDIT(w, "images[1][\"names\"] = [\"WORSE\"]");
	logged(w, 3);
	EDIT(w, "images[1][\"names\"] = [\"a.b/good:1\"]");
	batch_expect(w, &b);
	assert_true(lines_have(buf_span(&only(&b, 1)->names), span_str("a.b/good:1")));
	assert_int_equal(b.end.broken, 1);
	batch_free(&b);
}

static void
test_many_names(void **state)
{
	CLEANUP(batch_free) struct batch b;
	struct world *w = *state;
	struct span rest, line;
	size_t n = 0, digests = 0;

	/* 300 repositories of 190 bytes: two messages and more. One name twice. */
	EDIT(w, "images[:] = images[:1]; images[0][\"names\"] = "
		"[\"h.example/\" + \"p\" * 180 + str(i) + \":t\" for i in range(300)]; "
		"images[0][\"names\"].append(images[0][\"names\"][7])");
	watch(w);
	batch_expect(w, &b);
	assert_int_equal(b.n, 1);
	assert_true(b.image[0].names.n > 2 * LIMIT_CACHE_NAMES);
	rest = buf_span(&b.image[0].names);
	while (line_next(&rest, &line)) {
		digests += memchr(line.p, '@', line.n) != NULL;
		assert_false(lines_have(rest, line));
		n++;
	}
	assert_int_equal(rest.n, 0);
	assert_int_equal(digests, 600);
	assert_int_equal(n, 900);
}

static void
test_shared_name(void **state)
{
	struct world *w = *state;
	struct batch b;
	struct span name = span_str("h.example/mine:1");

	EDIT(w, "images[0][\"names\"] = [\"h.example/mine:1\"]");
	filled(w, 3, 0);
	EDIT(w, "images[2][\"names\"] = [\"h.example/mine:1\"]");
	batch_expect(w, &b);
	assert_int_equal(b.n, 2); /* it moved, though only one record is another */
	for (size_t i = 0; i < 2; i++) {
		uint8_t id[32];
		image_id(2, id);
		assert_int_equal(lines_have(buf_span(&b.image[i].names), name),
		    !memcmp(b.image[i].id, id, 32));
	}
	batch_free(&b);
	EDIT(w, "images.pop()");
	batch_expect(w, &b);
	assert_int_equal(b.n, 2);
	batch_free(&b);
}

static void
test_damage(void **state)
{
	static const char *const files[] = {
	    "overlay-images/images.json", "overlay-layers/layers.json"};
	struct world *w = *state;
	struct batch b;
	struct ipc_msg m;

	filled(w, 3, 0);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		w->n_logged = 0;
		sh(w->f, 0,
		    "cp @D/G/%s @D/good && head -c 900 @D/good > @D/G/%s.new && "
		    "mv @D/G/%s.new @D/G/%s",
		    files[i], files[i], files[i], files[i]);
		quiet(w, 1600);
		logged(w, 1);
		assert_non_null(strstr(w->logged[0], "damaged"));
		struct ipc_msg q = IPC_MSG(images, .req = 5);
		tell(w, &q);
		assert_true(heard(w, &m, SOON_MS));
		assert_int_equal(m.type, MSG_done);
		assert_int_equal(m.done.code, ERR_CONTENT);
		/* Mended with one change more. */
		sh(w->f, 0, "mv @D/good @D/G/%s", files[i]);
		EDIT(w, "images[0][\"names\"].append(\"h.example/x:\" + str(len(images[0]"
			"[\"names\"])))");
		batch_expect(w, &b);
		only(&b, 0);
		batch_free(&b);
		assert_int_equal(w->n_logged, 1);
	}
}

/* Written in place by somebody who should not: seen in the end all the same. */
static void
test_torn(void **state)
{
	CLEANUP(batch_free) struct batch b;
	struct world *w = *state;

	filled(w, 3, 0);
	sh(w->f, 0,
	    "cd @D/G/overlay-images && cp images.json @D/all && "
	    "head -c 1000 @D/all > images.json");
	quiet(w, 1300);
	sh(w->f, 0,
	    "cd @D/G/overlay-images && python3 -c 'import json; a = "
	    "json.load(open(\"@D/all\")); json.dump(a[:2], separators=(\",\", \":\"), "
	    "fp=open(\"images.json\", "
	    "\"w\"))'");
	batch_expect(w, &b);
	assert_true(only(&b, 2)->gone);
}

static void
test_no_locks(void **state)
{
	CLEANUP(batch_free) struct batch b;
	struct world *w = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/fifo", w->f->dir);
	sh(w->f, 0, "mkfifo @D/fifo; : > @D/held");
	FD_AUTO fifo = open(path, O_RDWR | O_CLOEXEC);
	sh(w->f, 0,
	    "for l in images layers; do (python3 tests/store/holder.py "
	    "@D/G/overlay-$l/$l.lock < @D/fifo >> @D/held 2>&1 &); done");
	while (strlen(slurp(w->f, "held")) < 10)
		usleep(1000);
	filled(w, 3, 0);
	sh(w->f, 0,
	    "cd @D/G/overlay-images && python3 -c 'import json; a = "
	    "json.load(open(\"images.json\")); json.dump(a[1:], separators=(\",\", "
	    "\":\"), fp=open(\"new\", "
	    "\"w\"))' && mv new images.json");
	batch_expect(w, &b);
	assert_true(only(&b, 0)->gone);
	struct ipc_msg m = IPC_MSG(check_store, .req = 1);
	tell(w, &m);
	do {
		assert_true(heard(w, &m, SOON_MS));
	} while (m.type != MSG_done);
	/* The record was taken away, its documents and layers were not; all of them are
	 * younger than ten seconds. */
	assert_int_equal(m.done.code, ERR_OK);
	fd_close(&fifo);
}

/* The answer comes after the news. */
static void
test_own_changes(void **state)
{
	struct world *w = *state;
	struct batch b;
	char id[65];
	struct ipc_msg m;

	filled(w, 3, 0);
	struct ipc_msg untag = IPC_MSG(untag, .req = 1,
	    .ref = span_str("registry0.example.com/team0/service-0:v1.0"),
	    .name = span_str("registry0.example.com/team0/service-0:latest"));
	tell(w, &untag);
	batch_expect(w, &b);
	assert_false(b.done);
	assert_false(lines_have(buf_span(&only(&b, 0)->names),
	    span_str("registry0.example.com/team0/service-0:latest")));
	batch_free(&b);
	assert_true(heard(w, &m, SOON_MS));
	assert_int_equal(m.type, MSG_done);
	assert_int_equal(m.done.code, ERR_OK);
	EDIT(w, "images[0][\"names\"] = [\"h.io/a:1\", \"h.io/b:2\", \"h.io/c:3\"]");
	batch_expect(w, &b);
	hex_encode(only(&b, 0)->id, 32, id);
	batch_free(&b);
	struct ipc_msg rm = IPC_MSG(remove, .req = 2, .ref = span_str(id), .force = 1);
	tell(w, &rm);
	batch_expect(w, &b);
	assert_false(b.done);
	assert_true(only(&b, 0)->gone);
	batch_free(&b);
	assert_true(heard(w, &m, SOON_MS));
	assert_int_equal(m.type, MSG_done);
	assert_int_equal(m.done.code, ERR_OK);
	quiet(w, 100);
}

/* ---- what is meant ---- */

#define X "localhost/x:1\ndocker.io/library/x:1\n"
#define Y "localhost/y:1\nq.io/y:1\n"
#define Z "a.io/z:1\nb.io/z:1\n"

static void
change_ends(
    struct world *w, const struct ipc_msg *change, enum err_class code, const char *part)
{
	struct ipc_msg m;
	char text[2048];

	tell(w, change);
	do
		assert_true(hear(&w->k, &w->frontend, &m, 2000));
	while (m.type != MSG_done);
	assert_true(span_to_str(m.done.text, text, sizeof(text)));
	if (m.done.code != code || !strstr(text, part))
		fail_msg("%u %s", (unsigned)m.done.code, text);
}

/* What changes something means one image; what takes a name away, one name. */
static void
test_short_names(void **state)
{
	struct world *w = *state;
	const struct {
		const char *ref, *meanings, *name, *name_meanings;
		enum err_class code;
		const char *part;
	} untags[] = {
	    {"x:1", X, "", "", ERR_USAGE,
		"x:1 may be localhost/x:1 or docker.io/library/x:1, both in the store: "
		"write the whole name"},
	    {"z:1", Z, "z:1", Z, ERR_USAGE, "z:1 may be a.io/z:1 or b.io/z:1"},
	    {"z:1", Z, "y:1", Y, ERR_NOT_FOUND, "has no name y:1"},
	    {"z:1", Z, "b.io/z:1", "", ERR_OK, ""},
	    {"z:1", Z, "z:1", Z, ERR_OK, ""},
	    {"z:1", Z, "", "", ERR_NOT_FOUND, "no image z:1"},
	};

	EDIT(w, "images[0][\"names\"] = [\"localhost/x:1\", \"q.io/y:1\"]");
	EDIT(w, "images[1][\"names\"] = [\"docker.io/library/x:1\"]");
	EDIT(w, "images[2][\"names\"] = [\"a.io/z:1\", \"b.io/z:1\"]");
	struct ipc_msg rm =
	    IPC_MSG(remove, .ref = span_str("x:1"), .meanings = span_str(X), .force = 1);
	change_ends(
	    w, &rm, ERR_USAGE, "x:1 may be localhost/x:1 or docker.io/library/x:1");
	rm = (struct ipc_msg)IPC_MSG(
	    remove, .ref = span_str("z:1"), .meanings = span_str(Z));
	change_ends(w, &rm, ERR_USAGE, "z:1 may be a.io/z:1 or b.io/z:1");
	struct ipc_msg tag = IPC_MSG(tag, .ref = span_str("x:1"), .meanings = span_str(X),
	    .name = span_str("q.io/n:1"));
	change_ends(w, &tag, ERR_USAGE, "x:1 may be localhost/x:1");
	rm = (struct ipc_msg)IPC_MSG(
	    remove, .ref = span_str("y:1"), .meanings = span_str(Y));
	change_ends(w, &rm, ERR_OK, "");
	for (size_t i = 0; i < ARRAY_LEN(untags); i++) {
		struct ipc_msg m = IPC_MSG(untag, .ref = span_str(untags[i].ref),
		    .meanings = span_str(untags[i].meanings),
		    .name = span_str(untags[i].name),
		    .name_meanings = span_str(untags[i].name_meanings));
		change_ends(w, &m, untags[i].code, untags[i].part);
	}
	sh(w->f, 0,
	    "grep -q localhost/x:1 @D/G/overlay-images/images.json && "
	    "grep -q docker.io/library/x:1 @D/G/overlay-images/images.json && "
	    "! grep -q -e q.io/y -e z:1 @D/G/overlay-images/images.json");
}

/* As many as there may be; what follows is not believed. */
static void
test_many_meanings(void **state)
{
	struct world *w = *state;
	char lines[LIMIT_MEANINGS_TEXT + 1] = "";
	struct ipc_msg rm = IPC_MSG(remove, .ref = span_str("x:1"));

	EDIT(w, "images[0][\"names\"] = [\"q.io/x:1\"]");
	for (unsigned i = 0; i < LIMIT_MEANINGS; i++)
		strcat(lines, "a.io/x:1\n");
	strcat(lines, "q.io/x:1\n");
	rm.remove.meanings = span_str(lines);
	change_ends(w, &rm, ERR_NOT_FOUND, "no image x:1");
	rm.remove.meanings = span_str(lines + sizeof("a.io/x:1\n") - 1);
	change_ends(w, &rm, ERR_OK, "");
}

static void
test_in_use(void **state)
{
	struct world *w = *state;
	char text[400], id[65], container[65];
	uint8_t raw[32];
	struct ipc_msg m;

	image_id(1, raw);
	hex_encode(raw, 32, id);
	memset(container, 'c', 64);
	container[64] = 0;
	snprintf(text, sizeof(text),
	    "[{\"id\":\"%s\",\"image\":\"%s\",\"layer\":\"%s\"}]", container, id, id);
	put_file(w->f, "G/overlay-containers/volatile-containers.json", text);
	struct ipc_msg rm = IPC_MSG(remove, .req = 2, .ref = span_str(id), .force = 1);
	tell(w, &rm);
	assert_true(heard(w, &m, SOON_MS));
	assert_int_equal(m.type, MSG_done);
	assert_int_equal(m.done.code, ERR_IN_USE);
	assert_true(span_to_str(m.done.text, text, sizeof(text)));
	assert_non_null(strstr(text, container));
}

static void
test_described(void **state)
{
	struct world *w = *state;
	struct summary x = {.user = "app"};
	struct batch b;
	struct err e = {0};
	char id[65];
	uint8_t raw[32];

	filled(w, 3, 0);
	image_id(1, raw);
	memcpy(x.config, raw, 32);
	char *hex = sh(w->f, 0, "printf 'manifest 1' | sha256sum");
	assert_true(hex_decode(span_of(hex, 64), x.manifest, 32));
	assert_int_equal(summary_write(&w->k.store, hex_encode(raw, 32, id), &x, &e), 0);
	watch_described(&w->k, raw);
	batch_expect(w, &b);
	const struct heard *h = only(&b, 1);
	assert_true(h->described);
	assert_string_equal(h->user, "app");
	batch_free(&b);
	/* Known from the start the next time. */
	watch(w);
	batch_expect(w, &b);
	assert_int_equal(b.n, 3);
	assert_true(b.image[1].described && !b.image[0].described);
	batch_free(&b);
	/* Another manifest: what was said of the old one counts no more. */
	EDIT(
	    w, "images[1][\"big-data-digests\"][\"manifest\"] = \"sha256:\" + sha(\"\")");
	batch_expect(w, &b);
	assert_false(only(&b, 1)->described);
	batch_free(&b);
}

static void
test_again(void **state)
{
	struct world *w = *state;

	filled(w, 3, 0);
	filled(w, 3, 0);
	watch_stop(&w->k);
	EDIT(w, "del images[0]");
	quiet(w, 1200);
	filled(w, 2, 0);
}

/* Findings, then how many; never more rows than a person reads. */
static void
check_ends(struct world *w, unsigned rows, enum err_class code, const char *text)
{
	struct ipc_msg m = IPC_MSG(check_store, .req = 9);
	char got[200];
	unsigned n = 0;

	tell(w, &m);
	while (heard(w, &m, SOON_MS) && m.type == MSG_check_row) {
		assert_int_equal(m.check_row.req, 9);
		n++;
	}
	assert_int_equal(m.type, MSG_done);
	assert_int_equal(m.done.req, 9);
	assert_true(span_to_str(m.done.text, got, sizeof(got)));
	if (n != rows || m.done.code != code || strncmp(got, text, strlen(text)) != 0 ||
	    (!*text && *got))
		fail_msg("%u rows, code %u, %s", n, (unsigned)m.done.code, got);
}

static void
test_check(void **state)
{
	struct world *w = *state;
	struct ipc_msg m;

	check_ends(w, 0, ERR_OK, "");
	sh(w->f, 0, "rm @D/G/overlay-images/*/manifest");
	check_ends(w, 3, ERR_CONTENT, "3 findings; ");
	EDIT(w, "images[0][\"big-data-names\"] += [str(i) for i in range(1200)]");
	check_ends(w, 1001, ERR_CONTENT, "1204 findings; ");
	put_file(w->f, "G/overlay-images/images.json", "[{]");
	check_ends(w, 1, ERR_CONTENT, "1 finding; ");
	/* Four at once; a fifth is told to wait. */
	for (unsigned i = 0; i < 5; i++)
		check_begin(&w->k, &(struct msg_check_store){.req = i});
	assert_true(heard(w, &m, SOON_MS));
	assert_int_equal(m.type, MSG_done);
	assert_int_equal(m.done.req, 4);
	assert_int_equal(m.done.code, ERR_IN_USE);
	spin(&w->k, 50);
	assert_null(w->k.checks);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {T(test_fill), T(test_changes_of_others),
	    T(test_without_hint), T(test_token), T(test_broken_each),
	    T(test_broken_is_logged_once), T(test_many_names), T(test_shared_name),
	    T(test_damage), T(test_torn), T(test_no_locks), T(test_own_changes),
	    T(test_short_names), T(test_many_meanings), T(test_in_use), T(test_described),
	    T(test_again), T(test_check)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
