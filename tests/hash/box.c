#include "tests/hash/box.h"

#include "policy/sandbox/profile.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UID_BASE 1879900000u

static struct sandbox_host host;
static char dir[] = "/tmp/bulkhead-box-XXXXXX";

static void
must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s\n", what);
	exit(99);
}

/* Rooms that are not built yet, or not wanted here, are played by a program that is. */
static void
link_programs(const char *bin)
{
	char from[PATH_MAX + 64], to[PATH_MAX];

	for (int r = 0; r < ROOM_COUNT; r++) {
		const char *name = profile_program((enum room)r);
		if (!name)
			continue;
		snprintf(from, sizeof(from), "%s/%s", bin, name);
		if (access(from, X_OK) < 0)
			snprintf(from, sizeof(from), "%s/bulkhead-inflate", bin);
		snprintf(to, sizeof(to), "%s/programs/%s", dir, name);
		must(symlink(from, to) == 0, to);
	}
}

struct sandbox_host *
box_open(void)
{
	char self[PATH_MAX], bin[PATH_MAX + 16], programs[64], uids[64];
	struct err e = {0};

	if (geteuid() != 0)
		return NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	must(n > 0, "/proc/self/exe");
	self[n] = 0;
	*strrchr(self, '/') = 0;
	snprintf(bin, sizeof(bin), "%s/../bin", self);
	must(mkdtemp(dir) != NULL, dir);
	snprintf(programs, sizeof(programs), "%s/programs", dir);
	snprintf(uids, sizeof(uids), "%s/uids", dir);
	must(mkdir(programs, 0755) == 0 && mkdir(uids, 0700) == 0, dir);
	link_programs(bin);
	struct sandbox_options o = {
	    .programs = programs, .uids = uids, .uid_base = UID_BASE};
	must(sandbox_host_init(&host, &o, &e) == 0, e.text);
	must(sandbox_host_confine(&host, &e) == 0, e.text);
	return &host;
}

void
box_close(void)
{
	char command[64];

	sandbox_host_release(&host);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	must(system(command) == 0, command);
}
