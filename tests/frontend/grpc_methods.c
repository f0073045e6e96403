#include "tests/frontend/grpc_methods.h"

#include "frontend/metrics.h"

#include <string.h>

/* What main.c otherwise gives. */
uint64_t
frontend_next_id(struct frontend *f)
{
	return ++f->last_id;
}

void
metrics_call(struct frontend *f, const char *name, unsigned code, uint64_t ms)
{
	struct world *w = (struct world *)f;

	w->ended[code % ARRAY_LEN(w->ended)]++;
}

static void
answer(struct call *c, size_t n, const void *bytes)
{
	struct blob *b = blob_new(n);

	if (!b) {
		call_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	if (bytes && n)
		memcpy(b->bytes, bytes, n);
	else
		memset(b->bytes, 'x', n);
	call_send(c, b, 0, n);
	blob_unref(b);
	call_finish(c, GRPC_OK, "");
}

static void
echo(struct call *c, struct span request)
{
	((struct world *)c->f)->started++;
	answer(c, request.n, request.p);
}

static size_t
number(struct span request)
{
	char text[32];

	return !span_to_str(request, text, sizeof(text)) ? 0 : strtoull(text, NULL, 10);
}

static void
big(struct call *c, struct span request)
{
	answer(c, number(request) % 10000001, NULL);
}

static void
stream(struct call *c, struct span request)
{
	struct world *w = (struct world *)c->f;

	for (size_t i = number(request) % 1001; i > 0; i--)
		call_send(c, w->chunk, i % 3, w->chunk->n - i % 3);
	call_finish(c, GRPC_OK, "");
}

static void
refuse(struct call *c, struct span request)
{
	char text[8192];

	if (request.n >= sizeof(text))
		request.n = sizeof(text) - 1;
	if (request.n)
		memcpy(text, request.p, request.n);
	text[request.n] = '\0';
	call_finish(c, GRPC_FAILED_PRECONDITION, text);
}

static void
wait_forget(struct call *c)
{
	struct world *w = (struct world *)c->f;

	for (size_t i = 0; i < w->waiting_n; i++) {
		if (w->waiting[i] == c)
			w->waiting[i--] = w->waiting[--w->waiting_n];
	}
}

static void
wait_cancelled(struct call *c)
{
	struct world *w = (struct world *)c->f;

	w->cancelled++;
	wait_forget(c);
	free(c->state);
	if (w->on_cancel)
		w->on_cancel(c);
}

static void
hold(struct call *c, struct span request)
{
	struct world *w = (struct world *)c->f;

	if (w->waiting_n == ARRAY_LEN(w->waiting)) {
		call_finish(c, GRPC_RESOURCE_EXHAUSTED, "too many wait");
		return;
	}
	w->started++;
	w->waiting[w->waiting_n++] = c;
	c->state = strdup("a method's own");
	c->cancelled = wait_cancelled;
}

struct call *
world_take(struct world *w)
{
	if (w->waiting_n == 0)
		abort();
	struct call *c = w->waiting[0];
	wait_forget(c);
	free(c->state);
	return c;
}

static const struct method methods[] = {
    {"/test.T/Echo", "Echo", echo},
    {"/test.T/Big", "Big", big},
    {"/test.T/Stream", "Stream", stream},
    {"/test.T/Fail", "Fail", refuse},
    {"/test.T/Wait", "Wait", hold},
};

void
world_init(struct world *w)
{
	if (loop_init(&w->f.loop) < 0)
		abort();
	struct grpc *g = grpc_of(&w->f);
	w->chunk = blob_new(10000);
	if (!g || !w->chunk)
		abort();
	g->methods = methods;
	g->methods_n = ARRAY_LEN(methods);
	for (size_t i = 0; i < w->chunk->n; i++)
		w->chunk->bytes[i] = (uint8_t)(i * 7);
}
