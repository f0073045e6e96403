/* The command's requests: pulls go to pull.c, everything else to the store or the
 * supervisor under a number of our own, and their answers back under the client's. */
#include "frontend/frontend.h"

#include "common/ref/ref.h"
#include "frontend/pull.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct query {
	struct query *next;
	struct client *client;
	uint64_t id, client_req;
};

void
client_done(struct client *c, uint64_t req, enum err_class code, struct span text)
{
	struct ipc_msg m = IPC_MSG(cli_done, .req = req, .code = code, .text = text);

	port_send(&c->port, &m);
}

static struct query *
query_new(struct client *c, uint64_t client_req)
{
	struct query *q = calloc(1, sizeof(*q));

	if (!q) {
		client_done(c, client_req, ERR_INTERNAL, span_str("out of memory"));
		return NULL;
	}
	q->client = c;
	q->client_req = client_req;
	q->id = frontend_next_id(c->f);
	q->next = c->f->queries;
	c->f->queries = q;
	return q;
}

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
query_finish(struct frontend *f, struct query *q, enum err_class code, struct span text)
{
	client_done(q->client, q->client_req, code, text);
	for (struct query **at = &f->queries; *at; at = &(*at)->next) {
		if (*at == q) {
			*at = q->next;
			break;
		}
	}
	free(q);
}

void
query_end_all(struct frontend *f, enum err_class code, const char *text)
{
	while (f->queries)
		query_finish(f, f->queries, code, span_str(text));
}

/* ---- requests ---- */

static int
client_pull(struct client *c, struct ipc_msg *m)
{
	struct err e = {0};

	if (pull_start(c, &m->cli_pull, &e) < 0)
		client_done(c, m->cli_pull.req, e.code, span_str(e.text));
	return 0;
}

static int
client_cancel(struct client *c, struct ipc_msg *m)
{
	pull_cancel(c->f, m->cli_cancel.req);
	return 0;
}

/* A new name is recorded only in its canonical form. */
static int
client_tag(struct client *c, struct ipc_msg *m)
{
	char name[REF_TEXT];
	struct ref ref;
	struct err e = {0};

	if (*c->f->policy_problem)
		err_set(&e, ERR_POLICY, "%s", c->f->policy_problem);
	else if (ref_parse(m->cli_tag.name, &ref, &e) == 0 && ref.has_digest)
		err_set(&e, ERR_USAGE,
		    "a name with a digest cannot be given to an image: use a tag");
	if (e.code) {
		client_done(c, m->cli_tag.req, e.code, span_str(e.text));
		return 0;
	}
	ref_default_tag(&ref);
	struct query *q = query_new(c, m->cli_tag.req);
	struct ipc_msg s = IPC_MSG(tag, .req = q ? q->id : 0, .ref = m->cli_tag.ref,
	    .name = span_str(ref_print(&ref, name)));
	return q ? port_send(&c->f->store, &s) : 0;
}

/* Requests that go on as they are, under our number. */
#define PASS(from, to, port_)                                                      \
	static int client_##to(struct client *c, struct ipc_msg *m)                \
	{                                                                          \
		struct query *q = query_new(c, m->from.req);                       \
		if (!q)                                                            \
			return 0;                                                  \
		struct ipc_msg s = {.type = MSG_##to, .fds = {-1, -1, -1, -1}};    \
		static_assert(sizeof(s.to) == sizeof(m->from), "the same fields"); \
		memcpy(&s.to, &m->from, sizeof(s.to));                             \
		s.to.req = q->id;                                                  \
		return port_send(&c->f->port_, &s);                                \
	}
PASS(cli_images, images, store)
PASS(cli_inspect, inspect, store)
PASS(cli_remove, remove, store)
PASS(cli_untag, untag, store)
PASS(cli_fsinfo, fsinfo, store)
PASS(cli_status, status, control)

static const struct {
	enum ipc_type type;
	int (*handle)(struct client *c, struct ipc_msg *m);
} requests[] = {
    {MSG_cli_pull, client_pull},
    {MSG_cli_cancel, client_cancel},
    {MSG_cli_images, client_images},
    {MSG_cli_inspect, client_inspect},
    {MSG_cli_remove, client_remove},
    {MSG_cli_tag, client_tag},
    {MSG_cli_untag, client_untag},
    {MSG_cli_fsinfo, client_fsinfo},
    {MSG_cli_status, client_status},
};

static int
client_message(struct port *p, struct ipc_msg *m)
{
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		if (requests[i].type == m->type)
			return requests[i].handle(p->arg, m);
	}
	return -EPROTO;
}

static void
client_ended(struct port *p, const char *why)
{
	struct client *c = p->arg;

	if (why)
		frontend_log(c->f, "the command broke the protocol: %s", why);
	port_release(p);
	loop_quit(&c->f->loop); /* embedded: the one client is the reason to live */
}

int
client_open(struct frontend *f, int fd)
{
	struct client *c = &f->client;

	if (port_is_open(&c->port)) {
		close(fd);
		return -EEXIST;
	}
	c->f = f;
	c->port.message = client_message;
	c->port.ended = client_ended;
	c->port.arg = c;
	return port_open(
	    &c->port, &f->loop, fd, CH_cli, ROOM_FRONTEND, ROOM_CLI, IPC_RUN);
}

/* ---- answers ---- */

/* Rows that go back as they are, under the client's number; fds go along. */
#define BACK(from, to)                                                             \
	case MSG_##from: {                                                         \
		struct query *q = query_find(f, m->from.req);                      \
		if (!q)                                                            \
			return 0;                                                  \
		struct ipc_msg c = {                                               \
		    .type = MSG_##to, .fds = {-1, -1, -1, -1}, .nfds = m->nfds};   \
		static_assert(sizeof(c.to) == sizeof(m->from), "the same fields"); \
		memcpy(&c.to, &m->from, sizeof(c.to));                             \
		memcpy(c.fds, m->fds, sizeof(c.fds));                              \
		c.to.req = q->client_req;                                          \
		return port_send(&q->client->port, &c);                            \
	}

static int
query_end(struct frontend *f, uint64_t req, uint64_t code, struct span text)
{
	struct query *q = query_find(f, req);

	if (q)
		query_finish(f, q, (enum err_class)code, text);
	return 0;
}

int
query_answer(struct frontend *f, struct ipc_msg *m)
{
	switch (m->type) {
		BACK(image, cli_image)
		BACK(image_name, cli_image_name)
		BACK(text, cli_text)
		BACK(removed, cli_removed)
		BACK(fsinfo_row, cli_fsinfo_row)
		BACK(status_row, cli_status_row)
	case MSG_done:
		return query_end(f, m->done.req, m->done.code, m->done.text);
	case MSG_status_end:
		return query_end(
		    f, m->status_end.req, m->status_end.code, m->status_end.text);
	default:
		return -EPROTO;
	}
}
