#include "worker-store/document/fields.h"

#include <errno.h>
#include <inttypes.h>

static const char *
kind_name(enum jv_kind kind)
{
	static const char *const names[] = {[JV_NULL] = "null",
	    [JV_BOOL] = "a boolean",
	    [JV_INT] = "an integer",
	    [JV_REAL] = "a fraction",
	    [JV_TEXT] = "a string",
	    [JV_ARRAY] = "an array",
	    [JV_OBJECT] = "an object"};
	return names[kind];
}

int
field_kind(const struct jv *o, const char *key, enum jv_kind kind, const char *what,
    const struct jv **out, struct err *e)
{
	const struct jv *v = jv_get(o, key);

	*out = NULL;
	if (v && jv_kind(v) != kind)
		return err_set(e, ERR_CONTENT, "%s: %s is %s, not %s", what, key,
		    kind_name(jv_kind(v)), kind_name(kind));
	*out = v;
	return 0;
}

bool
text_has_control(struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];
		bool c1 = c == 0xc2 && i + 1 < text.n && text.p[i + 1] < 0xa0;
		if (c < 0x20 || c == 0x7f || c1)
			return true;
	}
	return false;
}

int
field_text(const struct jv *o, const char *key, const char *what, char *dst, size_t cap,
    struct err *e)
{
	const struct jv *v;

	dst[0] = 0;
	int r = field_kind(o, key, JV_TEXT, what, &v, e);
	if (r || !v)
		return r;
	if (text_has_control(jv_text(v)))
		return err_set(
		    e, ERR_CONTENT, "%s: %s holds control characters", what, key);
	if (!span_to_str(jv_text(v), dst, cap))
		return err_set(e, ERR_CONTENT, "%s: %s is longer than %zu bytes", what,
		    key, cap - 1);
	return 0;
}

int
field_size(const struct jv *o, const char *key, const char *what, uint64_t max,
    uint64_t *out, struct err *e)
{
	const struct jv *v;

	int r = field_kind(o, key, JV_INT, what, &v, e);
	if (r)
		return r;
	if (!v)
		return err_set(e, ERR_CONTENT, "%s: no %s", what, key);
	if (jv_int(v) < 0)
		return err_set(e, ERR_CONTENT, "%s: %s is negative", what, key);
	if ((uint64_t)jv_int(v) > max)
		return err_set(e, ERR_CONTENT,
		    "%s: %s %" PRId64 " is over the limit of %" PRIu64, what, key,
		    jv_int(v), max);
	*out = (uint64_t)jv_int(v);
	return 0;
}

int
value_digest(
    const struct jv *v, const char *what, uint8_t out[DIGEST_BYTES], struct err *e)
{
	char shown[128];

	if (jv_kind(v) != JV_TEXT)
		return err_set(e, ERR_CONTENT, "%s: no digest", what);
	int r = digest_parse(jv_text(v), out);
	if (!r)
		return 0;
	span_escape(jv_text(v), shown, sizeof(shown));
	if (r == -ENOTSUP)
		return err_set(e, ERR_CONTENT,
		    "%s: the digest \"%s\" is not a sha256 one; push the image again "
		    "with sha256",
		    what, shown);
	return err_set(e, ERR_CONTENT,
	    "%s: \"%s\" is not a digest (sha256: and 64 lower-case "
	    "hex digits)",
	    what, shown);
}

int
field_texts(
    const struct jv *o, const char *key, const char *what, unsigned *n, struct err *e)
{
	const struct jv *v;

	*n = 0;
	int r = field_kind(o, key, JV_ARRAY, what, &v, e);
	if (r)
		return r;
	for (size_t i = 0; i < jv_count(v); i++) {
		if (jv_kind(jv_at(v, i)) != JV_TEXT)
			return err_set(
			    e, ERR_CONTENT, "%s: %s[%zu] is not a string", what, key, i);
	}
	*n = (unsigned)jv_count(v);
	return 0;
}
