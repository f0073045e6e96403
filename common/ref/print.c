#include "common/ref/ref.h"

#define DEFAULT_TAG "latest"

void
ref_default_tag(struct ref *r)
{
	if (!r->tag[0] && !r->has_digest)
		memcpy(r->tag, DEFAULT_TAG, sizeof(DEFAULT_TAG));
}

bool
ref_eq(const struct ref *a, const struct ref *b)
{
	return strcmp(a->domain, b->domain) == 0 && strcmp(a->path, b->path) == 0 &&
	       strcmp(a->tag, b->tag) == 0 && a->has_digest == b->has_digest &&
	       (!a->has_digest || memcmp(a->digest, b->digest, DIGEST_BYTES) == 0);
}

/* Appends before dst[REF_TEXT]. What ref_parse made always fits. */
static char *
append(char *at, const char *end, const char *text)
{
	size_t n = strlen(text);

	assert((size_t)(end - at) > n);
	memcpy(at, text, n + 1);
	return at + n;
}

/* `name` is the part before tag and digest. */
static char *
print_parts(const char *name, const char *tag, const uint8_t *digest, char *dst)
{
	const char *end = dst + REF_TEXT;
	char text[DIGEST_TEXT + 1];
	char *at = append(dst, end, name);

	if (tag[0]) {
		at = append(at, end, ":");
		at = append(at, end, tag);
	}
	if (digest) {
		at = append(at, end, "@");
		append(at, end, digest_print(digest, text));
	}
	return dst;
}

char *
ref_print_repository(const struct ref *r, char *dst)
{
	const char *end = dst + REF_TEXT;
	char *at = append(dst, end, r->domain);

	at = append(at, end, "/");
	append(at, end, r->path);
	return dst;
}

char *
ref_print(const struct ref *r, char *dst)
{
	char name[REF_TEXT];

	return print_parts(
	    ref_print_repository(r, name), r->tag, r->has_digest ? r->digest : NULL, dst);
}

char *
ref_print_familiar(const struct ref *r, char *dst)
{
	const char *path = r->path;
	struct ref back;

	if (strcmp(r->domain, "docker.io") != 0)
		return ref_print(r, dst);
	if (strncmp(path, "library/", 8) == 0 && !strchr(path + 8, '/'))
		path += 8;
	print_parts(path, r->tag, r->has_digest ? r->digest : NULL, dst);
	/* "docker.io/localhost/x" and "docker.io/a.b/x" have no short form: it would name
	 * another registry. Neither has a repository that looks like an image ID. */
	if (ref_parse(span_str(dst), &back, NULL) == 0 && ref_eq(&back, r))
		return dst;
	return ref_print(r, dst);
}

char *
ref_print_record(const struct ref *r, char *dst)
{
	char name[REF_TEXT];

	ref_print_repository(r, name);
	if (r->has_digest)
		return print_parts(name, "", r->digest, dst);
	return r->tag[0] ? print_parts(name, r->tag, NULL, dst) : NULL;
}

bool
ref_is_canonical(struct span name)
{
	struct ref r;
	char text[REF_TEXT];

	if (name.n > LIMIT_NAME || ref_parse(name, &r, NULL) < 0)
		return false;
	return (r.tag[0] != 0) != r.has_digest && span_is(name, ref_print(&r, text));
}
