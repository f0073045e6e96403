#include "policy/sandbox/status.h"

#include "common/base/fd.h"
#include "policy/sandbox/caps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROC_FILE (64u << 10)

/* ---- parsing ---- */

static bool
next_line(struct span *text, struct span *line)
{
	if (text->n == 0)
		return false;
	const uint8_t *nl = memchr(text->p, '\n', text->n);
	size_t n = nl ? (size_t)(nl - text->p) : text->n;

	*line = span_of(text->p, n);
	*text = span_from(*text, nl ? n + 1 : n);
	return true;
}

static void
skip_blanks(struct span *s)
{
	while (s->n > 0 && (s->p[0] == ' ' || s->p[0] == '\t'))
		*s = span_from(*s, 1);
}

/* The next word of digits, in this base. */
static bool
next_number(struct span *s, int base, uint64_t *v)
{
	char text[32];
	size_t n = 0;

	skip_blanks(s);
	while (n < s->n && s->p[n] != ' ' && s->p[n] != '\t')
		n++;
	if (n == 0 || !span_to_str(span_of(s->p, n), text, sizeof text))
		return false;
	char *end;
	errno = 0;
	*v = strtoull(text, &end, base);
	if (*end || errno || text[0] == '-' || text[0] == '+')
		return false;
	*s = span_from(*s, n);
	return true;
}

static bool
numbers4(struct span s, uint32_t out[4])
{
	for (int i = 0; i < 4; i++) {
		uint64_t v;
		if (!next_number(&s, 10, &v) || v > UINT32_MAX)
			return false;
		out[i] = (uint32_t)v;
	}
	return true;
}

static bool
groups(struct span s, struct sandbox_status *out)
{
	uint64_t v;

	for (skip_blanks(&s); s.n > 0; skip_blanks(&s)) {
		if (out->ngroups == STATUS_GROUPS || !next_number(&s, 10, &v))
			return false;
		out->group[out->ngroups++] = (uint32_t)v;
	}
	return true;
}

static bool
pids(struct span s, struct sandbox_status *out)
{
	uint64_t v;

	for (skip_blanks(&s); s.n > 0; skip_blanks(&s)) {
		if (!next_number(&s, 10, &v))
			return false;
		out->pid_levels++;
		out->pid_inside = (unsigned)v;
	}
	return out->pid_levels > 0;
}

struct set_line {
	const char *name;
	uint64_t *value;
	int base;
	unsigned bit;
};

static bool
one_number(const struct set_line *l, struct span value)
{
	return next_number(&value, l->base, l->value);
}

int
status_parse(struct span text, struct sandbox_status *s)
{
	uint64_t nnp = 0, seccomp = 0, filters = 0, threads = 0;
	const struct set_line sets[] = {
	    {"CapInh:", &s->inheritable, 16, 1},
	    {"CapPrm:", &s->permitted, 16, 2},
	    {"CapEff:", &s->effective, 16, 4},
	    {"CapBnd:", &s->bounding, 16, 8},
	    {"CapAmb:", &s->ambient, 16, 16},
	    {"NoNewPrivs:", &nnp, 10, 32},
	    {"Seccomp:", &seccomp, 10, 64},
	    {"Seccomp_filters:", &filters, 10, 128},
	    {"Threads:", &threads, 10, 256},
	};
	unsigned seen = 0;
	struct span line;
	bool ok = true;

	s->ngroups = s->pid_levels = 0;
	while (ok && next_line(&text, &line)) {
		for (size_t i = 0; i < ARRAY_LEN(sets); i++)
			if (span_starts(line, sets[i].name)) {
				ok &= one_number(
				    &sets[i], span_from(line, strlen(sets[i].name)));
				seen |= sets[i].bit;
			}
		if (span_starts(line, "Uid:")) {
			ok &= numbers4(span_from(line, 4), s->uid);
			seen |= 512;
		} else if (span_starts(line, "Gid:")) {
			ok &= numbers4(span_from(line, 4), s->gid);
			seen |= 1024;
		} else if (span_starts(line, "Groups:")) {
			ok &= groups(span_from(line, 7), s);
			seen |= 2048;
		} else if (span_starts(line, "NSpid:")) {
			ok &= pids(span_from(line, 6), s);
			seen |= 4096;
		}
	}
	s->no_new_privs = (unsigned)nnp;
	s->seccomp = (unsigned)seccomp;
	s->filters = (unsigned)filters;
	s->threads = (unsigned)threads;
	return ok && seen == 8191 ? 0 : -EPROTO;
}

static const struct {
	const char *line, *name;
	int which;
} limit_lines[STATUS_LIMITS] = {
    {"Max open files", "NOFILE", RLIMIT_NOFILE},
    {"Max processes", "NPROC", RLIMIT_NPROC},
    {"Max file size", "FSIZE", RLIMIT_FSIZE},
    {"Max address space", "AS", RLIMIT_AS},
    {"Max cpu time", "CPU", RLIMIT_CPU},
    {"Max core file size", "CORE", RLIMIT_CORE},
    {"Max locked memory", "MEMLOCK", RLIMIT_MEMLOCK},
    {"Max stack size", "STACK", RLIMIT_STACK},
};

static bool
limit_value(struct span *s, uint64_t *v)
{
	skip_blanks(s);
	if (!span_starts(*s, "unlimited"))
		return next_number(s, 10, v);
	*v = RLIM_INFINITY;
	*s = span_from(*s, strlen("unlimited"));
	return true;
}

int
status_parse_limits(struct span text, struct sandbox_status *s)
{
	struct span line;
	unsigned n = 0;

	while (next_line(&text, &line))
		for (size_t i = 0; i < STATUS_LIMITS; i++) {
			if (!span_starts(line, limit_lines[i].line) || n == STATUS_LIMITS)
				continue;
			struct span rest = span_from(line, strlen(limit_lines[i].line));
			struct status_limit *l = &s->limit[n++];
			l->which = limit_lines[i].which;
			if (!limit_value(&rest, &l->soft) ||
			    !limit_value(&rest, &l->hard))
				return -EPROTO;
		}
	s->limit[n].which = -1;
	return n == STATUS_LIMITS ? 0 : -EPROTO;
}

/* "36 35 98:0 /in/fs /mount/point rw,noatime master:1 - ext4 /dev/root rw": where, how,
 * what. */
int
status_parse_mounts(struct span text, struct sandbox_status *s)
{
	struct span line, word[11];

	s->mounts = 0;
	s->root[0] = 0;
	while (next_line(&text, &line)) {
		if (s->mounts++ > 0)
			continue;
		unsigned n = 0, dash = 0;
		for (skip_blanks(&line); line.n > 0 && n < ARRAY_LEN(word);
		     skip_blanks(&line)) {
			size_t len = 0;
			while (len < line.n && line.p[len] != ' ')
				len++;
			word[n] = span_of(line.p, len);
			if (n >= 6 && dash == 0 && span_is(word[n], "-"))
				dash = n;
			n++;
			line = span_from(line, len);
		}
		if (dash == 0 || dash + 1 >= n)
			return -EPROTO;
		char type[32], options[96];
		span_escape(word[dash + 1], type, sizeof type);
		span_escape(word[5], options, sizeof options);
		snprintf(s->root, sizeof s->root, "%s (%s)", type, options);
	}
	return s->mounts > 0 ? 0 : -EPROTO;
}

/* ---- reading ---- */

static int
read_proc(pid_t pid, const char *name, uint8_t *buf, struct span *out)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = fd_read_full(fd, buf, PROC_FILE);
	if (n < 0)
		return (int)n;
	*out = span_of(buf, (size_t)n);
	return 0;
}

static int
namespace_id(const char *path, uint64_t *id)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	*id = st.st_ino;
	return 0;
}

static int
read_namespaces(const struct sandbox_host *h, pid_t pid, struct sandbox_status *s)
{
	static const struct {
		const char *name;
		unsigned bit;
	} kinds[] = {{"mnt", NS_MNT}, {"net", NS_NET}, {"pid", NS_PID}, {"ipc", NS_IPC},
	    {"uts", NS_UTS}, {"user", NS_USER}};
	char path[64];

	s->namespaces = 0;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct stat host;
		uint64_t theirs = 0, ours = 0;
		snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, kinds[i].name);
		int r = namespace_id(path, &theirs);
		snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i].name);
		if (r == 0)
			r = namespace_id(path, &ours);
		if (r < 0)
			return r;
		if (kinds[i].bit == NS_NET) {
			if (fstat(h->net_host, &host) < 0)
				return -errno;
			ours = host.st_ino;
		}
		s->namespaces |= theirs != ours ? kinds[i].bit : 0;
	}
	return 0;
}

static int
read_fds(pid_t pid, struct sandbox_status *s)
{
	char path[64], target[96], shown[200];
	size_t n = 0;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	DIR *d = opendir(path);
	if (!d)
		return -errno;
	s->nfds = 0;
	s->fds[0] = 0;
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		s->nfds++;
		ssize_t len = readlinkat(dirfd(d), e->d_name, target, sizeof target);
		if (len < 0 || n + 64 >= sizeof s->fds)
			continue;
		/* "socket:[123]" is a socket. */
		const char *colon = memchr(target, ':', (size_t)len);
		if (colon && target[0] != '/')
			len = colon - target;
		span_escape(span_of(target, (size_t)len), shown, 64);
		int w = snprintf(s->fds + n, sizeof s->fds - n, "%s%s %s", n ? ", " : "",
		    e->d_name, shown);
		n += w > 0 ? (size_t)w : 0;
	}
	closedir(d);
	return 0;
}

int
status_read_ids(pid_t pid, struct sandbox_status *s)
{
	uint8_t buf[PROC_FILE];
	struct span text = {0};

	*s = (struct sandbox_status){.pid = pid};
	int r = read_proc(pid, "status", buf, &text);
	return r < 0 ? r : status_parse(text, s);
}

int
status_read_bounds(const struct sandbox_host *h, pid_t pid, struct sandbox_status *s)
{
	uint8_t buf[PROC_FILE];
	struct span text = {0};

	int r = status_read_ids(pid, s);
	if (r < 0)
		return r;
	if ((r = read_proc(pid, "limits", buf, &text)) < 0 ||
	    (r = status_parse_limits(text, s)) < 0)
		return r;
	if ((r = read_proc(pid, "mountinfo", buf, &text)) < 0 ||
	    (r = status_parse_mounts(text, s)) < 0)
		return r;
	return read_namespaces(h, pid, s);
}

int
status_read(const struct sandbox_host *h, pid_t pid, struct sandbox_status *s)
{
	int r = status_read_bounds(h, pid, s);
	return r < 0 ? r : read_fds(pid, s);
}

/* ---- showing ---- */

static void
show_set(uint64_t bits, const char *key, status_line_fn *fn, void *arg)
{
	char text[1024];

	fn(key, caps_text(bits, text, sizeof text), arg);
}

static void
show_namespaces(unsigned bits, status_line_fn *fn, void *arg)
{
	char text[64];

	snprintf(text, sizeof text, "%s%s%s%s%s%s", bits & NS_MNT ? "mnt " : "",
	    bits & NS_NET ? "net " : "", bits & NS_PID ? "pid " : "",
	    bits & NS_IPC ? "ipc " : "", bits & NS_UTS ? "uts " : "",
	    bits & NS_USER ? "user " : "");
	size_t n = strlen(text);
	if (n > 0)
		text[n - 1] = 0;
	fn("own namespaces", n > 0 ? text : "none", arg);
}

static void
show_limits(const struct sandbox_status *s, status_line_fn *fn, void *arg)
{
	char text[320];
	size_t n = 0;

	text[0] = 0;
	for (size_t i = 0; i < STATUS_LIMITS && s->limit[i].which >= 0; i++) {
		const char *name = "?";
		for (size_t k = 0; k < STATUS_LIMITS; k++)
			if (limit_lines[k].which == s->limit[i].which)
				name = limit_lines[k].name;
		if (s->limit[i].hard == RLIM_INFINITY || n >= sizeof text)
			continue;
		int w = snprintf(text + n, sizeof text - n, "%s%s=%" PRIu64, n ? " " : "",
		    name, s->limit[i].hard);
		n += w > 0 ? (size_t)w : 0;
	}
	fn("limits", text, arg);
}

void
status_lines(const struct sandbox_status *s, status_line_fn *fn, void *arg)
{
	char text[640];

	snprintf(text, sizeof text, "%d", (int)s->pid);
	fn("pid", text, arg);
	snprintf(text, sizeof text, "real %u, effective %u, saved %u, files %u",
	    s->uid[0], s->uid[1], s->uid[2], s->uid[3]);
	fn("uid", text, arg);
	snprintf(text, sizeof text, "real %u, effective %u, saved %u, files %u",
	    s->gid[0], s->gid[1], s->gid[2], s->gid[3]);
	fn("gid", text, arg);
	snprintf(text, sizeof text, "%u", s->ngroups);
	fn("supplementary groups", text, arg);
	show_set(s->permitted, "capabilities permitted", fn, arg);
	show_set(s->effective, "capabilities effective", fn, arg);
	show_set(s->inheritable, "capabilities inheritable", fn, arg);
	show_set(s->ambient, "capabilities ambient", fn, arg);
	show_set(s->bounding, "capabilities bounding", fn, arg);
	fn("no new privileges", s->no_new_privs ? "yes" : "no", arg);
	snprintf(text, sizeof text, "mode %u, %u filters", s->seccomp, s->filters);
	fn("seccomp", text, arg);
	show_namespaces(s->namespaces, fn, arg);
	snprintf(text, sizeof text, "%s, %u mounts in sight", s->root, s->mounts);
	fn("root", text, arg);
	show_limits(s, fn, arg);
	snprintf(text, sizeof text, "%u: %s", s->nfds, s->fds);
	fn("descriptors", text, arg);
}
