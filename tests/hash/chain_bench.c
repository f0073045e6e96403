/* chain_bench FILE [RUNS]: wall and CPU time of the five processes for one blob (gzip,
 * zstd or plain by its first bytes), beside one process that does the same work without
 * them. */
#include "common/base/limits.h"
#include "tests/hash/chain.h"
#include "worker-fetch/hash/digest.h"
#include "worker-fetch/inflate/inflate.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double
now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static enum compression
sniff(int fd)
{
	uint8_t magic[4] = {0};

	if (pread(fd, magic, 4, 0) != 4)
		return COMPRESSION_NONE;
	if (magic[0] == 0x1f && magic[1] == 0x8b)
		return COMPRESSION_GZIP;
	return memcmp(magic, "\x28\xb5\x2f\xfd", 4) ? COMPRESSION_NONE : COMPRESSION_ZSTD;
}

/* read, hash, inflate, hash in one process. */
static uint64_t
floor_run(int fd, enum compression how)
{
	static uint8_t in[256 << 10], out[256 << 10];
	struct digest blob, tree;
	struct inflate *s = NULL;
	struct err e = {0};
	uint64_t total = 0;

	if (digest_init(&blob) < 0 || digest_init(&tree) < 0)
		exit(1);
	if (how != COMPRESSION_NONE &&
	    inflate_new(&s, how == COMPRESSION_GZIP ? INFLATE_GZIP : INFLATE_ZSTD) < 0)
		exit(1);
	for (ssize_t n; (n = read(fd, in, sizeof(in))) > 0;) {
		struct span part = span_of(in, (size_t)n);
		if (digest_add(&blob, part) < 0)
			exit(1);
		while (s && (part.n > 0 || n > 0)) {
			n = inflate_step(s, &part, out, sizeof(out), &e);
			if (n < 0 || digest_add(&tree, span_of(out, (size_t)n)) < 0)
				exit(1);
			total += (uint64_t)n;
		}
	}
	inflate_free(s);
	return total;
}

int
main(int argc, char **argv)
{
	int fd = argc > 1 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
	int runs = argc > 2 ? atoi(argv[2]) : 3;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		fprintf(stderr, "usage: chain_bench FILE [RUNS]\n");
		return 64;
	}
	struct chain_plan plan = {.compression = sniff(fd),
	    .blob = fd,
	    .size = (uint64_t)st.st_size,
	    .max_bytes = LIMIT_LAYER_HARD};
	for (int i = 0; i < runs; i++) {
		struct chain_result r;
		lseek(fd, 0, SEEK_SET);
		double wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
		uint64_t total = floor_run(fd, plan.compression);
		printf("one process: wall %.3f cpu %.3f (%lu bytes)\n",
		    now(CLOCK_MONOTONIC) - wall, now(CLOCK_PROCESS_CPUTIME_ID) - cpu,
		    (unsigned long)total);
		lseek(fd, 0, SEEK_SET);
		chain_run(&plan, &r);
		printf("rooms:       wall %.3f cpu %.3f %s\n", r.wall, r.cpu,
		    r.hashed ? "" : r.text);
	}
	return 0;
}
