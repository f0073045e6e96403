/* The tar-split reader over any lines. */
#include "worker-store/apply/isal.h"
#include "worker-store/apply/split_read.h"

#include "common/base/fd.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FD_AUTO in = memfd_create("in", 0);
	struct gzip *g = gzip_new(in);
	struct split_reader r;
	struct split_record rec;
	struct err err = {0};
	uint64_t bytes;
	int more = -1;

	if (!g || gzip_write(g, data, size) < 0 || gzip_finish(g, &bytes) < 0 ||
	    lseek(in, 0, SEEK_SET) < 0 || split_read_open(&r, in) < 0)
		abort();
	while ((more = split_read(&r, &rec, &err)) > 0) {
		assert(rec.data.n <= size);
		assert(rec.size <= LIMIT_LAYER_HARD);
		assert(rec.file ? rec.data.n > 0 : rec.size == 0);
	}
	assert((more < 0) == (err.code != ERR_OK));
	split_read_free(&r);
	gzip_free(g);
	return 0;
}
