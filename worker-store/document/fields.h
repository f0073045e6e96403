/* Typed members of JSON objects, with the refusals' texts. Internal to document. `what`
 * names the object in a refusal. */
#ifndef BULKHEAD_DOCUMENT_FIELDS_H
#define BULKHEAD_DOCUMENT_FIELDS_H

#include "common/json/tree.h"
#include "common/ref/digest.h"

/* The member in *out, NULL when absent or null. -EBADMSG when it is of another kind. */
int field_kind(const struct jv *o, const char *key, enum jv_kind kind, const char *what,
    const struct jv **out, struct err *e) MUST_CHECK;

/* A text without control characters of at most cap - 1 bytes; "" when absent. */
int field_text(const struct jv *o, const char *key, const char *what, char *dst,
    size_t cap, struct err *e) MUST_CHECK;

/* A required integer, 0 .. max. */
int field_size(const struct jv *o, const char *key, const char *what, uint64_t max,
    uint64_t *out, struct err *e) MUST_CHECK;

/* A digest from a value that should be a text. sha256 only. */
int value_digest(const struct jv *v, const char *what, uint8_t out[DIGEST_BYTES],
    struct err *e) MUST_CHECK;

/* An array of texts (nulls in it refused); any text. Absent: *n = 0. */
int field_texts(const struct jv *o, const char *key, const char *what, unsigned *n,
    struct err *e) MUST_CHECK;

/* Whether the text holds a C0 or C1 control character or DEL. */
bool text_has_control(struct span text);

#endif
