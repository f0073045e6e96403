/* A name (the first line) by a file (the rest): whatever both are, what comes out are
 * whole references with the name's own digest. */
#include "tests/frontend/registry_files.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct endpoint *at, const struct ref *ref)
{
	char text[REF_TEXT], back[REF_TEXT];
	struct ref again;

	if (!ref_print_record(&at->ref, text) || !ref_is_canonical(span_str(text)) ||
	    ref_parse(span_str(text), &again, NULL) < 0 ||
	    !ref_print_record(&again, back) || strcmp(text, back) != 0)
		abort();
	if (at->ref.has_digest != ref->has_digest ||
	    (ref->has_digest && memcmp(at->ref.digest, ref->digest, DIGEST_BYTES) != 0))
		abort();
	if (!at->file != !at->prefix)
		abort();
}

static void
resolve_one(struct registries *r, const struct ref *ref)
{
	struct endpoint out[LIMIT_ENDPOINTS];
	struct err e = {0};

	int n = registries_endpoints(r, ref, out, &e);
	if (n == 0 || n > LIMIT_ENDPOINTS || (n < 0 && !e.code))
		abort();
	for (int i = 0; i < n; i++)
		check(&out[i], ref);
}

static void
resolve(struct registries *r, struct span name)
{
	struct candidates all;
	struct err e = {0};

	int rc = registries_candidates(r, name, &all, &e);
	if (rc < 0 ? !e.code : all.n == 0 || all.n > LIMIT_SEARCH)
		abort();
	for (unsigned i = 0; rc == 0 && i < all.n; i++)
		resolve_one(r, &all.ref[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	struct registries *r = registries_new();
	struct err e = {0};

	if (!r)
		return 0;
	size_t line = end ? (size_t)(end - data) : size;
	struct span file = span_of(data + line, size - line);
	(void)!registry_files_read(r, CONFIG_REGISTRIES, "a", file, &e);
	resolve(r, span_of(data, line));
	(void)!registry_files_read(r, CONFIG_REGISTRIES_DROPIN, "b", file, &e);
	resolve(r, span_of(data, line));
	registries_unref(r);
	return 0;
}
