#include "worker-store/document/document.h"

#include "worker-store/document/fields.h"
#include "worker-store/document/parse.h"

static const char *const top_keys[] = {"schemaVersion", "mediaType", "artifactType",
    "config", "layers", "manifests", "fsLayers", "history", "signatures", "subject",
    "annotations", NULL};
static const char *const descriptor_keys[] = {"mediaType", "digest", "size", "platform",
    "artifactType", "urls", "annotations", "data", NULL};

static int
refuse_schema1(struct err *e)
{
	return err_set(e, ERR_CONTENT,
	    "Docker schema 1 manifest: not supported (its layers have no DiffIDs to "
	    "check); push "
	    "the image again with a current tool, or copy it with skopeo copy --format "
	    "v2s2");
}

/* The members present must be those of the type, so that no two readers can see two
 * documents in the same bytes (CVE-2021-41190). */
static int
check_members(const struct jv *root, const struct media *type, struct err *e)
{
	static const char *const members[] = {
	    "manifests", "config", "layers", "fsLayers", "history"};
	bool index = type->kind == MEDIA_INDEX;

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		bool own = index ? i == 0 : i == 1 || i == 2;
		if (!own && jv_has(root, members[i]))
			return err_set(e, ERR_CONTENT,
			    "%s with a member \"%s\": ambiguous",
			    index ? "an index" : "a manifest", members[i]);
		if (own && !jv_get(root, members[i]))
			return err_set(e, ERR_CONTENT, "%s without \"%s\"",
			    index ? "an index" : "a manifest", members[i]);
	}
	return 0;
}

/* Neither body nor header say what it is: only OCI allows that, and then the members
 * tell. */
static const struct media *
type_from_members(const struct jv *root)
{
	return media_named(
	    jv_has(root, "manifests") ? MEDIA_OCI_INDEX : MEDIA_OCI_MANIFEST);
}

/* *out is of kind MEDIA_NONE when the body has no mediaType. */
static int
type_from_body(const struct jv *root, const struct media **out, struct err *e)
{
	const struct jv *v;
	char shown[160];

	int r = field_kind(root, "mediaType", JV_TEXT, "document", &v, e);
	if (r)
		return r;
	if (!v)
		return media_from_header(span_str(""), out, e);
	*out = media_find(jv_text(v));
	if ((*out)->kind == MEDIA_SCHEMA1)
		return refuse_schema1(e);
	if ((*out)->kind != MEDIA_INDEX && (*out)->kind != MEDIA_MANIFEST)
		return err_set(e, ERR_CONTENT,
		    "the document's mediaType \"%s\" is neither an index nor an image "
		    "manifest",
		    span_escape(jv_text(v), shown, sizeof(shown)));
	return 0;
}

/* Schema 1 by its looks, before anything is believed of it. */
static bool
looks_schema1(const struct jv *root)
{
	const struct jv *v = jv_get(root, "schemaVersion");

	return jv_kind(v) == JV_INT && jv_int(v) == 1;
}

static int
check_version(const struct jv *root, struct err *e)
{
	uint64_t version;

	int r = field_size(root, "schemaVersion", "document", 1000, &version, e);
	if (r)
		return r;
	if (version != 2)
		return err_set(
		    e, ERR_CONTENT, "schemaVersion %u, not 2", (unsigned)version);
	return 0;
}

int
document_type(const struct jv *root, struct span media_type, const struct media **out,
    struct err *e)
{
	const struct media *header, *body;
	char shown[160];

	int r = media_from_header(media_type, &header, e);
	if (r)
		return r;
	if (looks_schema1(root) || header->kind == MEDIA_SCHEMA1)
		return refuse_schema1(e);
	r = type_from_body(root, &body, e);
	if (r)
		return r;
	span_escape(media_type, shown, sizeof(shown));
	if (body->kind != MEDIA_NONE && header->kind != MEDIA_NONE && body != header)
		return err_set(e, ERR_CONTENT,
		    "the document says mediaType %s but came as \"%s\"", body->text,
		    shown);
	const struct media *type = body->kind != MEDIA_NONE ? body : header;
	if (type->kind == MEDIA_NONE)
		type = type_from_members(root);
	if (type->kind != MEDIA_INDEX && type->kind != MEDIA_MANIFEST)
		return err_set(e, ERR_CONTENT,
		    "a document of type \"%s\" is neither an index nor an image manifest",
		    shown);
	r = check_version(root, e);
	if (!r)
		r = check_members(root, type, e);
	*out = type;
	return r;
}

int
descriptor_parse(const struct jv *v, const char *what, uint64_t max,
    struct descriptor *out, struct err *e)
{
	const struct jv *type;

	if (jv_kind(v) != JV_OBJECT)
		return err_set(e, ERR_CONTENT, "%s is not an object", what);
	int r = jv_check_case(v, descriptor_keys, what, e);
	if (!r)
		r = field_kind(v, "mediaType", JV_TEXT, what, &type, e);
	if (r)
		return r;
	if (!type)
		return err_set(e, ERR_CONTENT, "%s: no mediaType", what);
	out->media_text = jv_text(type);
	out->media = media_find(out->media_text);
	r = value_digest(jv_get(v, "digest"), what, out->digest, e);
	return r ? r : field_size(v, "size", what, max, &out->size, e);
}

static int
parse_top(const struct document_request *req, const struct jv *root,
    struct document_answer *out, struct err *e)
{
	const struct media *type = NULL;

	int r = jv_check_case(root, top_keys, "document", e);
	if (!r)
		r = document_type(root, req->media_type, &type, e);
	if (r)
		return r;
	assert(type);
	if (type->kind == MEDIA_MANIFEST) {
		out->is = DOCUMENT_IS_MANIFEST;
		return manifest_parse(root, type, &out->manifest, e);
	}
	if (req->kind == DOC_MANIFEST)
		return err_set(e, ERR_CONTENT, "an index inside an index: not supported");
	out->is = DOCUMENT_IS_INDEX;
	return index_parse(root, type, req, &out->index, e);
}

static int
parse_config(const struct document_request *req, const struct jv *root,
    struct document_answer *out, struct err *e)
{
	const struct media *type;

	int r = media_from_header(req->media_type, &type, e);
	if (r)
		return r;
	if (type->kind != MEDIA_CONFIG && type->kind != MEDIA_NONE)
		return err_set(e, ERR_CONTENT, "not the type of an image config");
	out->is = DOCUMENT_IS_CONFIG;
	return config_parse(root, &out->config, e);
}

int
document_parse(const struct document_request *req, struct span bytes,
    struct document_answer *out, struct err *e)
{
	const char *what = req->kind == DOC_CONFIG     ? "image config"
			   : req->kind == DOC_MANIFEST ? "manifest"
						       : "index or manifest";
	CLEANUP(jv_free) struct jv *root = NULL;

	if (bytes.n > LIMIT_DOCUMENT)
		return err_set(e, ERR_CONTENT, "%s: %zu bytes, over the limit of %llu",
		    what, bytes.n, (unsigned long long)LIMIT_DOCUMENT);
	int r = jv_parse(bytes, what, &root, e);
	if (r)
		return r;
	if (jv_kind(root) != JV_OBJECT)
		return err_set(e, ERR_CONTENT, "%s: not an object", what);
	struct document_answer answer = {0};
	r = req->kind == DOC_CONFIG ? parse_config(req, root, &answer, e)
				    : parse_top(req, root, &answer, e);
	if (!r)
		*out = answer;
	return r;
}
