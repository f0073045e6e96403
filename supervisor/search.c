/* The secret of a fetcher that is to come from files: an auth file of the pull's own,
 * then the auth files and the helpers that they and registries.conf name. Files and
 * answers are read by conf rooms, one each; helpers run in rooms of their own. */
#include "supervisor/supervisor.h"

#include "common/base/fd.h"
#include "supervisor/crypto.h"
#include "supervisor/rootfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HELPER_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define READER_SECONDS 15

/* What the room is there for. */
enum step { STEP_NONE, STEP_OWN, STEP_HELPER, STEP_ANSWER };

struct search {
	struct search *next;
	struct supervisor *s;
	uint64_t pull, fetch;
	struct fetch_info *info; /* owned */
	char host[301];
	unsigned cursor;
	enum step step;
	struct room_entry *room; /* that is waited for; NULL: none */
	struct loop_timer timer;
	int file; /* to be read, or the helper's answer */
	int exit; /* the helper's */
	struct candidate at;
	bool late, done;  /* done: its reader has come to the end */
	unsigned secrets; /* that the reader has given */
	size_t bytes;
	char what[LIMIT_PATH + LIMIT_NAMESPACE + 96]; /* the file or helper, for people */
	struct err err;
};

static void search_go(struct search *q);

/* ---- its end ---- */

static void
search_unlink(struct search *q)
{
	for (struct search **at = &q->s->searches; *at; at = &(*at)->next) {
		if (*at == q) {
			*at = q->next;
			break;
		}
	}
	loop_timer_clear(&q->s->loop, &q->timer);
	fd_close(&q->file);
}

static void
search_free(struct search *q)
{
	search_unlink(q);
	fetch_info_free(q->info);
	free(q);
}

/* The fetcher is started, with a secret or without. */
static void
search_end(struct search *q)
{
	struct fetch_info *info = ptr_steal(&q->info);
	struct supervisor *s = q->s;
	uint64_t pull = q->pull, fetch = q->fetch;

	search_free(q);
	fetcher_begin(s, pull, fetch, info);
}

static void
search_fail(struct search *q)
{
	if (q->s->frontend)
		room_refuse(q->s->frontend, ROOM_FETCH, q->pull, q->fetch, &q->err);
	search_free(q);
}

/* By an auth file of the pull's own: with none of its endpoints may others' credentials
 * take its place. */
static void
own_fail(struct search *q)
{
	struct pull_entry *p = pull_find(q->s, q->pull);

	if (p)
		p->own_problem = q->err;
	search_fail(q);
}

void
search_drop(struct search *q)
{
	if (!q)
		return;
	if (q->room) {
		q->room->search = NULL;
		q->room->orphan = true;
		room_kill(q->room);
	}
	search_free(q);
}

void
searches_drop(struct supervisor *s, uint64_t pull, bool all)
{
	for (struct search *q = s->searches, *next; q; q = next) {
		next = q->next;
		if (all || q->pull == pull)
			search_drop(q);
	}
}

struct search *
search_find(struct supervisor *s, uint64_t pull, uint64_t fetch)
{
	for (struct search *q = s->searches; q; q = q->next) {
		if (q->pull == pull && q->fetch == fetch)
			return q;
	}
	return NULL;
}

/* ---- rooms ---- */

static void
timer_fired(struct loop_timer *t)
{
	struct search *q = t->arg;

	q->late = true;
	room_kill(q->room);
}

/* 0, or negative with q->err. */
static int
search_room(struct search *q, enum step step, enum room room, int dir, unsigned seconds)
{
	q->room =
	    room_start(q->s, room, SANDBOX_MODE_PLAIN, q->pull, q->fetch, dir, &q->err);
	if (!q->room)
		return -EAGAIN;
	q->room->search = q;
	q->step = step;
	q->late = q->done = false;
	q->secrets = 0;
	q->bytes = 0;
	loop_timer_set(&q->s->loop, &q->timer, (uint64_t)seconds * 1000);
	return 0;
}

/* ---- an auth file of the pull's own ---- */

/* "NAMESPACE-SHA256.json" of the image's name, as CRI-O's credential provider writes it.
 */
static bool
own_name(struct span own, char *dst, size_t cap)
{
	const uint8_t *slash = own.n ? memchr(own.p, '/', own.n) : NULL;
	struct span namespace = span_of(own.p, slash ? (size_t)(slash - own.p) : 0);
	uint8_t sha[32];
	char hex[65];

	for (size_t i = 0; i < namespace.n; i++) {
		uint8_t c = namespace.p[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return false;
	}
	if (!namespace.n || crypto_sha256(span_from(own, namespace.n + 1), sha) < 0)
		return false;
	for (size_t i = 0; i < sizeof(sha); i++)
		snprintf(hex + 2 * i, 3, "%02x", sha[i]);
	int n = snprintf(
	    dst, cap, "%.*s-%s.json", (int)namespace.n, (const char *)namespace.p, hex);
	return n > 0 && (size_t)n < cap;
}

/* The directory; -ENOENT without *e: none is named, or there is none. */
static int
own_directory(const struct supervisor *s, struct err *e)
{
	const char *path = s->settings.auth_dir;
	FD_AUTO dir = *path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (dir < 0)
		return !*path || errno == ENOENT ? -ENOENT
						 : err_errno(e, errno, "%s", path);
	int r = rootfile_check(dir, path, e);
	return r < 0 ? r : fd_steal(&dir);
}

bool
own_path(const struct supervisor *s, struct span own, char *dst, size_t cap)
{
	char name[LIMIT_NAMESPACE + 80];

	*dst = 0;
	if (!*s->settings.auth_dir || !own_name(own, name, sizeof(name)))
		return false;
	snprintf(dst, cap, "%s/%s", s->settings.auth_dir, name);
	return true;
}

/* 1: there is none. 0: it is being read. Negative with q->err. */
static int
own_begin(struct search *q, struct pull_entry *p, const struct msg_want_fetch *w)
{
	struct stat st;
	char name[sizeof(p->own_file)];

	if (p->own_problem.code) {
		q->err = p->own_problem;
		return -EACCES;
	}
	if (p->own_read || !own_name(w->own_auth, name, sizeof(name)))
		return 1;
	p->own_read = true;
	FD_AUTO dir = own_directory(q->s, &q->err);
	if (dir < 0)
		return q->err.code ? dir : 1;
	snprintf(q->what, sizeof(q->what), "%.*s/%s", LIMIT_PATH, q->s->settings.auth_dir,
	    name);
	q->file = rootfile_open(dir, name, O_NOFOLLOW, q->what, &q->err);
	if (q->file < 0)
		return q->err.code ? q->file : 1;
	if (fstat(q->file, &st) < 0)
		return err_errno(&q->err, errno, "%s", q->what);
	snprintf(p->own_file, sizeof(p->own_file), "%s", name);
	p->own_inode = st.st_ino;
	return search_room(q, STEP_OWN, ROOM_CONF, -1, READER_SECONDS);
}

void
own_file_remove(struct supervisor *s, struct pull_entry *p)
{
	struct err e = {0};
	struct stat st;

	if (!*p->own_file)
		return;
	for (const struct pull_entry *o = s->pulls; o; o = o->next) {
		if (o != p && strcmp(o->own_file, p->own_file) == 0)
			return;
	}
	FD_AUTO dir = own_directory(s, &e);
	if (dir < 0 || fstatat(dir, p->own_file, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_ino != p->own_inode)
		return;
	if (unlinkat(dir, p->own_file, 0) < 0)
		supervisor_log(s, 4, "%s/%s: cannot be removed after its use: %s",
		    s->settings.auth_dir, p->own_file, strerror(errno));
}

/* ---- a helper ---- */

/* The program is there, and nobody but root could have put it there. 0, or negative with
 * *e. */
static int
program_check(int dir, const char *path, const char *name, struct err *e)
{
	char program[LIMIT_HELPER_NAME + 32], whole[LIMIT_PATH + LIMIT_HELPER_NAME + 32];
	struct stat st;

	int r = rootfile_check(dir, path, e);
	if (r < 0)
		return r;
	snprintf(program, sizeof(program), "docker-credential-%s", name);
	snprintf(whole, sizeof(whole), "%s/%s", path, program);
	if (fstatat(dir, program, &st, 0) < 0)
		return err_set(
		    e, ERR_AUTH, "the credential helper %s: %s", whole, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_uid != 0 || (st.st_mode & 0022) ||
	    !(st.st_mode & 0001))
		return err_set(e, ERR_USAGE,
		    "the credential helper %s has to be a program of root's that others "
		    "can run and not write",
		    whole);
	return 0;
}

static int
helper_begin(struct search *q)
{
	const char *path = q->s->settings.helper_dir;
	FD_AUTO dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	snprintf(q->what, sizeof(q->what), "docker-credential-%s for %s", q->at.helper,
	    q->at.server);
	if (dir < 0)
		return err_set(&q->err, ERR_AUTH,
		    "%s: the directory of credential helpers, %s: %s", q->what, path,
		    strerror(errno));
	int r = program_check(dir, path, q->at.helper, &q->err);
	if (r < 0)
		return r;
	fd_close(&q->file);
	q->file = memfd_create("answer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (q->file < 0)
		return err_errno(&q->err, errno, "%s", q->what);
	return search_room(q, STEP_HELPER, ROOM_HELPER, dir, LIMIT_HELPER_SECONDS);
}

static bool
environment_add(char *dst, size_t cap, size_t *n, const char *text)
{
	size_t more = strlen(text) + 1;

	if (more > cap - *n)
		return false;
	memcpy(dst + *n, text, more);
	*n += more;
	return true;
}

/* PATH, HOME, and of our own what the configuration names. */
static bool
environment_fill(const struct supervisor *s, char *dst, size_t cap, size_t *n)
{
	const char *name = s->settings.helper_env;
	bool ok = environment_add(dst, cap, n, "PATH=" HELPER_PATH) &&
		  environment_add(dst, cap, n, "HOME=/tmp");

	for (size_t len; ok && *name; name += len + 1) {
		len = strcspn(name, "\n");
		for (const char *const *at = s->environment; ok && *at; at++) {
			if (strncmp(*at, name, len) == 0 && (*at)[len] == '=')
				ok = environment_add(dst, cap, n, *at);
		}
	}
	return ok;
}

static int
helper_setup(struct room_entry *r, struct search *q)
{
	char *environment = malloc(LIMIT_HELPER_ENVIRONMENT);
	size_t n = 0;
	FD_AUTO server = fd_sealed_memfd("server", q->at.server, strlen(q->at.server));

	if (!environment || server < 0 || lseek(server, 0, SEEK_SET) < 0 ||
	    !environment_fill(r->s, environment, LIMIT_HELPER_ENVIRONMENT, &n)) {
		free(environment);
		return -ENOMEM;
	}
	struct ipc_msg m =
	    IPC_MSG(run_helper, .directory = span_str(r->s->settings.helper_dir),
		.name = span_str(q->at.helper), .environment = span_of(environment, n));
	m.fds[0] = server;
	m.fds[1] = q->file;
	m.nfds = 2;
	int rc = port_send(&r->control, &m);
	explicit_bzero(environment, n);
	free(environment);
	return rc;
}

int
search_setup(struct room_entry *r)
{
	struct search *q = r->search;

	if (!q)
		return 0; /* an idle one */
	if (q->step == STEP_HELPER)
		return helper_setup(r, q);
	struct ipc_msg m = IPC_MSG(read_config, .name = span_str(q->what),
	    .kind = q->step == STEP_OWN ? CONFIG_AUTH
		    : q->exit == 0	? CONFIG_HELPER
					: CONFIG_HELPER_ERROR);
	m.fds[0] = q->file;
	m.nfds = 1;
	return port_send(&r->control, &m);
}

/* The helper has ended, whoever ended it; nobody is left to write to its answer. */
static void
helper_ended(struct search *q, int status)
{
	struct stat st;

	if (q->late)
		err_set(&q->err, ERR_DEADLINE, "%s: no answer within %d s", q->what,
		    LIMIT_HELPER_SECONDS);
	else if (fcntl(q->file, F_ADD_SEALS,
		     F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 ||
		 fstat(q->file, &st) < 0)
		err_errno(&q->err, errno, "%s: its answer", q->what);
	else if ((uint64_t)st.st_size > LIMIT_HELPER_ANSWER)
		err_set(&q->err, ERR_AUTH, "%s: answers more than %llu bytes", q->what,
		    (unsigned long long)LIMIT_HELPER_ANSWER);
	else if (status >= 256)
		err_set(&q->err, ERR_AUTH, "%s: was ended by signal %d", q->what,
		    status & 255);
	q->exit = status;
	if (q->err.code || search_room(q, STEP_ANSWER, ROOM_CONF, -1, READER_SECONDS) < 0)
		search_fail(q);
}

/* ---- what readers say ---- */

int
search_secret(struct room_entry *r, struct ipc_msg *m)
{
	const struct msg_config_secret *c = &m->config_secret;
	struct search *q = r->search;
	struct pull_entry *p = q ? pull_find(r->s, q->pull) : NULL;

	if (!p || q->step == STEP_HELPER || c->kind == SECRET_NONE)
		return -EPROTO;
	q->bytes += c->secret.n + c->scope.n;
	if (++q->secrets > (q->step == STEP_OWN ? LIMIT_CONFIG_ROWS : 1) ||
	    q->bytes > LIMIT_CONFIG_BYTES)
		return -EPROTO;
	if (q->step == STEP_OWN)
		return secrets_add(
		    &p->own, c->scope, (enum secret_kind)c->kind, c->secret);
	return secrets_add(
	    &p->found, span_str(q->at.server), (enum secret_kind)c->kind, c->secret);
}

/* A tenant's file names no programs. */
int
search_row(struct room_entry *r, struct ipc_msg *m)
{
	struct search *q = r->search;

	if (!q || q->step != STEP_OWN)
		return -EPROTO;
	q->bytes += m->config_row.value.n;
	return ++q->secrets > LIMIT_CONFIG_ROWS || q->bytes > LIMIT_CONFIG_BYTES ? -EPROTO
										 : 0;
}

int
search_read(struct room_entry *r, struct ipc_msg *m)
{
	struct search *q = r->search;

	if (!q || q->step == STEP_HELPER)
		return -EPROTO;
	q->done = true;
	if (m->config_end.code)
		err_set(&q->err, ERR_AUTH, "%.*s", (int)m->config_end.text.n,
		    (const char *)m->config_end.text.p);
	return 0;
}

void
search_room_gone(struct room_entry *r, int status)
{
	struct search *q = r->search;

	loop_timer_clear(&q->s->loop, &q->timer);
	q->room = NULL;
	r->search = NULL;
	if (q->step == STEP_HELPER) {
		helper_ended(q, status);
		return;
	}
	fd_close(&q->file);
	if (!q->done && !q->err.code)
		err_set(&q->err, ERR_INTERNAL, "%s: its reader ended early", q->what);
	if (q->err.code && q->step == STEP_OWN)
		own_fail(q);
	else if (q->err.code)
		search_fail(q);
	else
		search_go(q);
}

/* ---- one place after another ---- */

static const struct secret *
answer_find(const struct pull_entry *p, const char *server)
{
	unsigned cursor = 0;
	struct candidate c;
	char host[601];

	/* The answer's scope lost what scopes lose. */
	snprintf(host, sizeof(host), "%s",
	    strncmp(server, "https://index.docker.io", 23) == 0 ? "docker.io" : server);
	return secrets_next(&p->found, host, "", &cursor, &c) ? c.secret : NULL;
}

static void
search_take(struct search *q, const struct secret *found)
{
	if (fetch_info_give(q->info, found->kind, span_of(found->bytes, found->n)) < 0) {
		err_errno(&q->err, ENOMEM, "a credential");
		search_fail(q);
		return;
	}
	search_end(q);
}

/* Until something has to be waited for, or it is known. */
static void
search_go(struct search *q)
{
	struct pull_entry *p = pull_find(q->s, q->pull);
	const char *repository = q->info->repository;
	unsigned first = 0;
	const struct secret *found;

	if (q->step == STEP_ANSWER && (found = answer_find(p, q->at.server))) {
		search_take(q, found);
		return;
	}
	if (secrets_next(&p->own, q->host, repository, &first, &q->at) && q->at.secret) {
		search_take(q, q->at.secret);
		return;
	}
	while (secrets_next(&q->s->secrets, q->host, repository, &q->cursor, &q->at)) {
		found = q->at.secret ? q->at.secret : answer_find(p, q->at.server);
		if (found) {
			search_take(q, found);
			return;
		}
		if (!*q->s->settings.helper_dir)
			continue; /* none is run here */
		if (helper_begin(q) < 0)
			search_fail(q);
		return;
	}
	search_end(q);
}

int
search_begin(struct supervisor *s, struct pull_entry *p, struct fetch_info *info,
    const struct msg_want_fetch *w)
{
	struct search *q = calloc(1, sizeof(*q));

	if (!q || !span_to_str(w->auth_host, q->host, sizeof(q->host))) {
		free(q);
		fetch_info_free(info);
		return -ENOMEM;
	}
	q->s = s;
	q->pull = w->pull;
	q->fetch = w->fetch;
	q->info = info;
	q->file = -1;
	q->timer = (struct loop_timer){.fired = timer_fired, .arg = q};
	q->next = s->searches;
	s->searches = q;
	int r = own_begin(q, p, w);
	if (r < 0)
		own_fail(q);
	else if (r > 0)
		search_go(q);
	return 0;
}
