/* What parses prints back to itself, in every form, and a record name is a canonical one.
 */
#include "common/ref/ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
same(const char *text, const struct ref *want)
{
	struct ref back;

	assert(strlen(text) < REF_TEXT);
	assert(ref_parse(span_str(text), &back, NULL) == 0);
	assert(ref_eq(&back, want));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span s = span_of(data, size);
	struct ref r;
	struct ref_host host;
	struct id_prefix id;
	struct err e = {0};
	uint8_t digest[DIGEST_BYTES];
	char text[REF_TEXT];

	(void)!digest_parse(s, digest);
	(void)!ref_host_parse(s, &host, NULL);
	bool is_id = id_prefix_parse(s, &id);
	bool canonical = ref_is_canonical(s);
	if (ref_parse(s, &r, &e) < 0) {
		assert(!canonical && e.code == ERR_USAGE && e.text[0]);
		return 0;
	}
	assert(!is_id || id.n < ID_HEX);
	same(ref_print(&r, text), &r);
	assert(!canonical || span_is(s, text));
	same(ref_print_familiar(&r, text), &r);
	ref_default_tag(&r);
	assert(ref_print_record(&r, text));
	assert(ref_is_canonical(span_str(text)));
	return 0;
}
