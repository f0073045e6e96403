/* What commands ask about names. */
#include "frontend/clients.h"

#include "frontend/registries.h"

#include <errno.h>
#include <stdlib.h>

static void
name_row(struct client *c, uint64_t req, const char *name)
{
	struct ipc_msg m = IPC_MSG(cli_image_name, .req = req, .name = span_str(name));

	port_send(&c->port, &m);
}

static void
resolve_name(struct client *c, uint64_t req, struct span name)
{
	struct candidates all;
	struct err e = {0};
	char text[REF_TEXT];

	if (registries_candidates(c->f->registries, name, &all, &e) < 0) {
		client_done(c, req, e.code, span_str(e.text));
		return;
	}
	for (unsigned i = 0; i < all.n; i++)
		name_row(c, req, ref_print(&all.ref[i], text));
	client_done(c, req, ERR_OK, span_str(""));
}

/* What may be the beginning of an image's ID: that, if there is such an image. */
struct resolving {
	struct ask *ask;
	struct id_prefix id;
	unsigned found;
	char name[LIMIT_NAME + 1];
};

static void
id_row(struct query *q, struct ipc_msg *m)
{
	struct resolving *r = q->arg;
	char hex[2 * DIGEST_BYTES + 1];

	if (m->type != MSG_image)
		return;
	hex_encode(m->image.id, DIGEST_BYTES, hex);
	if (strncmp(hex, r->id.hex, r->id.n) != 0)
		return;
	r->found++;
	name_row(r->ask->client, r->ask->req, hex);
}

static void
id_done(struct query *q, enum err_class code, struct span text)
{
	struct resolving *r = q->arg;
	struct ask *a = r->ask;

	if (code != ERR_OK || r->found)
		client_done(a->client, a->req, code, text);
	else
		resolve_name(a->client, a->req, span_str(r->name));
	ask_free(a);
}

int
client_resolve(struct client *c, struct ipc_msg *m)
{
	const struct msg_cli_resolve *in = &m->cli_resolve;
	struct id_prefix id;

	if (!id_prefix_parse(in->name, &id)) {
		resolve_name(c, in->req, in->name);
		return 0;
	}
	struct query *q = ask_query(c, in->req);
	struct resolving *r = q ? calloc(1, sizeof(*r)) : NULL;
	if (!r)
		return q ? -ENOMEM : 0;
	r->ask = q->arg;
	r->ask->own = r;
	r->id = id;
	(void)!span_to_str(in->name, r->name, sizeof(r->name));
	q->row = id_row;
	q->done = id_done;
	q->arg = r;
	struct ipc_msg s = IPC_MSG(images, .req = q->id);
	return port_send(&c->f->store, &s);
}
