#include "worker-store/document/reply.h"

static void
reply_index(const struct document_index *a, struct ipc_msg *m)
{
	m->type = MSG_index_answer;
	memcpy(m->index_answer.digest, a->digest, DIGEST_BYTES);
	m->index_answer.size = a->size;
	m->index_answer.media_type = span_str(a->media_type);
}

static void
reply_manifest(const struct document_manifest *a, struct document_reply *out)
{
	struct msg_manifest_answer *m = &out->msg.manifest_answer;

	out->msg.type = MSG_manifest_answer;
	memcpy(m->config, a->config, DIGEST_BYTES);
	m->config_size = a->config_size;
	m->config_type = span_str(a->config_type);
	for (unsigned i = 0; i < a->nlayers; i++) {
		memcpy(
		    out->digests + i * DIGEST_BYTES, a->layers[i].digest, DIGEST_BYTES);
		m->sizes.v[i] = a->layers[i].size;
		out->compressions[i] = (uint8_t)a->layers[i].compression;
	}
	m->sizes.n = a->nlayers;
	m->digests = span_of(out->digests, a->nlayers * DIGEST_BYTES);
	m->compressions = span_of(out->compressions, a->nlayers);
	m->annotations = span_of(a->annotations, a->n_annotations);
}

static void
reply_config(const struct document_config *a, struct ipc_msg *msg)
{
	struct msg_config_answer *m = &msg->config_answer;

	msg->type = MSG_config_answer;
	m->diff_ids = span_of(a->diff_ids, a->ndiff_ids * sizeof(a->diff_ids[0]));
	m->created = a->created;
	m->created_ns = a->created_ns;
	m->os = span_str(a->os);
	m->architecture = span_str(a->architecture);
	m->variant = span_str(a->variant);
	m->user = span_str(a->user);
}

void
reply_answer(const struct document_answer *a, struct document_reply *out)
{
	*out = (struct document_reply){.msg = {.fds = {-1, -1, -1, -1}}};
	switch (a->is) {
	case DOCUMENT_IS_INDEX:
		reply_index(&a->index, &out->msg);
		return;
	case DOCUMENT_IS_MANIFEST:
		reply_manifest(&a->manifest, out);
		return;
	case DOCUMENT_IS_CONFIG:
		reply_config(&a->config, &out->msg);
		return;
	}
}

void
reply_failed(const struct err *e, struct document_reply *out)
{
	*out = (struct document_reply){.msg = {.fds = {-1, -1, -1, -1}}};
	out->msg.type = MSG_document_failed;
	out->msg.document_failed.code = e->code ? e->code : ERR_INTERNAL;
	out->msg.document_failed.text = span_str(e->text);
}
