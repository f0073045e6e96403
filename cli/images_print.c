#include "cli/images.h"
#include "cli/text.h"
#include "common/json/write.h"

#include <errno.h>

#define SHORT_ID 12

struct id_text {
	char text[DIGEST_TEXT + 1];
};

static struct id_text
image_id(const struct image *image, bool whole)
{
	struct id_text t = {0};

	digest_print(image->id, t.text);
	if (!whole) {
		memmove(t.text, t.text + 7, SHORT_ID);
		t.text[SHORT_ID] = 0;
	}
	return t;
}

static bool
digest_known(const struct image *image)
{
	static const uint8_t zero[DIGEST_BYTES];

	return memcmp(image->digest, zero, DIGEST_BYTES) != 0;
}

/* Cells of one name (NULL: the image has none). */
static void
add_row(struct table *t, const struct image *image, const struct image_name *name,
    const struct image_view *view)
{
	char repository[LIMIT_NAME + 1], text[LIMIT_NAME + 1], size[TEXT_SIZE],
	    age[TEXT_AGE];
	const char *tag = NULL, *digest = NULL;

	repository[0] = 0;
	if (name) {
		size_t end = image_name_end(name->text);
		snprintf(repository, sizeof(repository), "%.*s", (int)end, name->text);
		if (name->text[end] == ':')
			tag = name->text + end + 1;
		else if (name->text[end] == '@')
			digest = name->text + end + 1;
	}
	if (!digest && digest_known(image))
		digest = digest_print(image->digest, text);
	table_cell(t, repository[0] ? repository : "<none>");
	table_cell(t, tag ? tag : "<none>");
	if (view->digests)
		table_cell(t, digest ? digest : "<none>");
	table_cell(t, image_id(image, view->no_trunc).text);
	table_cell(t, text_age(image->created, view->now, age));
	table_cell(t, text_size(image->size, size));
}

static void
add_image(struct table *t, const struct image *image, const struct image_filter *f,
    const struct image_view *view)
{
	bool any = false;

	for (size_t i = 0; i < image->nnames; i++) {
		if (image->names[i].digest)
			continue;
		any = true;
		if (image_filter_name(f, image->names[i].text))
			add_row(t, image, &image->names[i], view);
	}
	if (!any)
		add_row(t, image, NULL, view);
}

int
images_print_table(const struct image_list *l, const struct image_filter *f,
    const struct image_view *view, FILE *to)
{
	static const char *const heads[] = {
	    "REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"};
	CLEANUP(table_release) struct table t;

	table_init(&t, view->digests ? 6 : 5);
	for (size_t i = 0; i < ARRAY_LEN(heads) && !view->noheading; i++) {
		if (i != 2 || view->digests)
			table_cell(&t, heads[i]);
	}
	for (size_t i = 0; i < l->n; i++) {
		if (image_filter_match(f, &l->v[i]))
			add_image(&t, &l->v[i], f, view);
	}
	return table_print(&t, to);
}

void
images_print_ids(const struct image_list *l, const struct image_filter *f,
    const struct image_view *view, FILE *to)
{
	for (size_t i = 0; i < l->n; i++) {
		if (image_filter_match(f, &l->v[i]))
			fprintf(to, "%s\n", image_id(&l->v[i], view->no_trunc).text);
	}
}

static void
json_names(struct jw *w, const char *key, const struct image *image, bool digest)
{
	jw_key(w, key);
	jw_array(w);
	for (size_t i = 0; i < image->nnames; i++) {
		if (image->names[i].digest == digest)
			jw_str(w, image->names[i].text);
	}
	jw_end(w, ']');
}

static void
json_image(struct jw *w, const struct image *image)
{
	char text[DIGEST_TEXT + 1], when[TEXT_TIME];

	jw_object(w);
	jw_key(w, "Id");
	jw_str(w, digest_print(image->id, text) + 7);
	json_names(w, "Names", image, false);
	jw_key(w, "Digest");
	jw_str(w, digest_known(image) ? digest_print(image->digest, text) : "");
	json_names(w, "RepoDigests", image, true);
	jw_key(w, "Created");
	jw_int(w, image->created);
	jw_key(w, "CreatedAt");
	jw_str(w, text_time(image->created, when));
	jw_key(w, "Size");
	jw_uint(w, image->size);
	jw_key(w, "Layers");
	jw_uint(w, image->layers);
	jw_end(w, '}');
}

int
images_print_json(const struct image_list *l, const struct image_filter *f, FILE *to)
{
	CLEANUP(jw_free) struct jw w = {.max = SIZE_MAX};

	jw_array(&w);
	for (size_t i = 0; i < l->n; i++) {
		if (image_filter_match(f, &l->v[i]))
			json_image(&w, &l->v[i]);
	}
	jw_end(&w, ']');
	int r = jw_done(&w);
	if (r == 0)
		fwrite(w.p, 1, w.n, to);
	return r;
}
