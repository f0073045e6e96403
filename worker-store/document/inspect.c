#include "worker-store/document/inspect.h"

#include "common/base/limits.h"
#include "common/json/tree.h"
#include "worker-store/document/facts.h"
#include "worker-store/document/media.h"
#include "worker-store/document/moment.h"

#include <errno.h>
#include <stdlib.h>

/* One local image being written. */
struct local {
	const struct jv *config, *run, *manifest, *history;
	struct span facts;
	const char *type;
	struct jw *w;
};

/* The member if it is of the kind, else NULL. */
static const struct jv *
get(const struct jv *o, const char *key, enum jv_kind kind)
{
	const struct jv *v = jv_get(o, key);

	return jv_kind(v) == kind ? v : NULL;
}

static void
put_text(struct jw *w, const char *name, const struct jv *o, const char *key)
{
	const struct jv *v = get(o, key, JV_TEXT);

	jw_key(w, name);
	jw_text(w, v ? jv_text(v) : span_str(""));
}

static void
put_text_if(struct jw *w, const char *name, const struct jv *o, const char *key)
{
	const struct jv *v = get(o, key, JV_TEXT);

	if (v && jv_text(v).n)
		put_text(w, name, o, key);
}

static void
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
static void
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

static void
put_map_if(struct jw *w, const char *name, const struct jv *o, bool as_set)
{
	const struct jv *v = get(o, name, JV_OBJECT);

	if (!jv_count(v))
		return;
	jw_key(w, name);
	put_map(w, v, as_set);
}

static void
put_list_if(struct jw *w, const char *name, const struct jv *o)
{
	const struct jv *v = get(o, name, JV_ARRAY);

	if (!jv_count(v))
		return;
	jw_key(w, name);
	jv_write(v, w);
}

/* All facts of one key as an array; with none, an empty array or null. */
static void
put_facts(struct jw *w, const char *name, struct span facts, const char *want, bool null)
{
	struct span key, value;

	jw_key(w, name);
	if (null && !facts_get(facts, want).n) {
		jw_null(w);
		return;
	}
	jw_array(w);
	while (facts_next(&facts, &key, &value)) {
		if (span_is(key, want))
			jw_text(w, value);
	}
	jw_end(w, ']');
}

static void
put_fact(struct jw *w, const char *name, struct span facts, const char *key)
{
	jw_key(w, name);
	jw_text(w, facts_get(facts, key));
}

static uint64_t
fact_number(struct span facts, const char *key)
{
	struct span s = facts_get(facts, key);
	uint64_t v = 0;

	for (size_t i = 0; i < s.n && i < 18 && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		v = v * 10 + (s.p[i] - (uint64_t)'0');
	return v;
}

static void
put_run(struct local *l)
{
	struct jw *w = l->w;

	jw_key(w, "Config");
	jw_object(w);
	put_text_if(w, "User", l->run, "User");
	put_map_if(w, "ExposedPorts", l->run, true);
	put_list_if(w, "Env", l->run);
	put_list_if(w, "Entrypoint", l->run);
	put_list_if(w, "Cmd", l->run);
	put_map_if(w, "Volumes", l->run, true);
	put_text_if(w, "WorkingDir", l->run, "WorkingDir");
	put_map_if(w, "Labels", l->run, false);
	put_text_if(w, "StopSignal", l->run, "StopSignal");
	jw_end(w, '}');
}

static void
put_graph(struct local *l)
{
	struct span rest = l->facts, key, value;

	jw_key(l->w, "GraphDriver");
	jw_object(l->w);
	put_fact(l->w, "Name", l->facts, "driver");
	jw_key(l->w, "Data");
	jw_object(l->w);
	while (facts_next(&rest, &key, &value)) {
		if (!span_starts(key, "graph."))
			continue;
		jw_key_span(l->w, span_from(key, strlen("graph.")));
		jw_text(l->w, value);
	}
	jw_end(l->w, '}');
	jw_end(l->w, '}');
}

static void
put_rootfs(struct local *l)
{
	const struct jv *rootfs = get(l->config, "rootfs", JV_OBJECT);
	const struct jv *ids = get(rootfs, "diff_ids", JV_ARRAY);

	jw_key(l->w, "RootFS");
	jw_object(l->w);
	put_text(l->w, "Type", rootfs, "type");
	jw_key(l->w, "Layers");
	jv_write(ids, l->w);
	jw_end(l->w, '}');
}

static void
put_history(struct local *l)
{
	struct jw *w = l->w;

	jw_key(w, "History");
	if (!l->history) {
		jw_null(w);
		return;
	}
	jw_array(w);
	for (size_t i = 0; i < jv_count(l->history); i++) {
		const struct jv *entry = jv_at(l->history, i);
		const struct jv *created = get(entry, "created", JV_TEXT);
		const struct jv *empty = get(entry, "empty_layer", JV_BOOL);
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

/* Docker images only: OCI has no place for it. */
static void
put_health(struct local *l)
{
	static const char *const numbers[] = {
	    "StartPeriod", "Interval", "Timeout", "Retries"};
	const struct jv *built = get(l->config, "container_config", JV_OBJECT);
	const struct jv *health = get(built, "Healthcheck", JV_OBJECT);

	if (!health)
		health = get(l->run, "Healthcheck", JV_OBJECT);
	if (!health || strcmp(l->type, MEDIA_OCI_MANIFEST) == 0)
		return;
	jw_key(l->w, "Healthcheck");
	jw_object(l->w);
	put_list_if(l->w, "Test", health);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		const struct jv *v = get(health, numbers[i], JV_INT);
		if (!v || jv_int(v) == 0)
			continue;
		jw_key(l->w, numbers[i]);
		jv_write(v, l->w);
	}
	jw_end(l->w, '}');
}

static void
put_head(struct local *l)
{
	const struct jv *created = get(l->config, "created", JV_TEXT);
	bool oci = strcmp(l->type, MEDIA_OCI_MANIFEST) == 0;
	struct jw *w = l->w;

	put_fact(w, "Id", l->facts, "id");
	put_fact(w, "Digest", l->facts, "digest");
	put_facts(w, "RepoTags", l->facts, "name", false);
	put_facts(w, "RepoDigests", l->facts, "repo-digest", false);
	jw_key(w, "Parent");
	jw_str(w, "");
	put_text(w, "Comment", oci ? jv_at(l->history, 0) : l->config, "comment");
	jw_key(w, "Created");
	if (created)
		put_moment(w, created);
	else
		jw_null(w);
	put_run(l);
	put_text(w, "Version", l->config, "docker_version");
	put_text(w, "Author", l->config, "author");
	put_text(w, "Architecture", l->config, "architecture");
	put_text(w, "Os", l->config, "os");
	jw_key(w, "Size");
	jw_uint(w, fact_number(l->facts, "size"));
	jw_key(w, "VirtualSize");
	jw_uint(w, fact_number(l->facts, "size"));
}

static void
put_local(struct local *l)
{
	const struct jv *labels = get(l->run, "Labels", JV_OBJECT);
	const struct jv *notes = get(l->manifest, "annotations", JV_OBJECT);
	struct jw *w = l->w;

	jw_array(w);
	jw_object(w);
	put_head(l);
	put_graph(l);
	put_rootfs(l);
	jw_key(w, "Labels");
	if (labels)
		put_map(w, labels, false);
	else
		jw_null(w);
	jw_key(w, "Annotations");
	put_map(w, notes, false);
	jw_key(w, "ManifestType");
	jw_str(w, l->type);
	put_text(w, "User", l->run, "User");
	put_history(l);
	put_facts(w, "NamesHistory", l->facts, "history", true);
	put_health(l);
	jw_end(w, '}');
	jw_end(w, ']');
}

static const char *
manifest_type(const struct jv *manifest)
{
	const struct jv *type = get(manifest, "mediaType", JV_TEXT);
	const struct jv *version = get(manifest, "schemaVersion", JV_INT);

	if (type && media_find(jv_text(type))->kind != MEDIA_UNKNOWN)
		return media_find(jv_text(type))->text;
	if (version && jv_int(version) == 1)
		return "application/vnd.docker.distribution.manifest.v1+json";
	return MEDIA_OCI_MANIFEST;
}

static int
finish(struct jw *w, struct err *e)
{
	int r = jw_done(w);

	if (r == -EFBIG)
		return err_set(e, ERR_CONTENT,
		    "the image's documents make a text of more than %llu "
		    "bytes",
		    (unsigned long long)LIMIT_RENDERED);
	return r ? err_errno(e, r, "writing JSON") : 0;
}

static int
parse_both(struct span config, struct span manifest, struct span facts, struct jv **c,
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

int
inspect_local(struct span config, struct span manifest, struct span facts, struct jw *w,
    struct err *e)
{
	CLEANUP(jv_free) struct jv *c = NULL;
	CLEANUP(jv_free) struct jv *m = NULL;

	int r = parse_both(config, manifest, facts, &c, &m, e);
	if (r)
		return r;
	struct local l = {.config = c,
	    .run = get(c, "config", JV_OBJECT),
	    .history = get(c, "history", JV_ARRAY),
	    .manifest = m,
	    .facts = facts,
	    .type = manifest_type(m),
	    .w = w};
	put_local(&l);
	return finish(w, e);
}

int
inspect_remote(struct span config, struct span manifest, struct span facts, struct jw *w,
    struct err *e)
{
	CLEANUP(jv_free) struct jv *c = NULL;
	CLEANUP(jv_free) struct jv *m = NULL;

	int r = parse_both(config, manifest, facts, &c, &m, e);
	if (r)
		return r;
	jw_object(w);
	put_fact(w, "Name", facts, "name");
	put_fact(w, "Digest", facts, "digest");
	jw_key(w, "MediaType");
	jw_str(w, manifest_type(m));
	jw_key(w, "Manifest");
	jv_write(m, w);
	jw_key(w, "Config");
	jv_write(c, w);
	jw_end(w, '}');
	return finish(w, e);
}
