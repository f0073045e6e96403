/* The scan must take nothing that the tree and the writer cannot carry round. */
#include "common/base/limits.h"
#include "common/json/scan.h"
#include "common/json/tree.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(jv_free) struct jv *first = NULL;
	CLEANUP(jv_free) struct jv *second = NULL;
	CLEANUP(jw_free) struct jw one = {.compact = true};
	CLEANUP(jw_free) struct jw two = {.compact = true};
	struct err e = {0};

	bool scanned = json_scan(span_of(data, size), "input", &e) == 0;
	if (jv_parse(span_of(data, size), "input", &first, &e))
		return 0;
	if (!scanned)
		abort();
	jv_write(first, &one);
	if (jw_done(&one))
		return 0;
	if (jv_parse(span_of(one.p, one.n), "written", &second, &e))
		abort();
	jv_write(second, &two);
	if (jw_done(&two) || !span_eq(span_of(one.p, one.n), span_of(two.p, two.n)))
		abort();
	return 0;
}
