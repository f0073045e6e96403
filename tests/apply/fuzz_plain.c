/* Entries of one header block each: what tar_scan makes of them is all that libarchive
 * makes of them, so that untarring need not ask it. Payloads are left out: a block in the
 * input is a header. */
#include "worker-store/apply/tar_meta.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ssize_t
no_payload(void *arg, size_t max, const uint8_t **p)
{
	abort();
}

static void
entry_seen(struct tar_meta *m, const struct tar_scan *t, const uint8_t *block)
{
	struct err err = {0};
	struct tar_attrs attrs;

	if (tar_meta_next(m, span_of(block, TAR_BLOCK), &t->entry, &attrs, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	if (t->entry.sparse || t->entry.xattrs || t->entry.xattrs_empty ||
	    attrs.real_size != t->entry.size || attrs.mtime.tv_sec != t->entry.mtime ||
	    attrs.mtime.tv_nsec != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tar_scan t;
	struct tar_meta *m = tar_meta_new(no_payload, NULL);
	struct err err = {0};

	if (!m)
		abort();
	t = (struct tar_scan){0};
	for (; size >= TAR_BLOCK; data += TAR_BLOCK, size -= TAR_BLOCK) {
		if (tar_scan_block(&t, data, &err) != TAR_ENTRY)
			break;
		entry_seen(m, &t, data);
	}
	tar_meta_free(m);
	return 0;
}
