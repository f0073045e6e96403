/* A JSON text as a tree of values, behind the checks of scan.h. The only user of the JSON
 * library. */
#ifndef BULKHEAD_JSON_TREE_H
#define BULKHEAD_JSON_TREE_H

#include "common/base/err.h"
#include "common/base/span.h"
#include "common/json/write.h"

/* One value; the root owns all below it. */
struct jv;

enum jv_kind {
	JV_NULL,
	JV_BOOL,
	JV_INT,
	JV_REAL,
	JV_TEXT,
	JV_ARRAY,
	JV_OBJECT,
};

/* Seeds the library's hash tables from the kernel. Before the sandbox, once a process. */
void jv_warm_up(void);

/* json_scan, then the tree; duplicate keys (also by escapes) and integers beyond int64
 * are refused. *root is for jv_free. 0, -EBADMSG (*e filled, ERR_CONTENT), or -ENOMEM. */
int jv_parse(
    struct span text, const char *what, struct jv **root, struct err *e) MUST_CHECK;

/* For CLEANUP. */
void jv_free(struct jv **root);

/* JV_NULL for NULL too: an absent member and a null one are the same to every reader in
 * Go. */
enum jv_kind jv_kind(const struct jv *v);

/* Members of an array or object; 0 for anything else. */
size_t jv_count(const struct jv *v);

/* NULL when there is none, when it is null, or when v is not of the kind. */
const struct jv *jv_at(const struct jv *array, size_t i);
const struct jv *jv_get(const struct jv *object, const char *key);

/* Whether the object has the key at all, be its value null. */
bool jv_has(const struct jv *object, const char *key);

/* The value must be of the kind. Texts are UTF-8 without NUL and live as long as the
 * root. */
struct span jv_text(const struct jv *v);
int64_t jv_int(const struct jv *v);
bool jv_bool(const struct jv *v);

/* `struct jv_iter it = {.object = v}; while (jv_next(&it, &key, &value))`: members in the
 * order of the text; none for anything but an object. value may be of kind JV_NULL. */
struct jv_iter {
	const struct jv *object;
	void *at;
	bool started;
};
bool jv_next(struct jv_iter *it, struct span *key, const struct jv **value);

/* Refuses an object with a key that a reader which ignores case would take for one of
 * `known` (NULL-terminated) without being it. Folds as Go's reader does: ASCII, U+017F =
 * s, U+212A = k. */
int jv_check_case(const struct jv *object, const char *const *known, const char *what,
    struct err *e) MUST_CHECK;

/* Refuses an object with any key that is not in `known`. */
int jv_check_only(const struct jv *object, const char *const *known, const char *what,
    struct err *e) MUST_CHECK;

/* Writes the value as it is, members in the order of the text. */
void jv_write(const struct jv *v, struct jw *w);

#endif
