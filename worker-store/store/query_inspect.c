/* inspect: what the store knows, and the image's own documents, to a document room that
 * makes JSON of them. */
#include "worker-store/store/query.h"

#include "common/base/fd.h"

static void
fact(struct buf *b, const char *key, const char *value)
{
	buf_fmt(b, "%s\t", key);
	buf_str(b, value);
	buf_str(b, "\n");
}

static void
fact_repo_digest(void *arg, const char *name)
{
	fact(arg, "repo-digest", name);
}

/* The directories as the overlay driver names them, nearest layer first. */
static void
facts_graph(
    struct buf *b, struct view *v, const struct keeper *room, const struct record *image)
{
	struct span id = image->layer;

	for (unsigned n = 0; id.n && n < LIMIT_LAYERS + 1; n++) {
		struct record *l = table_find(&v->layers, id);
		if (!l || !id_is(id))
			break;
		if (n == 1)
			buf_str(b, "graph.LowerDir\t");
		else if (n > 1)
			buf_str(b, ":");
		else
			buf_str(b, "graph.UpperDir\t");
		buf_str(b, room->graph_root);
		buf_str(b, "/overlay/");
		buf_add(b, id);
		buf_str(b, "/diff");
		if (n == 0)
			buf_str(b, "\n");
		id = l->parent;
		if (n > 0 && !id.n)
			buf_str(b, "\n");
	}
	if (!id_is(image->layer))
		return;
	buf_str(b, "graph.WorkDir\t");
	buf_str(b, room->graph_root);
	buf_str(b, "/overlay/");
	buf_add(b, image->layer);
	buf_str(b, "/work\n");
}

static void
facts_make(struct buf *b, struct query *q, struct view *v, const struct record *image)
{
	struct name_iter it = image_names(image);
	struct record past = {.names = image->history};

	fact(b, "id", q->id);
	char digest[DIGEST_TEXT + 1];
	if (span_to_str(image->digest, digest, sizeof(digest)) && digest[0])
		fact(b, "digest", digest);
	buf_fmt(b, "size\t%llu\n", (unsigned long long)view_image_size(v, image, NULL));
	fact(b, "driver", "overlay");
	while (name_next(&it))
		fact(b, "name", it.text);
	repo_digests(image, fact_repo_digest, b);
	for (it = image_names(&past); name_next(&it);)
		fact(b, "history", it.text);
	facts_graph(b, v, q->room, image);
}

static int
item_memfd(struct query *q, const struct record *image, const char *key, struct err *e)
{
	CLEANUP(free_ptr) uint8_t *bytes = NULL;
	FD_AUTO fd = -1;
	uint64_t size;
	size_t n;

	int r = store_item_open(&q->room->store, image, key, &fd, &size, e);
	if (r < 0)
		return r;
	r = fd_read_whole(fd, LIMIT_DOCUMENT, &bytes, &n);
	if (r < 0)
		return err_errno(e, -r, "cannot read %s of an image", key);
	r = fd_sealed_memfd("document", bytes, n);
	return r < 0 ? err_errno(e, -r, "no memory for a document") : r;
}

static void
inspect_ask(struct helper *h)
{
	struct query *q = h->arg;
	struct ipc_msg m = IPC_MSG(render, .kind = q->kind);

	for (size_t i = 0; i < 3; i++)
		m.fds[i] = q->docs[i];
	m.nfds = 3;
	port_send(&h->port, &m);
}

static int
inspect_message(struct helper *h, struct ipc_msg *m)
{
	struct query *q = h->arg;
	char text[1024];
	size_t size;

	if (q->over)
		return 0;
	if (m->type == MSG_document_failed) {
		query_end(q, (enum err_class)m->document_failed.code,
		    span_escape(m->document_failed.text, text, sizeof(text)));
		return 0;
	}
	if (m->type != MSG_rendered || fd_check_sealed(m->fds[0], SIZE_MAX, &size) < 0)
		return -1;
	struct ipc_msg out = IPC_MSG(text, .req = q->req);
	out.fds[0] = m->fds[0];
	out.nfds = 1;
	port_send(&q->room->frontend, &out);
	query_end(q, ERR_OK, "");
	return 0;
}

static void
inspect_gone(struct helper *h)
{
	query_end(h->arg, ERR_INTERNAL, "the document room ended without an answer");
}

static void
inspect_failed(struct helper *h, const char *text)
{
	query_end(h->arg, h->opened ? ERR_CONTENT : ERR_INTERNAL, text);
}

void
inspect_begin(struct query *q)
{
	static const struct helper_ops ops = {
	    inspect_ask, inspect_message, inspect_gone, inspect_failed};
	CLEANUP(view_free) struct view v = VIEW_NONE;
	CLEANUP(buf_free) struct buf facts = {0};
	struct err e = {0};
	uint8_t digest[DIGEST_BYTES];
	char config[DIGEST_TEXT + 1];

	struct record *image = query_find(q, &v);
	if (!image)
		return;
	if (!image_config_digest(image, digest)) {
		query_end(q, ERR_CONTENT, "the image has no config that could be shown");
		return;
	}
	digest_print(digest, config);
	q->docs[0] = item_memfd(q, image, config, &e);
	q->docs[1] = q->docs[0] < 0 ? -1 : item_memfd(q, image, "manifest", &e);
	facts_make(&facts, q, &v, image);
	q->docs[2] = facts.bad ? -1 : fd_sealed_memfd("facts", facts.p, facts.n);
	if (q->docs[0] < 0 || q->docs[1] < 0 || q->docs[2] < 0) {
		query_end(
		    q, e.code ? e.code : ERR_INTERNAL, e.code ? e.text : "out of memory");
		return;
	}
	q->reader.arg = q;
	helper_want(q->room, &q->reader, ROOM_DOCUMENT, 0, room_token(q->room), 0, &ops);
}
