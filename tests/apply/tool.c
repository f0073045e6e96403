/* The room's functions for scripts, without a sandbox:
 *   apply_tool untar ROOT SIDE [CHUNK] <TAR      CHUNK: largest piece handed over at once
 *   apply_tool check ROOT SIDE OUT               opaque directories get user.opaque=y
 *   apply_tool remove DIR
 * Prints the result as key=value words; a refusal goes to stderr, its class is the exit
 * code. */
#include "common/base/fd.h"
#include "worker-store/apply/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/xattr.h>
#include <unistd.h>

static uint8_t *chunk;
static size_t chunk_size = MiB(1);

static ssize_t
from_stdin(void *arg, const uint8_t **p)
{
	ssize_t n = read(0, chunk, chunk_size);

	*p = chunk;
	return n < 0 ? -errno : n;
}

static int
mark(void *arg, int dirfd)
{
	return fsetxattr(dirfd, "user.opaque", "y", 1, 0) < 0 ? -errno : 0;
}

static int
need(int fd, const char *what)
{
	if (fd >= 0)
		return fd;
	perror(what);
	exit(ERR_INTERNAL);
}

static void
print_owners(const char *key, const struct apply_owners *o)
{
	printf(" %s=", key);
	for (uint32_t i = 0; i < o->n; i++)
		printf("%s%u", i ? "," : "", o->ids[i]);
}

static void
print_result(const struct apply_result *r)
{
	printf("bytes=%" PRIu64 " entries=%" PRIu64 " tree=%" PRIu64 " devices=%" PRIu64
	       " xattrs=%" PRIu64 " opaque=%" PRIu64 " split=%" PRIu64,
	    r->bytes, r->entries, r->tree_bytes, r->devices_left_out, r->xattrs_dropped,
	    r->opaque, r->tar_split_bytes);
	print_owners("uids", &r->uids);
	print_owners("gids", &r->gids);
	if (r->root_given)
		printf(" root=%o:%u:%u", r->root_mode, r->root_uid, r->root_gid);
	printf("\n");
}

static void
print_usage(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	fprintf(stderr, "cpu %.3f s (user %.3f, system %.3f), %ld KiB\n",
	    (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6,
	    (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6,
	    (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6, u.ru_maxrss);
}

int
main(int argc, char **argv)
{
	struct apply_limits limits = APPLY_LIMITS_DEFAULT;
	struct apply_source source = {from_stdin, NULL};
	struct apply_opaque opaque = {mark, NULL};
	struct apply_result *result = calloc(1, sizeof(*result));
	struct err err = {0};
	uint64_t removed;
	int r;

	if (argc < 3 || !result)
		return ERR_USAGE;
	FD_AUTO dir = need(open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC), argv[2]);
	if (strcmp(argv[1], "untar") == 0 && argc >= 4) {
		chunk_size = argc > 4 ? strtoul(argv[4], NULL, 10) : chunk_size;
		chunk = malloc(chunk_size);
		FD_AUTO side =
		    need(open(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 0600), argv[3]);
		r = apply_untar(dir, side, &source, &limits, result, &err);
		free(chunk);
	} else if (strcmp(argv[1], "check") == 0 && argc == 5) {
		FD_AUTO side = need(open(argv[3], O_RDONLY), argv[3]);
		FD_AUTO out =
		    need(open(argv[4], O_WRONLY | O_CREAT | O_TRUNC, 0600), argv[4]);
		r = apply_check(dir, side, out, &opaque, &limits, result, &err);
	} else if (strcmp(argv[1], "remove") == 0) {
		r = apply_remove(dir, &removed, &err);
		printf("removed=%" PRIu64 "\n", removed);
	} else {
		return ERR_USAGE;
	}
	if (r == 0)
		print_result(result);
	else
		fprintf(stderr, "%s\n", err.text);
	print_usage();
	free(result);
	return r == 0 ? 0 : err.code ? (int)err.code : ERR_INTERNAL;
}
