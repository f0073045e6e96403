#include "common/json/scan.h"
#include "worker-store/document/document.h"
#include "worker-store/document/fields.h"
#include "worker-store/document/inspect.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The document as a config, and rendered as one, with itself as the manifest. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct document_answer out;
	struct document_request req = {.kind = DOC_CONFIG};
	CLEANUP(jw_free) struct jw w = {0};
	struct span doc = span_of(data, size);
	struct err e = {0};

	int r = document_parse(&req, doc, &out, &e);
	if (r && e.code == ERR_OK)
		abort();
	if (!r && (text_has_control(span_str(out.config.user)) || !out.config.ndiff_ids))
		abort();
	struct span facts = span_str("id\tx\nname\ta:1\nsize\t5\ngraph.UpperDir\t/x\n");
	if (!inspect_local(doc, doc, facts, &w, &e) &&
	    json_scan(span_of(w.p, w.n), "made", &e))
		abort();
	CLEANUP(jw_free) struct jw cri = {.compact = true};
	if (!inspect_cri(doc, doc, &cri, &e) &&
	    json_scan(span_of(cri.p, cri.n), "made", &e))
		abort();
	return 0;
}
