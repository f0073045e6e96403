/* `bulkhead status`: one idle room of each kind, as the kernel shows it. */
#include "supervisor/supervisor.h"

#include "common/base/fd.h"
#include "policy/sandbox/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct status_job {
	uint64_t req;
	unsigned waiting; /* idle rooms neither ready nor failed */
	int tree;	  /* an empty directory for the idle applier */
	char tree_name[64];
};

/* The rooms that do not live already. */
static const struct {
	enum room room;
	enum sandbox_mode mode;
} idle_rooms[] = {
    {ROOM_CONF, SANDBOX_MODE_PLAIN},
    {ROOM_HELPER, SANDBOX_MODE_PLAIN},
    {ROOM_DIAL, SANDBOX_MODE_PLAIN},
    {ROOM_FETCH, SANDBOX_MODE_PLAIN},
    {ROOM_HASH, SANDBOX_MODE_PLAIN},
    {ROOM_HASH, SANDBOX_MODE_VERIFY},
    {ROOM_INFLATE, SANDBOX_MODE_PLAIN},
    {ROOM_DOCUMENT, SANDBOX_MODE_PLAIN},
    {ROOM_VERDICT, SANDBOX_MODE_PLAIN},
    {ROOM_APPLY, SANDBOX_MODE_APPLY},
    {ROOM_APPLY, SANDBOX_MODE_CHECK},
    {ROOM_APPLY, SANDBOX_MODE_REMOVE},
    {ROOM_APPLY, SANDBOX_MODE_VERIFY},
};

static void
send_row(struct supervisor *s, const char *room, const char *key, const char *value)
{
	struct ipc_msg m = IPC_MSG(status_row, .req = s->status->req,
	    .room = span_str(room), .key = span_str(key), .value = span_str(value));

	if (s->frontend)
		port_send(&s->frontend->control, &m);
}

static void
send_number(struct supervisor *s, const char *room, const char *key, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	send_row(s, room, key, text);
}

struct line_target {
	struct supervisor *s;
	const char *room;
};

static void
send_line(const char *key, const char *value, void *arg)
{
	struct line_target *t = arg;

	send_row(t->s, t->room, key, value);
}

static void
describe(struct supervisor *s, struct room_entry *r)
{
	struct sandbox_status st;
	struct line_target target = {s, r->profile->name};
	struct err e = {0};

	int rc = status_read(&s->host, r->sandbox.pid, &st);
	if (rc < 0) {
		send_row(s, r->profile->name, "error", strerror(-rc));
		return;
	}
	status_lines(&st, send_line, &target);
	send_number(s, r->profile->name, "Landlock ABI", r->landlock_abi);
	if (*r->landlock)
		send_row(s, r->profile->name, "Landlock", r->landlock);
	rc = sandbox_verify(&s->host, &r->sandbox, &e);
	send_row(s, r->profile->name, "as the table says", rc == 0 ? "yes" : e.text);
}

static void
job_end(struct supervisor *s)
{
	struct status_job *job = s->status;
	struct ipc_msg m = IPC_MSG(status_end, .req = job->req);
	char degraded[256], spares[256];

	for (struct room_entry *r = s->rooms; r; r = r->next) {
		if (r->ready)
			describe(s, r);
		if (r->idle)
			room_kill(r);
	}
	send_row(s, "host", "kernel", s->host.features.release);
	send_number(s, "host", "Landlock ABI in use", (uint64_t)s->host.landlock_abi);
	send_row(s, "host", "memory-deny-write-execute",
	    s->host.mdwe ? "yes" : "not on this kernel");
	features_degraded_text(s->host.degraded, degraded, sizeof(degraded));
	send_row(s, "host", "rooms that wait for work",
	    spares_text(s, spares, sizeof(spares)));
	send_row(
	    s, "host", "allowed lesser forms in effect", *degraded ? degraded : "none");
	if (s->frontend)
		port_send(&s->frontend->control, &m);
	if (job->tree >= 0)
		unlinkat(s->host.graph, job->tree_name, AT_REMOVEDIR);
	fd_close(&job->tree);
	free(job);
	s->status = NULL;
}

void
status_room(struct room_entry *r, const char *why)
{
	struct supervisor *s = r->s;

	if (!s->status || r->counted)
		return;
	r->counted = true;
	if (why)
		send_row(s, r->profile->name, "error", why);
	if (s->status->waiting > 0 && --s->status->waiting == 0)
		job_end(s);
}

/* The idle applier becomes root of an empty directory of its own on the graph root's
 * mount. */
static int
make_tree(struct supervisor *s, struct status_job *job)
{
	snprintf(job->tree_name, sizeof(job->tree_name), "bulkhead-status-%ld",
	    (long)getpid());
	/* One killed under the same number may have left it. */
	if (mkdirat(s->host.graph, job->tree_name, 0700) < 0 && errno != EEXIST)
		return -errno;
	job->tree = openat(s->host.graph, job->tree_name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return job->tree < 0 ? -errno : 0;
}

void
status_begin(struct supervisor *s, uint64_t req)
{
	struct status_job *job = calloc(1, sizeof(*job));
	struct ipc_msg busy = IPC_MSG(status_end, .req = req, .code = ERR_IN_USE,
	    .text = span_str("another status request is under way"));

	if (!job || s->status) {
		free(job);
		port_send(&s->frontend->control, &busy);
		return;
	}
	*job = (struct status_job){.req = req, .tree = -1, .waiting = 1};
	s->status = job;
	int rc = make_tree(s, job);
	for (size_t i = 0; i < ARRAY_LEN(idle_rooms); i++) {
		bool apply = idle_rooms[i].room == ROOM_APPLY;
		struct err e = {0};
		struct room_entry *r = NULL;
		if (apply && rc < 0)
			err_errno(&e, rc, "no directory for it");
		else
			r = room_start(s, idle_rooms[i].room, idle_rooms[i].mode, 0, 0,
			    apply ? job->tree : -1, &e);
		if (!r) {
			const struct profile *p =
			    profile_find(idle_rooms[i].room, idle_rooms[i].mode);
			send_row(s, p->name, "error", e.text);
			continue;
		}
		r->idle = true;
		job->waiting++;
	}
	if (--job->waiting == 0)
		job_end(s);
}
