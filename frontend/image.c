#include "frontend/image.h"

#include "common/ref/pins.h"

#include <errno.h>
#include <string.h>

void
image_free(struct image *im)
{
	if (!im)
		return;
	free((void *)(uintptr_t)im->user.p);
	free((void *)(uintptr_t)im->annotations.p);
	free(im->raw);
	free(im->text);
	free(im->names);
	free(im->index);
	free(im->packed);
	free(im);
}

/* Go's ParseInt(s, 10, 64), which decides in CRI-O. */
static bool
parse_uid(struct span s, int64_t *out)
{
	bool minus = s.n && s.p[0] == '-';
	uint64_t v = 0, most = (uint64_t)INT64_MAX + minus;

	if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
		s = span_from(s, 1);
	if (!s.n)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned digit = s.p[i] - '0';
		if (digit > 9 || v > (most - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*out = minus ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

void
image_describe(const struct image *im, bool with_spec, struct cri_image *out)
{
	const uint8_t *colon = im->user.n ? memchr(im->user.p, ':', im->user.n) : NULL;
	struct span user =
	    span_of(im->user.p, colon ? (size_t)(colon - im->user.p) : im->user.n);

	*out = (struct cri_image){.id = span_of(im->hex, 64),
	    .tags = im->names,
	    .n_tags = im->n_tags,
	    .digests = im->names + im->n_tags,
	    .n_digests = im->n_digests,
	    .size = im->size,
	    .pinned = im->pinned,
	    .with_spec = with_spec,
	    .annotations = im->annotations};
	out->has_uid = parse_uid(user, &out->uid);
	if (!out->has_uid)
		out->username = user;
}

/* Tags before digests, each as bytes sort. */
static int
name_order(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	bool dx = memchr(x->p, '@', x->n) != NULL, dy = memchr(y->p, '@', y->n) != NULL;

	return dx != dy ? (int)dx - (int)dy : span_compare(*x, *y);
}

static size_t
count_lines(struct span raw)
{
	size_t n = 1;

	for (size_t i = 0; i < raw.n; i++)
		n += raw.p[i] == '\n';
	return n;
}

static void
image_sort_names(struct image *im, size_t n)
{
	size_t kept = 0;

	qsort(im->names, n, sizeof(im->names[0]), name_order);
	im->n_tags = im->n_digests = 0;
	for (size_t i = 0; i < n; i++) {
		if (kept && span_eq(im->names[kept - 1], im->names[i]))
			continue;
		im->names[kept++] = im->names[i];
		if (memchr(im->names[i].p, '@', im->names[i].n))
			im->n_digests++;
		else
			im->n_tags++;
	}
}

/* The names, normalised as CRI-O prints them: kubelet compares them as bytes. */
static int
image_read_names(struct image *im, const struct pins *pins)
{
	struct span rest = span_of(im->raw, im->raw_n);
	size_t most = count_lines(rest), n = 0, used = 0;
	char line[REF_TEXT];
	struct ref ref;

	/* Normalising adds at most docker.io/library/ to a line. */
	im->text = malloc(im->raw_n + 18 * most + 1);
	im->names = calloc(most, sizeof(im->names[0]));
	im->index = calloc(most, sizeof(im->index[0]));
	if (!im->text || !im->names || !im->index)
		return -ENOMEM;
	while (rest.n) {
		const uint8_t *end = memchr(rest.p, '\n', rest.n);
		struct span one = span_of(rest.p, end ? (size_t)(end - rest.p) : rest.n);
		rest = span_from(rest, one.n + (end ? 1 : 0));
		if (ref_parse(one, &ref, NULL) < 0 || (!ref.tag[0] && !ref.has_digest))
			continue;
		size_t size = strlen(ref_print(&ref, line));
		memcpy(im->text + used, line, size);
		im->names[n++] = span_of(im->text + used, size);
		used += size;
		im->pinned |= pins_match(pins, &ref);
	}
	image_sort_names(im, n);
	free(im->raw);
	im->raw = NULL;
	return 0;
}

static int
image_pack(struct image *im)
{
	struct cri_image view;

	free(im->packed);
	im->packed = NULL;
	image_describe(im, false, &view);
	return cri_pack_image(&view, &im->packed, &im->packed_n);
}

/* Everything of it has been told. */
int
image_finish(struct image *im, const struct pins *pins)
{
	if (!im || im->gone || !im->raw)
		return 0;
	int r = image_read_names(im, pins);
	return r ? r : image_pack(im);
}

int
image_pin(struct image *im, const struct pins *pins)
{
	bool before = im->pinned;
	struct ref ref;

	im->pinned = false;
	for (size_t i = 0; i < im->n_tags + im->n_digests; i++) {
		if (ref_parse(im->names[i], &ref, NULL) == 0)
			im->pinned |= pins_match(pins, &ref);
	}
	return im->pinned != before ? image_pack(im) : 0;
}

int
image_add_names(struct image *im, struct span names)
{
	char *raw = realloc(im->raw, im->raw_n + names.n + 1);

	if (!raw)
		return -ENOMEM;
	im->raw = raw;
	if (names.n)
		memcpy(raw + im->raw_n, names.p, names.n);
	im->raw_n += names.n;
	raw[im->raw_n++] = '\n';
	return 0;
}
