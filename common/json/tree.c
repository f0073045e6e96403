#include "common/json/tree.h"

#include "common/json/scan.h"

#include <errno.h>
#include <jansson.h>
#include <sys/random.h>

/* The library's functions take a pointer to non-const even to read. */
static json_t *
lib(const struct jv *v)
{
	return (json_t *)(uintptr_t)v;
}

static const struct jv *
own(json_t *j)
{
	return json_is_null(j) ? NULL : (const struct jv *)j;
}

void
jv_warm_up(void)
{
	size_t seed = 0;

	/* A seed of 0 makes the library open /dev/urandom, which a room does not have. */
	while (seed == 0) {
		if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
			seed = 1;
	}
	json_object_seed(seed);
}

int
jv_parse(struct span text, const char *what, struct jv **root, struct err *e)
{
	json_error_t why;

	*root = NULL;
	int r = json_scan(text, what, e);
	if (r)
		return r;
	json_t *j = json_loadb(
	    (const char *)text.p, text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	if (j) {
		*root = (struct jv *)j;
		return 0;
	}
	if (json_error_code(&why) == json_error_out_of_memory) {
		err_errno(e, ENOMEM, "%s", what);
		return -ENOMEM;
	}
	char text_buf[256];
	return err_set(e, ERR_CONTENT, "%s: not acceptable JSON: %s (line %d)", what,
	    span_escape(span_str(why.text), text_buf, sizeof(text_buf)), why.line);
}

void
jv_free(struct jv **root)
{
	json_decref(lib(*root));
	*root = NULL;
}

enum jv_kind
jv_kind(const struct jv *v)
{
	if (!v)
		return JV_NULL;
	switch (json_typeof(lib(v))) {
	case JSON_OBJECT:
		return JV_OBJECT;
	case JSON_ARRAY:
		return JV_ARRAY;
	case JSON_STRING:
		return JV_TEXT;
	case JSON_INTEGER:
		return JV_INT;
	case JSON_REAL:
		return JV_REAL;
	case JSON_TRUE:
	case JSON_FALSE:
		return JV_BOOL;
	case JSON_NULL:
		return JV_NULL;
	}
	return JV_NULL;
}

size_t
jv_count(const struct jv *v)
{
	if (jv_kind(v) == JV_ARRAY)
		return json_array_size(lib(v));
	return jv_kind(v) == JV_OBJECT ? json_object_size(lib(v)) : 0;
}

const struct jv *
jv_at(const struct jv *array, size_t i)
{
	return own(json_array_get(lib(array), i));
}

const struct jv *
jv_get(const struct jv *object, const char *key)
{
	return own(json_object_get(lib(object), key));
}

bool
jv_has(const struct jv *object, const char *key)
{
	return json_object_get(lib(object), key) != NULL;
}

struct span
jv_text(const struct jv *v)
{
	assert(jv_kind(v) == JV_TEXT);
	return span_of(json_string_value(lib(v)), json_string_length(lib(v)));
}

int64_t
jv_int(const struct jv *v)
{
	assert(jv_kind(v) == JV_INT);
	return json_integer_value(lib(v));
}

bool
jv_bool(const struct jv *v)
{
	assert(jv_kind(v) == JV_BOOL);
	return json_is_true(lib(v));
}

bool
jv_next(struct jv_iter *it, struct span *key, const struct jv **value)
{
	json_t *o = lib(it->object);

	it->at = it->started ? json_object_iter_next(o, it->at) : json_object_iter(o);
	it->started = true;
	if (!it->at)
		return false;
	/* Keys have no NUL: the scan refused it. */
	*key = span_str(json_object_iter_key(it->at));
	*value = (const struct jv *)json_object_iter_value(it->at);
	return true;
}

/* The next character, folded as Go's encoding/json folds keys. */
static int
fold_next(struct span *s)
{
	int c = s->p[0];
	size_t len = 1;

	if (span_starts(*s, "\xc5\xbf")) {
		c = 's';
		len = 2;
	} else if (span_starts(*s, "\xe2\x84\xaa")) {
		c = 'k';
		len = 3;
	} else if (c >= 'A' && c <= 'Z') {
		c |= 32;
	}
	*s = span_from(*s, len);
	return c;
}

static bool
fold_equal(struct span a, struct span b)
{
	while (a.n && b.n) {
		if (fold_next(&a) != fold_next(&b))
			return false;
	}
	return a.n == b.n;
}

int
jv_check_case(
    const struct jv *object, const char *const *known, const char *what, struct err *e)
{
	struct jv_iter it = {.object = object};
	const struct jv *value;
	struct span key;
	char buf[128];

	while (jv_next(&it, &key, &value)) {
		for (const char *const *k = known; *k; k++) {
			if (span_is(key, *k) || !fold_equal(key, span_str(*k)))
				continue;
			return err_set(e, ERR_CONTENT,
			    "%s: the key \"%s\" differs from \"%s\" only in case: "
			    "ambiguous",
			    what, span_escape(key, buf, sizeof(buf)), *k);
		}
	}
	return 0;
}

int
jv_check_only(
    const struct jv *object, const char *const *known, const char *what, struct err *e)
{
	struct jv_iter it = {.object = object};
	const struct jv *value;
	struct span key;
	char buf[128];

	while (jv_next(&it, &key, &value)) {
		const char *const *k = known;
		while (*k && !span_is(key, *k))
			k++;
		if (!*k)
			return err_set(e, ERR_CONTENT, "%s: unknown key \"%s\"", what,
			    span_escape(key, buf, sizeof(buf)));
	}
	return 0;
}

static void
write_object(const struct jv *v, struct jw *w)
{
	struct jv_iter it = {.object = v};
	const struct jv *value;
	struct span key;

	jw_object(w);
	while (jv_next(&it, &key, &value)) {
		jw_key_span(w, key);
		jv_write(value, w);
	}
	jw_end(w, '}');
}

void
jv_write(const struct jv *v, struct jw *w)
{
	switch (jv_kind(v)) {
	case JV_NULL:
		jw_null(w);
		return;
	case JV_BOOL:
		jw_bool(w, jv_bool(v));
		return;
	case JV_INT:
		jw_int(w, jv_int(v));
		return;
	case JV_REAL:
		jw_real(w, json_real_value(lib(v)));
		return;
	case JV_TEXT:
		jw_text(w, jv_text(v));
		return;
	case JV_ARRAY:
		jw_array(w);
		for (size_t i = 0; i < jv_count(v); i++)
			jv_write(jv_at(v, i), w);
		jw_end(w, ']');
		return;
	case JV_OBJECT:
		write_object(v, w);
		return;
	}
}
