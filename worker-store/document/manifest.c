#include "common/base/pairs.h"
#include "worker-store/document/fields.h"
#include "worker-store/document/parse.h"

#include <inttypes.h>
#include <stdio.h>

/* Things that live in registries beside images and have a manifest like theirs. */
static int
refuse_artifact(const struct jv *root, const struct descriptor *config, struct err *e)
{
	const struct jv *type = jv_get(root, "artifactType");
	char shown[160];

	span_escape(jv_kind(type) == JV_TEXT ? jv_text(type) : config->media_text, shown,
	    sizeof(shown));
	return err_set(e, ERR_CONTENT,
	    "not a container image but an artifact of type \"%s\"; artifacts are not "
	    "supported",
	    shown);
}

static int
parse_config_descriptor(const struct jv *root, const struct media *type,
    struct document_manifest *out, struct err *e)
{
	struct descriptor d;
	char shown[160];

	int r = descriptor_parse(
	    jv_get(root, "config"), "manifest: config", LIMIT_DOCUMENT, &d, e);
	if (r)
		return r;
	if (d.size == 0) /* to whoever fetches it, 0 is "unknown" */
		return err_set(e, ERR_CONTENT, "manifest: config: size 0");
	if (d.media->kind != MEDIA_CONFIG && type->oci)
		return refuse_artifact(root, &d, e);
	if (d.media->kind != MEDIA_CONFIG || d.media->oci != type->oci)
		return err_set(e, ERR_CONTENT,
		    "manifest: a config of type \"%s\" in a manifest of type %s",
		    span_escape(d.media_text, shown, sizeof(shown)), type->text);
	memcpy(out->config, d.digest, sizeof(out->config));
	out->config_size = d.size;
	out->config_type = d.media->text;
	return 0;
}

static int
refuse_layer(const char *what, const struct descriptor *d, struct err *e)
{
	char shown[160];

	span_escape(d->media_text, shown, sizeof(shown));
	if (d->media->kind == MEDIA_FOREIGN)
		return err_set(e, ERR_CONTENT,
		    "%s is foreign (%s): the registry does not hold it, and urls in "
		    "manifests are "
		    "not followed",
		    what, shown);
	if (d->media->kind == MEDIA_ENCRYPTED)
		return err_set(
		    e, ERR_CONTENT, "%s is encrypted (%s): not supported", what, shown);
	return err_set(e, ERR_CONTENT, "%s has the type \"%s\", which is not a layer's",
	    what, shown);
}

static int
parse_layer(const struct jv *v, size_t i, struct document_layer *out, struct err *e)
{
	struct descriptor d;
	char what[48];

	snprintf(what, sizeof(what), "manifest: layer %zu", i);
	int r = descriptor_parse(v, what, LIMIT_LAYER_HARD, &d, e);
	if (r)
		return r;
	if (d.media->kind != MEDIA_LAYER)
		return refuse_layer(what, &d, e);
	/* An empty file is an empty tar, but neither gzip nor zstd have an empty form. */
	if (d.size == 0 && d.media->compression != COMPRESSION_NONE)
		return err_set(e, ERR_CONTENT, "%s: size 0", what);
	memcpy(out->digest, d.digest, sizeof(out->digest));
	out->size = d.size;
	out->compression = d.media->compression;
	return 0;
}

/* Docker's manifests have none: there it is a member without a meaning. */
static int
parse_annotations(const struct jv *root, const struct media *type,
    struct document_manifest *out, struct err *e)
{
	struct jv_iter it = {0};
	const struct jv *value;
	struct span key;

	if (!type->oci)
		return 0;
	int r = field_kind(root, "annotations", JV_OBJECT, "manifest", &it.object, e);
	while (!r && jv_next(&it, &key, &value)) {
		if (jv_kind(value) != JV_TEXT)
			return err_set(
			    e, ERR_CONTENT, "manifest: an annotation is not a string");
		if (key.n)
			pairs_add(out->annotations, sizeof(out->annotations),
			    &out->n_annotations, key, jv_text(value));
	}
	return r;
}

int
manifest_parse(const struct jv *root, const struct media *type,
    struct document_manifest *out, struct err *e)
{
	const struct jv *layers;
	uint64_t total = 0;

	int r = parse_config_descriptor(root, type, out, e);
	if (!r)
		r = field_kind(root, "layers", JV_ARRAY, "manifest", &layers, e);
	if (r)
		return r;
	size_t n = jv_count(layers);
	if (n < 1 || n > LIMIT_LAYERS)
		return err_set(e, ERR_CONTENT,
		    "manifest: %zu layers; 1 to %d are possible", n, LIMIT_LAYERS);
	for (size_t i = 0; i < n; i++) {
		r = parse_layer(jv_at(layers, i), i, &out->layers[i], e);
		if (r)
			return r;
		total += out->layers[i].size;
	}
	if (total > LIMIT_IMAGE_HARD)
		return err_set(e, ERR_CONTENT,
		    "manifest: layers of %" PRIu64
		    " bytes in all, over the limit of %" PRIu64,
		    total, LIMIT_IMAGE_HARD);
	out->nlayers = (unsigned)n;
	out->media_type = type->text;
	return parse_annotations(root, type, out, e);
}
