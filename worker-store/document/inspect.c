#include "worker-store/document/inspect.h"

#include "common/base/limits.h"
#include "worker-store/document/facts.h"
#include "worker-store/document/media.h"
#include "worker-store/document/put.h"

#include <errno.h>
#include <stdlib.h>

/* One local image being written. */
struct local {
	const struct jv *config, *run, *manifest, *history;
	struct span facts;
	const char *type;
	struct jw *w;
};

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
	put_run_config(w, l->run);
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
	const struct jv *rootfs = jv_member(l->config, "rootfs", JV_OBJECT);
	const struct jv *ids = jv_member(rootfs, "diff_ids", JV_ARRAY);

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
	put_history_list(w, l->history);
}

/* Docker images only: OCI has no place for it. */
static void
put_health(struct local *l)
{
	static const char *const numbers[] = {
	    "StartPeriod", "Interval", "Timeout", "Retries"};
	const struct jv *built = jv_member(l->config, "container_config", JV_OBJECT);
	const struct jv *health = jv_member(built, "Healthcheck", JV_OBJECT);

	if (!health)
		health = jv_member(l->run, "Healthcheck", JV_OBJECT);
	if (!health || strcmp(l->type, MEDIA_OCI_MANIFEST) == 0)
		return;
	jw_key(l->w, "Healthcheck");
	jw_object(l->w);
	put_list_if(l->w, "Test", health);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		const struct jv *v = jv_member(health, numbers[i], JV_INT);
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
	const struct jv *created = jv_member(l->config, "created", JV_TEXT);
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
	const struct jv *labels = jv_member(l->run, "Labels", JV_OBJECT);
	const struct jv *notes = jv_member(l->manifest, "annotations", JV_OBJECT);
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

int
inspect_local(struct span config, struct span manifest, struct span facts, struct jw *w,
    struct err *e)
{
	CLEANUP(jv_free) struct jv *c = NULL;
	CLEANUP(jv_free) struct jv *m = NULL;

	int r = put_parse(config, manifest, facts, &c, &m, e);
	if (r)
		return r;
	struct local l = {.config = c,
	    .run = jv_member(c, "config", JV_OBJECT),
	    .history = jv_member(c, "history", JV_ARRAY),
	    .manifest = m,
	    .facts = facts,
	    .type = put_manifest_type(m),
	    .w = w};
	put_local(&l);
	return put_finish(w, e);
}

int
inspect_remote(struct span config, struct span manifest, struct span facts, struct jw *w,
    struct err *e)
{
	CLEANUP(jv_free) struct jv *c = NULL;
	CLEANUP(jv_free) struct jv *m = NULL;

	int r = put_parse(config, manifest, facts, &c, &m, e);
	if (r)
		return r;
	jw_object(w);
	put_fact(w, "Name", facts, "name");
	put_fact(w, "Digest", facts, "digest");
	jw_key(w, "MediaType");
	jw_str(w, put_manifest_type(m));
	jw_key(w, "Manifest");
	jv_write(m, w);
	jw_key(w, "Config");
	jv_write(c, w);
	jw_end(w, '}');
	return put_finish(w, e);
}
