/* tar_scan over any bytes: bounds hold, names are names, and it ends. */
#include "worker-store/apply/tar_scan.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_entry(const struct tar_entry *e)
{
	assert(e->name_n > 0 && e->name_n <= LIMIT_PATH && strlen(e->name) == e->name_n);
	assert(e->link_n <= LIMIT_PATH && strlen(e->link) == e->link_n);
	assert(!e->size || e->kind == TAR_FILE);
	assert(!e->sparse || e->kind == TAR_FILE);
	assert((e->link_n > 0) == (e->kind == TAR_SYMLINK || e->kind == TAR_HARDLINK));
	assert(e->mode <= 07777 && e->mtime >= 0 && e->mtime <= LIMIT_MTIME);
	assert(e->xattrs + e->xattrs_empty <= LIMIT_XATTRS);
}

/* A body of its own memory, so that a byte read past it is seen. 0 at the end of the
 * input. */
static int
scan_body(struct tar_scan *t, struct span *in, struct err *err)
{
	assert(t->body > 0 && t->body <= LIMIT_PAX_HEADER);
	size_t n = (size_t)t->body, all = n + tar_padding(n);
	if (all > in->n)
		return 0;
	uint8_t *body = malloc(n);
	assert(body);
	memcpy(body, in->p, n);
	int step = tar_scan_body(t, body, err);
	free(body);
	*in = span_from(*in, all);
	return step;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tar_scan t;
	struct span in = span_of(data, size);
	struct err err = {0};

	memset(&t, 0, sizeof(t));
	while (in.n >= TAR_BLOCK) {
		int step = tar_scan_block(&t, in.p, &err);
		in = span_from(in, TAR_BLOCK);
		if (step == TAR_BODY)
			step = scan_body(&t, &in, &err);
		assert((step < 0) == (err.code != ERR_OK));
		if (step <= 0 || step == TAR_END)
			break;
		if (step != TAR_ENTRY)
			continue;
		check_entry(&t.entry);
		uint64_t skip = t.entry.size + tar_padding(t.entry.size);
		if (skip > in.n)
			break;
		in = span_from(in, (size_t)skip);
	}
	return 0;
}
