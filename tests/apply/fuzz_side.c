/* The side file reader over any bytes, and the tar-split writer over what it lets
 * through. */
#include "worker-store/apply/side.h"
#include "worker-store/apply/tar_split.h"

#include "common/base/fd.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_record(const struct side_record *rec)
{
	switch (rec->kind) {
	case SIDE_SEGMENT:
		assert(rec->data.n > 0 && rec->data.n <= LIMIT_TAR_SPLIT_SEGMENT);
		break;
	case SIDE_FILE:
	case SIDE_NODE:
		assert((rec->size > 0) == (rec->kind == SIDE_FILE));
		assert(rec->size <= LIMIT_LAYER_HARD);
		assert(rec->data.n > 0 && rec->data.n <= LIMIT_PATH);
		break;
	case SIDE_OPAQUE:
		assert(rec->data.n <= LIMIT_PATH);
		break;
	case SIDE_END:
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FD_AUTO in = memfd_create("in", 0);
	FD_AUTO out = memfd_create("out", 0);
	struct side_reader *r = malloc(sizeof(*r));
	struct tar_split *split = tar_split_new(out);
	struct side_record rec;
	struct err err = {0};
	uint64_t bytes;
	int more = -1;

	if (fd_write_all(in, data, size) < 0 || lseek(in, 0, SEEK_SET) < 0 || !r ||
	    !split || side_read_open(r, in) < 0)
		abort();
	while ((more = side_read(r, &rec, &err)) > 0) {
		check_record(&rec);
		int w = 0;
		if (rec.kind == SIDE_SEGMENT)
			w = tar_split_segment(split, rec.data);
		else if (rec.kind == SIDE_FILE || rec.kind == SIDE_NODE)
			w = tar_split_file(split, rec.data, rec.size, rec.crc);
		assert(w == 0);
	}
	assert((more < 0) == (err.code != ERR_OK));
	assert(more < 0 ||
	       (r->result.uids.n <= LIMIT_OWNERS && r->result.gids.n <= LIMIT_OWNERS));
	if (tar_split_finish(split, &bytes) < 0 ||
	    bytes != (uint64_t)lseek(out, 0, SEEK_CUR))
		abort();
	tar_split_free(split);
	side_read_free(r);
	free(r);
	return 0;
}
