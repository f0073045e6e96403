/* bulkhead-document: one document (or, for inspect, the two of one image), one answer,
 * the end. */
#include "common/base/platform.h"
#include "common/base/fd.h"
#include "common/ipc/control.h"
#include "common/json/tree.h"
#include "policy/sandbox/sandbox.h"
#include "worker-store/document/inspect.h"
#include "worker-store/document/reply.h"

#include <errno.h>
#include <stdlib.h>

enum { EXIT_FAILED = 1, EXIT_PROTOCOL = 2 };

#define SEND_MS 10000

static int
warm_up(void *arg, struct err *e)
{
	jv_warm_up();
	return 0;
}

/* The supervisor's one message: the channel to the store. */
static int
set_up(struct chan *control, struct chan *store)
{
	struct ipc_msg m;

	control->phase = IPC_RUN; /* nothing to set up */
	if (control_wait(control, &m, -1) != 0 || m.type != MSG_peer ||
	    m.peer.channel != CH_store_document)
		return -1;
	return chan_init(
	    store, ipc_msg_take_fd(&m, 0), CH_store_document, ROOM_DOCUMENT, ROOM_STORE);
}

static int
read_fd(struct ipc_msg *m, unsigned i, uint8_t **mem, struct span *out, struct err *e)
{
	FD_AUTO fd = ipc_msg_take_fd(m, i);
	size_t n = 0;

	int r = fd_read_whole(fd, LIMIT_DOCUMENT, mem, &n);
	if (r == -EFBIG)
		return err_set(e, ERR_CONTENT,
		    "a document is over the limit of %llu bytes",
		    (unsigned long long)LIMIT_DOCUMENT);
	if (r < 0)
		return err_errno(e, r, "reading a document");
	*out = span_of(*mem, n);
	return 0;
}

static int
parse(struct ipc_msg *m, struct document_answer *answer, struct err *e)
{
	CLEANUP(free_ptr) uint8_t *mem = NULL;
	struct span bytes = {0};

	if (m->parse.kind > DOC_CONFIG)
		return err_set(e, ERR_INTERNAL, "a document of no known kind");
	struct document_request req = {.kind = (enum document_kind)m->parse.kind,
	    .media_type = m->parse.media_type,
	    .os = m->parse.os,
	    .architecture = m->parse.architecture,
	    .variant = m->parse.variant};
	/* Nobody asked for a platform: this machine's instance of an index. */
	if (req.os.n == 0 && req.architecture.n == 0) {
		req.os = span_str(PLATFORM_OS);
		req.architecture = span_str(PLATFORM_ARCHITECTURE);
		req.variant = span_str(PLATFORM_VARIANT);
	}
	int r = read_fd(m, 0, &mem, &bytes, e);
	if (r)
		return r;
	r = document_parse(&req, bytes, answer, e);
	return r == -ENOMEM ? err_errno(e, ENOMEM, "parsing a document") : r;
}

/* part: config, manifest, facts. */
static int
write_text(enum render_kind kind, const struct span part[3], struct jw *w, struct err *e)
{
	switch (kind) {
	case RENDER_LOCAL:
		return inspect_local(part[0], part[1], part[2], w, e);
	case RENDER_REMOTE:
		return inspect_remote(part[0], part[1], part[2], w, e);
	case RENDER_CRI:
		w->compact = true;
		return inspect_cri(part[0], part[1], w, e);
	}
	return err_set(e, ERR_INTERNAL, "a text of no known kind");
}

/* A sealed memfd of JSON, or negative. */
static int
render(struct ipc_msg *m, struct err *e)
{
	CLEANUP(free_ptr) uint8_t *config = NULL, *manifest = NULL, *facts = NULL;
	uint8_t **mem[3] = {&config, &manifest, &facts};
	struct span part[3] = {{0}};
	CLEANUP(jw_free) struct jw w = {0};
	int r = 0;

	for (unsigned i = 0; !r && i < 3; i++)
		r = read_fd(m, i, mem[i], &part[i], e);
	if (!r)
		r = write_text((enum render_kind)m->render.kind, part, &w, e);
	if (!r) {
		r = fd_sealed_memfd("inspect", w.p, w.n);
		if (r < 0)
			err_errno(e, r, "keeping the text of an image");
	}
	return r;
}

static int
answer_parse(struct chan *store, struct ipc_msg *m)
{
	static struct document_answer answer;
	static struct document_reply reply;
	struct err e = {0};

	if (parse(m, &answer, &e) < 0)
		reply_failed(&e, &reply);
	else
		reply_answer(&answer, &reply);
	return chan_send_wait(store, &reply.msg, SEND_MS);
}

static int
answer_render(struct chan *store, struct ipc_msg *m)
{
	static struct document_reply reply;
	struct err e = {0};

	FD_AUTO text = render(m, &e);
	if (text < 0) {
		reply_failed(&e, &reply);
		return chan_send_wait(store, &reply.msg, SEND_MS);
	}
	struct ipc_msg done = {
	    .type = MSG_rendered, .fds = {text, -1, -1, -1}, .nfds = 1};
	return chan_send_wait(store, &done, SEND_MS);
}

int
main(void)
{
	static struct chan control, store;
	static struct ipc_msg m;
	struct sandbox_report report = {0};
	const struct sandbox_setup setup = {.warm_up = warm_up, .report = &report};
	const char *why = NULL;
	int r = -EPROTO;

	if (sandbox_enter(ROOM_DOCUMENT, &setup) < 0)
		return EXIT_FAILED;
	if (control_open(&control, ROOM_DOCUMENT, (unsigned)report.landlock_abi,
		report.landlock) < 0)
		return EXIT_FAILED;
	if (set_up(&control, &store) < 0 || chan_recv_wait(&store, &m, -1, &why) != 0)
		return EXIT_PROTOCOL;
	if (m.type == MSG_parse)
		r = answer_parse(&store, &m);
	else if (m.type == MSG_render)
		r = answer_render(&store, &m);
	ipc_msg_release(&m);
	return r < 0 ? EXIT_FAILED : EXIT_SUCCESS;
}
