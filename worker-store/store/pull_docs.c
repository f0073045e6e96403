#include "worker-store/store/pull.h"

#include "common/base/fd.h"
#include "worker-store/store/hash.h"
#include "worker-store/store/image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void
document_free(struct document *d)
{
	free(d->bytes);
	fd_close(&d->fd);
	*d = (struct document){.fd = -1};
}

static const char *
kind_text(enum document_kind kind)
{
	static const char *const texts[] = {"manifest", "manifest", "image config"};
	return texts[kind];
}

/* ---- one document: from where, and is it the one? ---- */

/* It is still asked for: another fetcher may bring the right one. */
static void
document_wrong(struct pull *p, struct document *d, const char *why)
{
	char text[LIMIT_NAME + 300], want[DIGEST_TEXT + 1];
	struct ipc_msg m = IPC_MSG(
	    wrong, .pull = p->id, .req = p->doc_req, .code = ERR_CONTENT, .proven = 1);

	snprintf(text, sizeof(text), "the %s of %s is not %s: %s", kind_text(d->kind),
	    p->name, digest_print(d->digest, want), why);
	free(ptr_steal(&d->bytes));
	d->n = 0;
	m.wrong.text = span_str(text);
	port_send(&p->room->frontend, &m);
}

/* The parser's room gets the very memory that was hashed here. */
static bool
document_take(struct pull *p, struct document *d, int fd)
{
	uint8_t hash[DIGEST_BYTES];
	char text[100];
	size_t size = 0;

	int r = fd_check_sealed(fd, LIMIT_DOCUMENT, &size);
	if (r == 0)
		r = fd_read_whole(fd, LIMIT_DOCUMENT, &d->bytes, &d->n);
	if (r == 0)
		r = sha256(span_of(d->bytes, d->n), hash);
	if (r < 0) { /* unsealed, no memory at all, too large: its sender's fault */
		bool theirs = r == -EPERM || r == -EINVAL || r == -EFBIG;
		pull_fail(p, theirs ? ERR_CONTENT : ERR_INTERNAL,
		    "the %s cannot be read: %s", kind_text(d->kind), strerror(-r));
		return false;
	}
	if (d->known && memcmp(hash, d->digest, sizeof(hash)) != 0) {
		document_wrong(p, d, "its bytes do not hash to what was asked for");
		return false;
	}
	if (d->size && d->n != d->size) {
		snprintf(text, sizeof(text), "it has %zu bytes, not the %llu announced",
		    d->n, (unsigned long long)d->size);
		document_wrong(p, d, text);
		return false;
	}
	memcpy(d->digest, hash, sizeof(hash));
	d->fd = fd;
	return true;
}

/* A document of this digest that some image in the store has. fd of a sealed copy, or -1.
 */
static int
document_stored(struct pull *p, const struct document *d)
{
	CLEANUP(view_free) struct view v = VIEW_NONE;
	char digest[DIGEST_TEXT + 1], key[DIGEST_TEXT + 16];
	bool config = d->kind == DOC_CONFIG;
	uint64_t size;

	digest_print(d->digest, digest);
	snprintf(key, sizeof(key), "%s%s", config ? "" : "manifest-", digest);
	if (view_load(&v, &p->room->store, NULL) < 0)
		return -1;
	for (size_t i = 0; i < v.images.n; i++) {
		const struct record *image = &v.images.rec[i];
		FD_AUTO fd = -1;
		CLEANUP(free_ptr) uint8_t *bytes = NULL;
		uint8_t hash[DIGEST_BYTES];
		size_t n = 0;
		if (!names_have(image->keys, span_str(key)) ||
		    store_item_open(&p->room->store, image, key, &fd, &size, NULL) < 0 ||
		    fd_read_whole(fd, LIMIT_DOCUMENT, &bytes, &n) < 0 ||
		    sha256(span_of(bytes, n), hash) < 0 ||
		    memcmp(hash, d->digest, sizeof(hash)) != 0 ||
		    (d->size && n != d->size))
			continue;
		return fd_sealed_memfd("document", bytes, n);
	}
	return -1;
}

static void read_document(struct pull *p);

static void
document_want(struct pull *p, struct document *d)
{
	p->asked = d;
	/* Access is proven by what this pull can fetch: only what the index, manifest and
	 * layers say is taken from the store, under digests that the registry has just
	 * named. */
	int fd = d->known && d->kind != DOC_TOP ? document_stored(p, d) : -1;
	if (fd >= 0) {
		if (document_take(p, d, fd))
			read_document(p);
		else
			close(fd);
		return;
	}
	if (d->kind ==
	    DOC_CONFIG) /* an image that is not here: started beside the download */
		janitor_ready(p->room);
	p->doc_req = room_token(p->room);
	struct ipc_msg m = IPC_MSG(need_document, .pull = p->id, .req = p->doc_req,
	    .kind = d->kind, .known = d->known, .size = d->size);
	memcpy(m.need_document.digest, d->digest, sizeof(d->digest));
	port_send(&p->room->frontend, &m);
	loop_timer_set(&p->room->loop, &p->arrival,
	    p->room->arrival_ms ? p->room->arrival_ms : LIMIT_ARRIVAL_SECONDS * 1000);
}

/* A fetcher may say "fetched" to the frontend and send nothing here: nobody else would
 * see it. */
void
docs_late(struct loop_timer *t)
{
	struct pull *p = t->arg;

	pull_fail(p, ERR_DEADLINE,
	    "the %s of %s did not arrive within %u s: its registry, or the room that "
	    "fetches it, is stuck",
	    kind_text(p->asked->kind), p->name, LIMIT_ARRIVAL_SECONDS);
}

void
docs_begin(struct pull *p)
{
	p->top.kind = DOC_TOP;
	p->top.known = p->pinned;
	memcpy(p->top.digest, p->pin, sizeof(p->pin));
	document_want(p, &p->top);
}

void
docs_message(struct pull *p, struct ipc_msg *m)
{
	struct document *d = p->asked;

	/* Only the first answer to the question that is open. */
	if (m->type != MSG_document || !d || d->fd >= 0 || m->document.req != p->doc_req)
		return;
	if (d->kind == DOC_TOP &&
	    !span_to_str(m->document.media_type, d->media, sizeof(d->media)))
		return;
	FD_AUTO fd = ipc_msg_take_fd(m, 0);
	if (!document_take(p, d, fd))
		return;
	fd_steal(&fd);
	loop_timer_clear(&p->room->loop, &p->arrival);
	read_document(p);
}

/* ---- answers of the room that parsed it ---- */

static bool
media_take(struct document *d, struct span text)
{
	return span_to_str(text, d->media, sizeof(d->media));
}

static int
on_index(struct pull *p, const struct msg_index_answer *a)
{
	struct document *d = &p->manifest;

	if (p->asked->kind != DOC_TOP || !media_take(d, a->media_type))
		return -1;
	p->is_list = true;
	d->kind = DOC_MANIFEST;
	d->known = true;
	d->size = a->size;
	memcpy(d->digest, a->digest, sizeof(d->digest));
	return 0;
}

static int
layers_take(struct pull *p, const struct msg_manifest_answer *a)
{
	uint64_t sum = 0;
	size_t n = a->sizes.n;

	if (a->digests.n != n * DIGEST_BYTES || a->compressions.n != n)
		return -1;
	p->layers = calloc(n ? n : 1, sizeof(*p->layers));
	if (!p->layers)
		return -1;
	p->n_layers = n;
	/* All of them before the first refusal: the pull's end drops every layer. */
	for (size_t i = 0; i < n; i++)
		p->layers[i] = (struct pull_layer){
		    .pull = p, .index = (uint32_t)i, .staged = STAGED_NONE};
	for (size_t i = 0; i < n; i++) {
		struct pull_layer *l = &p->layers[i];
		l->size = a->sizes.v[i];
		l->compression = a->compressions.p[i];
		memcpy(l->digest, a->digests.p + i * DIGEST_BYTES, DIGEST_BYTES);
		if (l->compression != COMPRESSION_NONE &&
		    l->compression != COMPRESSION_GZIP &&
		    l->compression != COMPRESSION_ZSTD)
			return -1;
		if (l->size > p->room->max_layer ||
		    __builtin_add_overflow(sum, l->size, &sum) ||
		    sum > p->room->max_image) {
			pull_fail(p, ERR_CONTENT,
			    "%s is too large: its layers have %llu bytes and more, "
			    "compressed; a "
			    "layer may have %llu, an image %llu",
			    p->name, (unsigned long long)sum,
			    (unsigned long long)p->room->max_layer,
			    (unsigned long long)p->room->max_image);
			return 0;
		}
	}
	return 0;
}

static int
on_manifest(struct pull *p, const struct msg_manifest_answer *a)
{
	struct document *d = &p->config;

	if (p->asked->kind == DOC_CONFIG || p->layers || !media_take(d, a->config_type))
		return -1;
	p->summary = calloc(1, sizeof(*p->summary));
	if (!p->summary || !summary_annotations(p->summary, a->annotations))
		return -1;
	if (!p->is_list) {
		p->manifest = p->top;
		p->top = (struct document){.fd = -1};
		p->asked = &p->manifest;
	}
	d->kind = DOC_CONFIG;
	d->known = true;
	d->size = a->config_size;
	memcpy(d->digest, a->config, sizeof(d->digest));
	memcpy(p->image, a->config, sizeof(p->image));
	return layers_take(p, a);
}

static bool
platform_fits(struct pull *p, const struct msg_config_answer *a)
{
	if ((!p->os[0] || !a->os.n || span_is(a->os, p->os)) &&
	    (!p->architecture[0] || !a->architecture.n ||
		span_is(a->architecture, p->architecture)))
		return true;
	char os[80], arch[80];
	pull_fail(p, ERR_NOT_FOUND, "%s is for %s/%s, not for %s/%s: pass --platform",
	    p->name, span_escape(a->os, os, sizeof(os)),
	    span_escape(a->architecture, arch, sizeof(arch)), p->os, p->architecture);
	return false;
}

static int
on_config(struct pull *p, const struct msg_config_answer *a)
{
	const char *parent = NULL;

	if (p->asked->kind != DOC_CONFIG || !summary_user(p->summary, a->user))
		return -1;
	if (a->diff_ids.n != p->n_layers * DIGEST_BYTES) {
		pull_fail(p, ERR_CONTENT,
		    "the config of %s names %zu layers, its manifest %zu: the image is "
		    "broken",
		    p->name, a->diff_ids.n / DIGEST_BYTES, p->n_layers);
		return 0;
	}
	p->created = (struct stamp){a->created, (uint32_t)a->created_ns};
	for (size_t i = 0; i < p->n_layers; i++) {
		struct pull_layer *l = &p->layers[i];
		memcpy(l->diff_id, a->diff_ids.p + i * DIGEST_BYTES, DIGEST_BYTES);
		if (layer_id(parent, l->diff_id, l->id) < 0)
			return -1;
		parent = l->id;
	}
	if (platform_fits(p, a))
		p->answered = true;
	return 0;
}

static int
reader_message(struct helper *h, struct ipc_msg *m)
{
	struct pull *p = h->arg;
	char text[1024];

	if (p->ended)
		return 0;
	if (p->answered)
		return -1;
	switch (m->type) {
	case MSG_index_answer:
		p->answered = on_index(p, &m->index_answer) == 0;
		return p->answered ? 0 : -1;
	case MSG_manifest_answer:
		p->answered = on_manifest(p, &m->manifest_answer) == 0;
		return p->answered ? 0 : -1;
	case MSG_config_answer:
		return on_config(p, &m->config_answer);
	case MSG_document_failed:
		pull_fail(p, (enum err_class)m->document_failed.code, "%s: %s", p->name,
		    span_escape(m->document_failed.text, text, sizeof(text)));
		return 0;
	default:
		return -1;
	}
}

static void
reader_gone(struct helper *h)
{
	struct pull *p = h->arg;
	struct document *d = p->asked;

	helper_drop(h);
	if (p->ended)
		return;
	if (!p->answered)
		pull_fail(p, ERR_INTERNAL, "the document room ended without an answer");
	else if (d->kind == DOC_CONFIG)
		pull_judge(p, p->manifest.digest);
	else if (d == &p->top)
		document_want(p, &p->manifest);
	else
		document_want(p, &p->config);
}

static void
reader_failed(struct helper *h, const char *text)
{
	struct pull *p = h->arg;

	/* Who has read hostile bytes and then breaks rules may be owned: the document is
	 * to blame. */
	pull_fail(p, h->opened ? ERR_CONTENT : ERR_INTERNAL, "%s: %s", p->name, text);
}

static void
reader_ask(struct helper *h)
{
	struct pull *p = h->arg;
	struct document *d = p->asked;
	struct ipc_msg m = IPC_MSG(parse, .kind = d->kind,
	    .media_type = span_str(d->media), .os = span_str(p->os),
	    .architecture = span_str(p->architecture), .variant = span_str(p->variant));

	m.fds[0] = d->fd;
	m.nfds = 1;
	port_send(&h->port, &m);
}

static void
read_document(struct pull *p)
{
	static const struct helper_ops ops = {
	    reader_ask, reader_message, reader_gone, reader_failed};

	p->answered = false;
	p->reader.arg = p;
	helper_want(
	    p->room, &p->reader, ROOM_DOCUMENT, p->id, room_token(p->room), 0, &ops);
}

/* ---- inspect --remote ---- */

static void
render_ask(struct helper *h)
{
	struct pull *p = h->arg;
	char facts[LIMIT_NAME + 200], digest[DIGEST_TEXT + 1];
	struct ipc_msg m = IPC_MSG(render, .kind = RENDER_REMOTE);

	int n = snprintf(facts, sizeof(facts), "name\t%s\ndigest\t%s\n", p->name,
	    digest_print(p->is_list ? p->top.digest : p->manifest.digest, digest));
	FD_AUTO fd = fd_sealed_memfd("facts", facts, (size_t)n);
	if (fd < 0) {
		pull_fail(p, ERR_INTERNAL, "no memory for an image's facts");
		return;
	}
	m.fds[0] = p->config.fd;
	m.fds[1] = p->manifest.fd;
	m.fds[2] = fd;
	m.nfds = 3;
	port_send(&h->port, &m);
}

static int
render_message(struct helper *h, struct ipc_msg *m)
{
	struct pull *p = h->arg;
	char text[1024];
	size_t size;

	if (p->ended)
		return 0;
	if (m->type == MSG_document_failed) {
		pull_fail(p, (enum err_class)m->document_failed.code, "%s: %s", p->name,
		    span_escape(m->document_failed.text, text, sizeof(text)));
		return 0;
	}
	if (m->type != MSG_rendered || fd_check_sealed(m->fds[0], SIZE_MAX, &size) < 0)
		return -1;
	struct ipc_msg out = IPC_MSG(text, .req = p->id);
	out.fds[0] = m->fds[0];
	out.nfds = 1;
	port_send(&p->room->frontend, &out);
	pull_succeed(p, false);
	return 0;
}

static void
render_gone(struct helper *h)
{
	pull_fail(h->arg, ERR_INTERNAL, "the document room ended without an answer");
}

void
docs_render(struct pull *p)
{
	static const struct helper_ops ops = {
	    render_ask, render_message, render_gone, reader_failed};

	p->reader.arg = p;
	helper_want(
	    p->room, &p->reader, ROOM_DOCUMENT, p->id, room_token(p->room), 0, &ops);
}
