/* Which image is meant, and under which of its names. */
#include "worker-store/store/query.h"
#include "worker-store/store/rows.h"

#include "common/ref/ref.h"

#include <errno.h>
#include <stdio.h>

bool
query_normalise(const char *text, char dst[LIMIT_NAME + 1], struct err *e)
{
	struct ref ref;

	if (ref_parse(span_str(text), &ref, e) < 0)
		return false;
	ref_default_tag(&ref);
	return ref_print_record(&ref, dst) != NULL;
}

static struct record *
find_normalised(struct view *v, const char *text)
{
	char name[LIMIT_NAME + 1];

	return query_normalise(text, name, NULL) ? view_find(v, span_str(name), NULL)
						 : NULL;
}

/* What the frontend made of a short name, line by line. */
static bool
meaning_next(struct span *lines, unsigned *n, char dst[LIMIT_NAME + 1])
{
	struct span line;

	return (*n)++ < LIMIT_MEANINGS && line_next(lines, &line) &&
	       span_to_str(line, dst, LIMIT_NAME + 1);
}

static struct record *
refuse_ambiguous(const char *text, const char *one, const char *other, struct err *e)
{
	char shown[200];

	err_set(e, ERR_USAGE,
	    "%s may be %s or %s, both in the store: write the whole name",
	    span_escape(span_str(text), shown, sizeof(shown)), one, other);
	return NULL;
}

/* The first of its meanings that is there. Whatever changes something has to mean one
 * image, and a removal one name, or it could be the wrong one. */
static struct record *
find_short(struct query *q, struct view *v, struct err *e)
{
	struct span lines = span_str(q->meanings);
	char name[LIMIT_NAME + 1];
	struct record *found = NULL;
	unsigned n = 0;

	while (meaning_next(&lines, &n, name)) {
		struct record *r = find_normalised(v, name);
		if (!r)
			continue;
		if (found && (r != found || q->type == MSG_remove))
			return refuse_ambiguous(q->ref, q->meant, name, e);
		if (!found)
			snprintf(q->meant, sizeof(q->meant), "%s", name);
		found = r;
		if (q->type == MSG_inspect)
			break;
	}
	return found;
}

/* As people write it. A whole ID is an ID; else a name comes before the first digits of
 * an ID. */
static struct record *
find_image(struct query *q, struct view *v, struct err *e)
{
	struct id_prefix id;
	bool whole = id_prefix_parse(span_str(q->ref), &id) && id.n == ID_HEX;
	struct record *r = NULL;

	q->meant[0] = 0;
	if (*q->meanings)
		r = find_short(q, v, e);
	else if (!whole && (r = find_normalised(v, q->ref)))
		snprintf(q->meant, sizeof(q->meant), "%s", q->ref);
	return r || e->code ? r : view_find(v, span_str(q->ref), e);
}

struct record *
query_find(struct query *q, struct view *v)
{
	struct err e = {0};
	struct record *r = NULL;

	if (view_load(v, &q->room->store, &e) == 0)
		r = find_image(q, v, &e);
	if (r && (!id_is(r->id) || !span_to_str(r->id, q->id, sizeof(q->id)))) {
		err_set(&e, ERR_CONTENT, "the image's ID in the store is odd");
		r = NULL;
	}
	if (!r)
		query_end(q, e.code, e.text);
	return r;
}

bool
query_own_name(const struct record *image, const char *text, char dst[LIMIT_NAME + 1])
{
	if (!query_normalise(text, dst, NULL) || !names_have(image->names, span_str(dst)))
		dst[0] = 0;
	return dst[0];
}

int
query_untag_name(
    struct query *q, const struct record *image, char dst[LIMIT_NAME + 1], struct err *e)
{
	struct span lines = span_str(q->name_meanings);
	char name[LIMIT_NAME + 1], other[LIMIT_NAME + 1];
	unsigned n = 0;

	dst[0] = 0;
	if (!q->name[0])
		return 0;
	if (!lines.n)
		query_own_name(image, q->name, dst);
	while (meaning_next(&lines, &n, name)) {
		if (!query_own_name(image, name, other))
			continue;
		if (dst[0] && !refuse_ambiguous(q->name, dst, other, e))
			return -EINVAL;
		snprintf(dst, LIMIT_NAME + 1, "%s", other);
	}
	return dst[0] ? 0
		      : err_set(e, ERR_NOT_FOUND, "image %.12s has no name %s", q->id,
			    q->name);
}
