/* The store's own JSON, read as spans of its text: no tree, no copy, nothing lost.
 *
 * json_check() judges a whole text once; everything else here works on parts of a checked
 * text and only walks it. Grammar: RFC 8259, UTF-8, bounded depth; no limit on length
 * (callers cap the file). A damaged text is refused whole. */
#ifndef BULKHEAD_STORE_JSON_H
#define BULKHEAD_STORE_JSON_H

#include "worker-store/store/buf.h"

#include <sys/types.h>

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

/* Whether the text is exactly one value, nested at most LIMIT_JSON_DEPTH deep. *value is
 * the value without the white space around it. 0, or -EBADMSG. */
int json_check(struct span text, struct span *value) MUST_CHECK;

static inline enum json_type
json_type(struct span value)
{
	uint8_t c = value.n ? *value.p : 'n';

	if (c == '"')
		return JSON_STRING;
	if (c == '{')
		return JSON_OBJECT;
	if (c == '[')
		return JSON_ARRAY;
	if (c == 't' || c == 'f')
		return JSON_BOOL;
	return c == 'n' ? JSON_NULL : JSON_NUMBER;
}

/* Walks the elements of an array, or the members of an object, of a checked text:
 *	struct json_iter it = json_iter(array);
 *	while (json_next(&it, &value)) ...
 * A value of another type has no elements. Keys come with their quotes. */
struct json_iter {
	struct span rest;
};
struct json_iter json_iter(struct span container);
bool json_next(struct json_iter *it, struct span *value);
bool json_next_member(struct json_iter *it, struct span *key, struct span *value);

/* If the next element of an array is an object, its members can be walked without looking
 * for its end first: json_enter, json_next_member to the end, then json_leave, which
 * moves the array's iterator on and returns the object. */
bool json_enter(const struct json_iter *it, struct json_iter *object);
struct span json_leave(struct json_iter *it, const struct json_iter *object);

/* The text of a string into dst, which has at least string.n bytes. The length, or
 * -EBADMSG for U+0000 and lone surrogates, which JSON allows and nothing here should
 * hold. */
ssize_t json_decode(struct span string, uint8_t *dst) MUST_CHECK;

/* Whether the string's text is this. */
bool json_string_is(struct span string, struct span text);

/* The bytes between the quotes of a string without escapes; n == 0 for any other value.
 */
struct span json_plain(struct span string);

/* An integer in decimal, without fraction or exponent, that fits. */
bool json_int64(struct span number, int64_t *v) MUST_CHECK;

/* One member to put into an object: an empty value removes the member. */
struct json_edit {
	const char *key;
	struct span value;
};

/* Appends the object to out with the edits applied: members that are there get the new
 * value in their place, new ones follow at the end, all others stay byte for byte. At
 * most 16 edits. */
void json_edit_object(
    struct buf *out, struct span object, const struct json_edit *edits, size_t n);

#endif
