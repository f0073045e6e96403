/* Any bytes: refused, or walked without a step outside; what is printed parses to the
 * same. */
#include "worker-store/store/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool good)
{
	if (!good)
		abort();
}

static void
walk(struct span v)
{
	struct json_iter it = json_iter(v);
	struct span key, x;
	int64_t n;

	switch (json_type(v)) {
	case JSON_OBJECT:
		while (json_next_member(&it, &key, &x)) {
			walk(key);
			walk(x);
		}
		break;
	case JSON_ARRAY:
		while (json_next(&it, &x))
			walk(x);
		break;
	case JSON_STRING: {
		uint8_t *text = malloc(v.n);
		ssize_t k = json_decode(v, text);
		require(k <= (ssize_t)v.n);
		if (k >= 0) {
			struct buf b = {0};
			struct span again;
			buf_json(&b, span_of(text, (size_t)k));
			require(json_check(buf_span(&b), &again) == 0);
			require(json_string_is(again, span_of(text, (size_t)k)));
			require(json_string_is(v, span_of(text, (size_t)k)));
			buf_free(&b);
		}
		free(text);
		break;
	}
	case JSON_NUMBER:
		if (json_int64(v, &n))
			require(n >= 0 || v.p[0] == '-');
		break;
	default:
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct json_edit edit = {"id", span_str("\"x\"")};
	struct span v, again;

	if (json_check(span_of(data, size), &v) < 0)
		return 0;
	walk(v);
	if (json_type(v) != JSON_OBJECT)
		return 0;
	struct buf b = {0}, c = {0};
	json_edit_object(&b, v, &edit, 1);
	require(json_check(buf_span(&b), &again) == 0);
	json_edit_object(&c, again, &edit, 1);
	require(span_eq(buf_span(&b), buf_span(&c)));
	buf_free(&b);
	buf_free(&c);
	return 0;
}
