/* inspect_tool CONFIG MANIFEST FACTS: inspect_local over three files, for
 * inspect_podman.py. */
#include "common/base/fd.h"
#include "common/base/limits.h"
#include "worker-store/document/document.h"
#include "worker-store/document/inspect.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

static struct span
slurp(const char *path, uint8_t **mem)
{
	uint8_t *p = NULL;
	size_t n = 0;
	FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fd_read_whole(fd, LIMIT_DOCUMENT, &p, &n)) {
		perror(path);
		exit(1);
	}
	*mem = p;
	return span_of(p, n);
}

static int
parse(enum document_kind kind, struct span bytes, struct err *e)
{
	static struct document_answer answer;
	struct document_request req = {.kind = kind};

	return document_parse(&req, bytes, &answer, e);
}

int
main(int argc, char **argv)
{
	CLEANUP(jw_free) struct jw w = {0};
	struct err e = {0};

	if (argc != 4)
		return 64;
	CLEANUP(free_ptr) uint8_t *one = NULL, *two = NULL, *three = NULL;
	struct span config = slurp(argv[1], &one), manifest = slurp(argv[2], &two);
	if (parse(DOC_CONFIG, config, &e) || parse(DOC_TOP, manifest, &e) ||
	    inspect_local(config, manifest, slurp(argv[3], &three), &w, &e)) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	fwrite(w.p, 1, w.n, stdout);
	return 0;
}
