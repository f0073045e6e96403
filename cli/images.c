#include "cli/images.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>

int
image_list_add(struct image_list *l, const struct image *image)
{
	if (l->n == LIMIT_STORE_RECORDS)
		return -E2BIG;
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct image *v = reallocarray(l->v, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n] = *image;
	l->v[l->n].names = NULL;
	l->v[l->n].nnames = 0;
	l->n++;
	return 0;
}

int
image_list_name(struct image_list *l, struct span name, bool digest)
{
	if (l->n == 0)
		return -EINVAL;
	if (l->names == IMAGE_LIST_NAMES)
		return -E2BIG;

	struct image *i = &l->v[l->n - 1];
	struct image_name *names = reallocarray(i->names, i->nnames + 1, sizeof(*names));
	if (!names)
		return -ENOMEM;
	i->names = names;
	char *text = malloc(name.n + 1);
	if (!text)
		return -ENOMEM;
	if (!span_to_str(name, text, name.n + 1)) {
		free(text);
		return -EINVAL;
	}
	names[i->nnames++] = (struct image_name){text, digest};
	l->names++;
	return 0;
}

static int
newer_first(const void *a, const void *b)
{
	const struct image *x = a, *y = b;

	if (x->created != y->created)
		return x->created > y->created ? -1 : 1;
	return memcmp(x->id, y->id, DIGEST_BYTES);
}

void
image_list_sort(struct image_list *l)
{
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), newer_first);
}

void
image_list_release(struct image_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		for (size_t j = 0; j < l->v[i].nnames; j++)
			free(l->v[i].names[j].text);
		free(l->v[i].names);
	}
	free(l->v);
	*l = (struct image_list){0};
}

int
image_filter_reference(struct image_filter *f, const char *pattern, struct err *e)
{
	if (f->npatterns == IMAGE_PATTERNS)
		return err_set(e, ERR_USAGE, "more than %d patterns", IMAGE_PATTERNS);
	f->patterns[f->npatterns++] = pattern;
	return 0;
}

static int
filter_dangling(struct image_filter *f, const char *value, struct err *e)
{
	bool yes = strcmp(value, "true") == 0;

	if (!yes && strcmp(value, "false") != 0)
		return err_set(e, ERR_USAGE, "--filter dangling: write true or false");
	f->has_dangling = true;
	f->dangling = yes;
	return 0;
}

int
image_filter_add(struct image_filter *f, const char *text, struct err *e)
{
	char shown[128];

	span_escape(span_str(text), shown, sizeof(shown));
	if (strncmp(text, "reference=", 10) == 0 && text[10])
		return image_filter_reference(f, text + 10, e);
	if (strncmp(text, "dangling=", 9) == 0)
		return filter_dangling(f, text + 9, e);
	if (strncmp(text, "id=", 3) == 0) {
		f->has_id = id_prefix_parse(span_str(text + 3), &f->id);
		return f->has_id
			   ? 0
			   : err_set(e, ERR_USAGE,
				 "--filter \"%s\": an ID has 3 to 64 lower-case hex "
				 "digits",
				 shown);
	}
	if (strncmp(text, "label", 5) == 0)
		return err_set(e, ERR_USAGE,
		    "--filter \"%s\": the list holds no labels; bulkhead inspect IMAGE "
		    "shows "
		    "them",
		    shown);
	return err_set(e, ERR_USAGE,
	    "--filter \"%s\": write reference=PATTERN, dangling=BOOL or id=PREFIX",
	    shown);
}

size_t
image_name_end(const char *name)
{
	const char *at = strchr(name, '@');
	const char *slash = strrchr(name, '/');
	const char *colon;

	if (at)
		return (size_t)(at - name);
	colon = strrchr(slash ? slash : name, ':');
	return colon ? (size_t)(colon - name) : strlen(name);
}

/* name[0..n) and its tails behind the first and behind the last slash. */
static bool
match_tails(const char *pattern, const char *name, size_t n)
{
	char text[LIMIT_NAME + 1];

	if (!span_to_str(span_of(name, n), text, sizeof(text)))
		return false;
	const char *host = strchr(text, '/'), *last = strrchr(text, '/');
	return fnmatch(pattern, text, FNM_PATHNAME) == 0 ||
	       (host && fnmatch(pattern, host + 1, FNM_PATHNAME) == 0) ||
	       (last && fnmatch(pattern, last + 1, FNM_PATHNAME) == 0);
}

bool
image_filter_name(const struct image_filter *f, const char *name)
{
	size_t end = image_name_end(name);

	for (size_t i = 0; i < f->npatterns; i++) {
		if (match_tails(f->patterns[i], name, strlen(name)) ||
		    match_tails(f->patterns[i], name, end))
			return true;
	}
	return f->npatterns == 0;
}

static bool
has_name(const struct image_filter *f, const struct image *image)
{
	for (size_t i = 0; i < image->nnames; i++) {
		if (!image->names[i].digest && image_filter_name(f, image->names[i].text))
			return true;
	}
	return false;
}

bool
image_filter_match(const struct image_filter *f, const struct image *image)
{
	static const struct image_filter any;
	char hex[2 * DIGEST_BYTES + 1];

	hex_encode(image->id, DIGEST_BYTES, hex);
	if (f->has_id && strncmp(hex, f->id.hex, f->id.n) != 0)
		return false;
	if (f->has_dangling && f->dangling == has_name(&any, image))
		return false;
	return f->npatterns == 0 || has_name(f, image);
}
