#include "worker-store/document/fields.h"
#include "worker-store/document/moment.h"
#include "worker-store/document/parse.h"

#include <stdio.h>

#define UID_MAX_VALUE UINT32_C(4294967294) /* (uid_t)-1 means "no id" to the kernel */

static const char *const top_keys[] = {"created", "author", "architecture", "os",
    "os.version", "os.features", "variant", "config", "rootfs", "history", "comment",
    "docker_version", "container_config", NULL};
static const char *const config_keys[] = {"User", "ExposedPorts", "Env", "Entrypoint",
    "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "Healthcheck", "ArgsEscaped",
    NULL};
static const char *const rootfs_keys[] = {"type", "diff_ids", NULL};
static const char *const history_keys[] = {
    "created", "created_by", "author", "comment", "empty_layer", NULL};

static int
check_created(const struct jv *o, const char *what, struct moment *out, struct err *e)
{
	const struct jv *v;
	char shown[80];

	*out = (struct moment){-1, 0};
	int r = field_kind(o, "created", JV_TEXT, what, &v, e);
	if (r || !v)
		return r;
	if (moment_parse(jv_text(v), out))
		return err_set(e, ERR_CONTENT,
		    "%s: created \"%s\" is not a time as RFC 3339 has it", what,
		    span_escape(jv_text(v), shown, sizeof(shown)));
	*out = moment_clamp(*out);
	return 0;
}

/* A part of User that a reader would take for a number must be an id: a larger one wraps
 * to another user, perhaps root, in programs that keep 32 bits. */
static bool
id_ok(struct span part)
{
	struct span digits = part;
	uint64_t v = 0;

	if (digits.n && (digits.p[0] == '+' || digits.p[0] == '-'))
		digits = span_from(digits, 1);
	if (!digits.n)
		return digits.n == part.n;
	for (size_t i = 0; i < digits.n; i++) {
		if (digits.p[i] < '0' || digits.p[i] > '9')
			return true; /* a name */
		if (v <= UID_MAX_VALUE)
			v = v * 10 + (digits.p[i] - '0');
	}
	return digits.n == part.n && v <= UID_MAX_VALUE;
}

static int
check_user(const char *user, struct err *e)
{
	struct span all = span_str(user);
	const char *colon = strchr(user, ':');
	size_t n = colon ? (size_t)(colon - user) : all.n;
	char shown[128];

	if (id_ok(span_of(user, n)) && (!colon || id_ok(span_from(all, n + 1))))
		return 0;
	return err_set(e, ERR_CONTENT, "image config: User \"%s\" is not a possible user",
	    span_escape(all, shown, sizeof(shown)));
}

/* HOME ends up as a line of the container's /etc/passwd in some runtimes (CVE-2022-4318).
 */
static int
check_env(const struct jv *env, struct err *e)
{
	for (size_t i = 0; i < jv_count(env); i++) {
		struct span s = jv_text(jv_at(env, i));
		if (span_starts(s, "HOME=") && text_has_control(s))
			return err_set(e, ERR_CONTENT,
			    "image config: HOME in Env holds control characters");
	}
	return 0;
}

static int
check_labels(const struct jv *labels, struct err *e)
{
	struct jv_iter it = {.object = labels};
	const struct jv *value;
	struct span key;

	while (jv_next(&it, &key, &value)) {
		if (jv_kind(value) != JV_TEXT)
			return err_set(
			    e, ERR_CONTENT, "image config: a label is not a string");
	}
	return 0;
}

/* Objects used as sets: {"80/tcp": {}}. */
static int
count_set(const struct jv *o, const char *key, unsigned *n, struct err *e)
{
	const struct jv *v;

	int r = field_kind(o, key, JV_OBJECT, "image config", &v, e);
	*n = (unsigned)jv_count(v);
	return r;
}

static int
parse_run(const struct jv *c, struct document_config *out, struct err *e)
{
	static const char what[] = "image config";
	char text[LIMIT_CONFIG_TEXT + 1];
	const struct jv *labels;
	unsigned ignored;

	int r = jv_check_case(c, config_keys, what, e);
	if (!r)
		r = field_text(c, "User", what, out->user, sizeof(out->user), e);
	if (!r)
		r = check_user(out->user, e);
	if (!r)
		r = field_text(c, "WorkingDir", what, text, sizeof(text), e);
	if (!r)
		r = field_text(c, "StopSignal", what, text, sizeof(text), e);
	if (!r)
		r = field_texts(c, "Env", what, &out->env, e);
	if (!r)
		r = check_env(jv_get(c, "Env"), e);
	if (!r)
		r = field_texts(c, "Cmd", what, &ignored, e);
	if (!r)
		r = field_texts(c, "Entrypoint", what, &ignored, e);
	if (!r)
		r = count_set(c, "ExposedPorts", &out->ports, e);
	if (!r)
		r = count_set(c, "Volumes", &out->volumes, e);
	if (!r)
		r = field_kind(c, "Labels", JV_OBJECT, what, &labels, e);
	if (!r)
		r = check_labels(labels, e);
	if (!r)
		out->labels = (unsigned)jv_count(labels);
	return r;
}

static int
parse_rootfs(const struct jv *root, struct document_config *out, struct err *e)
{
	const struct jv *rootfs, *ids;
	char type[32], what[64];

	int r = field_kind(root, "rootfs", JV_OBJECT, "image config", &rootfs, e);
	if (r)
		return r;
	if (!rootfs)
		return err_set(
		    e, ERR_CONTENT, "image config: no rootfs: not an image's config");
	r = jv_check_case(rootfs, rootfs_keys, "image config: rootfs", e);
	if (!r)
		r = field_text(
		    rootfs, "type", "image config: rootfs", type, sizeof(type), e);
	if (!r)
		r = field_kind(
		    rootfs, "diff_ids", JV_ARRAY, "image config: rootfs", &ids, e);
	if (r)
		return r;
	if (strcmp(type, "layers") != 0)
		return err_set(
		    e, ERR_CONTENT, "image config: the rootfs's type is not \"layers\"");
	size_t n = jv_count(ids);
	if (n < 1 || n > LIMIT_LAYERS)
		return err_set(e, ERR_CONTENT,
		    "image config: %zu diff_ids; 1 to %d are possible", n, LIMIT_LAYERS);
	for (size_t i = 0; i < n; i++) {
		snprintf(what, sizeof(what), "image config: diff_ids[%zu]", i);
		r = value_digest(jv_at(ids, i), what, out->diff_ids[i], e);
		if (r)
			return r;
	}
	out->ndiff_ids = (unsigned)n;
	return 0;
}

static int
parse_history(const struct jv *root, struct document_config *out, struct err *e)
{
	static const char *const texts[] = {"created_by", "author", "comment"};
	const struct jv *list, *v;
	struct moment ignored;
	char what[64];

	int r = field_kind(root, "history", JV_ARRAY, "image config", &list, e);
	for (size_t i = 0; !r && i < jv_count(list); i++) {
		const struct jv *entry = jv_at(list, i);
		snprintf(what, sizeof(what), "image config: history[%zu]", i);
		if (jv_kind(entry) != JV_OBJECT)
			return err_set(e, ERR_CONTENT, "%s is not an object", what);
		r = jv_check_case(entry, history_keys, what, e);
		if (!r)
			r = check_created(entry, what, &ignored, e);
		if (!r)
			r = field_kind(entry, "empty_layer", JV_BOOL, what, &v, e);
		for (size_t t = 0; !r && t < ARRAY_LEN(texts); t++)
			r = field_kind(entry, texts[t], JV_TEXT, what, &v, e);
	}
	out->history = (unsigned)jv_count(list);
	return r;
}

int
config_parse(const struct jv *root, struct document_config *out, struct err *e)
{
	static const char what[] = "image config";
	const struct jv *run;
	struct moment created;

	int r = jv_check_case(root, top_keys, what, e);
	if (!r)
		r = check_created(root, what, &created, e);
	if (!r)
		r = field_text(root, "os", what, out->os, sizeof(out->os), e);
	if (!r)
		r = field_text(root, "architecture", what, out->architecture,
		    sizeof(out->architecture), e);
	if (!r)
		r = field_text(
		    root, "variant", what, out->variant, sizeof(out->variant), e);
	if (!r)
		r = field_kind(root, "config", JV_OBJECT, what, &run, e);
	if (!r && run)
		r = parse_run(run, out, e);
	if (!r)
		r = parse_rootfs(root, out, e);
	if (!r)
		r = parse_history(root, out, e);
	if (r)
		return r;
	out->created = created.sec;
	out->created_ns = created.nsec;
	return 0;
}
