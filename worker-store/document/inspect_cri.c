#include "worker-store/document/inspect.h"

#include "common/base/limits.h"
#include "common/ref/digest.h"
#include "worker-store/document/put.h"

/* The config's members that an OCI image specification has, in its order. */
static void
put_spec(struct jw *w, const struct jv *c, const struct jv *run)
{
	const struct jv *created = jv_member(c, "created", JV_TEXT);
	const struct jv *history = jv_member(c, "history", JV_ARRAY);
	const struct jv *rootfs = jv_member(c, "rootfs", JV_OBJECT);

	jw_object(w);
	if (created) {
		jw_key(w, "created");
		put_moment(w, created);
	}
	put_text_if(w, "author", c, "author");
	put_text(w, "architecture", c, "architecture");
	put_text(w, "os", c, "os");
	put_text_if(w, "os.version", c, "os.version");
	put_list_if(w, "os.features", c);
	put_text_if(w, "variant", c, "variant");
	jw_key(w, "config");
	put_run_config(w, run);
	jw_key(w, "rootfs");
	jw_object(w);
	put_text(w, "type", rootfs, "type");
	jw_key(w, "diff_ids");
	jv_write(jv_member(rootfs, "diff_ids", JV_ARRAY), w);
	jw_end(w, '}');
	if (jv_count(history)) {
		jw_key(w, "history");
		put_history_list(w, history);
	}
	jw_end(w, '}');
}

static void
put_layers(struct jw *w, const struct jv *layers)
{
	uint8_t digest[DIGEST_BYTES];

	jw_array(w);
	for (size_t i = 0; i < jv_count(layers) && i < LIMIT_LAYERS; i++) {
		const struct jv *d = jv_member(jv_at(layers, i), "digest", JV_TEXT);
		const struct jv *size = jv_member(jv_at(layers, i), "size", JV_INT);
		if (!d || !size || digest_parse(jv_text(d), digest) < 0)
			continue;
		jw_object(w);
		jw_key(w, "digest");
		jw_text(w, jv_text(d));
		jw_key(w, "size");
		jw_int(w, jv_int(size));
		jw_end(w, '}');
	}
	jw_end(w, ']');
}

int
inspect_cri(struct span config, struct span manifest, struct jw *w, struct err *e)
{
	CLEANUP(jv_free) struct jv *c = NULL;
	CLEANUP(jv_free) struct jv *m = NULL;

	int r = put_parse(config, manifest, span_of("", 0), &c, &m, e);
	if (r)
		return r;
	const struct jv *run = jv_member(c, "config", JV_OBJECT);
	const struct jv *labels = jv_member(run, "Labels", JV_OBJECT);
	jw_object(w);
	if (jv_count(labels)) {
		jw_key(w, "labels");
		put_map(w, labels, false);
	}
	jw_key(w, "imageSpec");
	put_spec(w, c, run);
	jw_key(w, "layers");
	put_layers(w, jv_member(m, "layers", JV_ARRAY));
	jw_end(w, '}');
	return put_finish(w, e);
}
