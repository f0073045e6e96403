#include "worker-store/store/description.h"

#include "common/base/fd.h"
#include "worker-store/store/hash.h"
#include "worker-store/store/rows.h"
#include "worker-store/store/watch.h"

#include <errno.h>

/* NULL with e filled: it is not there, or the records cannot be read. */
const struct record *
record_now(struct keeper *room, const char *id, uint64_t *key, struct err *e)
{
	struct rows *rows = watch_rows(room, e);

	if (!rows)
		return NULL;
	struct record *r = table_find(&rows->v->images, span_str(id));
	if (!r) {
		err_set(e, ERR_NOT_FOUND, "no image %.12s in the store", id);
		return NULL;
	}
	*key = rows_key(rows, (size_t)(r - rows->v->images.rec));
	return r;
}

/* ---- one document ---- */

/* The store's own bytes of it, if they are those of the digest. A sealed memfd, or
 * negative. */
static int
document_open(const struct store *s, const struct record *image, const char *key,
    const uint8_t digest[DIGEST_BYTES], struct err *e)
{
	CLEANUP(free_ptr) uint8_t *bytes = NULL;
	uint8_t hash[DIGEST_BYTES];
	FD_AUTO fd = -1;
	uint64_t size;
	size_t n = 0;

	int r = store_item_open(s, image, key, &fd, &size, e);
	if (r == -ENOENT || (r < 0 && e->code == ERR_NOT_FOUND)) {
		*e = (struct err){0};
		return err_set(e, ERR_CONTENT, "its %s is not in the store",
		    key[0] == 'm' ? "manifest" : "config");
	}
	if (r < 0)
		return r;
	if (size > LIMIT_DOCUMENT)
		return err_set(e, ERR_CONTENT, "its %s has more than %llu bytes",
		    key[0] == 'm' ? "manifest" : "config",
		    (unsigned long long)LIMIT_DOCUMENT);
	r = fd_read_whole(fd, LIMIT_DOCUMENT, &bytes, &n);
	if (r == 0)
		r = sha256(span_of(bytes, n), hash);
	if (r < 0)
		return err_errno(e, -r, "cannot read %s of an image", key);
	if (memcmp(hash, digest, sizeof(hash)) != 0)
		return err_set(e, ERR_CONTENT,
		    "its %s is damaged: the bytes do not hash to the recorded digest",
		    key[0] == 'm' ? "manifest" : "config");
	r = fd_sealed_memfd("document", bytes, n);
	return r < 0 ? err_errno(e, -r, "no memory for a document") : r;
}

static void
reader_ask(struct helper *h)
{
	struct description *x = h->arg;
	struct ipc_msg m = IPC_MSG(parse, .kind = x->kind);

	m.fds[0] = x->fd;
	m.nfds = 1;
	port_send(&h->port, &m);
}

static int
on_manifest(struct description *x, const struct msg_manifest_answer *a)
{
	if (x->kind != DOC_MANIFEST || !summary_annotations(&x->summary, a->annotations))
		return -1;
	if (memcmp(a->config, x->summary.config, DIGEST_BYTES) != 0)
		err_set(&x->e, ERR_CONTENT,
		    "its manifest names another config than the one it is stored with");
	return 0;
}

static int
reader_message(struct helper *h, struct ipc_msg *m)
{
	struct description *x = h->arg;
	char text[1024];

	if (x->answered)
		return -1;
	x->answered = true;
	switch (m->type) {
	case MSG_manifest_answer:
		return on_manifest(x, &m->manifest_answer);
	case MSG_config_answer:
		return x->kind == DOC_CONFIG &&
			       summary_user(&x->summary, m->config_answer.user)
			   ? 0
			   : -1;
	case MSG_document_failed:
		/* Of a document that is what its digest says, this is what there is to
		 * say. */
		err_set(&x->e,
		    m->document_failed.code == ERR_INTERNAL ? ERR_INTERNAL : ERR_CONTENT,
		    "%s", span_escape(m->document_failed.text, text, sizeof(text)));
		return 0;
	default:
		return -1;
	}
}

static void read_next(struct description *x, enum document_kind kind);
static void description_done(struct description *x);

static void
reader_gone(struct helper *h)
{
	struct description *x = h->arg;

	helper_drop(h);
	if (!x->answered)
		err_set(&x->e, ERR_INTERNAL, "the document room ended without an answer");
	if (x->e.code)
		x->ended(x);
	else if (x->kind == DOC_MANIFEST)
		read_next(x, DOC_CONFIG);
	else
		description_done(x);
}

static void
reader_failed(struct helper *h, const char *text)
{
	struct description *x = h->arg;

	if (!h->opened) {
		x->no_room(x, text);
		return;
	}
	x->e = (struct err){0};
	/* Slow is not wrong: the next time may be better. */
	err_set(&x->e, h->late ? ERR_DEADLINE : ERR_CONTENT, "%s", text);
	x->ended(x);
}

/* The record as it was when this was begun, or negative with x->e. */
static const struct record *
same_record(struct description *x)
{
	uint8_t manifest[DIGEST_BYTES], config[DIGEST_BYTES];
	uint64_t key;
	const struct record *r = record_now(x->room, x->id, &key, &x->e);

	if (!r)
		return NULL;
	if (!image_manifest_digest(r, manifest) || !image_config_digest(r, config) ||
	    memcmp(manifest, x->summary.manifest, sizeof(manifest)) != 0 ||
	    memcmp(config, x->summary.config, sizeof(config)) != 0) {
		err_set(&x->e, ERR_INTERNAL, "it was changed meanwhile: try again");
		return NULL;
	}
	return r;
}

static void
read_next(struct description *x, enum document_kind kind)
{
	static const struct helper_ops ops = {
	    reader_ask, reader_message, reader_gone, reader_failed};
	struct keeper *room = x->room;
	bool config = kind == DOC_CONFIG;
	char key[DIGEST_TEXT + 1] = "manifest";

	fd_close(&x->fd);
	const struct record *r = same_record(x);
	if (!r) {
		x->ended(x);
		return;
	}
	if (config)
		digest_print(x->summary.config, key);
	x->fd = document_open(&room->store, r, key,
	    config ? x->summary.config : x->summary.manifest, &x->e);
	if (x->fd < 0) {
		x->fd = -1;
		x->ended(x);
		return;
	}
	x->kind = kind;
	x->answered = false;
	x->reader.arg = x;
	helper_want(room, &x->reader, ROOM_DOCUMENT, 0, room_token(room), 0, &ops);
}

static void
description_done(struct description *x)
{
	struct keeper *room = x->room;
	uint8_t id[DIGEST_BYTES];

	if (!same_record(x) || !hex_decode(span_str(x->id), id, sizeof(id)) ||
	    summary_write(&room->store, x->id, &x->summary, &x->e) < 0) {
		x->ended(x);
		return;
	}
	watch_described(room, id);
	x->ended(x);
}

void
description_run(struct description *x)
{
	x->running = true;
	x->e = (struct err){0};
	const struct record *r = record_now(x->room, x->id, &x->key, &x->e);
	if (r && (!image_manifest_digest(r, x->summary.manifest) ||
		     !image_config_digest(r, x->summary.config)))
		err_set(&x->e, ERR_CONTENT,
		    "its record in the store names no manifest or no config");
	if (x->e.code)
		x->ended(x);
	else
		read_next(x, DOC_MANIFEST);
}
