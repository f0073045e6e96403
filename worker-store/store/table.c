#include "worker-store/store/table.h"

#include "common/base/fd.h"
#include "common/base/limits.h"
#include "worker-store/store/ids.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>

enum shape {
	TEXT,	/* string without escapes */
	STRING, /* any string */
	DIGEST, /* text that is empty or algorithm:hex */
	INT,
	STRINGS, /* array of strings */
	INTS,	 /* array of uint32 */
	SIZES,	 /* object of integers */
	DIGESTS, /* object of strings */
	FLAGS,	 /* any object */
	OBJECTS, /* array of objects */
	TIME,
};

struct field {
	const char *key;
	size_t n; /* its length */
	enum shape shape;
	size_t at; /* in struct record; 0 = only checked */
};

#define KEY(text) (text), sizeof(text) - 1
#define AT(f) offsetof(struct record, f)

static const struct field layer_fields[] = {
    {KEY("id"), TEXT, AT(id)},
    {KEY("names"), STRINGS, AT(names)},
    {KEY("parent"), TEXT, AT(parent)},
    {KEY("metadata"), STRING, AT(metadata)},
    {KEY("mountlabel"), STRING, 0},
    {KEY("created"), TIME, AT(created)},
    {KEY("compressed-diff-digest"), DIGEST, AT(blob_digest)},
    {KEY("compressed-size"), INT, AT(blob_size)},
    {KEY("diff-digest"), DIGEST, AT(diff_digest)},
    {KEY("toc-digest"), DIGEST, 0},
    {KEY("diff-size"), INT, AT(diff_size)},
    {KEY("compression"), INT, 0},
    {KEY("uidset"), INTS, 0},
    {KEY("gidset"), INTS, 0},
    {KEY("flags"), FLAGS, AT(flags)},
    {KEY("uidmap"), OBJECTS, AT(uidmap)},
    {KEY("gidmap"), OBJECTS, AT(gidmap)},
    {KEY("big-data-names"), STRINGS, AT(keys)},
};

static const struct field image_fields[] = {
    {KEY("id"), TEXT, AT(id)},
    {KEY("digest"), DIGEST, AT(digest)},
    {KEY("names"), STRINGS, AT(names)},
    {KEY("names-history"), STRINGS, AT(history)},
    {KEY("layer"), TEXT, AT(layer)},
    {KEY("mapped-layers"), STRINGS, AT(mapped)},
    {KEY("metadata"), STRING, AT(metadata)},
    {KEY("big-data-names"), STRINGS, AT(keys)},
    {KEY("big-data-sizes"), SIZES, AT(sizes)},
    {KEY("big-data-digests"), DIGESTS, AT(digests)},
    {KEY("created"), TIME, AT(created)},
    {KEY("flags"), FLAGS, AT(flags)},
};

static const struct field container_fields[] = {
    {KEY("id"), TEXT, AT(id)},
    {KEY("image"), TEXT, AT(image)},
    {KEY("layer"), TEXT, AT(layer)},
};

static const struct field mount_fields[] = {
    {KEY("id"), TEXT, AT(id)},
    {KEY("path"), STRING, 0},
    {KEY("count"), INT, AT(count)},
};

static const struct {
	const struct field *f;
	size_t n;
} kinds[] = {
    [TABLE_LAYERS] = {layer_fields, ARRAY_LEN(layer_fields)},
    [TABLE_IMAGES] = {image_fields, ARRAY_LEN(image_fields)},
    [TABLE_CONTAINERS] = {container_fields, ARRAY_LEN(container_fields)},
    [TABLE_MOUNTS] = {mount_fields, ARRAY_LEN(mount_fields)},
};

static bool
is_uint32(struct span v)
{
	int64_t x;
	return json_type(v) == JSON_NUMBER && json_int64(v, &x) && x >= 0 &&
	       x <= UINT32_MAX;
}

static bool
elements_fit(struct span v, enum shape shape)
{
	struct json_iter it = json_iter(v);
	struct span x;

	while (json_next(&it, &x)) {
		enum json_type t = json_type(x);
		if (shape == STRINGS ? t != JSON_STRING
		    : shape == INTS  ? !is_uint32(x)
				     : t != JSON_OBJECT)
			return false;
	}
	return true;
}

/* Upstream validates the digest of each item whose key starts with "manifest" when it
 * loads. */
static bool
members_fit(struct span v, enum shape shape)
{
	struct json_iter it = json_iter(v);
	struct span key, x;
	int64_t n;

	while (json_next_member(&it, &key, &x)) {
		if (shape == SIZES && (json_type(x) != JSON_NUMBER || !json_int64(x, &n)))
			return false;
		if (shape != DIGESTS)
			continue;
		if (json_type(x) != JSON_STRING)
			return false;
		if (span_starts(key, "\"manifest") && !digest_well_formed(json_plain(x)))
			return false;
	}
	return true;
}

static bool
value_fits(struct span v, enum shape shape)
{
	enum json_type t = json_type(v);
	struct span text = json_plain(v);
	struct stamp when;
	int64_t n;

	switch (shape) {
	case TEXT:
		return t == JSON_STRING && (text.n || v.n == 2);
	case STRING:
		return t == JSON_STRING;
	case DIGEST:
		return t == JSON_STRING && (v.n == 2 || digest_well_formed(text));
	case TIME:
		return t == JSON_STRING && stamp_parse(text, &when);
	case INT:
		return t == JSON_NUMBER && json_int64(v, &n);
	case STRINGS:
	case INTS:
	case OBJECTS:
		return t == JSON_ARRAY && elements_fit(v, shape);
	case SIZES:
	case DIGESTS:
		return t == JSON_OBJECT && members_fit(v, shape);
	case FLAGS:
		return t == JSON_OBJECT;
	}
	return false;
}

static void
field_store(struct record *r, const struct field *f, struct span v)
{
	uint8_t *at = (uint8_t *)r + f->at;

	if (f->at == 0)
		return;
	if (f->shape == INT) {
		int64_t n = 0;
		if (json_int64(v, &n))
			memcpy(at, &n, sizeof(n));
		return;
	}
	if (f->shape == TEXT || f->shape == DIGEST || f->shape == TIME)
		v = json_plain(v);
	memcpy(at, &v, sizeof(v));
}

/* The field a key names; *wrong_case when it names one only to a reader that ignores
 * case, as Go's does: two readers would then see two different records. */
static const struct field *
field_of(enum table_kind kind, struct span key, bool *wrong_case)
{
	for (size_t i = 0; i < kinds[kind].n; i++) {
		const struct field *f = &kinds[kind].f[i];
		if (key.n == f->n + 2 && memcmp(key.p + 1, f->key, f->n) == 0)
			return f;
	}
	/* Spelled otherwise: with escapes, or in another case. */
	for (size_t i = 0; i < kinds[kind].n; i++) {
		const struct field *f = &kinds[kind].f[i];
		if (json_string_is(key, span_of(f->key, f->n)))
			return f;
		if (key.n == f->n + 2 &&
		    strncasecmp((const char *)key.p + 1, f->key, f->n) == 0)
			*wrong_case = true;
	}
	return NULL;
}

static bool
flag_incomplete(struct span flags)
{
	struct json_iter it = json_iter(flags);
	struct span key, v;
	bool yes = false;

	while (json_next_member(&it, &key, &v))
		if (json_string_is(key, span_str("incomplete")))
			yes = span_is(v, "true");
	return yes;
}

/* What is wrong with the record, or NULL: then all its members have been walked. */
static const char *
record_parse(struct record *r, enum table_kind kind, struct json_iter *it)
{
	struct span key, v;
	uint32_t seen = 0;

	while (json_next_member(it, &key, &v)) {
		bool wrong_case = false;
		const struct field *f = field_of(kind, key, &wrong_case);
		if (wrong_case)
			return "a member's name differs from a known one by case";
		if (!f)
			continue;
		uint32_t bit = 1u << (f - kinds[kind].f);
		if (seen & bit)
			return "a record has a member twice";
		seen |= bit;
		if (json_type(v) == JSON_NULL)
			continue;
		if (!value_fits(v, f->shape))
			return f->key;
		field_store(r, f, v);
	}
	if (!r->id.n || memchr(r->id.p, '/', r->id.n))
		return "a record has no id";
	r->incomplete = flag_incomplete(r->flags);
	return NULL;
}

/* Big-endian, so that it sorts as the bytes do. */
static uint64_t
head_of(struct span id)
{
	uint64_t v = 0;

	memcpy(&v, id.p, id.n < sizeof(v) ? id.n : sizeof(v));
	return be64toh(v);
}

static int
key_order(
    const struct record *rec, uint64_t head, struct span id, const struct table_key *key)
{
	if (head != key->head)
		return head < key->head ? -1 : 1;
	return span_compare(id, rec[key->at].id);
}

static int
order_by_id(const void *a, const void *b, void *arg)
{
	const struct table_key *x = a;
	const struct record *rec = arg;

	return key_order(rec, x->head, rec[x->at].id, b);
}

static bool
table_sort(struct table *t)
{
	t->by_id = calloc(t->n ? t->n : 1, sizeof(*t->by_id));
	if (!t->by_id)
		return false;
	for (size_t i = 0; i < t->n; i++)
		t->by_id[i] = (struct table_key){head_of(t->rec[i].id), (uint32_t)i};
	qsort_r(t->by_id, t->n, sizeof(*t->by_id), order_by_id, t->rec);
	t->sorted = t->n;
	return true;
}

static bool
table_has_twins(const struct table *t)
{
	for (size_t i = 1; i < t->sorted; i++)
		if (order_by_id(&t->by_id[i - 1], &t->by_id[i], t->rec) == 0)
			return true;
	return false;
}

static struct record *
table_grow(struct table *t)
{
	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		struct record *rec = realloc(t->rec, cap * sizeof(*rec));
		if (!rec)
			return NULL;
		t->rec = rec;
		t->cap = cap;
	}
	t->rec[t->n] = (struct record){0};
	return &t->rec[t->n++];
}

static int
damaged(struct err *e, const char *where, const char *what)
{
	return err_set(e, ERR_CONTENT,
	    "%s of the store is damaged (%s): nothing was changed; repair it with "
	    "`podman system "
	    "check --repair` or restore it",
	    where, what);
}

static int
table_fill(struct table *t, struct span array, const char *where, struct err *e)
{
	struct json_iter it = json_iter(array), members;
	struct span v;

	while (json_enter(&it, &members)) {
		if (t->n == LIMIT_STORE_RECORDS)
			return err_set(e, ERR_CONTENT,
			    "%s of the store has more than %d records", where,
			    LIMIT_STORE_RECORDS);
		struct record *r = table_grow(t);
		if (!r)
			return err_errno(e, ENOMEM, "%s", where);
		const char *wrong = record_parse(r, t->kind, &members);
		if (wrong)
			return damaged(e, where, wrong);
		r->raw = json_leave(&it, &members);
	}
	if (json_next(&it, &v))
		return damaged(e, where, "a record is not an object");
	if (!table_sort(t))
		return err_errno(e, ENOMEM, "%s", where);
	return table_has_twins(t) ? damaged(e, where, "two records have one id") : 0;
}

static bool
is_blank(struct span text)
{
	for (size_t i = 0; i < text.n; i++)
		if (!strchr(" \t\r\n", text.p[i]) || !text.p[i])
			return false;
	return true;
}

/* Takes the text over. */
static int
table_take(struct table *t, enum table_kind kind, uint8_t *text, size_t n,
    const char *where, struct err *e)
{
	struct span array = {0};

	*t = (struct table){.kind = kind, .text = text};
	if (!is_blank(span_of(text, n)) && json_check(span_of(text, n), &array) < 0) {
		table_free(t);
		return damaged(e, where, "not well-formed JSON");
	}
	if (array.n && json_type(array) != JSON_ARRAY && json_type(array) != JSON_NULL) {
		table_free(t);
		return damaged(e, where, "not an array");
	}
	int r = table_fill(t, array, where, e);
	if (r < 0)
		table_free(t);
	return r;
}

int
table_parse(struct table *t, enum table_kind kind, struct span text, const char *where,
    struct err *e)
{
	*t = (struct table){.kind = kind};
	uint8_t *copy = malloc(text.n + 1);
	if (!copy)
		return err_errno(e, ENOMEM, "%s", where);
	if (text.n)
		memcpy(copy, text.p, text.n);
	return table_take(t, kind, copy, text.n, where, e);
}

int
table_load(
    struct table *t, enum table_kind kind, int dir, const char *name, struct err *e)
{
	*t = (struct table){.kind = kind};
	FD_AUTO fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return table_sort(t) ? 0 : err_errno(e, ENOMEM, "%s", name);
	if (fd < 0)
		return err_errno(e, errno, "cannot open %s of the store", name);
	uint8_t *text = NULL;
	size_t n = 0;
	int r = fd_read_whole(fd, LIMIT_STORE_JSON, &text, &n);
	if (r == -EFBIG)
		return err_set(e, ERR_CONTENT,
		    "%s of the store is larger than %llu bytes", name,
		    (unsigned long long)LIMIT_STORE_JSON);
	if (r < 0)
		return err_errno(e, -r, "cannot read %s of the store", name);
	return table_take(t, kind, text, n, name, e);
}

void
table_free(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->rec[i].own);
	free(t->rec);
	free(t->by_id);
	free(t->text);
	*t = (struct table){.kind = t->kind};
}

struct record *
table_find(struct table *t, struct span id)
{
	size_t low = 0, high = t->sorted;
	uint64_t head = head_of(id);

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		struct record *r = &t->rec[t->by_id[mid].at];
		int c = key_order(t->rec, head, id, &t->by_id[mid]);
		if (c == 0 && !r->gone)
			return r;
		if (c == 0)
			break;
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	for (size_t i = t->sorted; i < t->n; i++)
		if (!t->rec[i].gone && span_eq(t->rec[i].id, id))
			return &t->rec[i];
	return NULL;
}

int
table_put(struct table *t, struct record *r, struct buf *text, struct err *e)
{
	struct span value;
	struct record fresh = {0};

	if (text->bad)
		return err_errno(e, ENOMEM, "a record of the store");
	if (json_check(buf_span(text), &value) < 0)
		return err_set(
		    e, ERR_INTERNAL, "a record made for the store is not JSON");
	fresh.raw = value;
	struct json_iter it = json_iter(value);
	const char *wrong = json_type(value) == JSON_OBJECT
				? record_parse(&fresh, t->kind, &it)
				: "no object";
	if (!wrong && r && !span_eq(r->id, fresh.id))
		wrong = "another id";
	if (!wrong && !r && table_find(t, fresh.id))
		wrong = "an id that is there";
	if (wrong)
		return err_set(
		    e, ERR_INTERNAL, "a record made for the store is wrong: %s", wrong);
	if (!r && t->n >= LIMIT_STORE_RECORDS)
		return err_set(e, ERR_CONTENT,
		    "the store has %d records already: remove images",
		    LIMIT_STORE_RECORDS);
	if (!r && !(r = table_grow(t)))
		return err_errno(e, ENOMEM, "a record of the store");
	free(r->own);
	*r = fresh;
	r->own = text->p;
	*text = (struct buf){0};
	return 0;
}

void
table_print(const struct table *t, struct buf *out)
{
	const char *sep = "";

	buf_str(out, "[");
	for (size_t i = 0; i < t->n; i++) {
		if (t->rec[i].gone)
			continue;
		buf_str(out, sep);
		buf_add(out, t->rec[i].raw);
		sep = ",";
	}
	buf_str(out, "]");
}

bool
names_have(struct span names, struct span name)
{
	struct json_iter it = json_iter(names);
	struct span v;

	while (json_next(&it, &v))
		if (json_string_is(v, name))
			return true;
	return false;
}
