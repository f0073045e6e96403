#include "common/base/failpoint.h"

#include "common/base/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "failpoints"
enum { RUNNING, STANDS, GOES_ON };

void (*failpoint_hook)(enum failpoint p);

static struct failpoints *points;

/* Beside the own program; called before main(), when the room is not confined yet. */
__attribute__((constructor)) static void
failpoints_map(void)
{
	char path[4096];
	struct stat st;

	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof(FILE_NAME));
	char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;
	if (!slash)
		return;
	memcpy(slash + 1, FILE_NAME, sizeof(FILE_NAME));
	FD_AUTO fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof(*points))
		return;
	struct failpoints *p =
	    mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED && !strcmp(p->magic, FAILPOINT_MAGIC) &&
	    p->points == FAILPOINT_N)
		points = p;
}

/* Sleeps in poll, which every profile allows. */
static void
stand(void)
{
	__atomic_store_n(&points->state, STANDS, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&points->state, __ATOMIC_SEQ_CST) != GOES_ON)
		(void)!poll(NULL, 0, 1);
}

void
failpoint_reach(enum failpoint p)
{
	uint32_t armed = p;

	if (failpoint_hook)
		failpoint_hook(p);
	if (!points)
		return;
	__atomic_fetch_add(&points->hits[p], 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&points->armed, __ATOMIC_SEQ_CST) != armed)
		return;
	if (__atomic_load_n(&points->skip, __ATOMIC_SEQ_CST)) {
		__atomic_fetch_sub(&points->skip, 1, __ATOMIC_SEQ_CST);
		return;
	}
	if (__atomic_compare_exchange_n(
		&points->armed, &armed, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		stand();
}
