#include "worker-store/store/layer.h"

static void
put_ids(struct buf *out, const uint32_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_fmt(out, "%s%u", i ? "," : "", ids[i]);
}

static void
put_proof(struct buf *out, const struct access *a)
{
	char hex[33];

	buf_fmt(out, "\"%s\"", hex_encode(a->proof, 16, hex));
}

void
layer_record(struct buf *out, const char *id, const char *parent,
    const struct commit_layer *l, const struct access *a)
{
	char digest[DIGEST_TEXT + 1], when[31];

	buf_fmt(out, "{\"id\":\"%s\"", id);
	if (parent)
		buf_fmt(out, ",\"parent\":\"%s\"", parent);
	buf_fmt(out, ",\"created\":\"%s\"", stamp_print(stamp_now(), when));
	buf_fmt(out, ",\"compressed-diff-digest\":\"%s\"",
	    digest_print(l->blob_digest, digest));
	if (l->blob_size)
		buf_fmt(
		    out, ",\"compressed-size\":%llu", (unsigned long long)l->blob_size);
	buf_fmt(out, ",\"diff-digest\":\"%s\"", digest_print(l->diff_id, digest));
	if (l->diff_size)
		buf_fmt(out, ",\"diff-size\":%llu", (unsigned long long)l->diff_size);
	if (l->compression)
		buf_fmt(out, ",\"compression\":%u", l->compression);
	if (l->n_uids) {
		buf_str(out, ",\"uidset\":[");
		put_ids(out, l->uids, l->n_uids);
		buf_str(out, "]");
	}
	if (l->n_gids) {
		buf_str(out, ",\"gidset\":[");
		put_ids(out, l->gids, l->n_gids);
		buf_str(out, "]");
	}
	buf_str(out, ",\"flags\":");
	access_add(out, span_of("", 0), a);
	buf_str(out, "}");
}

#define ACCESS "bulkhead.access"

static struct span
flag_value(struct span flags, const char *name)
{
	struct json_iter it = json_iter(flags);
	struct span key, v;

	while (json_next_member(&it, &key, &v))
		if (json_string_is(key, span_str(name)))
			return v;
	return span_of("", 0);
}

bool
access_has(struct span flags, const struct access *a)
{
	struct span v = flag_value(flags, ACCESS);
	char hex[33];

	if (json_string_is(v, span_str("public")))
		return true;
	return !a->public && json_type(v) == JSON_ARRAY &&
	       names_have(v, span_str(hex_encode(a->proof, 16, hex)));
}

static void
put_proofs(struct buf *out, struct span old, const struct access *a)
{
	struct json_iter it = json_iter(old);
	struct span v;
	size_t n = 0, at = 0;

	while (json_next(&it, &v))
		n++;
	size_t skip = n >= LIMIT_ACCESS_PROOFS ? n - LIMIT_ACCESS_PROOFS + 1 : 0;
	buf_str(out, "[");
	for (it = json_iter(old); json_next(&it, &v); at++) {
		if (at < skip)
			continue;
		buf_add(out, v);
		buf_str(out, ",");
	}
	put_proof(out, a);
	buf_str(out, "]");
}

void
access_add(struct buf *out, struct span flags, const struct access *a)
{
	CLEANUP(buf_free) struct buf value = {0};
	struct span old = flag_value(flags, ACCESS);

	if (a->public || json_string_is(old, span_str("public")))
		buf_str(&value, "\"public\"");
	else if (access_has(flags, a))
		buf_add(&value, old);
	else
		put_proofs(
		    &value, json_type(old) == JSON_ARRAY ? old : span_str("[]"), a);
	struct json_edit edit = {ACCESS, buf_span(&value)};
	json_edit_object(out, flags.n ? flags : span_str("{}"), &edit, 1);
	out->bad |= value.bad;
}
