#include "worker-store/document/put.h"

#include "common/base/limits.h"
#include "worker-store/document/facts.h"
#include "worker-store/document/media.h"
#include "worker-store/document/moment.h"

#include <errno.h>
#include <stdlib.h>

/* The member if it is of the kind, else NULL. */
const struct jv *
jv_member(const struct jv *o, const char *key, enum jv_kind kind)
{
	const struct jv *v = jv_get(o, key);

	return jv_kind(v) == kind ? v : NULL;
}

void
put_text(struct jw *w, const char *name, const struct jv *o, const char *key)
{
	const struct jv *v = jv_member(o, key, JV_TEXT);

	jw_key(w, name);
	jw_text(w, v ? jv_text(v) : span_str(""));
}

void
put_text_if(struct jw *w, const char *name, const struct jv *o, const char *key)
{
	const struct jv *v = jv_member(o, key, JV_TEXT);

	if (v && jv_text(v).n)
		put_text(w, name, o, key);
}

void
put_moment(struct jw *w, const struct jv *v)
{
	char text[72];

	jw_str(w, jv_text(v).n <= 64 ? moment_normalise(jv_text(v), text) : "");
}

struct member {
	struct span key;
	const struct jv *value;
};

static int
member_order(const void *a, const void *b)
{
	const struct span *x = &((const struct member *)a)->key;
	const struct span *y = &((const struct member *)b)->key;
	size_t n = x->n < y->n ? x->n : y->n;
	int r = memcmp(x->p, y->p, n);

	return r ? r : (x->n > y->n) - (x->n < y->n);
}

/* The members of an object sorted by key, as Go writes its maps. */
void
put_map(struct jw *w, const struct jv *o, bool as_set)
{
	CLEANUP(free_ptr) struct member *list = calloc(jv_count(o) + 1, sizeof(*list));
	struct jv_iter it = {.object = o};
	size_t n = 0;

	if (!list) {
		w->error = -ENOMEM;
		return;
	}
	while (jv_next(&it, &list[n].key, &list[n].value))
		n++;
	qsort(list, n, sizeof(*list), member_order);
	jw_object(w);
	for (size_t i = 0; i < n; i++) {
		jw_key_span(w, list[i].key);
		if (as_set) {
			jw_object(w);
			jw_end(w, '}');
		} else {
			jv_write(list[i].value, w);
		}
	}
	jw_end(w, '}');
}

void
put_map_if(struct jw *w, const char *name, const struct jv *o, bool as_set)
{
	const struct jv *v = jv_member(o, name, JV_OBJECT);

	if (!jv_count(v))
		return;
	jw_key(w, name);
	put_map(w, v, as_set);
}

void
put_list_if(struct jw *w, const char *name, const struct jv *o)
{
	const struct jv *v = jv_member(o, name, JV_ARRAY);

	if (!jv_count(v))
		return;
	jw_key(w, name);
	jv_write(v, w);
}

void
put_run_config(struct jw *w, const struct jv *run)
{
	jw_object(w);
	put_text_if(w, "User", run, "User");
	put_map_if(w, "ExposedPorts", run, true);
	put_list_if(w, "Env", run);
	put_list_if(w, "Entrypoint", run);
	put_list_if(w, "Cmd", run);
	put_map_if(w, "Volumes", run, true);
	put_text_if(w, "WorkingDir", run, "WorkingDir");
	put_map_if(w, "Labels", run, false);
	put_text_if(w, "StopSignal", run, "StopSignal");
	jw_end(w, '}');
}

void
put_history_list(struct jw *w, const struct jv *list)
{
	jw_array(w);
	for (size_t i = 0; i < jv_count(list); i++) {
		const struct jv *entry = jv_at(list, i);
		const struct jv *created = jv_member(entry, "created", JV_TEXT);
		const struct jv *empty = jv_member(entry, "empty_layer", JV_BOOL);
		jw_object(w);
		if (created) {
			jw_key(w, "created");
			put_moment(w, created);
		}
		put_text_if(w, "created_by", entry, "created_by");
		put_text_if(w, "author", entry, "author");
		put_text_if(w, "comment", entry, "comment");
		if (empty && jv_bool(empty)) {
			jw_key(w, "empty_layer");
			jw_bool(w, true);
		}
		jw_end(w, '}');
	}
	jw_end(w, ']');
}

const char *
put_manifest_type(const struct jv *manifest)
{
	const struct jv *type = jv_member(manifest, "mediaType", JV_TEXT);
	const struct jv *version = jv_member(manifest, "schemaVersion", JV_INT);

	if (type && media_find(jv_text(type))->kind != MEDIA_UNKNOWN)
		return media_find(jv_text(type))->text;
	if (version && jv_int(version) == 1)
		return "application/vnd.docker.distribution.manifest.v1+json";
	return MEDIA_OCI_MANIFEST;
}

int
put_finish(struct jw *w, struct err *e)
{
	int r = jw_done(w);

	if (r == -EFBIG)
		return err_set(e, ERR_CONTENT,
		    "the image's documents make a text of more than %llu "
		    "bytes",
		    (unsigned long long)LIMIT_RENDERED);
	return r ? err_errno(e, r, "writing JSON") : 0;
}

int
put_parse(struct span config, struct span manifest, struct span facts, struct jv **c,
    struct jv **m, struct err *e)
{
	if (config.n > LIMIT_DOCUMENT || manifest.n > LIMIT_DOCUMENT)
		return err_set(e, ERR_CONTENT,
		    "a document is over the limit of %llu bytes",
		    (unsigned long long)LIMIT_DOCUMENT);
	int r = facts_check(facts, e);
	if (!r)
		r = jv_parse(config, "image config", c, e);
	return r ? r : jv_parse(manifest, "manifest", m, e);
}
