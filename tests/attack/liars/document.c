/* A document room that the bytes it parsed have taken over. It has seen one document and
 * may say anything about that one: a hostile document could say the same. It must gain
 * nothing beyond. */
#include "tests/attack/liars/liar.h"

#include <stdlib.h>
#include <unistd.h>

static uint8_t digests[32 * LIMIT_LAYERS], kinds[LIMIT_LAYERS];

static bool
other_config(struct chan *c, struct ipc_msg *m)
{
	liar_digest(m->manifest_answer.config);
	m->manifest_answer.config_size = 0; /* unknown: whatever is there */
	return true;
}

static bool
layer_count(struct ipc_msg *m, unsigned n)
{
	struct msg_manifest_answer *a = &m->manifest_answer;

	memset(digests, 7, sizeof(digests));
	a->digests = span_of(digests, (size_t)n * 32);
	a->compressions = span_of(kinds, n);
	for (a->sizes.n = 0; a->sizes.n < n; a->sizes.n++)
		a->sizes.v[a->sizes.n] = 1000;
	return true;
}

static bool
many_layers(struct chan *c, struct ipc_msg *m)
{
	return layer_count(m, LIMIT_LAYERS);
}

/* One more than the table allows: past the encoder, so the bytes are put together by
 * hand. */
static bool
too_many_layers(struct chan *c, struct ipc_msg *m)
{
	static uint8_t packet[LIMIT_PACKET];
	static const uint8_t tail[] = {5, 0xdc, 0, LIMIT_LAYERS + 1};
	ssize_t n;

	layer_count(m, 0);
	m->manifest_answer.annotations.n = 0;
	n = ipc_encode(m, packet, sizeof(packet));
	if (n < 0)
		abort();
	/* ... 5: [], 6: bin 0, 7: bin 0  ->  5: [128 sizes], 6: bin 0, 7: bin 0 */
	size_t at = (size_t)n - 8;
	memcpy(packet + at, tail, sizeof(tail));
	at += sizeof(tail);
	memset(packet + at, 1, LIMIT_LAYERS + 1);
	at += LIMIT_LAYERS + 1;
	memcpy(packet + at, "\x06\xc4\x00\x07\xc4\x00", 6);
	liar_say_raw(c, packet, at + 6, NULL, 0);
	return false;
}

static bool
no_layers(struct chan *c, struct ipc_msg *m)
{
	return layer_count(m, 0);
}

static bool
short_digests(struct chan *c, struct ipc_msg *m)
{
	m->manifest_answer.digests.n -= 1;
	return true;
}

static bool
fewer_kinds(struct chan *c, struct ipc_msg *m)
{
	m->manifest_answer.compressions.n -= 1;
	return true;
}

static bool
odd_compression(struct chan *c, struct ipc_msg *m)
{
	layer_count(m, 2);
	kinds[1] = 3;
	return true;
}

static bool
huge_layers(struct chan *c, struct ipc_msg *m)
{
	layer_count(m, LIMIT_LAYERS);
	for (unsigned i = 0; i < LIMIT_LAYERS; i++)
		m->manifest_answer.sizes.v[i] = LIMIT_LAYER_HARD;
	return true;
}

static bool
other_layers(struct chan *c, struct ipc_msg *m)
{
	uint8_t *at = digests;

	memcpy(digests, m->manifest_answer.digests.p, m->manifest_answer.digests.n);
	liar_digest(at);
	m->manifest_answer.digests.p = digests;
	return true;
}

/* An answer of another kind than the one that was asked for. */
static bool
index_instead(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(index_answer, .size = 0,
	    .media_type = span_str("application/vnd.oci.image.manifest.v1+json"));

	liar_digest(lie.index_answer.digest);
	*m = lie;
	return true;
}

static bool
config_instead(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(config_answer, .diff_ids = span_of(digests, 32));

	*m = lie;
	return true;
}

static bool
manifest_instead(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(manifest_answer,
	    .config_type = span_str("application/vnd.oci.image.config.v1+json"));

	liar_digest(lie.manifest_answer.config);
	*m = lie;
	return layer_count(m, 1);
}

static bool
index_elsewhere(struct chan *c, struct ipc_msg *m)
{
	liar_digest(m->index_answer.digest);
	m->index_answer.size = 0;
	return true;
}

static bool
two_kinds(struct chan *c, struct ipc_msg *m)
{
	liar_say(c, m);
	config_instead(c, m);
	return true;
}

static bool
then_fail(struct chan *c, struct ipc_msg *m)
{
	liar_say(c, m);
	_exit(3);
}

static bool
garbage(struct chan *c, struct ipc_msg *m)
{
	liar_say_raw(c, "\x92\xcc\x82\x86\x01\xc6\xff\xff\xff\xff", 10, NULL, 0);
	return false;
}

static bool
with_fd(struct chan *c, struct ipc_msg *m)
{
	liar_say_fds(c, m, &c->fd, 1);
	return false;
}

static bool
failed_without_class(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(document_failed, .code = 0,
	    .text = span_str("all is well\x1b[2J\nbulkhead: pulled"));

	*m = lie;
	return true;
}

static bool
other_diff_ids(struct chan *c, struct ipc_msg *m)
{
	memset(digests, 9, sizeof(digests));
	liar_digest(digests);
	m->config_answer.diff_ids.p = digests;
	return true;
}

static bool
fewer_diff_ids(struct chan *c, struct ipc_msg *m)
{
	m->config_answer.diff_ids.n -= 32;
	return true;
}

static bool
odd_diff_ids(struct chan *c, struct ipc_msg *m)
{
	m->config_answer.diff_ids.n -= 1;
	return true;
}

static bool
more_diff_ids(struct chan *c, struct ipc_msg *m)
{
	m->config_answer.diff_ids = span_of(digests, sizeof(digests));
	return true;
}

static bool
odd_facts(struct chan *c, struct ipc_msg *m)
{
	m->config_answer.created = INT64_MIN;
	m->config_answer.created_ns = 999999999;
	m->config_answer.os = span_str("\"\x1b[2J\n");
	m->config_answer.architecture = span_str("\\u0000\",\"x\":\"");
	return true;
}

/* Pairs that reach past their end. */
static bool
odd_annotations(struct chan *c, struct ipc_msg *m)
{
	m->manifest_answer.annotations = span_of("\1\0\0\0k\xff\0\0\0v", 10);
	return true;
}

static bool
odd_user(struct chan *c, struct ipc_msg *m)
{
	m->config_answer.user = span_str("app\nroot:x:0:0");
	return true;
}

static bool
far_future(struct chan *c, struct ipc_msg *m)
{
	m->config_answer.created = INT64_MAX;
	return true;
}

/* What only the store may ask of the supervisor. */
static bool
wants_rooms(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(want, .room = ROOM_APPLY, .pull = 1, .token = 77);

	liar_say(liar_chan(CH_control), &lie);
	return true;
}

/* A row that any room may send, and that the supervisor takes from two of them. */
static bool
ends_all(struct chan *c, struct ipc_msg *m)
{
	struct ipc_msg lie = IPC_MSG(end, .pull = 0);

	for (lie.end.pull = 0; lie.end.pull < 8; lie.end.pull++)
		liar_say(liar_chan(CH_control), &lie);
	return true;
}

const struct lie liar_lies[] = {
    {"other-config", MSG_manifest_answer, other_config},
    {"many-layers", MSG_manifest_answer, many_layers},
    {"too-many-layers", MSG_manifest_answer, too_many_layers},
    {"no-layers", MSG_manifest_answer, no_layers},
    {"short-digests", MSG_manifest_answer, short_digests},
    {"fewer-kinds", MSG_manifest_answer, fewer_kinds},
    {"odd-compression", MSG_manifest_answer, odd_compression},
    {"huge-layers", MSG_manifest_answer, huge_layers},
    {"other-layers", MSG_manifest_answer, other_layers},
    {"manifest-is-index", MSG_manifest_answer, index_instead},
    {"manifest-is-config", MSG_manifest_answer, config_instead},
    {"config-is-index", MSG_config_answer, index_instead},
    {"config-is-manifest", MSG_config_answer, manifest_instead},
    {"index-is-config", MSG_index_answer, config_instead},
    {"index-is-manifest", MSG_index_answer, manifest_instead},
    {"index-elsewhere", MSG_index_answer, index_elsewhere},
    {"twice", MSG_manifest_answer, liar_twice},
    {"two-kinds", MSG_manifest_answer, two_kinds},
    {"config-twice", MSG_config_answer, liar_twice},
    {"then-crash", MSG_manifest_answer, liar_then_crash},
    {"then-fail", MSG_config_answer, then_fail},
    {"nothing", MSG_config_answer, liar_silent},
    {"garbage", MSG_manifest_answer, garbage},
    {"with-fd", MSG_manifest_answer, with_fd},
    {"failed-without-class", MSG_manifest_answer, failed_without_class},
    {"other-diff-ids", MSG_config_answer, other_diff_ids},
    {"fewer-diff-ids", MSG_config_answer, fewer_diff_ids},
    {"odd-diff-ids", MSG_config_answer, odd_diff_ids},
    {"more-diff-ids", MSG_config_answer, more_diff_ids},
    {"odd-facts", MSG_config_answer, odd_facts},
    {"odd-annotations", MSG_manifest_answer, odd_annotations},
    {"odd-user", MSG_config_answer, odd_user},
    {"far-future", MSG_config_answer, far_future},
    {"wants-rooms", MSG_manifest_answer, wants_rooms},
    {"ends-all", MSG_config_answer, ends_all},
    {0},
};

void
liar_heard(struct chan *c, const struct ipc_msg *m)
{
}

void
liar_slot(struct ring *r, uint8_t *slot, size_t n)
{
}
