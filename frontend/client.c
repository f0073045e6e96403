/* The requests of commands: pulls go to pull.c, everything else to the store or the
 * supervisor under a number of our own, and their answers back under the client's. */
#include "frontend/clients.h"

#include "common/ref/ref.h"
#include "frontend/ps.h"
#include "frontend/pull.h"
#include "frontend/registries.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void
client_done(struct client *c, uint64_t req, enum err_class code, struct span text)
{
	struct ipc_msg m = IPC_MSG(cli_done, .req = req,
	    .code = code == ERR_BLOCKED ? ERR_POLICY : code, .text = text);

	port_send(&c->port, &m);
}

struct ask *
ask_new(struct client *c, uint64_t req)
{
	struct ask *a = NULL;

	if (c->n_asks == LIMIT_CONTROL_REQUESTS) {
		client_done(c, req, ERR_USAGE,
		    span_str("too many requests at once on one connection"));
		return NULL;
	}
	a = calloc(1, sizeof(*a));
	if (!a) {
		client_done(c, req, ERR_INTERNAL, span_str("out of memory"));
		return NULL;
	}
	a->client = c;
	a->req = req;
	a->next = c->asks;
	c->asks = a;
	c->n_asks++;
	return a;
}

void
ask_free(struct ask *a)
{
	struct client *c = a->client;

	struct ask **at = &c->asks;
	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	c->n_asks--;
	(a->own_free ? a->own_free : free)(a->own);
	free(a);
}

/* ---- queries ---- */

/* Rows that go back as they are, under the client's number; fds go along. */
#define BACK(from, to)                                                             \
	case MSG_##from: {                                                         \
		struct ipc_msg c = {                                               \
		    .type = MSG_##to, .fds = {-1, -1, -1, -1}, .nfds = m->nfds};   \
		static_assert(sizeof(c.to) == sizeof(m->from), "the same fields"); \
		memcpy(&c.to, &m->from, sizeof(c.to));                             \
		memcpy(c.fds, m->fds, sizeof(c.fds));                              \
		c.to.req = a->req;                                                 \
		port_send(&a->client->port, &c);                                   \
		return;                                                            \
	}

static void
answer_row(struct query *q, struct ipc_msg *m)
{
	const struct ask *a = q->arg;

	switch (m->type) {
		BACK(image, cli_image)
		BACK(image_name, cli_image_name)
		BACK(text, cli_text)
		BACK(removed, cli_removed)
		BACK(fsinfo_row, cli_fsinfo_row)
		BACK(check_row, cli_check_row)
		BACK(check_fetch, cli_check_fetch)
		BACK(check_progress, cli_check_progress)
		BACK(status_row, cli_status_row)
	default:
		return;
	}
}

static void
answer_done(struct query *q, enum err_class code, struct span text)
{
	struct ask *a = q->arg;

	client_done(a->client, a->req, code, text);
	ask_free(a);
}

struct query *
ask_query(struct client *c, uint64_t req)
{
	struct ask *a = ask_new(c, req);

	if (!a)
		return NULL;
	a->query = query_new(c->f);
	if (!a->query) {
		client_done(c, req, ERR_INTERNAL, span_str("out of memory"));
		ask_free(a);
		return NULL;
	}
	a->query->row = answer_row;
	a->query->done = answer_done;
	a->query->arg = a;
	return a->query;
}

/* ---- pulls ---- */

static void
told_layer(struct waiter *w, const struct msg_layer *l)
{
	const struct ask *a = w->arg;
	struct ipc_msg m = IPC_MSG(cli_layer, .req = a->req, .index = l->index,
	    .count = l->count, .size = l->size, .state = l->state);

	memcpy(m.cli_layer.digest, l->digest, sizeof(m.cli_layer.digest));
	port_send(&a->client->port, &m);
}

static void
told_progress(struct waiter *w, const struct msg_progress *p)
{
	const struct ask *a = w->arg;
	struct ipc_msg m = IPC_MSG(cli_progress, .req = a->req, .index = p->index,
	    .stage = p->stage, .bytes = p->bytes);

	port_send(&a->client->port, &m);
}

static void
told_text(struct waiter *w, struct ipc_msg *text)
{
	const struct ask *a = w->arg;
	struct ipc_msg m = IPC_MSG(cli_text, .req = a->req);

	m.fds[0] = text->fds[0];
	m.nfds = 1;
	port_send(&a->client->port, &m);
}

static void
told_done(struct waiter *w, enum err_class code, const uint8_t image[32], bool fresh,
    struct span text)
{
	struct ask *a = w->arg;

	if (code == ERR_OK) {
		struct ipc_msg m = IPC_MSG(cli_pulled, .req = a->req, .fresh = fresh);
		memcpy(m.cli_pulled.image, image, sizeof(m.cli_pulled.image));
		port_send(&a->client->port, &m);
	}
	client_done(a->client, a->req, code, text);
	ask_free(a);
}

static const struct waiter_ops waiter_ops = {
    told_layer, told_progress, told_text, told_done};

static int
client_pull(struct client *c, struct ipc_msg *m)
{
	const struct msg_cli_pull *p = &m->cli_pull;
	struct pull_options o = {.name = p->name,
	    .os = p->os,
	    .architecture = p->architecture,
	    .variant = p->variant,
	    .verify = (unsigned)p->verify,
	    .mode = (enum pull_mode)p->mode,
	    .auth = (enum fetch_auth)p->auth,
	    .secret = p->secret,
	    .source = span_str(p->auth == AUTH_GIVEN ? "--creds" : "")};
	struct err e = {0};
	struct ask *a = ask_new(c, p->req);

	if (!a)
		return 0;
	a->waiter.ops = &waiter_ops;
	a->waiter.arg = a;
	int r = pull_join(c->f, &a->waiter, &o, &e);
	/* The packet lies there until the client's next one. */
	if (p->secret.n)
		explicit_bzero((void *)(uintptr_t)p->secret.p, p->secret.n);
	if (r < 0) {
		client_done(c, a->req, e.code, span_str(e.text));
		ask_free(a);
	} else if (r == PULL_JOINED) {
		struct ipc_msg j = IPC_MSG(
		    cli_joined, .req = a->req, .waiters = pull_waiters(a->waiter.pull));
		port_send(&c->port, &j);
	}
	return 0;
}

/* ---- requests ---- */

/* The store knows no registries.conf, and sees alone which of them it has. */
static struct span
meanings(const struct client *c, struct span ref, char dst[LIMIT_MEANINGS_TEXT + 1])
{
	return span_str(registries_meanings(c->f->registries, ref, dst));
}

/* A new name is recorded only in its canonical form. */
static int
client_tag(struct client *c, struct ipc_msg *m)
{
	char name[REF_TEXT], meant[LIMIT_MEANINGS_TEXT + 1];
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
	struct query *q = ask_query(c, m->cli_tag.req);
	struct ipc_msg s = IPC_MSG(tag, .req = q ? q->id : 0, .ref = m->cli_tag.ref,
	    .name = span_str(ref_print(&ref, name)),
	    .meanings = meanings(c, m->cli_tag.ref, meant));
	return q ? port_send(&c->f->store, &s) : 0;
}

static int
client_untag(struct client *c, struct ipc_msg *m)
{
	char meant[LIMIT_MEANINGS_TEXT + 1], name_meant[LIMIT_MEANINGS_TEXT + 1];
	const struct msg_cli_untag *in = &m->cli_untag;
	struct query *q = ask_query(c, in->req);
	struct ipc_msg s = IPC_MSG(untag, .req = q ? q->id : 0, .ref = in->ref,
	    .name = in->name, .meanings = meanings(c, in->ref, meant),
	    .name_meanings = meanings(c, in->name, name_meant));

	return q ? port_send(&c->f->store, &s) : 0;
}

static int
client_remove(struct client *c, struct ipc_msg *m)
{
	char meant[LIMIT_MEANINGS_TEXT + 1];
	const struct msg_cli_remove *in = &m->cli_remove;
	struct query *q = ask_query(c, in->req);
	struct ipc_msg s = IPC_MSG(remove, .req = q ? q->id : 0, .ref = in->ref,
	    .force = in->force, .meanings = meanings(c, in->ref, meant));

	return q ? port_send(&c->f->store, &s) : 0;
}

static int
client_inspect(struct client *c, struct ipc_msg *m)
{
	char meant[LIMIT_MEANINGS_TEXT + 1];
	const struct msg_cli_inspect *in = &m->cli_inspect;
	struct query *q = ask_query(c, in->req);
	struct ipc_msg s = IPC_MSG(inspect, .req = q ? q->id : 0, .ref = in->ref,
	    .kind = in->kind, .meanings = meanings(c, in->ref, meant));

	return q ? port_send(&c->f->store, &s) : 0;
}

/* Requests that go on as they are, under our number. */
#define PASS(from, to, port_)                                                      \
	static int client_##to(struct client *c, struct ipc_msg *m)                \
	{                                                                          \
		struct query *q = ask_query(c, m->from.req);                       \
		if (!q)                                                            \
			return 0;                                                  \
		struct ipc_msg s = {.type = MSG_##to, .fds = {-1, -1, -1, -1}};    \
		static_assert(sizeof(s.to) == sizeof(m->from), "the same fields"); \
		memcpy(&s.to, &m->from, sizeof(s.to));                             \
		s.to.req = q->id;                                                  \
		q->of_supervisor = &c->f->port_ == &c->f->control;                 \
		return port_send(&c->f->port_, &s);                                \
	}
PASS(cli_images, images, store)
PASS(cli_fsinfo, fsinfo, store)
PASS(cli_status, status, control)

static int
client_check(struct client *c, struct ipc_msg *m)
{
	struct query *q = ask_query(c, m->cli_check.req);

	if (!q)
		return 0;
	struct ask *a = q->arg;
	a->check = true;
	struct ipc_msg s = IPC_MSG(check_store, .req = q->id, .deep = m->cli_check.deep,
	    .mend = m->cli_check.mend);
	return port_send(&c->f->store, &s);
}

static void
check_stop(const struct ask *a)
{
	struct ipc_msg s = IPC_MSG(check_cancel, .req = a->query->id);

	if (a->check)
		port_send(&a->client->f->store, &s);
}

static int
client_cancel(struct client *c, struct ipc_msg *m)
{
	for (struct ask *a = c->asks; a; a = a->next) {
		if (a->req != m->cli_cancel.req)
			continue;
		if (a->waiter.pull)
			pull_cancel(&a->waiter);
		else if (a->query)
			check_stop(a);
		break;
	}
	return 0;
}

static int
client_ps(struct client *c, struct ipc_msg *m)
{
	ps_send(c->f, &c->port, m->cli_ps.req);
	client_done(c, m->cli_ps.req, ERR_OK, span_str(""));
	return 0;
}

/* Nothing else is understood between two programs that were built from different tables.
 */
static int
client_hello(struct client *c, struct ipc_msg *m)
{
	if (memcmp(m->cli_hello.schema, ipc_schema_hash, sizeof(m->cli_hello.schema)) ==
	    0) {
		c->port.chan.phase = IPC_RUN;
		return 0;
	}
	client_done(c, 0, ERR_USAGE,
	    span_str("this bulkhead and the daemon are of different versions: install "
		     "both from one package and restart the daemon"));
	return -EPROTO;
}

static const struct {
	enum ipc_type type;
	int (*handle)(struct client *c, struct ipc_msg *m);
} requests[] = {
    {MSG_cli_hello, client_hello},
    {MSG_cli_pull, client_pull},
    {MSG_cli_cancel, client_cancel},
    {MSG_cli_images, client_images},
    {MSG_cli_inspect, client_inspect},
    {MSG_cli_remove, client_remove},
    {MSG_cli_tag, client_tag},
    {MSG_cli_untag, client_untag},
    {MSG_cli_fsinfo, client_fsinfo},
    {MSG_cli_check, client_check},
    {MSG_cli_status, client_status},
    {MSG_cli_ps, client_ps},
    {MSG_cli_resolve, client_resolve},
    {MSG_cli_explain, client_explain},
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

/* ---- coming and going ---- */

static void
client_free(struct client *c)
{
	for (struct ask *a = c->asks, *next; a; a = next) {
		next = a->next;
		if (a->query) {
			check_stop(a);
			query_forget(a->query);
		}
		pull_leave(&a->waiter);
		ask_free(a);
	}
	struct client **at = &c->f->clients;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->f->n_clients--;
	port_release(&c->port);
	free(c);
}

static void
client_ended(struct port *p, const char *why)
{
	struct client *c = p->arg;
	struct frontend *f = c->f;

	if (why)
		frontend_log(f, "a command broke the protocol: %s", why);
	if (f->embedded) /* the one client is the reason to live */
		loop_quit(&f->loop);
	client_free(c);
}

int
client_open(struct frontend *f, int fd)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->f = f;
	c->port.message = client_message;
	c->port.ended = client_ended;
	c->port.arg = c;
	int r =
	    port_open(&c->port, &f->loop, fd, CH_cli, ROOM_FRONTEND, ROOM_CLI, IPC_START);
	if (r < 0) {
		free(c);
		return r;
	}
	c->next = f->clients;
	f->clients = c;
	f->n_clients++;
	return 0;
}

void
client_close_all(struct frontend *f)
{
	for (struct client *c = f->clients, *next; c; c = next) {
		next = c->next;
		client_free(c);
	}
}
