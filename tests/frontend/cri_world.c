#include "tests/frontend/cri_world.h"

#include "common/base/fd.h"
#include "frontend/metrics.h"
#include "tests/settle.h"

#include <unistd.h>

struct world *world;

/* ---- what other files of the frontend give ---- */

uint64_t
frontend_next_id(struct frontend *f)
{
	return ++f->last_id;
}

void
frontend_log(struct frontend *f, const char *fmt, ...)
{
	world->logged++;
}

void
metrics_count(struct frontend *f, enum metric m, uint64_t n)
{
}

void
call_send(struct call *c, struct blob *b, size_t at, size_t n)
{
	struct asked *a = c->stream;

	assert_false(a->finished);
	assert_true(a->sent < ANSWERS);
	assert_true(at + n <= b->n);
	a->parts[a->sent] = blob_ref(b);
	a->at[a->sent] = at;
	a->n[a->sent++] = n;
}

void
call_finish(struct call *c, enum grpc_code code, const char *text)
{
	struct asked *a = c->stream;

	assert_false(a->finished);
	a->finished = true;
	a->code = code;
	snprintf(a->text, sizeof(a->text), "%s", text);
	c->cancelled = NULL;
	c->state = NULL;
}

struct query *
query_new(struct frontend *f)
{
	struct query *q = calloc(1, sizeof(*q));

	assert_non_null(q);
	q->f = f;
	q->id = frontend_next_id(f);
	q->next = f->queries;
	f->queries = q;
	return q;
}

static void
query_unlink(struct query *q)
{
	struct query **at = &q->f->queries;

	while (*at != q) {
		assert_non_null(*at);
		at = &(*at)->next;
	}
	*at = q->next;
}

void
query_forget(struct query *q)
{
	query_unlink(q);
	free(q);
}

int
pull_join(
    struct frontend *f, struct waiter *w, const struct pull_options *o, struct err *e)
{
	struct wish *wish = &world->wish;

	wish->options = *o;
	assert_true(span_to_str(o->name, wish->name, sizeof(wish->name)));
	assert_true(span_to_str(o->namespace, wish->namespace, sizeof(wish->namespace)));
	assert_true(o->secret.n <= sizeof(wish->secret));
	if (o->secret.n)
		memcpy(wish->secret, o->secret.p, o->secret.n);
	wish->options.secret.p = wish->secret;
	if (wish->refuse)
		return err_set(e, wish->refuse, "refused at once");
	wish->joined++;
	wish->waiter = w;
	w->pull = (struct pull *)wish;
	return 0;
}

void
pull_leave(struct waiter *w)
{
	if (!w->pull)
		return;
	assert_ptr_equal(world->wish.waiter, w);
	world->wish.waiter = NULL;
	world->wish.left++;
	w->pull = NULL;
}

/* ---- the world ---- */

static void
port_gone(struct port *p, const char *why)
{
	port_release(p);
}

static int
port_silent(struct port *p, struct ipc_msg *m)
{
	return 0;
}

void
world_open(void)
{
	int fds[2];

	world = calloc(1, sizeof(*world));
	assert_non_null(world);
	assert_int_equal(loop_init(&world->f.loop), 0);
	assert_int_equal(chan_pair(fds), 0);
	world->f.store.message = port_silent;
	world->f.store.ended = port_gone;
	assert_int_equal(port_open(&world->f.store, &world->f.loop, fds[0],
			     CH_frontend_store, ROOM_FRONTEND, ROOM_STORE, IPC_RUN),
	    0);
	assert_int_equal(chan_init(&world->store, fds[1], CH_frontend_store, ROOM_STORE,
			     ROOM_FRONTEND),
	    0);
	world->store.phase = IPC_RUN;
}

void
world_close(void)
{
	assert_null(world->f.queries);
	assert_null(world->wish.waiter);
	assert_null(world->f.loop.timers);
	cache_free(&world->f);
	port_release(&world->f.store);
	chan_release(&world->store);
	loop_release(&world->f.loop);
	free(world);
	world = NULL;
}

void
settle(void)
{
	assert_int_equal(loop_settle(&world->f.loop, 2), 0);
}

/* ---- calls ---- */

struct asked *
ask(const char *name, struct wire *request)
{
	struct asked *a = calloc(1, sizeof(*a));

	assert_non_null(a);
	for (size_t i = 0; i < cri_methods_n; i++) {
		if (strcmp(cri_methods[i].name, name) != 0)
			continue;
		a->call = (struct call){.f = &world->f,
		    .method = &cri_methods[i],
		    .id = frontend_next_id(&world->f),
		    .stream = a};
		cri_methods[i].start(&a->call, wire_span(request));
	}
	assert_non_null(a->call.method);
	wire_free(request);
	return a;
}

struct span
answer(const struct asked *a, unsigned i)
{
	assert_true(a->finished && a->code == GRPC_OK);
	assert_true(i < a->sent);
	return span_of(a->parts[i]->bytes + a->at[i], a->n[i]);
}

void
expect_end(const struct asked *a, enum grpc_code code, const char *part)
{
	if (!a->finished)
		fail_msg("the call goes on");
	if (a->code != code || !strstr(a->text, part))
		fail_msg("%d \"%s\" instead of %d \"%s\"", a->code, a->text, code, part);
}

void
ask_cancel(struct asked *a)
{
	assert_false(a->finished);
	assert_non_null(a->call.cancelled);
	a->call.cancelled(&a->call);
	a->finished = true;
}

void
asked_free(struct asked *a)
{
	assert_true(a->finished);
	for (unsigned i = 0; i < a->sent; i++)
		blob_unref(a->parts[i]);
	free(a);
}

struct wire
image_request(const char *image, bool verbose)
{
	struct wire w = {0}, spec = {0};

	wire_text(&spec, 1, image);
	wire_sub(&w, 1, &spec);
	if (verbose)
		wire_number(&w, 2, 1);
	return w;
}

/* ---- the store ---- */

static void
set_id(uint8_t id[32], uint8_t first)
{
	memset(id, 0x11, 32);
	id[0] = first;
}

int
tell(struct ipc_msg *m)
{
	return cache_message(&world->f, m);
}

void
tell_image(uint8_t id, const char *names, const char *user, bool described)
{
	struct ipc_msg m = IPC_MSG(cache_image, .size = 1000 + id, .described = described,
	    .user = span_str(user), .names = span_str(names));

	set_id(m.cache_image.id, id);
	assert_int_equal(tell(&m), 0);
}

void
tell_gone(uint8_t id)
{
	struct ipc_msg m = IPC_MSG(cache_gone);

	set_id(m.cache_gone.id, id);
	assert_int_equal(tell(&m), 0);
}

void
tell_end(void)
{
	struct ipc_msg m = IPC_MSG(cache_end, .generation = 1, .bytes = 4096,
	    .inodes = 100, .inodes_free = 60, .root = span_str("/var/lib/store"));

	assert_int_equal(tell(&m), 0);
}

struct ipc_msg *
store_expect(enum ipc_type type)
{
	const char *why = "";

	int r = chan_recv_wait(&world->store, &world->last, 1000, &why);
	if (r != 0)
		fail_msg("the store was asked nothing (%d %s)", r, why);
	assert_int_equal(world->last.type, type);
	return &world->last;
}

void
store_expect_nothing(void)
{
	const char *why = "";

	assert_int_equal(chan_recv(&world->store, &world->last, &why), CHAN_EMPTY);
}

static struct query *
query_at(uint64_t req)
{
	for (struct query *q = world->f.queries; q; q = q->next) {
		if (q->id == req)
			return q;
	}
	return NULL;
}

void
store_done(uint64_t req, enum err_class code, const char *text)
{
	struct query *q = query_at(req);

	assert_non_null(q);
	query_unlink(q);
	q->done(q, code, span_str(text));
	free(q);
}

void
store_text(uint64_t req, int fd)
{
	struct query *q = query_at(req);
	struct ipc_msg m = IPC_MSG(text, .req = req);

	assert_non_null(q);
	m.fds[0] = fd;
	m.nfds = 1;
	q->row(q, &m);
	ipc_msg_release(&m);
}
