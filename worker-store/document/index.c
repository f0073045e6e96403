#include "worker-store/document/fields.h"
#include "worker-store/document/parse.h"

#include <stdio.h>

#define VARIANTS 4

static const char *const platform_keys[] = {
    "architecture", "os", "variant", "os.version", "os.features", "features", NULL};

struct platform {
	bool given;
	char os[DOCUMENT_PLATFORM_TEXT + 1];
	char architecture[DOCUMENT_PLATFORM_TEXT + 1];
	char variant[DOCUMENT_PLATFORM_TEXT + 1];
};

/* The variants that run on the wanted one, best first. Returns how many. */
static size_t
wanted_variants(struct span architecture, struct span variant, struct span out[VARIANTS])
{
	static const char *const arm[] = {"v7", "v6", "v5"};
	bool arm64 = span_is(architecture, "arm64");
	size_t n = 0;

	if (!variant.n) {
		out[n++] = span_str("");
		if (arm64)
			out[n++] = span_str("v8");
		return n;
	}
	if (span_is(architecture, "arm")) {
		for (size_t i = 0; i < ARRAY_LEN(arm); i++) {
			if (n || span_is(variant, arm[i]))
				out[n++] = span_str(arm[i]);
		}
	}
	if (!n)
		out[n++] = variant;
	out[n++] = span_str("");
	return n;
}

static int
platform_parse(
    const struct jv *entry, const char *what, struct platform *out, struct err *e)
{
	const struct jv *v;

	*out = (struct platform){0};
	int r = field_kind(entry, "platform", JV_OBJECT, what, &v, e);
	if (r || !v)
		return r;
	out->given = true;
	r = jv_check_case(v, platform_keys, what, e);
	if (!r)
		r = field_text(v, "os", what, out->os, sizeof(out->os), e);
	if (!r)
		r = field_text(v, "architecture", what, out->architecture,
		    sizeof(out->architecture), e);
	if (!r)
		r = field_text(v, "variant", what, out->variant, sizeof(out->variant), e);
	return r;
}

/* "linux/amd64, linux/arm64/v8", for the refusal. */
struct had {
	char text[600];
	size_t n;
	bool more;
};

static void
had_add(struct had *had, const struct platform *p)
{
	char raw[3 * DOCUMENT_PLATFORM_TEXT + 8], shown[3 * DOCUMENT_PLATFORM_TEXT + 8];

	if (!p->given)
		snprintf(raw, sizeof(raw), "one without a platform");
	else if (p->variant[0])
		snprintf(
		    raw, sizeof(raw), "%s/%s/%s", p->os, p->architecture, p->variant);
	else
		snprintf(raw, sizeof(raw), "%s/%s", p->os, p->architecture);
	if (!strcmp(raw, "unknown/unknown"))
		return;
	span_escape(span_str(raw), shown, sizeof(shown));
	if (had->more || had->n + strlen(shown) + 8 > sizeof(had->text)) {
		had->more = true;
		return;
	}
	had->n += (size_t)snprintf(had->text + had->n, sizeof(had->text) - had->n, "%s%s",
	    had->n ? ", " : "", shown);
}

static int
refuse_none(const struct document_request *req, const struct had *had, struct err *e)
{
	char os[80], architecture[80], variant[80];

	span_escape(req->os, os, sizeof(os));
	span_escape(req->architecture, architecture, sizeof(architecture));
	span_escape(req->variant, variant, sizeof(variant));
	return err_set(e, ERR_NOT_FOUND,
	    "no image for the platform %s/%s%s%s; the index has %s%s", os, architecture,
	    variant[0] ? "/" : "", variant, had->n ? had->text : "none at all",
	    had->more ? ", ..." : "");
}

/* Which place the entry takes: lower is better, `none` = it does not fit. */
static size_t
rank(const struct document_request *req, const struct platform *p, bool oci,
    const struct span *variants, size_t n, size_t none)
{
	if (!p->given)
		return oci ? n : none;
	if (!span_is(req->os, p->os) || !span_is(req->architecture, p->architecture))
		return none;
	for (size_t i = 0; i < n; i++) {
		if (span_is(variants[i], p->variant))
			return i;
	}
	return none;
}

static int
take(const struct jv *entry, struct document_index *out, struct err *e)
{
	struct descriptor d;
	char shown[160];

	int r = descriptor_parse(
	    entry, "the index's entry for this platform", LIMIT_DOCUMENT, &d, e);
	if (r)
		return r;
	if (d.media->kind == MEDIA_INDEX)
		return err_set(e, ERR_CONTENT, "an index inside an index: not supported");
	if (d.media->kind == MEDIA_SCHEMA1)
		return err_set(e, ERR_CONTENT,
		    "the index's entry is a Docker schema 1 manifest: not supported");
	if (d.media->kind != MEDIA_MANIFEST)
		return err_set(e, ERR_CONTENT,
		    "the index's entry for this platform has the type \"%s\", not an "
		    "image manifest",
		    span_escape(d.media_text, shown, sizeof(shown)));
	if (d.size == 0)
		return err_set(
		    e, ERR_CONTENT, "the index's entry for this platform: size 0");
	memcpy(out->digest, d.digest, sizeof(out->digest));
	out->size = d.size;
	out->media_type = d.media->text;
	return 0;
}

int
index_parse(const struct jv *root, const struct media *type,
    const struct document_request *req, struct document_index *out, struct err *e)
{
	const size_t none = VARIANTS + 2;
	struct span variants[VARIANTS];
	const struct jv *list, *best = NULL;
	size_t best_rank = none;
	struct had had = {0};

	int r = field_kind(root, "manifests", JV_ARRAY, "index", &list, e);
	if (r)
		return r;
	if (jv_count(list) > LIMIT_INDEX_ENTRIES)
		return err_set(e, ERR_CONTENT, "index: %zu entries, over the limit of %d",
		    jv_count(list), LIMIT_INDEX_ENTRIES);
	size_t n = wanted_variants(req->architecture, req->variant, variants);
	for (size_t i = 0; i < jv_count(list); i++) {
		const struct jv *entry = jv_at(list, i);
		struct platform p;
		if (jv_kind(entry) != JV_OBJECT)
			return err_set(
			    e, ERR_CONTENT, "index: entry %zu is not an object", i);
		r = platform_parse(entry, "index entry", &p, e);
		if (r)
			return r;
		had_add(&had, &p);
		size_t at = rank(req, &p, type->oci, variants, n, none);
		if (at < best_rank) {
			best_rank = at;
			best = entry;
		}
	}
	return best ? take(best, out, e) : refuse_none(req, &had, e);
}
